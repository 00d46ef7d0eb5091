"""REST: what is derived about a person: computed traits, purchases with their RFM group, segments, stage.

Each part is for callers who may read its noun; for the others it is null, so that a key for people alone learns no
more than it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request

from crm.models import PurchaseSummary
from crm.selectors import computed, purchases, segments, stages


class ComputedValueSerializer(serializers.Serializer):
    """One computed trait of one person."""

    key = serializers.CharField()
    name = serializers.CharField()
    type = serializers.CharField(help_text="`number`, `money` (minor units), `text`, `moment` or `list`.")
    value = serializers.JSONField(source="plain", allow_null=True)
    currency = serializers.CharField(help_text="Of money; otherwise empty.")
    computed_at = serializers.DateTimeField()


class PurchasesSerializer(serializers.ModelSerializer):
    """Orders in the currency of the organisation; scores run from 1 (low) to 5 (high), 0 before the first report."""

    rfm_group = serializers.CharField(source="segment", help_text="Empty before the first report.")
    rfm_group_label = serializers.CharField(source="get_segment_display")

    class Meta:
        model = PurchaseSummary
        fields = (
            "orders", "spent", "currency", "first_order_at", "last_order_at", "median_gap_days", "recency",
            "frequency", "monetary", "rfm_group", "rfm_group_label", "computed_at",
        )  # fmt: skip
        read_only_fields = fields


class BelongingSerializer(serializers.Serializer):
    """A segment the person is in."""

    key = serializers.CharField()
    name = serializers.CharField()
    entered_at = serializers.DateTimeField()


class StageSerializer(serializers.Serializer):
    """The stage of the touchpoint map a person is in, and what put them there."""

    key = serializers.CharField(source="stage")
    label = serializers.CharField()
    kind = serializers.CharField()
    since = serializers.DateTimeField()


FIELDS = ("computed", "purchases", "segments", "stage")


class DerivedSerializer(serializers.Serializer):
    """What is derived about a person, from the row and `ids`, all ids of theirs. A part the caller may not read is
    null."""

    computed = serializers.SerializerMethodField()
    purchases = serializers.SerializerMethodField()
    segments = serializers.SerializerMethodField()
    stage = serializers.SerializerMethodField()

    @extend_schema_field(ComputedValueSerializer(many=True, allow_null=True))
    def get_computed(self, row: Any) -> Any:
        """Computed traits, by name. Needs `crm.computedtrait:read`."""
        return self._part(
            "crm.computedtrait", lambda: ComputedValueSerializer(computed.values_of(row.ids), many=True)
        )

    @extend_schema_field(PurchasesSerializer(allow_null=True))
    def get_purchases(self, row: Any) -> Any:
        """Orders and RFM; null for somebody who never bought. Needs `crm.computedtrait:read`."""
        found = purchases.summary_of(row.pk) if self._may("crm.computedtrait") else None
        return PurchasesSerializer(found).data if found is not None else None

    @extend_schema_field(BelongingSerializer(many=True, allow_null=True))
    def get_segments(self, row: Any) -> Any:
        """Segments and lists, newest first. Needs `crm.segment:read`."""
        return self._part(
            "crm.segment", lambda: BelongingSerializer(segments.segments_of(row.ids), many=True)
        )

    @extend_schema_field(StageSerializer(allow_null=True))
    def get_stage(self, row: Any) -> Any:
        """The stage; null when nothing of theirs has one."""
        found = stages.of(row.ids, now=self.context["now"])
        return StageSerializer(found).data if found is not None else None

    def _part(self, noun: str, made: Callable[[], serializers.BaseSerializer[Any]]) -> Any:
        return made().data if self._may(noun) else None

    def _may(self, noun: str) -> bool:
        return may_read(self.context["request"], noun)


def may_read(request: Request, noun: str) -> bool:
    """Whether the caller may read `crm.segment` and the like: a key by its scope, staff by the view permission."""
    scopes: Sequence[str] | None = getattr(request.auth, "scopes", None)
    if scopes is not None:
        return f"{noun}:read" in scopes
    app, _dot, name = noun.partition(".")
    return bool(request.user.has_perm(f"{app}.view_{name}"))


def context(request: Request, *, now: datetime) -> dict[str, Any]:
    """What the serializer of a person needs beside the row."""
    return {"request": request, "now": now}
