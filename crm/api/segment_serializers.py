"""Shapes of segments under /api/v1/."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from crm.kernel.api.serializers import LineField, StrictSerializer
from crm.models import Export, Segment, SegmentEvent, SegmentRun
from crm.selectors import segments
from crm.states import SegmentKind, SegmentStatus


@extend_schema_field(OpenApiTypes.OBJECT)
class RuleField(serializers.JSONField):
    """A rule tree; docs/segments.md has the whole grammar."""


class SegmentRunSerializer(serializers.ModelSerializer):
    """A pass over everybody: `done` of `total` people whose membership had to be looked at."""

    class Meta:
        model = SegmentRun
        fields = ("cause", "status", "total", "done", "entered", "left", "error", "created_at", "finished_at")


class SegmentSerializer(serializers.ModelSerializer):
    """A segment in a list."""

    kind = serializers.ChoiceField(SegmentKind.choices)
    status = serializers.ChoiceField(SegmentStatus.choices)
    rule = RuleField(allow_null=True)

    class Meta:
        model = Segment
        fields = (
            "key", "name", "description", "kind", "status", "rule", "version", "size", "activated_at",
            "last_verified_at", "last_error", "created_at",
        )  # fmt: skip


class SegmentDetailSerializer(SegmentSerializer):
    """A segment with its rule in words and the pass that is open."""

    sentence = serializers.SerializerMethodField()
    run = serializers.SerializerMethodField()

    class Meta(SegmentSerializer.Meta):
        fields = (*SegmentSerializer.Meta.fields, "sentence", "run")

    def get_sentence(self, row: Segment) -> str:
        """The rule in the reader's language; empty for a static list."""
        return segments.sentence(row)

    @extend_schema_field(SegmentRunSerializer(allow_null=True))
    def get_run(self, row: Segment) -> dict[str, Any] | None:
        """The pass that waits or runs, if there is one."""
        run = segments.open_runs([row.pk]).get(row.pk)
        return SegmentRunSerializer(run).data if run else None


class SegmentInputSerializer(StrictSerializer):
    """A new segment: with a rule it is a draft, without one a static list."""

    name = LineField(max_length=120)
    key = serializers.RegexField(r"^[a-z0-9][a-z0-9_-]{0,59}\Z", required=False)
    description = serializers.CharField(max_length=500, required=False, allow_blank=True)
    rule = RuleField(required=False, allow_null=True)


class SegmentChangeSerializer(StrictSerializer):
    """What changes. `version` refuses when somebody else was faster; `announce`: touchpoints for a new rule."""

    name = LineField(max_length=120, required=False)
    description = serializers.CharField(max_length=500, required=False, allow_blank=True)
    rule = RuleField(required=False)
    version = serializers.IntegerField(min_value=1, max_value=2**31 - 1, required=False)
    announce = serializers.BooleanField(required=False)


class SegmentActivateSerializer(StrictSerializer):
    """`announce`: whoever is in from the beginning gets a touchpoint too."""

    announce = serializers.BooleanField(required=False, default=False)


class SegmentCopySerializer(StrictSerializer):
    """The name, and if wanted the key, of the copy."""

    name = LineField(max_length=120)
    key = serializers.RegexField(r"^[a-z0-9][a-z0-9_-]{0,59}\Z", required=False)


class SegmentPreviewInputSerializer(StrictSerializer):
    """A rule, and how many people to show."""

    rule = RuleField()
    sample = serializers.IntegerField(min_value=0, max_value=50, required=False, default=10)


class SampledPersonSerializer(serializers.Serializer):
    """A person of a sample."""

    id = serializers.UUIDField(source="public_id")
    name = serializers.CharField()


class SegmentPreviewSerializer(serializers.Serializer):
    """How many a rule lets in. An estimate comes from `asked` people chosen at random."""

    count = serializers.IntegerField()
    is_estimate = serializers.BooleanField()
    asked = serializers.IntegerField()
    sentence = serializers.CharField()
    sample = SampledPersonSerializer(many=True)


class SegmentMemberSerializer(serializers.Serializer):
    """A person in a segment."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    entered_at = serializers.DateTimeField()
    is_initial = serializers.BooleanField()


class MembersInputSerializer(StrictSerializer):
    """People for a static list: by public id, by e-mail, phone or user id, or everybody of an import."""

    profiles = serializers.ListField(child=serializers.UUIDField(), max_length=10_000, required=False)
    identifiers = serializers.ListField(
        child=serializers.CharField(max_length=320), max_length=10_000, required=False
    )
    announce = serializers.BooleanField(required=False, default=True)


class ListedSerializer(serializers.Serializer):
    """What became of them. `unmatched` are nobody's."""

    changed = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    unmatched = serializers.ListField(child=serializers.CharField())


class SegmentSizeSerializer(serializers.Serializer):
    """The number of people at the end of a day (UTC)."""

    day = serializers.DateField()
    size = serializers.IntegerField()
    entered = serializers.IntegerField()
    left = serializers.IntegerField()


class SegmentEventSerializer(serializers.ModelSerializer):
    """What was done to a segment."""

    class Meta:
        model = SegmentEvent
        fields = ("kind", "actor", "at", "rule", "number")


class SegmentFactSerializer(serializers.Serializer):
    """A fact that conditions may ask about."""

    key = serializers.CharField()
    label = serializers.CharField()
    group = serializers.CharField()
    help = serializers.CharField()
    type = serializers.CharField()
    unit = serializers.CharField()
    operators = serializers.ListField(child=serializers.CharField())


class SegmentExportInputSerializer(StrictSerializer):
    """Whose people, and which columns; without columns the usual ones."""

    segment = serializers.SlugField(max_length=60)
    columns = serializers.ListField(child=serializers.CharField(max_length=80), max_length=60, required=False)


class SegmentExportSerializer(serializers.ModelSerializer):
    """A file that was asked for. It can be fetched by who asked, until it expires."""

    id = serializers.UUIDField(source="public_id")
    status = serializers.CharField()

    class Meta:
        model = Export
        fields = (
            "id", "title", "columns", "status", "row_count", "is_cut", "error", "created_at", "finished_at",
            "expires_at",
        )  # fmt: skip
