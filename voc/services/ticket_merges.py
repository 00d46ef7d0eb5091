"""Merging tickets: a pointer moves, nothing else, so a merge can be undone exactly.

Chains are one hop: whatever was merged into the loser points at the winner from then on, and the event of the
merge remembers which. Followers, feedback and notices are read over the whole set, so everybody who followed
either ticket is told once.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from crm.kernel import actionlog
from crm.kernel.actors import Actor
from crm.kernel.errors import Conflict, Invalid
from voc.models import ReleaseItem, Ticket, TicketEvent
from voc.services import clock, telling, tickets
from voc.states import OPEN_STATUSES, ReleaseStatus, TicketEventKind, TicketStatus

MAX_MERGED: Final = 200


def merge(loser_id: int, *, into: int, actor: Actor, now: datetime, note: str = "") -> Ticket:
    """Merge a ticket into another; returns the winner. Raises NotFound, Invalid (itself), Conflict."""
    if loser_id == into:
        raise Invalid(_("A ticket cannot be merged into itself."), code="merge_itself", field="into")
    with transaction.atomic():
        both = tickets.lock([loser_id, into])
        loser, winner = both[loser_id], both[into]
        if loser.merged_into_id is not None or winner.merged_into_id is not None:
            raise Conflict(_("One of the tickets was merged already."), code="merged", field="into")
        moved = list(
            Ticket.objects.filter(merged_into_id=loser.pk)
            .order_by("pk")
            .values_list("pk", flat=True)[: MAX_MERGED + 1]
        )
        if len(moved) >= MAX_MERGED:
            raise Conflict(
                _("At most %(n)d tickets can be merged into one.") % {"n": MAX_MERGED}, code="too_many"
            )
        was_open = loser.status in OPEN_STATUSES
        tickets.apply(
            loser,
            to=TicketStatus.DUPLICATE,
            merged_into_id=winner.pk,
            kind=TicketEventKind.MERGED,
            data={"into": winner.pk, "moved": moved, "was": loser.status},
            note=note,
            actor=actor,
            now=now,
        )
        Ticket.objects.filter(pk__in=moved).update(merged_into_id=winner.pk)
        values: dict[str, Any] = {"round": max(winner.round, loser.round)}
        if was_open and winner.status in OPEN_STATUSES and loser.first_voice_at < winner.first_voice_at:
            values |= {"first_voice_at": loser.first_voice_at, "due_at": clock.due_at(loser.first_voice_at)}
        Ticket.objects.filter(pk=winner.pk).update(**values)
        for name, value in values.items():
            setattr(winner, name, value)
        tickets.add_event(
            winner.pk, TicketEventKind.TOOK_OVER, actor=actor, now=now, data={"ticket": loser.pk}, note=note
        )
        _carry_draft_items(loser.pk, winner.pk)
        # The loser's followers may have been waiting for what the winner has already shipped, and the other way.
        telling.ask_again([winner.pk])
        actionlog.write_many(actor, "voc.ticket.merged", [loser, winner], fields=("merged_into",), now=now)
    return winner


def unmerge(ticket_id: int, *, actor: Actor, now: datetime, note: str = "") -> Ticket:
    """Undo the merge of a ticket: it gets back its status and what pointed at it. Raises NotFound, Conflict."""
    with transaction.atomic():
        winner_id = Ticket.objects.filter(pk=ticket_id).values_list("merged_into_id", flat=True).first()
        ids = [ticket_id] if winner_id is None else [ticket_id, winner_id]
        ticket = tickets.lock(ids)[ticket_id]
        if ticket.merged_into_id is None or ticket.merged_into_id != winner_id:
            raise Conflict(_("This ticket is not merged."), code="not_merged")
        event = TicketEvent.objects.filter(ticket_id=ticket_id, kind=TicketEventKind.MERGED).first()
        if event is None or event.data["into"] != ticket.merged_into_id:
            raise Conflict(
                _("The ticket it was merged into was merged further. Undo that merge first."),
                code="merged_further",
            )
        tickets.apply(
            ticket,
            to=event.data["was"],
            kind=TicketEventKind.UNMERGED,
            data={"from": winner_id, "moved": event.data["moved"]},
            note=note,
            actor=actor,
            now=now,
        )
        Ticket.objects.filter(pk__in=event.data["moved"], merged_into_id=winner_id).update(
            merged_into_id=ticket.pk
        )
        actionlog.write(actor, "voc.ticket.unmerged", ticket, fields=("merged_into",), now=now)
    return ticket


def _carry_draft_items(loser_id: int, winner_id: int) -> None:
    """Drafts that named the loser name the winner."""
    drafts = ReleaseItem.objects.filter(ticket_id=loser_id, release__status=ReleaseStatus.DRAFT)
    already = ReleaseItem.objects.filter(ticket_id=winner_id, release__in=drafts.values("release"))
    drafts.filter(release__in=list(already.values_list("release_id", flat=True))).delete()
    drafts.update(ticket_id=winner_id)
