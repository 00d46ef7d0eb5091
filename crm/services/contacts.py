"""Contact points: where a person can be written to, and whether they said the address is theirs."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from crm.addresses import address_hash
from crm.kernel import actionlog
from crm.kernel.actors import Actor
from crm.kernel.errors import Invalid, NotFound
from crm.models import ContactPoint
from crm.selectors import rules
from crm.states import Channel, Origin


def normalise(channel: str, value: str) -> str:
    """The stored form of an address. Raises Invalid `invalid_address`."""
    if channel not in Channel.values:
        raise Invalid(
            _("There is no such channel."), code="invalid_channel", field="channel", allowed=Channel.values
        )
    kind = {"email": "email", "sms": "phone"}.get(channel, "address")
    normal = rules.normalise(kind, value)
    if normal is None:
        raise Invalid(_("This is not an address of that channel."), code="invalid_address", field="value")
    return normal


def add(
    profile_id: int,
    *,
    channel: str,
    value: str,
    origin: str,
    actor: Actor,
    now: datetime,
    verified_at: datetime | None = None,
) -> ContactPoint:
    """Add an address to a person, or return the one that is there (a better origin or proof is kept)."""
    normal = normalise(channel, value)
    if origin not in Origin.values:
        raise Invalid(
            _("There is no such origin."), code="invalid_origin", field="origin", allowed=Origin.values
        )
    with transaction.atomic():
        first = not ContactPoint.objects.filter(
            profile_id=profile_id, channel=channel, is_primary=True
        ).exists()
        contact, created = ContactPoint.objects.get_or_create(
            profile_id=profile_id,
            channel=channel,
            value=normal,
            defaults={
                "value_hash": address_hash(channel, normal),
                "origin": origin,
                "verified_at": verified_at,
                "is_primary": first,
                "created_at": now,
            },
        )
        changed: list[str] = []
        if not created:
            if verified_at and not contact.verified_at:
                contact.verified_at, changed = verified_at, ["verified_at"]
            if origin in (Origin.SERVER, Origin.STAFF) and contact.origin not in (
                Origin.SERVER,
                Origin.STAFF,
            ):
                contact.origin = origin
                changed.append("origin")
            if changed:
                contact.save(update_fields=changed)
        if created or changed:
            actionlog.write(actor, "crm.contact.added", contact, fields=changed or ("value",), now=now)
    return contact


def verify(contact_id: int, *, actor: Actor, now: datetime) -> ContactPoint:
    """The owner confirmed the address. Repeating it changes nothing. Raises NotFound."""
    with transaction.atomic():
        changed = ContactPoint.objects.filter(pk=contact_id, verified_at=None).update(
            verified_at=now, bounced_at=None
        )
        contact = ContactPoint.objects.filter(pk=contact_id).first()
        if contact is None:
            raise NotFound(_("There is no such contact point."))
        if changed:
            actionlog.write(actor, "crm.contact.verified", contact, fields=("verified_at",), now=now)
    return contact


def mark_bounced(contact_id: int, *, actor: Actor, now: datetime) -> None:
    """Mail to this address came back for good: it is not written to until it is confirmed again."""
    with transaction.atomic():
        if ContactPoint.objects.filter(pk=contact_id, bounced_at=None).update(bounced_at=now):
            actionlog.write(
                actor,
                "crm.contact.bounced",
                ("crm.contactpoint", contact_id),
                fields=("bounced_at",),
                now=now,
            )
