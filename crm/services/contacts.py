"""Contact points: where a person can be written to, and whether they said the address is theirs."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from crm.addresses import address_hash
from crm.kernel import actionlog
from crm.kernel.actors import Actor
from crm.kernel.errors import Invalid, NotFound
from crm.models import ContactPoint, Profile
from crm.selectors import profiles as people
from crm.selectors import rules
from crm.services import changes
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
            changes.tell([profile_id], now=now)
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
            changes.tell([contact.profile_id], now=now)
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
            owner = ContactPoint.objects.filter(pk=contact_id).values_list("profile_id", flat=True)
            changes.tell(owner, now=now)


def remove(contact_id: int, *, actor: Actor, now: datetime) -> None:
    """The person does not want this address used. The row stays, so that a source that sends it again does not bring
    it back. Repeating it changes nothing. Raises NotFound."""
    with transaction.atomic():
        contact = _locked(contact_id)
        if ContactPoint.objects.filter(pk=contact_id, removed_at=None).update(
            removed_at=now, is_primary=False
        ):
            actionlog.write(actor, "crm.contact.removed", contact, fields=("removed_at",), now=now)


def make_primary(contact_id: int, *, actor: Actor, now: datetime) -> None:
    """Write to this address first. Raises NotFound."""
    with transaction.atomic():
        contact = _locked(contact_id)
        ids = people.ids_of(contact.profile_id)
        others = ContactPoint.objects.filter(profile_id__in=ids, channel=contact.channel, is_primary=True)
        others.exclude(pk=contact_id).update(is_primary=False)
        if ContactPoint.objects.filter(pk=contact_id, is_primary=False, removed_at=None).update(
            is_primary=True
        ):
            actionlog.write(actor, "crm.contact.preferred", contact, fields=("is_primary",), now=now)


def _locked(contact_id: int) -> ContactPoint:
    """The contact point, under the lock of its person."""
    contact = ContactPoint.objects.filter(pk=contact_id).first()
    if contact is None:
        raise NotFound(_("There is no such contact point."))
    Profile.objects.select_for_update(no_key=True).get(
        pk=people.roots([contact.profile_id])[contact.profile_id]
    )
    return contact
