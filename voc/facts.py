"""What voc knows of people, for the conditions of segments."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from django.utils.translation import gettext_lazy as _

from crm.conditions import verbs
from crm.registry import facts
from voc.states import OPEN_STATUSES, TicketKind

VOICE: Final = _("Voice of the customer")
# A ticket that closes leaves no touchpoint but the telling of a fix; the nightly pass sees the rest.
CHANGED_BY: Final = ("voc.ticket.opened", "voc.ticket.followed", "voc.fix.told")


def _tickets(*, kinds: list[str], only_open: bool) -> Any:
    def rows(now: datetime) -> facts.Rows:
        return (
            "SELECT f.profile_id, 1 AS value FROM voc_ticketfollower f JOIN voc_ticket t ON t.id = f.ticket_id"
            " WHERE f.left_at IS NULL AND t.kind = ANY(%s) AND (NOT %s OR t.status = ANY(%s))",
            [kinds, only_open, [str(status) for status in OPEN_STATUSES]],
        )

    return rows


facts.register(
    "voc.open_tickets", label=_("open tickets"), type=facts.NUMBER, group=VOICE, combine="sum", default=0,
    rows=_tickets(kinds=list(TicketKind.values), only_open=True), changed_by=CHANGED_BY,
    help=_("Tickets the person follows and that are not closed."),
)  # fmt: skip
facts.register(
    "voc.complaints", label=_("complaints"), type=facts.NUMBER, group=VOICE, combine="sum", default=0,
    rows=_tickets(kinds=[TicketKind.COMPLAINT.value], only_open=False), changed_by=CHANGED_BY,
    help=_("Tickets of the kind complaint that the person follows, open or closed."),
)  # fmt: skip

verbs.register(
    "voc.feedback.given", did=_("gave feedback"), did_not=_("has not given feedback"),
)  # fmt: skip
verbs.register("voc.fix.told", did=_("was told of a fix"), did_not=_("was not told of a fix"))
