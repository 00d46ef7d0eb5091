"""A person's own say in how often, when, and whether at all for a while."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from crm.kernel import actionlog, knobs
from crm.kernel.actors import Actor
from crm.kernel.errors import Invalid, NotFound
from crm.models import ContactChoice
from crm.selectors import profiles as people
from crm.services import profiles, retry
from crm.states import Frequency


@retry.on_conflict
def set_frequency(profile_id: int, *, frequency: str, actor: Actor, now: datetime) -> None:
    """How much of the budget may be used for them. Raises Invalid, NotFound, Gone."""
    if frequency not in Frequency.values:
        raise Invalid(
            _("This choice does not exist."),
            code="invalid_choice",
            field="frequency",
            allowed=Frequency.values,
        )
    _set(profile_id, {"frequency": frequency}, actor=actor, now=now)


@retry.on_conflict
def set_quiet_hours(profile_id: int, *, hours: tuple[int, int] | None, actor: Actor, now: datetime) -> None:
    """Local hours (from, until) in which nothing is sent, or None for those of the house. Raises Invalid, NotFound,
    Gone."""
    if hours is not None and (len(hours) != 2 or any(not 0 <= hour <= 23 for hour in hours)):
        raise Invalid(_("An hour is a whole number from 0 to 23."), code="invalid_hour", field="quiet_start")
    start, end = hours if hours is not None else (None, None)
    _set(profile_id, {"quiet_start": start, "quiet_end": end}, actor=actor, now=now)


@retry.on_conflict
def pause(profile_id: int, *, actor: Actor, now: datetime, days: int | None = None) -> datetime:
    """Nothing but transactional messages for `days` (the knob). Returns when it ends. Raises NotFound, Gone."""
    until = now + timedelta(days=days if days is not None else knobs.get("crm.pause_days"))
    _set(profile_id, {"paused_until": until}, actor=actor, now=now)
    return until


@retry.on_conflict
def resume(profile_id: int, *, actor: Actor, now: datetime) -> None:
    """End the pause. Raises NotFound, Gone."""
    _set(profile_id, {"paused_until": None}, actor=actor, now=now)


def _set(profile_id: int, values: dict[str, object], *, actor: Actor, now: datetime) -> None:
    """On the row of the root, and on those of everybody merged into it: their stricter choice would win else."""
    with transaction.atomic():
        locked = profiles.lock_roots([profile_id])
        if profile_id not in locked:
            raise NotFound(_("There is no such person."))
        root = locked[profile_id]
        profiles.refuse_erased(root)
        stamp = {**values, "updated_at": now, "updated_by": str(actor)}
        row, _created = ContactChoice.objects.update_or_create(profile_id=root.pk, defaults=stamp)
        ids = people.id_sets([root.pk])[root.pk]
        ContactChoice.objects.filter(profile_id__in=ids).exclude(pk=row.pk).update(**stamp)
        actionlog.write(actor, "crm.choice.changed", row, fields=sorted(values), now=now)
