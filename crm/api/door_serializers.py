"""What the API of the door takes and gives. Input is strict; output lists its fields."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from crm import warning_codes
from crm.kernel.api.serializers import LineField, StrictSerializer
from crm.models import EventKind, IngestionWarning, KindProperty, ObservedProperty, Source, WarningDecision
from crm.models.catalogue import LONGEST_RETENTION
from crm.selectors import catalogue
from crm.services.sources import MOST_EVENTS
from crm.services.warning_decisions import LONGEST_MUTE_DAYS
from crm.states import PropertyType, QuietState, Stage, Trust, ViolationAnswer


class SourceSerializer(serializers.ModelSerializer):
    """A source; `write_key` is empty for callers who may not read it."""

    write_key = serializers.SerializerMethodField()

    class Meta:
        model = Source
        fields = ("id", "name", "trust", "write_key", "is_active", "rate_limit", "burst_limit", "created_at")
        read_only_fields = fields

    def get_write_key(self, source: Source) -> str:
        """The key, for those who may see it."""
        return source.write_key if self.context.get("shows_keys") else ""


class SourceInputSerializer(StrictSerializer):
    """A source to make."""

    name = LineField(max_length=120)
    trust = serializers.ChoiceField(choices=Trust.choices, default=Trust.SERVER)


class SourceChangeSerializer(StrictSerializer):
    """Switch a source on or off."""

    is_active = serializers.BooleanField()


class RotateSerializer(StrictSerializer):
    """Until when the old key goes on working."""

    works_until = serializers.DateTimeField(required=False, allow_null=True, default=None)


class RevokeKeySerializer(StrictSerializer):
    """Which replaced key is closed."""

    key = serializers.IntegerField(min_value=1, max_value=2**62)


class LimitsSerializer(StrictSerializer):
    """Limits of a source; null means the knobs."""

    rate_limit = serializers.IntegerField(min_value=1, max_value=MOST_EVENTS, allow_null=True)
    burst_limit = serializers.IntegerField(min_value=1, max_value=MOST_EVENTS, allow_null=True)


class RetiredKeySerializer(serializers.Serializer):
    """A replaced key; `write_key` is empty for callers who may not read it."""

    id = serializers.IntegerField()
    write_key = serializers.SerializerMethodField()
    ends = serializers.CharField()
    retired_at = serializers.DateTimeField()
    works_until = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)
    state = serializers.ChoiceField(choices=["works", "revoked", "expired"])

    def get_write_key(self, key: Any) -> str:
        """The key, for those who may see it."""
        return key.write_key if self.context.get("shows_keys") else ""


class MinuteSerializer(serializers.Serializer):
    """One minute."""

    at = serializers.DateTimeField()
    count = serializers.IntegerField()


class DaySerializer(serializers.Serializer):
    """One day."""

    at = serializers.DateField()
    count = serializers.IntegerField()


class SourceActivitySerializer(serializers.Serializer):
    """How much arrived, oldest first. `limited_at` is set while the source is held back."""

    last_minute = serializers.DateTimeField(allow_null=True)
    limited_at = serializers.DateTimeField(allow_null=True)
    minutes = MinuteSerializer(many=True)
    days = DaySerializer(many=True)


class LiveEventSerializer(serializers.Serializer):
    """One touchpoint of a source."""

    id = serializers.UUIDField()
    received_at = serializers.DateTimeField()
    occurred_at = serializers.DateTimeField()
    kind = serializers.CharField()
    channel = serializers.CharField()
    properties = serializers.DictField()


class IngestionWarningSerializer(serializers.ModelSerializer):
    """What a source sent that was refused or changed, per code, subject and day."""

    source = serializers.IntegerField(source="source_id", read_only=True, allow_null=True)
    title = serializers.SerializerMethodField()
    advice = serializers.SerializerMethodField()

    class Meta:
        model = IngestionWarning
        fields = (
            "id", "source", "code", "subject", "title", "advice", "seen_on", "count", "sample", "first_seen_at",
            "last_seen_at",
        )  # fmt: skip
        read_only_fields = fields

    def get_title(self, row: IngestionWarning) -> str:
        """The code in words."""
        return str(warning_codes.meaning(row.code).title)

    def get_advice(self, row: IngestionWarning) -> str:
        """What to do about it."""
        return str(warning_codes.meaning(row.code).advice)


class TopicQuerySerializer(StrictSerializer):
    """Which topics are asked for."""

    days = serializers.IntegerField(min_value=1, max_value=90, default=30)
    source = serializers.IntegerField(min_value=1, max_value=2**62, required=False)
    code = serializers.CharField(max_length=40, required=False)
    state = serializers.ChoiceField(choices=["open", *QuietState.values], required=False)


class TopicDaySerializer(serializers.Serializer):
    """How often on one day."""

    day = serializers.SerializerMethodField()
    count = serializers.SerializerMethodField()

    @extend_schema_field(serializers.DateField())
    def get_day(self, pair: Any) -> str:
        """The day (UTC)."""
        return pair[0].isoformat()

    def get_count(self, pair: Any) -> int:
        """How often."""
        return pair[1]


class TopicSerializer(serializers.Serializer):
    """A warning over several days; `id` is its newest row, which the actions take."""

    id = serializers.IntegerField()
    source = serializers.IntegerField(source="source_id", allow_null=True)
    source_name = serializers.CharField()
    code = serializers.CharField()
    subject = serializers.CharField()
    title = serializers.CharField(source="meaning.title")
    text = serializers.CharField(source="meaning.text")
    advice = serializers.CharField(source="meaning.advice")
    effect = serializers.CharField()
    count = serializers.IntegerField()
    first_seen_at = serializers.DateTimeField()
    last_seen_at = serializers.DateTimeField()
    sample = serializers.DictField()
    state = serializers.ChoiceField(choices=["open", *QuietState.values])
    quiet_until = serializers.DateTimeField(allow_null=True)
    note = serializers.CharField()
    days = TopicDaySerializer(many=True)


class ResolveSerializer(StrictSerializer):
    """Why it is resolved."""

    note = LineField(max_length=300, required=False, default="", allow_blank=True)


class MuteSerializer(ResolveSerializer):
    """For how long, and why."""

    days = serializers.IntegerField(min_value=1, max_value=LONGEST_MUTE_DAYS)


class DecisionSerializer(serializers.ModelSerializer):
    """What was decided about a warning."""

    source = serializers.IntegerField(source="source_id", read_only=True, allow_null=True)

    class Meta:
        model = WarningDecision
        fields = ("source", "code", "subject", "state", "quiet_until", "note", "decided_at", "decided_by")
        read_only_fields = fields


class PropertyRuleSerializer(StrictSerializer):
    """One line of a schema."""

    name = LineField(max_length=200, trim_whitespace=False)
    type = serializers.ChoiceField(choices=PropertyType.choices, default=PropertyType.ANY, allow_blank=True)
    is_required = serializers.BooleanField(default=False)
    allowed_values = serializers.ListField(child=LineField(max_length=200), default=list, max_length=200)
    description = LineField(max_length=300, default="", allow_blank=True)


class PropertiesSerializer(StrictSerializer):
    """A whole schema."""

    properties = PropertyRuleSerializer(many=True)


class KindPropertySerializer(serializers.ModelSerializer):
    """One line of the schema in force."""

    class Meta:
        model = KindProperty
        fields = ("name", "type", "is_required", "allowed_values", "description")
        read_only_fields = fields


class ObservedPropertySerializer(serializers.ModelSerializer):
    """A property as it was seen in the sample; `types` counts them."""

    types = serializers.DictField(child=serializers.IntegerField())

    class Meta:
        model = ObservedProperty
        fields = ("name", "filled", "types", "samples", "first_seen_at", "last_seen_at")
        read_only_fields = fields


class EventKindSerializer(serializers.ModelSerializer):
    """A kind of event: decisions, schema, what was seen, and how much of it arrived in thirty days."""

    properties = KindPropertySerializer(many=True, read_only=True)
    observed = ObservedPropertySerializer(many=True, read_only=True)
    total = serializers.SerializerMethodField()
    days = serializers.SerializerMethodField()
    sources = serializers.SerializerMethodField()

    class Meta:
        model = EventKind
        fields = (
            "id", "name", "description_en", "description_zh", "owner", "purpose", "retention_days", "stage",
            "is_blocked", "on_violation", "first_seen_on", "last_seen_on", "total", "days", "sources", "sampled",
            "learned_at", "properties", "observed",
        )  # fmt: skip
        read_only_fields = fields

    def _numbers(self, kind: EventKind) -> catalogue.KindNumbers:
        found: catalogue.KindNumbers = self.context.get("numbers", {}).get(kind.name, catalogue.NOTHING)
        return found

    def get_total(self, kind: EventKind) -> int:
        """Events of the last thirty days."""
        return self._numbers(kind).total

    @extend_schema_field(serializers.ListField(child=serializers.IntegerField()))
    def get_days(self, kind: EventKind) -> list[int]:
        """The same per day (UTC), oldest first."""
        return list(self._numbers(kind).days)

    @extend_schema_field(serializers.DictField(child=serializers.IntegerField()))
    def get_sources(self, kind: EventKind) -> dict[str, int]:
        """The same per source id."""
        return {str(ident): count for ident, count in sorted(self._numbers(kind).sources.items())}


class AnnounceSerializer(StrictSerializer):
    """A kind to enter."""

    name = LineField(max_length=200)


class EventKindChangeSerializer(StrictSerializer):
    """Decisions to set. What is left out stays."""

    description_en = LineField(max_length=500, required=False, allow_blank=True)
    description_zh = LineField(max_length=500, required=False, allow_blank=True)
    owner = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=2**62)
    purpose = LineField(max_length=300, required=False, allow_blank=True)
    retention_days = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=LONGEST_RETENTION
    )
    stage = serializers.ChoiceField(choices=Stage.choices, required=False, allow_blank=True)
    is_blocked = serializers.BooleanField(required=False)
    on_violation = serializers.ChoiceField(choices=ViolationAnswer.choices, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """At least one decision."""
        if not attrs:
            raise serializers.ValidationError("nothing to change", code="empty")
        return attrs


class JsonSchemaSerializer(serializers.Serializer):
    """A JSON Schema document; its members are those of the standard."""

    title = serializers.CharField()
    type = serializers.CharField()
    properties = serializers.DictField()
    required = serializers.ListField(child=serializers.CharField())
    additionalProperties = serializers.BooleanField()
