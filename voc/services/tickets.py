"""Tickets: opening, moving, editing, following.

`move()` is the only writer of a ticket's status: a guarded update that must hit one row, plus an event that
can never be changed. It refuses a step that states.TICKET_TRANSITIONS does not know. A ticket is resolved by
shipping a release (services.releases) and merged by services.ticket_merges; both come through `move()`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.utils.translation import gettext_lazy as _

from crm.kernel import actionlog
from crm.kernel.actors import Actor
from crm.kernel.errors import Conflict, Invalid, NotFound
from crm.selectors import profiles as profile_reads
from crm.services import touchpoints
from voc import tokens
from voc.models import Ticket, TicketEvent, TicketFollower
from voc.services import clock
from voc.states import (
    ANSWERABLE_KINDS,
    OPEN_STATUSES,
    ROLE_RANK,
    TICKET_TRANSITIONS,
    FollowerRole,
    Severity,
    TicketEventKind,
    TicketKind,
    TicketStatus,
)

MAX_TITLE: Final = 200
MAX_DESCRIPTION: Final = 20_000
MAX_CREDIT_NAME: Final = 40


def open(
    *,
    title: str,
    actor: Actor,
    now: datetime,
    description: str = "",
    kind: str = TicketKind.REQUEST,
    severity: str = Severity.NORMAL,
    theme: str = "",
    assignee_id: int | None = None,
    first_voice_at: datetime | None = None,
) -> Ticket:
    """Open a ticket; the clock starts at `first_voice_at` (now by default). Raises Invalid."""
    voice = first_voice_at or now
    title = _title(title)
    ticket = Ticket(
        title=title,
        description=_description(description),
        kind=_choice(kind, TicketKind, "kind"),
        severity=_choice(severity, Severity, "severity"),
        theme=_line(theme, "theme", 80),
        assignee_id=_assignee(assignee_id),
        first_voice_at=voice,
        due_at=clock.due_at(voice),
        status_changed_at=now,
        created_at=now,
        created_by=str(actor),
        tokens=tokens.cut(f"{title}\n{description}"),
    )
    with transaction.atomic():
        ticket.save(force_insert=True)
        add_event(ticket.pk, TicketEventKind.OPENED, actor=actor, now=now, to_status=ticket.status)
        actionlog.write(actor, "voc.ticket.opened", ticket, now=now)
    return ticket


def move(ticket_id: int, *, to: str, actor: Actor, now: datetime, note: str = "") -> Ticket:
    """Move a ticket by hand. Raises NotFound, Invalid (unknown status), Conflict (not allowed from here)."""
    if to not in TicketStatus.values:
        raise Invalid(_("Unknown status."), code="invalid_status", field="to", allowed=TicketStatus.values)
    if to == TicketStatus.RESOLVED:
        raise Conflict(
            _(
                "A ticket is resolved by shipping a release that names it, so that everyone who asked is told."
            ),
            code="ship_a_release",
            field="to",
        )
    if to == TicketStatus.DUPLICATE:
        raise Conflict(_("Merge the ticket into another one instead."), code="merge_instead", field="to")
    with transaction.atomic():
        ticket = lock([ticket_id])[ticket_id]
        if ticket.status == TicketStatus.DUPLICATE:
            raise Conflict(_("This ticket was merged. Undo the merge first."), code="merged")
        if to == TicketStatus.ANSWERED and ticket.kind not in ANSWERABLE_KINDS:
            raise Conflict(
                _("Only questions, complaints and privacy requests can be answered without a release."),
                code="ship_a_release",
                field="to",
            )
        apply(ticket, to=to, actor=actor, now=now, note=_line(note, "note", 500))
        actionlog.write(actor, "voc.ticket.moved", ticket, fields=("status",), now=now)
    return ticket


def apply(
    ticket: Ticket,
    *,
    to: str,
    actor: Actor,
    now: datetime,
    note: str = "",
    data: dict[str, Any] | None = None,
    merged_into_id: int | None = None,
    kind: str = TicketEventKind.MOVED,
) -> None:
    """Write one step of a locked ticket and its event: the only statement that sets `status`.

    For services of voc; callers at the edges use `move`, `ticket_merges` and `releases`. Reopening starts a new
    round and a new clock. Raises Conflict when the table does not know the step or the row has moved on.
    """
    if to not in TICKET_TRANSITIONS[ticket.status]:
        raise Conflict(
            _("A ticket cannot go from “%(old)s” to “%(new)s”.")
            % {"old": TicketStatus(ticket.status).label, "new": TicketStatus(to).label},
            code="transition_not_allowed",
            field="to",
            allowed=[str(status) for status in TICKET_TRANSITIONS[ticket.status]],
        )
    old = ticket.status
    values: dict[str, Any] = {
        "status": to,
        "status_changed_at": now,
        "merged_into_id": merged_into_id,
        "closed_at": None if to in OPEN_STATUSES else now,
    }
    if to == TicketStatus.REOPENED and old != TicketStatus.DUPLICATE:
        values |= {"round": ticket.round + 1, "first_voice_at": now, "due_at": clock.due_at(now)}
    if Ticket.objects.filter(pk=ticket.pk, status=old).update(**values) != 1:
        raise Conflict(_("The ticket has moved on. Read it again."), code="conflict")
    for name, value in values.items():
        setattr(ticket, name, value)
    add_event(
        ticket.pk, kind, actor=actor, now=now, from_status=old, to_status=to, note=note, data=data or {}
    )


def edit(ticket_id: int, *, actor: Actor, now: datetime, **values: Any) -> Ticket:
    """Change title, description, kind, severity, theme or assignee_id. Raises NotFound, Invalid, Conflict."""
    readers: dict[str, Callable[[Any], Any]] = {
        "title": _title,
        "description": _description,
        "kind": lambda value: _choice(value, TicketKind, "kind"),
        "severity": lambda value: _choice(value, Severity, "severity"),
        "theme": lambda value: _line(value, "theme", 80),
        "assignee_id": _assignee,
    }
    unknown = sorted(set(values) - set(readers))
    if unknown:
        raise Invalid(
            _("This cannot be changed."), code="unknown_field", field=unknown[0], allowed=sorted(readers)
        )
    with transaction.atomic():
        ticket = lock([ticket_id])[ticket_id]
        if ticket.status == TicketStatus.DUPLICATE:
            raise Conflict(_("This ticket was merged. Change the one it was merged into."), code="merged")
        changed = []
        for name, value in values.items():
            read = readers[name](value)
            if getattr(ticket, name) != read:
                setattr(ticket, name, read)
                changed.append(name)
        if not changed:
            return ticket
        written = [*changed]
        if {"title", "description"} & set(changed):
            ticket.tokens = tokens.cut(f"{ticket.title}\n{ticket.description}")
            written.append("tokens")
        ticket.save(update_fields=written)
        add_event(ticket.pk, TicketEventKind.EDITED, actor=actor, now=now, data={"fields": changed})
        actionlog.write(actor, "voc.ticket.edited", ticket, fields=changed, now=now)
    return ticket


def note(ticket_id: int, *, text: str, actor: Actor, now: datetime) -> None:
    """Add a note for colleagues to the history. Raises NotFound, Invalid."""
    text = " ".join(text.split())
    if not text:
        raise Invalid(_("Write something."), code="required", field="note")
    with transaction.atomic():
        ticket = lock([ticket_id])[ticket_id]
        add_event(ticket.pk, TicketEventKind.NOTED, actor=actor, now=now, note=_line(text, "note", 500))


def follow(
    ticket_id: int,
    *,
    profile_id: int,
    role: str,
    actor: Actor,
    now: datetime,
    may_name: bool = False,
    credit_name: str = "",
) -> TicketFollower:
    """Make a person a follower of the ticket, or of the one it was merged into; repeating is harmless.

    The strongest role ever given stays. Whoever follows a ticket that has already shipped is told at once: the
    release is marked for another round of telling. Raises NotFound, Invalid.
    """
    from voc.services import telling

    role = _choice(role, FollowerRole, "role")
    credit_name = credit(credit_name)
    with transaction.atomic():
        ticket = lock_root(ticket_id)
        root = profile_reads.roots([profile_id]).get(profile_id)
        if root is None:
            raise NotFound(_("There is no such person."), code="no_such_profile", field="profile")
        with connection.cursor() as cursor:
            cursor.execute(
                """
                INSERT INTO voc_ticketfollower AS f
                       (ticket_id, profile_id, role, may_name, credit_name, created_at, left_at)
                VALUES (%s, %s, %s, %s, %s, %s, NULL)
                ON CONFLICT (ticket_id, profile_id) DO UPDATE SET
                    role = CASE WHEN %s THEN EXCLUDED.role ELSE f.role END,
                    may_name = f.may_name OR EXCLUDED.may_name,
                    credit_name = CASE WHEN EXCLUDED.credit_name <> '' THEN EXCLUDED.credit_name ELSE f.credit_name END,
                    left_at = NULL
                RETURNING id, (xmax = 0)
                """,
                [
                    ticket.pk,
                    root,
                    role,
                    may_name,
                    credit_name,
                    now,
                    _is_stronger(ticket.pk, root, role),
                ],
            )
            follower_id, is_new = cursor.fetchone()
        if is_new:
            touchpoints.record(
                [
                    touchpoints.Event(
                        kind="voc.ticket.followed",
                        occurred_at=now,
                        message_id=f"voc.ticket.followed:{follower_id}",
                        profile_id=root,
                        properties={"ticket_id": ticket.pk, "ticket_number": ticket.number, "role": role},
                    )
                ],
                source=None,
                actor=actor,
                now=now,
            )
        if ticket.status == TicketStatus.RESOLVED:
            telling.ask_again([ticket.pk])
    return TicketFollower.objects.get(pk=follower_id)


def unfollow(ticket_id: int, *, profile_id: int, actor: Actor, now: datetime) -> int:
    """Stop following the ticket and all that was merged with it. Returns how many rows ended."""
    with transaction.atomic():
        ticket = lock_root(ticket_id)
        roots = profile_reads.roots([profile_id])
        people = profile_reads.id_sets(list(roots.values()))
        ids = [ident for group in people.values() for ident in group] or [profile_id]
        return TicketFollower.objects.filter(
            ticket_id__in=merged_ids([ticket.pk])[ticket.pk], profile_id__in=ids, left_at=None
        ).update(left_at=now)


def lock(ids: list[int]) -> dict[int, Ticket]:
    """The tickets, locked in id order. Belongs in a transaction. Raises NotFound when one is missing."""
    rows = {
        row.pk: row
        for row in Ticket.objects.select_for_update(no_key=True, of=("self",))
        .filter(pk__in=ids)
        .order_by("pk")
    }
    if len(rows) != len(set(ids)):
        raise NotFound(_("There is no such ticket."), code="no_such_ticket", field="ticket")
    return rows


def lock_root(ticket_id: int) -> Ticket:
    """The ticket, or the one it was merged into, locked. Raises NotFound."""
    # One lock at a time: holding the child while waiting for its root could meet a merge coming the other way.
    wanted = ticket_id
    while True:
        root = Ticket.objects.filter(pk=wanted).values_list("merged_into_id", flat=True).first()
        if root is None:
            ticket = lock([wanted])[wanted]
            if ticket.merged_into_id is None:
                return ticket
            root = ticket.merged_into_id
        wanted = root


def merged_ids(root_ids: list[int]) -> dict[int, list[int]]:
    """For each root ticket its own id and those of everything merged into it."""
    found = {ident: [ident] for ident in root_ids}
    for ident, root in Ticket.objects.filter(merged_into_id__in=root_ids).values_list("pk", "merged_into_id"):
        found[root].append(ident)
    return found


def add_event(ticket_id: int, kind: str, *, actor: Actor, now: datetime, **values: Any) -> TicketEvent:
    """Append to a ticket's history."""
    return TicketEvent.objects.create(ticket_id=ticket_id, kind=kind, actor=str(actor), at=now, **values)


def credit(name: str) -> str:
    """A name to credit in public: one short line that is a name and no address. Raises Invalid."""
    name = _line(name, "credit_name", MAX_CREDIT_NAME)
    if any(mark in name for mark in ("@", "/", "\\", "<", ">", "www.")):
        raise Invalid(
            _("A name to credit is a name, not an address."), code="invalid_credit_name", field="credit_name"
        )
    return name


def _is_stronger(ticket_id: int, profile_id: int, role: str) -> bool:
    kept = (
        TicketFollower.objects.filter(ticket_id=ticket_id, profile_id=profile_id)
        .values_list("role", flat=True)
        .first()
    )
    return kept is None or ROLE_RANK[role] < ROLE_RANK[kept]


def _title(value: str) -> str:
    title = _line(value, "title", MAX_TITLE)
    if not title:
        raise Invalid(_("A ticket needs a title."), code="required", field="title")
    return title


def _description(value: str) -> str:
    if len(value) > MAX_DESCRIPTION:
        raise Invalid(
            _("A description has at most %(n)d characters.") % {"n": MAX_DESCRIPTION},
            code="too_long",
            field="description",
            allowed=MAX_DESCRIPTION,
        )
    return value.strip()


def _line(value: str, field: str, limit: int) -> str:
    text = value.strip()
    if any(ord(character) < 32 or character in "\u2028\u2029\x85" for character in text):
        raise Invalid(
            _("This is one line: line breaks are not allowed."), code="invalid_character", field=field
        )
    if len(text) > limit:
        raise Invalid(
            _("At most %(n)d characters.") % {"n": limit}, code="too_long", field=field, allowed=limit
        )
    return text


def _choice(value: str, choices: Any, field: str) -> str:
    if value not in choices.values:
        raise Invalid(
            _("Allowed: %(allowed)s.") % {"allowed": ", ".join(choices.values)},
            code="invalid_choice",
            field=field,
            allowed=list(choices.values),
        )
    return str(value)


def _assignee(user_id: int | None) -> int | None:
    if user_id is None:
        return None
    if not get_user_model().objects.filter(pk=user_id, is_staff=True, is_active=True).exists():
        raise NotFound(_("There is no such member of staff."), code="no_such_user", field="assignee")
    return user_id
