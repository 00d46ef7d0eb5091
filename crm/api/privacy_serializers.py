"""What the REST API of privacy takes and gives."""

from __future__ import annotations

from rest_framework import serializers

from crm.kernel.api.serializers import LineField, StrictSerializer
from crm.models import ConsentText, Erasure, PersonExport, PressureReservation
from crm.services import corrections
from crm.states import Channel, ConsentWay, CorrectionReason, Frequency, Language, PressureClass, Purpose

LANGUAGES = [choice for choice in Language.choices if choice[0]]


class ConsentTextSerializer(serializers.ModelSerializer):
    """One version of the words of a purpose."""

    code = serializers.CharField(read_only=True)

    class Meta:
        model = ConsentText
        fields = ("id", "code", "purpose", "version", "text_en", "text_zh_hans", "valid_from", "created_at")
        read_only_fields = fields


class ConsentTextInputSerializer(StrictSerializer):
    """The next version."""

    purpose = serializers.ChoiceField(choices=Purpose.choices)
    text_en = serializers.CharField(max_length=2000)
    text_zh_hans = serializers.CharField(max_length=2000)
    valid_from = serializers.DateTimeField(required=False)


class ConsentCellSerializer(serializers.Serializer):
    """What is in force for one purpose on one channel."""

    purpose = serializers.CharField()
    channel = serializers.CharField()
    is_allowed = serializers.BooleanField()
    is_suppressed = serializers.BooleanField()
    at = serializers.DateTimeField(allow_null=True)
    way = serializers.CharField()
    text_version = serializers.CharField()
    language = serializers.CharField()


class ConsentRequestInputSerializer(StrictSerializer):
    """Let the owner of an address confirm a yes."""

    email = serializers.EmailField(max_length=320)
    purposes = serializers.ListField(
        child=serializers.ChoiceField(choices=Purpose.choices), min_length=1, max_length=8
    )
    language = serializers.ChoiceField(choices=LANGUAGES, default="en")
    way = serializers.ChoiceField(choices=ConsentWay.choices, default=ConsentWay.API)


class ConsentRequestAnswerSerializer(serializers.Serializer):
    """Whether a mail is on its way; not when the address was asked often enough, or must not be written to."""

    is_asked = serializers.BooleanField()


class TouchSerializer(serializers.Serializer):
    """One disturbance."""

    at = serializers.DateTimeField()
    pressure_class = serializers.CharField()
    weight = serializers.IntegerField()
    label = serializers.CharField()
    frees_at = serializers.DateTimeField()


class StandingSerializer(serializers.Serializer):
    """How much of a person's patience is left."""

    left = serializers.IntegerField()
    budget = serializers.IntegerField()
    window_hours = serializers.IntegerField()
    marketing_left = serializers.IntegerField()
    frequency = serializers.ChoiceField(choices=Frequency.choices, source="choice.frequency")
    paused_until = serializers.DateTimeField(allow_null=True)
    touches = TouchSerializer(many=True)


class ReservationInputSerializer(StrictSerializer):
    """May I show this now?"""

    profile = serializers.UUIDField()
    pressure_class = serializers.ChoiceField(choices=PressureClass.choices)
    label = LineField(max_length=80)
    key = LineField(max_length=120, required=False, default="")
    purpose = serializers.ChoiceField(choices=Purpose.choices, required=False, default="")
    channel = serializers.ChoiceField(choices=Channel.choices, required=False, default=Channel.IN_APP)


class ReservationSerializer(serializers.ModelSerializer):
    """A granted disturbance."""

    id = serializers.UUIDField(source="public_id", read_only=True)

    class Meta:
        model = PressureReservation
        fields = ("id", "pressure_class", "label", "key", "status", "reserved_at", "expires_at", "decided_at")
        read_only_fields = fields


class ReservationAnswerSerializer(serializers.Serializer):
    """Granted with a reservation, or refused with the reason and when asking again makes sense."""

    granted = serializers.BooleanField()
    reason = serializers.CharField()
    retry_at = serializers.DateTimeField(allow_null=True)
    reservation = ReservationSerializer(allow_null=True)


class CorrectionSerializer(StrictSerializer):
    """Values to put right; an empty one takes the value away. `reason` is a word from a list."""

    reason = serializers.ChoiceField(choices=CorrectionReason.choices)
    display_name = LineField(max_length=200, required=False, allow_blank=True)
    family_name = LineField(max_length=100, required=False, allow_blank=True)
    given_name = LineField(max_length=100, required=False, allow_blank=True)
    language = serializers.ChoiceField(choices=LANGUAGES, required=False, allow_blank=True)
    timezone = LineField(max_length=64, required=False, allow_blank=True)
    birthday = serializers.DateField(required=False, allow_null=True)
    country = LineField(max_length=2, required=False, allow_blank=True)
    region = LineField(max_length=80, required=False, allow_blank=True)


class CorrectionAnswerSerializer(serializers.Serializer):
    """Which columns changed."""

    changed = serializers.ListField(
        child=serializers.ChoiceField(choices=sorted(corrections.COLUMNS.values()))
    )


class PersonExportInputSerializer(StrictSerializer):
    """Everything about one person."""

    profile = serializers.UUIDField()
    language = serializers.ChoiceField(choices=LANGUAGES, default="en")


class PersonExportSerializer(serializers.ModelSerializer):
    """A file that was asked for."""

    id = serializers.UUIDField(source="public_id", read_only=True)

    class Meta:
        model = PersonExport
        fields = (
            "id",
            "status",
            "language",
            "size",
            "sha256",
            "downloads",
            "requested_at",
            "ready_at",
            "expires_at",
        )
        read_only_fields = fields


class PreviewLineSerializer(serializers.Serializer):
    """How many rows of what would go."""

    name = serializers.CharField()
    label = serializers.CharField()
    rows = serializers.IntegerField()


class ErasureInputSerializer(StrictSerializer):
    """Whom to erase. Somebody else has to approve it."""

    profile = serializers.UUIDField()


class ErasureSerializer(serializers.ModelSerializer):
    """One erasure."""

    public_id = serializers.UUIDField(read_only=True)

    class Meta:
        model = Erasure
        fields = (
            "id", "public_id", "status", "requested_by", "approved_by", "requested_at", "due_at", "started_at",
            "done_at", "cancelled_at", "certificate", "certificate_hash",
        )  # fmt: skip
        read_only_fields = fields


class ProcessingEntrySerializer(serializers.Serializer):
    """One line of the register of processing."""

    category = serializers.CharField()
    model = serializers.CharField()
    field = serializers.CharField()
    model_label = serializers.CharField()
    field_label = serializers.CharField()
    purpose = serializers.CharField()
    basis = serializers.CharField()
    kept = serializers.CharField()
    survives = serializers.CharField()


class RetentionPlanSerializer(serializers.Serializer):
    """What a run would do to one month."""

    month = serializers.DateTimeField(source="month.start")
    action = serializers.ChoiceField(choices=("drop", "delete", "keep"))
    rows = serializers.IntegerField()
    size = serializers.IntegerField()
    kinds = serializers.ListField(child=serializers.ListField())
