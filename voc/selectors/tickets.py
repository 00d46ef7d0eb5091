"""Tickets with what lists and pages show beside them."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import (
    Case,
    Count,
    F,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Coalesce

from voc.models import Feedback, Ticket, TicketFollower
from voc.states import OPEN_STATUSES

# Running clocks by promised date (so overdue first), then closed tickets, the latest closed first.
OVERDUE_FIRST = (
    Case(When(status__in=OPEN_STATUSES, then=Value(0)), default=Value(1), output_field=IntegerField()).asc(),
    Case(When(status__in=OPEN_STATUSES, then=F("due_at"))).asc(nulls_last=True),
    F("closed_at").desc(nulls_last=True),
    "-pk",
)


def overdue_first(queryset: QuerySet[Ticket]) -> QuerySet[Ticket]:
    """Tickets as lists show them."""
    return queryset.order_by(*OVERDUE_FIRST)


def with_counts(queryset: QuerySet[Ticket]) -> QuerySet[Ticket]:
    """Adds `follower_count` and `voice_count` over the ticket and everything merged into it."""
    family = Q(ticket_id=OuterRef("pk")) | Q(ticket__merged_into_id=OuterRef("pk"))
    followers = (
        TicketFollower.objects.filter(family, left_at=None)
        .annotate(root=Coalesce("profile__merged_into_id", "profile_id"))
        .order_by()
        .values(one=Value(1))
        .annotate(n=Count("root", distinct=True))
        .values("n")
    )
    voices = (
        Feedback.objects.filter(family).order_by().values(one=Value(1)).annotate(n=Count("pk")).values("n")
    )
    return queryset.annotate(
        follower_count=Coalesce(Subquery(followers), 0), voice_count=Coalesce(Subquery(voices), 0)
    )


def family(ticket: Ticket) -> list[int]:
    """The ids of a ticket and everything merged into it."""
    return [ticket.pk, *Ticket.objects.filter(merged_into=ticket).values_list("pk", flat=True)]


def of_profiles(profile_ids: list[int]) -> QuerySet[Ticket]:
    """Root tickets that these profiles follow or gave feedback for, newest first."""
    ids = TicketFollower.objects.filter(profile_id__in=profile_ids, left_at=None).values("ticket_id")
    return (
        Ticket.objects.filter(
            Q(pk__in=ids) | Q(pk__in=Ticket.objects.filter(pk__in=ids).values("merged_into_id"))
        )
        .roots()
        .order_by("-pk")
    )


def open_per_profile(profile_ids: Sequence[int]) -> dict[int, int]:
    """How many open tickets each of these profiles follows; those without any are left out."""
    rows = TicketFollower.objects.filter(
        profile_id__in=list(profile_ids), left_at=None, ticket__status__in=OPEN_STATUSES
    )
    return dict(rows.order_by().values("profile_id").annotate(n=Count("pk")).values_list("profile_id", "n"))
