"""What goes in and comes out under /api/v1. Fields are listed one by one."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from crm.kernel.api.serializers import LineField, StrictSerializer
from lifecycle.models import Delivery, Enrolment, EnrolmentEvent, Journey, MessageTemplate, OutboundMessage
from lifecycle.selectors import journeys
from lifecycle.services import templates
from lifecycle.states import Reason


class DeliverySerializer(serializers.ModelSerializer):
    """What one channel did with a message."""

    class Meta:
        model = Delivery
        fields = ("channel", "status", "attempts", "next_attempt_at", "error", "gaps", "gap_at", "settled_at")
        read_only_fields = fields


class MessageSerializer(serializers.ModelSerializer):
    """One decision record."""

    profile = serializers.UUIDField(source="profile.public_id", read_only=True)
    reason_label = serializers.SerializerMethodField()

    class Meta:
        model = OutboundMessage
        fields = (
            "id",
            "kind",
            "profile",
            "subject_key",
            "language",
            "decision",
            "reason",
            "reason_label",
            "run_at",
            "expires_at",
            "created_at",
            "decided_at",
        )
        read_only_fields = fields

    @extend_schema_field(str)
    def get_reason_label(self, row: OutboundMessage) -> str:
        """The reason in words of the caller's language."""
        return str(Reason(row.reason).label) if row.reason else ""


class MessageDetailSerializer(MessageSerializer):
    """One decision record with its channels."""

    deliveries = DeliverySerializer(many=True, read_only=True)

    class Meta(MessageSerializer.Meta):
        fields = (*MessageSerializer.Meta.fields, "deliveries")
        read_only_fields = fields


class JourneySerializer(serializers.ModelSerializer):
    """A journey without its definition."""

    class Meta:
        model = Journey
        fields = ("id", "name", "status", "version", "template", "activated_at", "created_at")
        read_only_fields = fields


class FunnelSerializer(serializers.Serializer):
    """Numbers of those who entered within `days`."""

    days = serializers.IntegerField()
    entered = serializers.IntegerField()
    waiting = serializers.IntegerField()
    converted = serializers.IntegerField()
    exited = serializers.IntegerField()
    finished = serializers.IntegerField()
    failed = serializers.IntegerField()
    holdout = serializers.IntegerField()
    treatment_rate = serializers.FloatField(allow_null=True)
    holdout_rate = serializers.FloatField(allow_null=True)
    sent = serializers.IntegerField()
    held = serializers.IntegerField()
    dropped = serializers.IntegerField()
    not_sent = serializers.DictField(child=serializers.IntegerField())


class JourneyDetailSerializer(JourneySerializer):
    """A journey with its definition, in JSON and in words."""

    definition = serializers.SerializerMethodField()
    description = serializers.SerializerMethodField()

    class Meta(JourneySerializer.Meta):
        fields = (*JourneySerializer.Meta.fields, "definition", "description")
        read_only_fields = fields

    @extend_schema_field({"type": "object", "additionalProperties": True})
    def get_definition(self, row: Journey) -> dict[str, Any]:
        """The newest version."""
        return journeys.current_definition(row)

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_description(self, row: Journey) -> list[str]:
        """The same in sentences."""
        return journeys.describe(journeys.current_definition(row))


class JourneyCreateSerializer(StrictSerializer):
    """A new journey: from a definition, or from a template that comes with the product."""

    name = LineField(max_length=120, required=False)
    definition = serializers.DictField(required=False)
    template = serializers.CharField(max_length=80, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Exactly one of `definition` (with a name) and `template`."""
        if ("definition" in attrs) == ("template" in attrs):
            raise serializers.ValidationError({"definition": ["Give either definition or template."]})
        if "definition" in attrs and "name" not in attrs:
            raise serializers.ValidationError({"name": ["A journey needs a name."]})
        return attrs


class JourneyChangeSerializer(StrictSerializer):
    """What can be changed of a journey."""

    name = LineField(max_length=120, required=False)
    definition = serializers.DictField(required=False)


class DefinitionSerializer(StrictSerializer):
    """A definition to be checked."""

    definition = serializers.DictField()


class DescriptionSerializer(serializers.Serializer):
    """A definition in sentences."""

    description = serializers.ListField(child=serializers.CharField())


class EnrolmentEventSerializer(serializers.ModelSerializer):
    """One thing that happened to somebody on the way."""

    class Meta:
        model = EnrolmentEvent
        fields = ("kind", "step", "detail", "occurred_at")
        read_only_fields = fields


class EnrolmentSerializer(serializers.ModelSerializer):
    """One person in one journey."""

    profile = serializers.UUIDField(source="profile.public_id", read_only=True)
    journey = serializers.IntegerField(source="journey_id", read_only=True)
    version = serializers.IntegerField(source="version.number", read_only=True)

    class Meta:
        model = Enrolment
        fields = (
            "id",
            "journey",
            "version",
            "profile",
            "entry_key",
            "arm",
            "status",
            "exit_cause",
            "step",
            "entered_at",
            "run_at",
            "ended_at",
        )
        read_only_fields = fields


class EnrolmentDetailSerializer(EnrolmentSerializer):
    """The same with its log."""

    events = EnrolmentEventSerializer(many=True, read_only=True)

    class Meta(EnrolmentSerializer.Meta):
        fields = (*EnrolmentSerializer.Meta.fields, "events")
        read_only_fields = fields


class TextSerializer(serializers.Serializer):
    """A subject and a text."""

    language = serializers.CharField()
    subject = serializers.CharField()
    body = serializers.CharField()
    is_own = serializers.BooleanField()


class KindSerializer(serializers.Serializer):
    """A kind of message and the texts in force."""

    code = serializers.CharField()
    label = serializers.CharField()
    message_class = serializers.CharField()
    channels = serializers.ListField(child=serializers.CharField())
    variables = serializers.ListField(child=serializers.CharField())
    texts = TextSerializer(many=True)


class TemplateSerializer(serializers.ModelSerializer):
    """A text of staff's own."""

    class Meta:
        model = MessageTemplate
        fields = ("id", "kind", "language", "subject", "body", "updated_at", "updated_by")
        read_only_fields = fields


class TemplateInputSerializer(StrictSerializer):
    """A text to put in place of the built-in one."""

    kind = serializers.CharField(max_length=80)
    language = serializers.ChoiceField(choices=templates.LANGUAGES)
    subject = LineField(max_length=200)
    body = serializers.CharField(max_length=templates.MAX_BODY, trim_whitespace=False)


class PreviewSerializer(serializers.Serializer):
    """How it will look, with sample values, and advice on tone."""

    subject = serializers.CharField()
    body = serializers.CharField()
    advice = serializers.ListField(child=serializers.CharField())
