"""Filters of the REST lists of lifecycle: an enumerated table, each with an index or a bound behind it."""

from __future__ import annotations

import django_filters
from django.db.models import QuerySet

from crm.kernel.api.filters import StrictFilterSet
from crm.selectors import profiles
from lifecycle.models import Enrolment, Journey, MessageTemplate, OutboundMessage
from lifecycle.services.templates import LANGUAGES
from lifecycle.states import Arm, Decision, EnrolmentStatus, JourneyStatus, Reason


class MessageFilter(StrictFilterSet):
    """Decisions by person, kind, decision, reason, cause and day."""

    profile = django_filters.UUIDFilter(method="by_person")
    kind = django_filters.CharFilter(max_length=80)
    decision = django_filters.ChoiceFilter(choices=Decision.choices)
    reason = django_filters.ChoiceFilter(choices=[choice for choice in Reason.choices if choice[0]])
    subject_key = django_filters.CharFilter(max_length=200)
    decided_after = django_filters.IsoDateTimeFilter(field_name="decided_at", lookup_expr="gte")
    decided_before = django_filters.IsoDateTimeFilter(field_name="decided_at", lookup_expr="lt")

    class Meta:
        model = OutboundMessage
        fields = ()

    def by_person(
        self, queryset: QuerySet[OutboundMessage], name: str, value: object
    ) -> QuerySet[OutboundMessage]:
        """Everything to the person, under any id they ever had."""
        return queryset.filter(profile_id__in=_ids(value))


class JourneyFilter(StrictFilterSet):
    """Journeys by status."""

    status = django_filters.ChoiceFilter(choices=JourneyStatus.choices)

    class Meta:
        model = Journey
        fields = ()


class EnrolmentFilter(StrictFilterSet):
    """Enrolments by journey, person, arm and status."""

    journey = django_filters.NumberFilter(field_name="journey_id", min_value=1, max_value=2**62)
    profile = django_filters.UUIDFilter(method="by_person")
    arm = django_filters.ChoiceFilter(choices=Arm.choices)
    status = django_filters.ChoiceFilter(choices=EnrolmentStatus.choices)

    class Meta:
        model = Enrolment
        fields = ()

    def by_person(self, queryset: QuerySet[Enrolment], name: str, value: object) -> QuerySet[Enrolment]:
        """Everything of the person, under any id they ever had."""
        return queryset.filter(profile_id__in=_ids(value))


class TemplateFilter(StrictFilterSet):
    """Own texts by kind and language."""

    kind = django_filters.CharFilter(max_length=80)
    language = django_filters.ChoiceFilter(choices=[(language, language) for language in LANGUAGES])

    class Meta:
        model = MessageTemplate
        fields = ()


def _ids(public_id: object) -> list[int]:
    profile = profiles.by_public_id(public_id)
    return profiles.ids_of(profile.pk) if profile is not None else []
