"""How the promise clock reads: for lists, pages and the API."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from crm.kernel import knobs
from voc.models import Ticket


@dataclass(frozen=True, slots=True)
class Clock:
    """`tone` is `none | good | warn | bad`; `days` is negative when overdue, None when the clock stands."""

    text: str
    tone: str
    days: int | None
    is_overdue: bool


def read(ticket: Ticket, *, now: datetime) -> Clock:
    """The clock of a ticket. Begun days count: 25 hours left are 2 days, one hour late is 1 day."""
    if not ticket.is_open:
        return Clock(str(ticket.get_status_display()), "none", None, is_overdue=False)
    seconds = (ticket.due_at - now).total_seconds()
    days = -(-abs(seconds) // 86400)
    whole = max(1, int(days))
    if seconds < 0:
        text = ngettext("overdue by %(n)d day", "overdue by %(n)d days", whole) % {"n": whole}
        return Clock(text, "bad", -whole, is_overdue=True)
    if seconds < 86400:
        return Clock(_("due within a day"), "warn", 0, is_overdue=False)
    text = ngettext("%(n)d day left", "%(n)d days left", whole) % {"n": whole}
    return Clock(text, "warn" if whole <= knobs.get("voc.due_soon_days") else "good", whole, is_overdue=False)
