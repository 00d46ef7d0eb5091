"""Suppressions: addresses that are never written to, whoever they belong to, also after erasure."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from crm.addresses import address_hash
from crm.kernel import actionlog, reactions
from crm.kernel.actors import Actor
from crm.models import ContactPoint, Suppression
from crm.services import changes, contacts
from crm.services.changes import SUPPRESSION_CHANGED
from crm.states import Purpose, SuppressionReason


def add(channel: str, value: str, *, purpose: str, reason: str, actor: Actor, now: datetime) -> Suppression:
    """Suppress an address for one purpose, or for all with an empty purpose. In force at commit; repeatable."""
    return add_hash(
        channel,
        address_hash(channel, contacts.normalise(channel, value)),
        purpose=purpose,
        reason=reason,
        actor=actor,
        now=now,
    )


def add_hash(
    channel: str, value_hash: str, *, purpose: str, reason: str, actor: Actor, now: datetime
) -> Suppression:
    """The same by hash, for addresses that are known only so."""
    Purpose(purpose) if purpose else None
    SuppressionReason(reason)
    with transaction.atomic():
        suppression, created = Suppression.objects.get_or_create(
            channel=channel,
            value_hash=value_hash,
            purpose=purpose,
            defaults={"reason": reason, "created_at": now},
        )
        if created:
            actionlog.write(
                actor, "crm.suppression.added", suppression, fields=("purpose", "reason"), now=now
            )
            _tell(channel, value_hash, now=now)
    return suppression


def remove(channel: str, value: str, *, purpose: str, actor: Actor, now: datetime) -> bool:
    """Lift a suppression after the owner asked for messages again. True when there was one."""
    value_hash = address_hash(channel, contacts.normalise(channel, value))
    with transaction.atomic():
        found = list(Suppression.objects.filter(channel=channel, value_hash=value_hash, purpose=purpose))
        for suppression in found:
            actionlog.write(actor, "crm.suppression.removed", suppression, now=now)
            suppression.delete()
        if found:
            _tell(channel, value_hash, now=now)
    return bool(found)


def _tell(channel: str, value_hash: str, *, now: datetime) -> None:
    """Everybody with this address may be written to, or no longer."""
    if reactions.receivers_for(SUPPRESSION_CHANGED):
        owners = ContactPoint.objects.filter(channel=channel, value_hash=value_hash)
        changes.tell(owners.values_list("profile_id", flat=True), kind=SUPPRESSION_CHANGED, now=now)
