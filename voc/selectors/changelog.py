"""The public changelog: what shipped, and who asked for it and agreed to be named."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from django.db import connection
from django.db.models import Q, QuerySet

from crm.selectors import contacts
from voc.models import Release, ReleaseItem
from voc.states import TicketKind

MAX_CREDITS = 40


@dataclass(frozen=True, slots=True)
class Line:
    """One fix as the public reads it."""

    title: str
    note: str
    kind: str
    kind_label: Any
    token: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One shipped release. `credits` are names; `more_credits` how many agreed beyond those shown."""

    id: int
    title: str
    notes: str
    shipped_at: datetime
    lines: list[Line]
    credits: list[str]
    more_credits: int


def releases() -> QuerySet[Release]:
    """Shipped releases, newest first."""
    return Release.objects.shipped().order_by("-shipped_at", "-pk")


def entries(page: list[Release]) -> list[Entry]:
    """The entries of one page of releases: two queries however many there are. Privacy tickets stay private."""
    ids = [release.pk for release in page]
    lines: dict[int, list[Line]] = defaultdict(list)
    shown: set[tuple[int, int]] = set()
    for item in (
        ReleaseItem.objects.filter(release_id__in=ids).select_related("ticket__merged_into").order_by("pk")
    ):
        ticket = item.ticket.merged_into or item.ticket
        if ticket.kind == TicketKind.PRIVACY or (item.release_id, ticket.pk) in shown:
            continue
        shown.add((item.release_id, ticket.pk))
        lines[item.release_id].append(
            Line(ticket.title, item.note, ticket.kind, ticket.get_kind_display(), ticket.token)
        )
    credits = _credits(ids)
    return [
        Entry(
            id=release.pk,
            title=release.title,
            notes=release.notes,
            shipped_at=cast(datetime, release.shipped_at),  # the database ties it to the status
            lines=lines[release.pk],
            credits=credits[release.pk][:MAX_CREDITS],
            more_credits=max(0, len(credits[release.pk]) - MAX_CREDITS),
        )
        for release in page
    ]


def _credits(release_ids: list[int]) -> dict[int, list[str]]:
    """Names by release: the name the person gave for it, else their own; one per person, in order of asking."""
    found: dict[int, list[str]] = defaultdict(list)
    if not release_ids:
        return found
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH family AS (
                SELECT i.release_id, t.id AS ticket_id
                  FROM voc_releaseitem i
                  JOIN voc_ticket named ON named.id = i.ticket_id
                  JOIN voc_ticket root ON root.id = COALESCE(named.merged_into_id, named.id) AND root.kind <> 'privacy'
                  JOIN voc_ticket t ON t.id = root.id OR t.merged_into_id = root.id
                 WHERE i.release_id = ANY(%s)
            ), person AS (
                SELECT DISTINCT ON (family.release_id, root.id)
                       family.release_id, f.created_at, f.id, root.id AS root_id,
                       COALESCE(NULLIF(f.credit_name, ''), root.display_name) AS name,
                       EXISTS (SELECT 1 FROM voc_feedback v WHERE v.profile_id = f.profile_id AND v.channel = 'portal')
                       AS is_from_form
                  FROM family
                  JOIN voc_ticketfollower f ON f.ticket_id = family.ticket_id AND f.may_name AND f.left_at IS NULL
                  JOIN crm_profile p ON p.id = f.profile_id
                  JOIN crm_profile root ON root.id = COALESCE(p.merged_into_id, p.id) AND root.erased_at IS NULL
                 ORDER BY family.release_id, root.id, (f.credit_name = ''), f.id
            )
            SELECT release_id, root_id, name, is_from_form FROM person WHERE name <> ''
             ORDER BY release_id, created_at, id
            """,
            [release_ids],
        )
        rows = cursor.fetchall()
    # A name typed into the public form counts once the address beside it was confirmed.
    proven = contacts.deliverable({row[1] for row in rows if row[3]}, "email")
    for release_id, root_id, name, is_from_form in rows:
        if name not in found[release_id] and (not is_from_form or root_id in proven):
            found[release_id].append(name)
    return found


def before(queryset: QuerySet[Release], release_id: int) -> QuerySet[Release]:
    """Releases that shipped before this one, for the next page; everything when there is no such release."""
    edge = Release.objects.shipped().filter(pk=release_id).values_list("shipped_at", flat=True).first()
    if edge is None:
        return queryset
    return queryset.filter(Q(shipped_at__lt=edge) | Q(shipped_at=edge, pk__lt=release_id))
