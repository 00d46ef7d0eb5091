"""Asking an address whether it is its owner's: the only mail that goes to an address nobody has vouched for.

It carries no word of whoever typed the address in, and it is asked at most once a day and three times a month, so
the form is of no use to somebody who wants to fill a stranger's letterbox.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.utils.translation import gettext as _

from crm.kernel import actors, knobs, tokens
from crm.kernel.actors import Actor
from crm.kernel.errors import NotFound
from crm.selectors import contacts as contact_reads
from crm.selectors import profiles as people
from crm.services import contacts
from lifecycle.models import OutboundMessage
from lifecycle.services import messages

KIND: Final = "lifecycle.confirm_address"
MOST_A_MONTH: Final = 3


def ask(contact_id: int, *, profile_id: int, actor: Actor, now: datetime) -> None:
    """Queue the question. Does nothing when the address is confirmed, or was asked often enough.

    Raises NotFound when the person has no such address.
    """
    ids = people.ids_of(profile_id)
    contact = contact_reads.of(ids).filter(pk=contact_id).first()
    if contact is None:
        raise NotFound(_("There is no such address."))
    if contact.verified_at is not None:
        return
    prefix = f"contact:{contact_id}:"
    asked = OutboundMessage.objects.filter(
        profile_id__in=ids,
        kind=KIND,
        subject_key__startswith=prefix,
        created_at__gt=now - timedelta(days=30),
    ).count()
    if asked >= MOST_A_MONTH:
        return
    token = tokens.make("confirm", {"c": contact_id, "p": profile_id})
    item = messages.Item(
        kind=KIND,
        profile_id=profile_id,
        subject_key=f"{prefix}{now.date().isoformat()}",
        context={"contact_id": contact_id, "confirm_url": f"{settings.BASE_URL}/confirm/{token}/"},
        expires_at=now + timedelta(hours=knobs.get("lifecycle.confirm_hours")),
    )
    messages.queue([item], actor=actor, now=now)


def read(token: str) -> tuple[int, int]:
    """(contact id, profile id) of a confirmation link. Raises NotFound, Gone."""
    payload = tokens.read("confirm", token, max_age=timedelta(hours=knobs.get("lifecycle.confirm_hours")))
    return payload["c"], payload["p"]


def confirm(token: str, *, now: datetime) -> None:
    """The owner pressed the button. Repeating it changes nothing. Raises NotFound, Gone."""
    contact_id, profile_id = read(token)
    contacts.verify(contact_id, actor=actors.person(profile_id), now=now)
