"""May I show this now? Outside senders, surveys and pop-ups ask before they disturb somebody.

Granted under the lock of the person, out of the one budget, so that senders who know nothing of each other cannot
exceed it together. What was granted is settled when it was shown and given back when it was not; what is forgotten
is given back after a while. A refusal says why, and when asking again makes sense; it writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from crm.kernel import knobs
from crm.kernel.actors import Actor
from crm.kernel.errors import Conflict, Invalid, NotFound, Unprocessable
from crm.models import PressureReservation
from crm.selectors import choices, consents
from crm.selectors import pressure as reads
from crm.selectors import profiles as people
from crm.services import pressure, profiles, quiet_hours, retry, touchpoints
from crm.states import Channel, PressureClass, Purpose, ReservationStatus

# Shown while the person is there by their own will: their night does not matter.
SEEN_AT_WILL = (PressureClass.POPUP, PressureClass.TRANSACTIONAL)
SWEPT = 500


@dataclass(frozen=True, slots=True)
class Answer:
    """`reason` is `paused | no_consent | quiet_hours | budget` when it was not granted, and `retry_at` when it may
    be, or None when asking again will not help."""

    reservation: PressureReservation | None = None
    reason: str = ""
    retry_at: datetime | None = None

    @property
    def granted(self) -> bool:
        """Whether it may be shown now."""
        return self.reservation is not None


@retry.on_conflict
def ask(
    profile_id: int,
    *,
    pressure_class: str,
    label: str,
    actor: Actor,
    now: datetime,
    key: str = "",
    purpose: str = "",
    channel: str = Channel.IN_APP,
) -> Answer:
    """Reserve one disturbance. With `purpose` the consent for it on `channel` is read too. The same caller asking
    under the same `key` gets the same reservation.

    Raises Invalid, NotFound, Gone (erased), Unprocessable `key_reused`.
    """
    for value, allowed, field in (
        (pressure_class, PressureClass.values, "class"),
        (purpose, ["", *Purpose.values], "purpose"),
        (channel, Channel.values, "channel"),
    ):
        if value not in allowed:
            raise Invalid(
                _("This choice does not exist."), code="invalid_choice", field=field, allowed=allowed
            )
    with transaction.atomic():
        locked = profiles.lock_roots([profile_id])
        if profile_id not in locked:
            raise NotFound(_("There is no such person."))
        root = locked[profile_id]
        profiles.refuse_erased(root)
        ids = people.id_sets([root.pk])[root.pk]
        if key:
            held = PressureReservation.objects.filter(actor=str(actor), key=key).first()
            if held is not None:
                if held.profile_id not in ids or held.pressure_class != pressure_class:
                    raise Unprocessable(
                        _("This key was used for something else."), code="key_reused", field="key"
                    )
                return Answer(held)
        refusal = _refusal(root, ids, pressure_class, purpose=purpose, channel=channel, now=now)
        if refusal is not None:
            return refusal
        row = PressureReservation.objects.create(
            profile_id=root.pk,
            pressure_class=pressure_class,
            label=label,
            key=key,
            actor=str(actor),
            reserved_at=now,
            expires_at=now + timedelta(minutes=knobs.get("crm.reservation_minutes")),
        )
        if pressure.reserve([(root.pk, pressure_class, _cause(row.pk))], now=now):
            row.delete()
            choice = choices.of_person(root.pk)
            retry_at = reads.next_time(
                ids,
                pressure_class=pressure_class,
                weight=pressure.weight_of(pressure_class),
                choice=choice,
                now=now,
            )
            return Answer(reason="budget", retry_at=retry_at)
        row.refresh_from_db(fields=["public_id"])
    return Answer(row)


def settle(public_id: Any, *, actor: Actor, now: datetime) -> PressureReservation:
    """It was shown: it stays counted, and is on the timeline. Repeating it changes nothing. Raises NotFound, and
    Conflict `released` when it was given back (also by running out)."""
    with transaction.atomic():
        row = _locked(public_id, actor=actor)
        if row.status == ReservationStatus.RELEASED:
            raise Conflict(_("This reservation was given back."), code="released")
        if _move(row, ReservationStatus.SETTLED, now=now):
            touchpoints.record(
                [
                    touchpoints.Event(
                        kind="crm.contact.shown",
                        occurred_at=now,
                        message_id=f"crm.reservation:{row.pk}",
                        profile_id=row.profile_id,
                        properties={"class": row.pressure_class, "label": row.label},
                    )
                ],
                source=None,
                actor=actor,
                now=now,
            )
    return row


def release(public_id: Any, *, actor: Actor, now: datetime) -> PressureReservation:
    """It was not shown: its points are free again. Repeating it changes nothing. Raises NotFound, and Conflict
    `settled` when it was shown."""
    with transaction.atomic():
        row = _locked(public_id, actor=actor)
        if row.status == ReservationStatus.SETTLED:
            raise Conflict(_("This was shown already."), code="settled")
        _release(row, now=now)
    return row


def sweep(*, now: datetime) -> int:
    """Give back what ran out. Returns how many."""
    released = 0
    for pk in reads.overdue(now=now, limit=SWEPT):
        with transaction.atomic():
            row = PressureReservation.objects.filter(pk=pk).first()
            if row is not None:
                profiles.lock_roots([row.profile_id])
                released += _release(row, now=now)
    return released


def _refusal(
    root: Any, ids: list[int], pressure_class: str, *, purpose: str, channel: str, now: datetime
) -> Answer | None:
    if pressure_class == PressureClass.TRANSACTIONAL:
        return None
    choice = choices.of_person(root.pk)
    if choice.pause(now=now) is not None:
        return Answer(reason="paused", retry_at=choice.paused_until)
    if purpose and not consents.allowed([root.pk], purpose=purpose, channel=channel)[root.pk]:
        return Answer(reason="no_consent")
    if pressure_class not in SEEN_AT_WILL:
        morning = quiet_hours.next_allowed(root.time_zone, now=now, own=choice.quiet)
        if morning is not None:
            return Answer(reason="quiet_hours", retry_at=morning)
    return None


def _locked(public_id: Any, *, actor: Actor) -> PressureReservation:
    """The caller's reservation, under the lock of its person."""
    row = reads.reservation(public_id, actor=str(actor))
    if row is None:
        raise NotFound(_("There is no such reservation."))
    profiles.lock_roots([row.profile_id])
    row.refresh_from_db()
    return row


def _release(row: PressureReservation, *, now: datetime) -> bool:
    if not _move(row, ReservationStatus.RELEASED, now=now):
        return False
    pressure.give_back(_cause(row.pk), profile_ids=people.ids_of(row.profile_id))
    return True


def _move(row: PressureReservation, status: str, *, now: datetime) -> bool:
    changed = PressureReservation.objects.filter(pk=row.pk, status=ReservationStatus.RESERVED).update(
        status=status, decided_at=now
    )
    if changed:
        row.status, row.decided_at = status, now
    return bool(changed)


def _cause(pk: int) -> str:
    return f"crm.reservation:{pk}"
