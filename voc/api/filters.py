"""Filters of the lists of voc: an enumerated table."""

from __future__ import annotations

from typing import Any

import django_filters

from crm.kernel import clock
from crm.kernel.api.filters import StrictFilterSet
from voc.models import Feedback, Release, Ticket
from voc.states import (
    OPEN_STATUSES,
    FeedbackChannel,
    FeedbackStatus,
    ReleaseStatus,
    Severity,
    TicketKind,
    TicketStatus,
)


class FeedbackFilter(StrictFilterSet):
    """Voices by decision, channel, ticket and time."""

    status = django_filters.ChoiceFilter(choices=FeedbackStatus.choices)
    channel = django_filters.ChoiceFilter(choices=FeedbackChannel.choices)
    ticket = django_filters.NumberFilter(field_name="ticket_id", min_value=1, max_value=2**62)
    created_after = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_before = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = Feedback
        fields: list[str] = []


class TicketFilter(StrictFilterSet):
    """Tickets by what they are and how their clock stands."""

    status = django_filters.MultipleChoiceFilter(choices=TicketStatus.choices)
    open = django_filters.BooleanFilter(method="filter_open", label="Whether the promise clock runs")
    overdue = django_filters.BooleanFilter(method="filter_overdue", label="Open and past the promised date")
    kind = django_filters.MultipleChoiceFilter(choices=TicketKind.choices)
    severity = django_filters.MultipleChoiceFilter(choices=Severity.choices)
    assignee = django_filters.NumberFilter(field_name="assignee_id", min_value=1, max_value=2**31 - 1)
    unassigned = django_filters.BooleanFilter(field_name="assignee", lookup_expr="isnull")
    theme = django_filters.CharFilter(field_name="theme", max_length=80)
    due_before = django_filters.IsoDateTimeFilter(field_name="due_at", lookup_expr="lt")

    class Meta:
        model = Ticket
        fields: list[str] = []

    def filter_open(self, queryset: Any, name: str, value: bool) -> Any:
        """Running clocks, or those that stand."""
        return (
            queryset.filter(status__in=OPEN_STATUSES) if value else queryset.exclude(status__in=OPEN_STATUSES)
        )

    def filter_overdue(self, queryset: Any, name: str, value: bool) -> Any:
        """Past the promised date, or not."""
        late = {"status__in": OPEN_STATUSES, "due_at__lt": clock.now()}
        return queryset.filter(**late) if value else queryset.exclude(**late)


class ReleaseFilter(StrictFilterSet):
    """Releases by status."""

    status = django_filters.ChoiceFilter(choices=ReleaseStatus.choices)

    class Meta:
        model = Release
        fields: list[str] = []
