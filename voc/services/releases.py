"""Releases: draft, ship, withdraw.

`ship()` is one transaction: the release moves from draft to shipped by a guarded update, its tickets are
resolved with their events, and the telling is woken. Everything after that is services.telling, which may be
killed and repeated at will. `withdraw()` reopens what only this release fixed: its next fix is a new round.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from django.db import transaction
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from crm.kernel import actionlog, jobs, reactions
from crm.kernel.actors import Actor
from crm.kernel.errors import Conflict, Invalid, NotFound
from voc.models import Release, ReleaseEvent, ReleaseItem, Ticket
from voc.services import telling, tickets
from voc.services.telling import TASK as TELL_TASK
from voc.services.telling import tell_followers
from voc.states import OPEN_STATUSES, RELEASE_TRANSITIONS, ReleaseStatus, TicketStatus

__all__ = ["add_items", "create", "edit", "remove_item", "ship", "tell_followers", "withdraw"]

MAX_ITEMS: Final = 200
MAX_NOTES: Final = 20_000
SHIPPED_FACT: Final = "voc.release.shipped"
WITHDRAWN_FACT: Final = "voc.release.withdrawn"


def create(*, title: str, actor: Actor, now: datetime, notes: str = "") -> Release:
    """Start a draft. Raises Invalid."""
    release = Release(title=_title(title), notes=_notes(notes), created_by=str(actor), created_at=now)
    with transaction.atomic():
        release.save(force_insert=True)
        ReleaseEvent.objects.create(release=release, to_status=release.status, actor=str(actor), at=now)
        actionlog.write(actor, "voc.release.created", release, now=now)
    return release


def edit(
    release_id: int, *, actor: Actor, now: datetime, title: str | None = None, notes: str | None = None
) -> Release:
    """Change the words of a release, also after it shipped. Raises NotFound, Invalid."""
    with transaction.atomic():
        release = _lock(release_id)
        changed = []
        if title is not None and _title(title) != release.title:
            release.title = _title(title)
            changed.append("title")
        if notes is not None and _notes(notes) != release.notes:
            release.notes = _notes(notes)
            changed.append("notes")
        if changed:
            release.save(update_fields=changed)
            actionlog.write(actor, "voc.release.edited", release, fields=changed, now=now)
    return release


def add_items(
    release_id: int, *, ticket_ids: list[int], actor: Actor, now: datetime, note: str = ""
) -> list[ReleaseItem]:
    """Name tickets (or what they were merged into) in a draft; repeating is harmless. Raises NotFound, Conflict."""
    if len(note) > 200 or "\n" in note or "\r" in note:
        raise Invalid(_("A note is one line of at most 200 characters."), code="invalid", field="note")
    with transaction.atomic():
        release = _lock(release_id)
        _draft_only(release)
        for ticket_id in ticket_ids:
            ticket = tickets.lock_root(ticket_id)
            if ticket.status not in (*OPEN_STATUSES, TicketStatus.RESOLVED):
                raise Conflict(
                    _("Ticket #%(number)d is “%(status)s”: only open and fixed tickets go into a release.")
                    % {"number": ticket.pk, "status": ticket.get_status_display()},
                    code="ticket_not_open",
                    field="tickets",
                )
            row, created = ReleaseItem.objects.get_or_create(
                release=release, ticket=ticket, defaults={"note": note.strip()}
            )
            if not created and note.strip() and row.note != note.strip():
                row.note = note.strip()
                row.save(update_fields=["note"])
        if release.items.count() > MAX_ITEMS:
            raise Conflict(_("A release names at most %(n)d tickets.") % {"n": MAX_ITEMS}, code="too_many")
        actionlog.write(actor, "voc.release.items_added", release, fields=("items",), now=now)
    return list(release.items.select_related("ticket"))


def remove_item(release_id: int, *, ticket_id: int, actor: Actor, now: datetime) -> None:
    """Take a ticket out of a draft. Raises NotFound, Conflict."""
    with transaction.atomic():
        release = _lock(release_id)
        _draft_only(release)
        deleted, _per_model = release.items.filter(ticket_id=ticket_id).delete()
        if not deleted:
            raise NotFound(_("This ticket is not in the release."), code="no_such_item", field="ticket")
        actionlog.write(actor, "voc.release.item_removed", release, fields=("items",), now=now)


def ship(release_id: int, *, actor: Actor, now: datetime) -> Release:
    """Ship a draft: resolve its tickets and have everyone who asked told.

    A ticket that an earlier release has already fixed stays fixed (a backport): whoever was told of that round is
    not told again. Raises NotFound, Conflict (not a draft, empty, a ticket that cannot be shipped).
    """
    with transaction.atomic():
        release = _lock(release_id)
        _check_step(release, to=ReleaseStatus.SHIPPED)
        items = list(release.items.order_by("ticket_id"))
        if not items:
            raise Conflict(
                _("Nothing to ship: name at least one ticket first."), code="release_empty", field="items"
            )
        locked = tickets.lock([item.ticket_id for item in items])
        refused = [
            ticket
            for ticket in locked.values()
            if ticket.status not in (*OPEN_STATUSES, TicketStatus.RESOLVED)
        ]
        if refused:
            raise Conflict(
                ngettext(
                    "Ticket %(numbers)s cannot be shipped: it was declined, answered or merged since.",
                    "Tickets %(numbers)s cannot be shipped: they were declined, answered or merged since.",
                    len(refused),
                )
                % {"numbers": ", ".join(f"#{ticket.pk}" for ticket in refused)},
                code="ticket_not_open",
                field="items",
                allowed=[*map(str, OPEN_STATUSES), str(TicketStatus.RESOLVED)],
            )
        _step(release, to=ReleaseStatus.SHIPPED, shipped_at=now, actor=actor, now=now)
        for item in items:
            ticket = locked[item.ticket_id]
            if ticket.status in OPEN_STATUSES:
                tickets.apply(
                    ticket, to=TicketStatus.RESOLVED, actor=actor, now=now, data={"release": release.pk}
                )
            item.round = ticket.round
        ReleaseItem.objects.bulk_update(items, ["round"])
        actionlog.write(actor, "voc.release.shipped", release, fields=("status",), now=now)
        reactions.publish(SHIPPED_FACT, [release.pk], now=now)
        jobs.wake(TELL_TASK, release_id=release.pk)
    return release


def withdraw(release_id: int, *, reason: str, actor: Actor, now: datetime) -> Release:
    """Withdraw a shipped release: telling stops, and tickets that no other shipped release fixed are reopened.

    Messages that were claimed but not sent are cancelled; sent ones cannot be taken back. Raises NotFound,
    Conflict, Invalid.
    """
    reason = " ".join(reason.split())
    if not reason or len(reason) > 200:
        raise Invalid(
            _("Say in 1 to 200 characters why the release is withdrawn."), code="required", field="reason"
        )
    with transaction.atomic():
        # Tickets before the release, as everywhere in voc; the items of a shipped release do not change.
        items = {item.ticket_id: item for item in ReleaseItem.objects.filter(release_id=release_id)}
        locked = _lock_roots(items)
        release = _lock(release_id)
        _check_step(release, to=ReleaseStatus.WITHDRAWN)
        _step(
            release,
            to=ReleaseStatus.WITHDRAWN,
            withdrawn_at=now,
            withdrawn_reason=reason,
            note=reason,
            actor=actor,
            now=now,
        )
        for ticket in _fixed_here_alone(release, locked):
            tickets.apply(
                ticket,
                to=TicketStatus.REOPENED,
                actor=actor,
                now=now,
                note=reason,
                data={"withdrawn_release": release.pk},
            )
        telling.cancel(release.pk, now=now)
        actionlog.write(actor, "voc.release.withdrawn", release, fields=("status",), now=now)
        reactions.publish(WITHDRAWN_FACT, [release.pk], now=now)
    return release


def _lock_roots(ticket_ids: Iterable[int]) -> list[Ticket]:
    """The tickets, or what they were merged into, locked in id order."""
    roots = {
        root or ident
        for ident, root in Ticket.objects.filter(pk__in=list(ticket_ids)).values_list("pk", "merged_into_id")
    }
    return list(tickets.lock(sorted(roots)).values())


def _fixed_here_alone(release: Release, locked: list[Ticket]) -> list[Ticket]:
    """Of the locked tickets, those that no other shipped release holds fixed."""
    family = tickets.merged_ids([ticket.pk for ticket in locked])
    found = []
    for ticket in locked:
        elsewhere = ReleaseItem.objects.filter(
            ticket_id__in=family[ticket.pk], round__gte=ticket.round, release__status=ReleaseStatus.SHIPPED
        ).exclude(release=release)
        if ticket.status == TicketStatus.RESOLVED and not elsewhere.exists():
            found.append(ticket)
    return found


def _lock(release_id: int) -> Release:
    release = Release.objects.select_for_update(no_key=True).filter(pk=release_id).first()
    if release is None:
        raise NotFound(_("There is no such release."), code="no_such_release", field="release")
    return release


def _check_step(release: Release, *, to: str) -> None:
    if to not in RELEASE_TRANSITIONS[release.status]:
        raise Conflict(
            _("A release cannot go from “%(old)s” to “%(new)s”.")
            % {"old": ReleaseStatus(release.status).label, "new": ReleaseStatus(to).label},
            code="transition_not_allowed",
            allowed=[str(status) for status in RELEASE_TRANSITIONS[release.status]],
        )


def _step(
    release: Release, *, to: str, actor: Actor, now: datetime, note: str = "", **values: object
) -> None:
    """The only writer of a release's status: a guarded update and an event."""
    old = release.status
    if Release.objects.filter(pk=release.pk, status=old).update(status=to, **values) != 1:
        raise Conflict(_("The release has moved on. Read it again."), code="conflict")
    release.status = to
    for name, value in values.items():
        setattr(release, name, value)
    ReleaseEvent.objects.create(
        release=release, from_status=old, to_status=to, note=note, actor=str(actor), at=now
    )


def _draft_only(release: Release) -> None:
    if release.status != ReleaseStatus.DRAFT:
        raise Conflict(_("Only a draft can be changed."), code="not_a_draft")


def _title(value: str) -> str:
    title = value.strip()
    if not title or len(title) > 120 or any(ord(c) < 32 or c in "\u2028\u2029\x85" for c in title):
        raise Invalid(_("A title is one line of 1 to 120 characters."), code="invalid_title", field="title")
    return title


def _notes(value: str) -> str:
    if len(value) > MAX_NOTES:
        raise Invalid(
            _("At most %(n)d characters.") % {"n": MAX_NOTES},
            code="too_long",
            field="notes",
            allowed=MAX_NOTES,
        )
    return value.strip()
