"""What voc keeps about a person: put into their file, and emptied when they are erased."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from crm import privacy_registry
from crm.privacy_registry import Subject
from crm.services import redaction
from voc import tokens
from voc.models import Feedback, FixNotice, Ticket, TicketEvent, TicketFollower

CHUNK = 1000


@privacy_registry.exporter(
    "feedback",
    label=_("Feedback"),
    columns=("channel", "text", "credit_name", "may_name", "reference", "status", "created_at", "decided_at"),
    order=80,
)
def feedback(profile_ids: Sequence[int]) -> Iterator[Mapping[str, Any]]:
    """What they told us, in their words."""
    fields = ("channel", "text", "credit_name", "may_name", "reference", "status", "created_at", "decided_at")
    rows = Feedback.objects.filter(profile_id__in=list(profile_ids)).order_by("pk").values(*fields)
    yield from rows.iterator(chunk_size=CHUNK)


@privacy_registry.exporter(
    "tickets",
    label=_("Tickets they follow"),
    columns=("ticket__title", "ticket__status", "role", "credit_name", "may_name", "created_at", "left_at"),
    order=81,
)
def tickets(profile_ids: Sequence[int]) -> Iterator[Mapping[str, Any]]:
    """What became, or is becoming, of it."""
    fields = ("ticket__title", "ticket__status", "role", "credit_name", "may_name", "created_at", "left_at")
    rows = TicketFollower.objects.filter(profile_id__in=list(profile_ids)).order_by("pk").values(*fields)
    yield from rows.iterator(chunk_size=CHUNK)


@privacy_registry.exporter(
    "told", label=_("What they were told is fixed"), columns=("ticket__title", "role", "created_at"), order=82
)
def told(profile_ids: Sequence[int]) -> Iterator[Mapping[str, Any]]:
    """The fixes they were told of."""
    rows = FixNotice.objects.filter(profile_id__in=list(profile_ids)).order_by("pk")
    yield from rows.values("ticket__title", "role", "created_at").iterator(chunk_size=CHUNK)


@privacy_registry.eraser("voc.tickets", label=_("Their values in tickets"), early=True, order=30)
def redact_tickets(subject: Subject, *, now: datetime) -> int:
    """A ticket belongs to everybody who asked; only what names this person is taken out of it."""
    followed = TicketFollower.objects.filter(profile_id__in=subject.ids).values("ticket_id")
    voiced = Feedback.objects.filter(profile_id__in=subject.ids).exclude(ticket=None).values("ticket_id")
    theirs = Q(pk__in=followed) | Q(pk__in=voiced)
    changed = 0
    for ticket in Ticket.objects.filter(theirs).order_by("pk").select_for_update():
        title = redaction.without(ticket.title, subject.values)
        description = redaction.without(ticket.description, subject.values)
        if (title, description) != (ticket.title, ticket.description):
            ticket.title, ticket.description = title[:200], description
            ticket.tokens = tokens.cut(f"{title}\n{description}")
            ticket.save(update_fields=["title", "description", "tokens"])
            changed += 1
        changed += _redact_notes(ticket.pk, subject.values)
    return changed


def _redact_notes(ticket_id: int, values: Sequence[str]) -> int:
    changed = 0
    with redaction.permitted():
        for event in TicketEvent.objects.filter(ticket_id=ticket_id).exclude(note=""):
            note = redaction.without(event.note, values)
            if note != event.note:
                changed += TicketEvent.objects.filter(pk=event.pk).update(note=note[:500])
    return changed


@privacy_registry.eraser(
    "voc.feedback",
    label=_("Feedback"),
    count=lambda ids: Feedback.objects.filter(profile_id__in=ids).count(),
    order=60,
)
def forget_feedback(profile_ids: Sequence[int], *, limit: int, now: datetime) -> int:
    """That somebody asked stays with the ticket; their words and their name do not."""
    empty = {"text": "", "credit_name": "", "reference": "", "reason": "", "tokens": [], "may_name": False}
    rows = Feedback.objects.filter(profile_id__in=list(profile_ids)).exclude(**empty)
    return Feedback.objects.filter(pk__in=list(rows.values_list("pk", flat=True)[:limit])).update(**empty)


@privacy_registry.eraser(
    "voc.followers",
    label=_("Names to credit"),
    count=lambda ids: TicketFollower.objects.filter(profile_id__in=ids).exclude(credit_name="").count(),
    order=61,
)
def forget_followers(profile_ids: Sequence[int], *, limit: int, now: datetime) -> int:
    """Nobody is credited by a name they had erased; the changelog says "somebody" from now on."""
    empty = {"credit_name": "", "may_name": False}
    rows = TicketFollower.objects.filter(profile_id__in=list(profile_ids)).exclude(**empty)
    return TicketFollower.objects.filter(pk__in=list(rows.values_list("pk", flat=True)[:limit])).update(
        **empty
    )


privacy_registry.keeps(
    "voc.tickets",
    label=_("Tickets without what names the person"),
    why=_("Others asked for the same, and are told when it is fixed."),
)
