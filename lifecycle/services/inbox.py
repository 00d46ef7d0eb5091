"""The person's own inbox: opened by a signed link, marked as read by a button."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from crm.kernel import actors, knobs, tokens
from crm.kernel.errors import Gone, NotFound
from crm.selectors import profiles as people
from crm.services import touchpoints
from lifecycle.models import InboxItem


def link(profile_id: int) -> str:
    """The address of a person's inbox; whoever has it may read it, so it goes to that person alone."""
    return f"{settings.BASE_URL}/me/{tokens.make('inbox', {'p': profile_id})}/"


def read_link(token: str) -> list[int]:
    """All ids of the person a link belongs to. Raises NotFound (tampered), Gone (expired or erased)."""
    payload = tokens.read("inbox", token, max_age=timedelta(days=knobs.get("lifecycle.link_days")))
    profile_id = payload.get("p")
    ids = people.ids_of(profile_id) if isinstance(profile_id, int) else []
    if not ids or not isinstance(profile_id, int):
        raise NotFound(_("This link is not valid."), code="link_invalid")
    if people.cards([profile_id])[profile_id].is_erased:
        raise Gone(_("These data were erased, as you asked."), code="erased")
    return ids


def mark_read(item_id: int, *, profile_ids: list[int], now: datetime) -> bool:
    """The person has read it. True the first time. Raises NotFound for somebody else's."""
    with transaction.atomic():
        item = InboxItem.objects.filter(pk=item_id, profile_id__in=profile_ids).first()
        if item is None:
            raise NotFound(_("There is no such message."))
        if not InboxItem.objects.filter(pk=item_id, read_at=None).update(read_at=now):
            return False
        touchpoints.record(
            [
                touchpoints.Event(
                    kind="lifecycle.message.read",
                    occurred_at=now,
                    message_id=f"lifecycle.message.read:{item.message_id}",
                    profile_id=item.profile_id,
                    channel="in_app",
                    properties={"message_id": item.message_id},
                )
            ],
            source=None,
            actor=actors.person(item.profile_id),
            now=now,
        )
    return True
