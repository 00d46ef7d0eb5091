"""Journeys as staff make them: written as drafts, checked whole, revised in versions, switched on and off.

People on their way finish the version they entered. `move()` is the only writer of a journey's status.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from crm.kernel import actionlog, jobs
from crm.kernel.actors import Actor
from crm.kernel.errors import Conflict, Invalid, NotFound
from lifecycle import definition, shipped
from lifecycle.models import Journey, JourneyVersion
from lifecycle.services import enrolments, running
from lifecycle.states import JOURNEY_TRANSITIONS, JourneyStatus

MAX_NAME = 120


def create(
    *, name: str, definition_data: Mapping[str, Any], actor: Actor, now: datetime, template: str = ""
) -> Journey:
    """A draft. Raises Invalid (name, definition), Conflict when the name is taken."""
    text = _name(name)
    definition.parse(definition_data)
    try:
        with transaction.atomic():
            journey = Journey.objects.create(
                name=text, template=template, created_at=now, created_by=str(actor)
            )
            _add_version(journey, definition_data, actor=actor, now=now)
            actionlog.write(actor, "lifecycle.journey.created", journey, now=now)
    except IntegrityError:
        raise Conflict(_("There is a journey of that name."), code="name_taken", field="name") from None
    return journey


def create_from_template(template: str, *, actor: Actor, now: datetime, name: str = "") -> Journey:
    """A draft made from a shipped definition. Raises NotFound, Conflict."""
    found = shipped.TEMPLATES.get(template)
    if found is None:
        raise NotFound(
            _("There is no journey template of that name."),
            code="no_such_template",
            allowed=sorted(shipped.TEMPLATES),
        )
    return create(
        name=name or str(found.name),
        definition_data=found.definition,
        template=template,
        actor=actor,
        now=now,
    )


def revise(
    journey_id: int,
    *,
    actor: Actor,
    now: datetime,
    definition_data: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> Journey:
    """Change the name, or what the journey does for those who enter from now on.

    Raises NotFound, Invalid, and Conflict for an archived journey or a taken name.
    """
    if definition_data is not None:
        definition.parse(definition_data)
    try:
        with transaction.atomic():
            journey = _lock(journey_id)
            if journey.status == JourneyStatus.ARCHIVED:
                raise Conflict(_("An archived journey is not changed any more."), code="archived")
            changed = []
            if name is not None and _name(name) != journey.name:
                journey.name = _name(name)
                changed.append("name")
            if definition_data is not None and definition_data != current_version(journey).definition:
                journey.version += 1
                _add_version(journey, definition_data, actor=actor, now=now)
                changed.append("version")
            if changed:
                journey.save(update_fields=changed)
                actionlog.write(actor, "lifecycle.journey.revised", journey, fields=changed, now=now)
    except IntegrityError:
        raise Conflict(_("There is a journey of that name."), code="name_taken", field="name") from None
    running.forget()
    return journey


def activate(journey_id: int, *, actor: Actor, now: datetime) -> Journey:
    """Take people in. Raises Conflict when it is not a draft or paused, Invalid when its definition no longer holds."""
    with transaction.atomic():
        journey = _lock(journey_id)
        definition.parse(current_version(journey).definition)
        return move(
            journey, JourneyStatus.ACTIVE, actor=actor, now=now, activated_at=journey.activated_at or now
        )


def pause(journey_id: int, *, actor: Actor, now: datetime) -> Journey:
    """Take nobody in and move nobody on, until it is active again."""
    with transaction.atomic():
        return move(_lock(journey_id), JourneyStatus.PAUSED, actor=actor, now=now)


def archive(journey_id: int, *, actor: Actor, now: datetime) -> Journey:
    """End it for good; whoever is on the way leaves silently, and what was queued is cancelled."""
    with transaction.atomic():
        journey = move(_lock(journey_id), JourneyStatus.ARCHIVED, actor=actor, now=now)
        enrolments.empty(journey.pk, now=now)
        return journey


def move(journey: Journey, to: str, *, actor: Actor, now: datetime, **values: Any) -> Journey:
    """The only writer of `status`. Raises Conflict when the table of transitions does not allow it."""
    old = journey.status
    if to not in JOURNEY_TRANSITIONS[old]:
        raise Conflict(
            _("A journey that is “%(old)s” cannot become “%(new)s”.")
            % {"old": JourneyStatus(old).label, "new": JourneyStatus(to).label},
            code="wrong_state",
            allowed=list(JOURNEY_TRANSITIONS[old]),
        )
    with transaction.atomic():
        if Journey.objects.filter(pk=journey.pk, status=old).update(status=to, **values) != 1:
            raise Conflict(_("Somebody else changed this journey just now."), code="wrong_state")
        actionlog.write(actor, f"lifecycle.journey.{to}", journey, fields=("status",), now=now)
        journey.refresh_from_db()
        running.forget()
        if to == JourneyStatus.ACTIVE:
            jobs.wake(enrolments.TASK)
    return journey


def current_version(journey: Journey) -> JourneyVersion:
    """What the journey does for those who enter now."""
    return JourneyVersion.objects.get(journey_id=journey.pk, number=journey.version)


def _lock(journey_id: int) -> Journey:
    journey = Journey.objects.select_for_update().filter(pk=journey_id).first()
    if journey is None:
        raise NotFound(_("There is no such journey."))
    return journey


def _add_version(journey: Journey, data: Mapping[str, Any], *, actor: Actor, now: datetime) -> None:
    JourneyVersion.objects.create(
        journey=journey, number=journey.version, definition=dict(data), created_at=now, created_by=str(actor)
    )


def _name(name: str) -> str:
    text = " ".join(name.split())
    if not 0 < len(text) <= MAX_NAME:
        raise Invalid(
            _("A name has 1 to %(n)d characters.") % {"n": MAX_NAME}, code="invalid_length", field="name"
        )
    return text
