"""Filters of the points API."""

import django_filters

from crm.kernel.api.filters import StrictFilterSet
from members.models import PointsAccount, PointsEntry
from members.states import EntryKind


class AccountFilter(StrictFilterSet):
    """Accounts by person and balance."""

    profile = django_filters.UUIDFilter(field_name="profile__public_id")
    balance_min = django_filters.NumberFilter(
        field_name="balance", lookup_expr="gte", min_value=0, max_value=2**62
    )

    class Meta:
        model = PointsAccount
        fields: list[str] = []


class EntryFilter(StrictFilterSet):
    """Movements by person, account, kind and time."""

    profile = django_filters.UUIDFilter(field_name="account__profile__public_id")
    account = django_filters.NumberFilter(field_name="account_id", min_value=1, max_value=2**62)
    kind = django_filters.ChoiceFilter(choices=EntryKind.choices)
    created_after = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_before = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = PointsEntry
        fields: list[str] = []
