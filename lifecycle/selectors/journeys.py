"""Reading journeys: the funnel of the last weeks, and what a definition says in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Count
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from crm.registry import kind_label
from lifecycle import definition
from lifecycle.definition import Cue, Definition, Rule, Step
from lifecycle.models import Enrolment, Journey, JourneyVersion, OutboundMessage
from lifecycle.selectors import messages
from lifecycle.states import Arm, Decision, EnrolmentStatus, Reason

FUNNEL_DAYS: Final = 30


@dataclass(frozen=True, slots=True)
class Funnel:
    """Numbers of one journey for those who entered within `days`."""

    days: int
    entered: int = 0
    waiting: int = 0
    converted: int = 0
    exited: int = 0
    finished: int = 0
    failed: int = 0
    holdout: int = 0
    treatment_converted: int = 0
    holdout_converted: int = 0
    sent: int = 0
    held: int = 0
    dropped: int = 0
    not_sent: dict[str, int] = field(default_factory=dict)

    @property
    def treatment_rate(self) -> float | None:
        """Share of the treated who met the goal, 0 to 1; None without anybody."""
        treated = self.entered - self.holdout
        return self.treatment_converted / treated if treated else None

    @property
    def holdout_rate(self) -> float | None:
        """Share of the comparison group who met the goal all the same."""
        return self.holdout_converted / self.holdout if self.holdout else None


def funnel(journey_id: int, *, now: datetime, days: int = FUNNEL_DAYS) -> Funnel:
    """Two reads, bounded by the window."""
    since = now - timedelta(days=days)
    rows = (
        Enrolment.objects.filter(journey_id=journey_id, entered_at__gt=since)
        .order_by()
        .values_list("status", "arm")
        .annotate(number=Count("pk"))
    )
    by_status: dict[str, int] = {}
    arms: dict[str, int] = {}
    converted: dict[str, int] = {}
    for status, arm, number in rows:
        by_status[status] = by_status.get(status, 0) + number
        arms[arm] = arms.get(arm, 0) + number
        if status == EnrolmentStatus.CONVERTED:
            converted[arm] = converted.get(arm, 0) + number
    decisions: dict[str, int] = {}
    reasons: dict[str, int] = {}
    prefix = f"journey:{journey_id}:"
    found = (
        OutboundMessage.objects.filter(
            subject_key__gte=prefix, subject_key__lt=prefix[:-1] + ";", created_at__gt=since
        )
        .order_by()
        .values_list("decision", "reason")
        .annotate(number=Count("pk"))
    )
    for decision, reason, number in found:
        decisions[decision] = decisions.get(decision, 0) + number
        if reason:
            reasons[reason] = reasons.get(reason, 0) + number
    return Funnel(
        days=days,
        entered=sum(by_status.values()),
        waiting=by_status.get(EnrolmentStatus.WAITING, 0),
        converted=by_status.get(EnrolmentStatus.CONVERTED, 0),
        exited=by_status.get(EnrolmentStatus.EXITED, 0),
        finished=by_status.get(EnrolmentStatus.FINISHED, 0),
        failed=by_status.get(EnrolmentStatus.FAILED, 0),
        holdout=arms.get(Arm.HOLDOUT, 0),
        treatment_converted=converted.get(Arm.TREATMENT, 0),
        holdout_converted=converted.get(Arm.HOLDOUT, 0),
        sent=decisions.get(Decision.SENT, 0),
        held=decisions.get(Decision.HELD, 0) + decisions.get(Decision.QUEUED, 0),
        dropped=decisions.get(Decision.DROPPED, 0) - reasons.get(Reason.HOLDOUT, 0),
        not_sent={reason: number for reason, number in sorted(reasons.items()) if reason != Reason.HOLDOUT},
    )


def current_definition(journey: Journey) -> dict[str, Any]:
    """The definition that is in force for those who enter now."""
    return JourneyVersion.objects.get(journey_id=journey.pk, number=journey.version).definition


def describe(data: dict[str, Any]) -> list[str]:
    """A definition in plain sentences of the reader's language, one per line."""
    plan = definition.parse(data)
    lines = [_("When this happens: %(cue)s.") % {"cue": _cue(plan.trigger)}, _key(plan)]
    if plan.cap_entries:
        lines.append(
            _("At most %(entries)d times within %(hours)d hours per person.")
            % {"entries": plan.cap_entries, "hours": plan.cap_hours}
        )
    if plan.holdout_percent:
        lines.append(
            _("%(percent)d%% of people are the comparison group and get no message.")
            % {"percent": plan.holdout_percent}
        )
    if plan.goal is not None:
        lines.append(
            _("The goal is met, and the person leaves at once, when: %(cue)s.") % {"cue": _cue(plan.goal)}
        )
    lines += [_("The person leaves when: %(cue)s.") % {"cue": _cue(cue)} for cue in plan.exits]
    names = {step.id: number for number, step in enumerate(plan.steps, start=1)}
    lines += [f"{names[step.id]}. {_step(step, names)}" for step in plan.steps]
    return lines


def _key(plan: Definition) -> str:
    if plan.key_property:
        return _("Once per person and “%(property)s”.") % {"property": plan.key_property}
    return {
        "person": _("Once per person, ever."),
        "day": _("Once per person and day."),
        "occurrence": _("Every time."),
    }[plan.key_per]


def _step(step: Step, names: dict[str, int]) -> str:
    if step.type == "wait":
        return _("Wait %(time)s.") % {"time": duration(step.minutes)}
    if step.type == "message":
        text = _("Send “%(kind)s”.") % {"kind": messages.kind_label(step.kind)}
        if step.useful_hours:
            text += " " + _("Not later than %(hours)d hours after that.") % {"hours": step.useful_hours}
        return text
    if step.type == "condition":
        if step.has is not None:
            question = _("it has happened since: %(cue)s") % {"cue": _cue(step.has)}
        else:
            question = _rules(step.rules)
        text = _("If %(question)s") % {"question": question}
        text += ", " + (_("go to %(number)d") % {"number": names[step.then]} if step.then else _("go on"))
        text += "; " + _("otherwise")
        return (
            text
            + " "
            + (_("go to %(number)d") % {"number": names[step.otherwise]} if step.otherwise else _("go on"))
            + "."
        )
    return _("The end.")


def duration(minutes: int) -> str:
    """Minutes in the largest unit that fits."""
    if minutes and minutes % 1440 == 0:
        days = minutes // 1440
        return ngettext("%(n)d day", "%(n)d days", days) % {"n": days}
    if minutes and minutes % 60 == 0:
        hours = minutes // 60
        return ngettext("%(n)d hour", "%(n)d hours", hours) % {"n": hours}
    return ngettext("%(n)d minute", "%(n)d minutes", minutes) % {"n": minutes}


def _cue(cue: Cue) -> str:
    label = str(kind_label(cue.kind))
    return f"{label} ({_rules(cue.where)})" if cue.where else label


def _rules(rules: tuple[Rule, ...]) -> str:
    return _(" and ").join(_rule(rule) for rule in rules)


def _rule(rule: Rule) -> str:
    words = {
        "exists": _("%(property)s is known"),
        "missing": _("%(property)s is not known"),
        "equals": _("%(property)s is %(value)s"),
        "not_equals": _("%(property)s is not %(value)s"),
        "in": _("%(property)s is one of %(value)s"),
        "greater": _("%(property)s is more than %(value)s"),
        "less": _("%(property)s is less than %(value)s"),
        "contains": _("%(property)s contains %(value)s"),
    }
    return words[rule.op] % {"property": rule.property, "value": rule.value}
