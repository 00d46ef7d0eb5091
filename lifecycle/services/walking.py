"""One person's next steps: pure decisions over what happened since they entered, asked of the timeline in bulk."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from crm.kernel.reactions import Fact
from crm.selectors import timeline
from lifecycle.definition import Cue, Definition, Step
from lifecycle.models import Enrolment
from lifecycle.services import messages, running
from lifecycle.states import Arm, EnrolmentEventKind, EnrolmentStatus, ExitCause, Reason


@dataclass(slots=True)
class Move:
    """Where one enrolment goes: its new state and what happened on the way."""

    enrolment: Enrolment
    status: str = EnrolmentStatus.WAITING
    exit_cause: str = ""
    step: str = ""
    run_at: datetime | None = None
    events: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    items: list[messages.Item] = field(default_factory=list)


def subject_key(journey_id: int, entry_key: str) -> str:
    """What a journey's messages are about."""
    return f"journey:{journey_id}:{entry_key}"


def leaving_move(row: Enrolment, *, plan: Definition, fact: Fact) -> Move | None:
    """What this fact means for somebody on the way, or for somebody through within the goal's window."""
    occurred_at = fact.occurred_at
    if occurred_at is None or occurred_at < row.entered_at:
        return None
    if plan.goal is not None and plan.goal.matches(fact.kind, fact.properties):
        late = row.ended_at is not None and occurred_at > row.ended_at + plan.conversion_window()
        return None if late else converted(row)
    if row.status == EnrolmentStatus.WAITING and any(
        cue.matches(fact.kind, fact.properties) for cue in plan.exits
    ):
        return exited(row, ExitCause.EXIT_RULE)
    return None


def converted(row: Enrolment) -> Move:
    return Move(
        row, EnrolmentStatus.CONVERTED, "", row.step, events=[(EnrolmentEventKind.CONVERTED, row.step, {})]
    )


def exited(row: Enrolment, cause: str) -> Move:
    event = (EnrolmentEventKind.EXITED, row.step, {"cause": str(cause)})
    return Move(row, EnrolmentStatus.EXITED, cause, row.step, events=[event])


class Answers:
    """What happened to these people since they entered, asked of the timeline in bulk and kept."""

    def __init__(
        self, rows: list[Enrolment], roots: dict[int, Any], members: dict[int, list[int]], *, now: datetime
    ):
        self._roots, self._members, self._now = roots, members, now
        self._found: dict[tuple[int, str, datetime], bool] = {}
        asked: dict[str, list[Enrolment]] = defaultdict(list)
        for row in rows:
            plan = running.definition_of(row.version_id)
            kinds = plan.leaving_kinds() | {step.has.kind for step in plan.steps if step.has is not None}
            for kind in kinds:
                asked[kind].append(row)
        for kind, askers in sorted(asked.items()):
            questions = [(roots[row.profile_id].pk, row.entered_at, now) for row in askers]
            for row, found in zip(askers, timeline.exists_many(questions, kinds=[kind]), strict=True):
                self._found[(row.pk, kind, row.entered_at)] = found

    def since_entry(self, row: Enrolment, cue: Cue) -> bool:
        """Whether the cue came after the person had entered."""
        return self.since(row, cue, row.entered_at)

    def since(self, row: Enrolment, cue: Cue, since: datetime) -> bool:
        """Whether the cue came at or after `since`."""
        ids = self._members[self._roots[row.profile_id].pk]
        found = self._found.get((row.pk, cue.kind, since))
        if found is None:
            found = timeline.has(ids, cue.kind, since=since, until=self._now)
            self._found[(row.pk, cue.kind, since)] = found
        if not found or not cue.where:
            return found
        # Rules on properties need the touchpoints themselves; a person has few of one kind in such a window.
        items = timeline.page(ids, limit=200, kinds=[cue.kind], now=self._now)
        return any(item.occurred_at >= since and cue.matches(item.kind, item.properties) for item in items)


def walk(row: Enrolment, *, plan: Definition, answers: Answers, root_id: int, now: datetime) -> Move:
    """Run steps until one waits or the journey ends. Jumps go forwards only, so this ends."""
    move = Move(row)
    step_id = row.step
    while step_id:
        step = plan.step(step_id)
        if step is None or step.type == "end":
            break
        following = plan.after(step.id)
        if step.type == "wait":
            move.step, move.run_at = following, now + timedelta(minutes=step.minutes)
            move.events.append((EnrolmentEventKind.WAITED, step.id, {"minutes": step.minutes}))
            return move
        if step.type == "condition":
            holds = _holds(row, step, answers, now=now)
            move.events.append((EnrolmentEventKind.BRANCHED, step.id, {"holds": holds}))
            step_id = (step.then if holds else step.otherwise) or following
            continue
        withheld = row.arm == Arm.HOLDOUT
        move.items.append(_item(row, step, root_id=root_id, withheld=withheld, now=now))
        kind = EnrolmentEventKind.WITHHELD if withheld else EnrolmentEventKind.MESSAGED
        move.events.append((kind, step.id, {"message_kind": step.kind}))
        step_id = following
    move.status, move.step = EnrolmentStatus.FINISHED, step_id or row.step
    move.events.append((EnrolmentEventKind.FINISHED, move.step, {}))
    return move


def _holds(row: Enrolment, step: Step, answers: Answers, *, now: datetime) -> bool:
    if step.has is None:
        return all(rule.matches(row.context) for rule in step.rules)
    since = now - timedelta(hours=step.within_hours) if step.within_hours else row.entered_at
    return answers.since(row, step.has, since)


def _item(row: Enrolment, step: Step, *, root_id: int, withheld: bool, now: datetime) -> messages.Item:
    values = {
        name: row.context.get(value["property"], value.get("default", ""))
        if isinstance(value, dict)
        else value
        for name, value in step.values.items()
    }
    return messages.Item(
        kind=step.kind,
        profile_id=root_id,
        subject_key=subject_key(row.journey_id, row.entry_key),
        context=values,
        expires_at=now + timedelta(hours=step.useful_hours) if step.useful_hours else None,
        withheld=Reason.HOLDOUT if withheld else "",
    )
