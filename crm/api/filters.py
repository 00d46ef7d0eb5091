"""Filters of the REST lists of crm: an enumerated table, each with an index behind it."""

from __future__ import annotations

import django_filters
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from crm.kernel.api.filters import StrictFilterSet
from crm.models import EventKind, IngestionWarning, MergeRecord, MergeSuggestion, Profile, Source
from crm.selectors import profiles, rules
from crm.states import MergeCause, Stage, SuggestionStatus, Trust, ViolationAnswer


class ProfileFilter(StrictFilterSet):
    """People by name, or by one exact identifier."""

    search = django_filters.CharFilter(method="by_text", label=_("Name, e-mail, phone or other identifier"))
    user_id = django_filters.CharFilter(method="by_identity")
    email = django_filters.CharFilter(method="by_identity")
    phone = django_filters.CharFilter(method="by_identity")
    anonymous_id = django_filters.CharFilter(method="by_identity")

    class Meta:
        model = Profile
        fields = ()

    def by_text(self, queryset: QuerySet[Profile], name: str, value: str) -> QuerySet[Profile]:
        """The people search of staff: the list puts who was found in order, and says why."""
        return queryset

    def by_identity(self, queryset: QuerySet[Profile], name: str, value: str) -> QuerySet[Profile]:
        """The one person an identifier belongs to."""
        return queryset.filter(pk__in=profiles.owners(name, rules.normalise(name, value) or value))


class MergeFilter(StrictFilterSet):
    """Merges by cause and whether they stand."""

    cause = django_filters.ChoiceFilter(choices=MergeCause.choices)
    is_undone = django_filters.BooleanFilter(field_name="undone_at", lookup_expr="isnull", exclude=True)

    class Meta:
        model = MergeRecord
        fields = ()


class MergeSuggestionFilter(StrictFilterSet):
    """Suggestions by status."""

    status = django_filters.ChoiceFilter(choices=SuggestionStatus.choices)

    class Meta:
        model = MergeSuggestion
        fields = ()


class SourceFilter(StrictFilterSet):
    """Sources by trust and state."""

    trust = django_filters.ChoiceFilter(choices=Trust.choices)
    is_active = django_filters.BooleanFilter()

    class Meta:
        model = Source
        fields = ()


class IngestionWarningFilter(StrictFilterSet):
    """Warnings by source, code, subject and day."""

    source = django_filters.NumberFilter(field_name="source_id", min_value=0, max_value=2**62)
    code = django_filters.CharFilter()
    subject = django_filters.CharFilter()
    since = django_filters.DateFilter(field_name="seen_on", lookup_expr="gte")
    until = django_filters.DateFilter(field_name="seen_on", lookup_expr="lte")

    class Meta:
        model = IngestionWarning
        fields = ()


class EventKindFilter(StrictFilterSet):
    """Kinds by name, owner and what was decided about them."""

    name = django_filters.CharFilter()
    owner = django_filters.NumberFilter(field_name="owner_id", min_value=0, max_value=2**62)
    stage = django_filters.ChoiceFilter(choices=Stage.choices)
    is_blocked = django_filters.BooleanFilter()
    on_violation = django_filters.ChoiceFilter(choices=ViolationAnswer.choices)

    class Meta:
        model = EventKind
        fields = ()
