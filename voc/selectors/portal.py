"""What the public page of a ticket says, in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from voc.models import Release, ReleaseItem, Ticket
from voc.selectors import tickets
from voc.states import ReleaseStatus, TicketStatus


@dataclass(frozen=True, slots=True)
class TicketView:
    """`words` is the status as a sentence, `tone` one of good, warn, plain. `release` is where it shipped."""

    words: str
    tone: str
    promised_by: datetime | None
    is_late: bool
    release: Release | None
    can_follow: bool


def ticket_view(ticket: Ticket, *, now: datetime) -> TicketView:
    """The page of a root ticket."""
    release = None
    if ticket.status == TicketStatus.RESOLVED:
        item = (
            ReleaseItem.objects.filter(
                ticket_id__in=tickets.family(ticket), release__status=ReleaseStatus.SHIPPED
            )
            .select_related("release")
            .order_by("-release__shipped_at")
            .first()
        )
        release = item.release if item else None
    return TicketView(
        words=str(_words(ticket.status)),
        tone={"resolved": "good", "answered": "good", "declined": "plain"}.get(ticket.status, "warn"),
        promised_by=ticket.due_at if ticket.is_open else None,
        is_late=ticket.is_open and ticket.due_at < now,
        release=release,
        can_follow=ticket.is_open,
    )


def _words(status: str) -> Any:
    return {
        TicketStatus.OPEN: _("We have it and are looking into it."),
        TicketStatus.PLANNED: _("We know what to do, and it is planned."),
        TicketStatus.IN_PROGRESS: _("Somebody is working on it."),
        TicketStatus.REOPENED: _("It was not right yet, so we are at it again."),
        TicketStatus.RESOLVED: _("It is fixed and shipped."),
        TicketStatus.ANSWERED: _("It was answered."),
        TicketStatus.DECLINED: _("We will not do this, at least not now."),
        TicketStatus.DUPLICATE: _("It was joined with another one."),
    }[TicketStatus(status)]
