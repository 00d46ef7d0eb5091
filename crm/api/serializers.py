"""What the REST API of crm takes and gives. Input is strict; output lists its fields."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from crm.api import derived
from crm.kernel.api.serializers import LineField, StrictSerializer
from crm.models import ConsentRecord, MergeRecord, MergeSuggestion, Profile
from crm.services.merges import FIELDS
from crm.states import Channel, ConsentWay, Language, Purpose


class ProfileSerializer(serializers.ModelSerializer):
    """A person in a list."""

    id = serializers.UUIDField(source="public_id", read_only=True)
    found_by = serializers.SerializerMethodField()

    class Meta:
        model = Profile
        fields = (
            "id", "found_by", "display_name", "family_name", "given_name", "language", "time_zone", "birthday",
            "birthday_is_lunar", "country", "region", "first_seen_at", "last_seen_at", "created_at",
        )  # fmt: skip
        read_only_fields = fields

    def get_found_by(self, row: Profile) -> list[str]:
        """With `search`, what it was found by: `name`, `pinyin`, `email`, `email_domain`, `phone`, …"""
        hits = self.context.get("hits") or {}
        return list(hits[row.pk].reasons) if row.pk in hits else []


class IdentitySerializer(serializers.Serializer):
    """One identifier."""

    kind = serializers.CharField()
    value = serializers.CharField()
    verified_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()


class ContactPointSerializer(serializers.Serializer):
    """One address."""

    channel = serializers.ChoiceField(choices=Channel.choices)
    value = serializers.CharField()
    origin = serializers.CharField()
    is_primary = serializers.BooleanField()
    verified_at = serializers.DateTimeField(allow_null=True)
    bounced_at = serializers.DateTimeField(allow_null=True)


class ProfileDetailSerializer(derived.DerivedSerializer, ProfileSerializer):
    """A person with everything the card on the customer page shows, and what is derived about them."""

    identities = IdentitySerializer(many=True, read_only=True)
    contact_points = ContactPointSerializer(many=True, read_only=True)

    class Meta(ProfileSerializer.Meta):
        fields = (
            *ProfileSerializer.Meta.fields, "traits", "value_sources", "identities", "contact_points", *derived.FIELDS,
        )  # fmt: skip
        read_only_fields = fields


class ProfileChangeSerializer(StrictSerializer):
    """Values to set. What is left out stays."""

    display_name = LineField(max_length=200, required=False)
    family_name = LineField(max_length=100, required=False)
    given_name = LineField(max_length=100, required=False)
    language = serializers.ChoiceField(choices=[c for c in Language.choices if c[0]], required=False)
    time_zone = LineField(max_length=64, required=False)
    birthday = serializers.DateField(required=False)
    birthday_is_lunar = serializers.BooleanField(required=False)
    country = serializers.RegexField(r"^[A-Z]{2}$", required=False)
    region = LineField(max_length=80, required=False)

    def validate_time_zone(self, value: str) -> str:
        """Only names of the IANA list."""
        from zoneinfo import available_timezones

        if value not in available_timezones():
            raise serializers.ValidationError("unknown time zone", code="invalid_choice")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """At least one value."""
        if not attrs:
            raise serializers.ValidationError("nothing to change", code="empty")
        return attrs


class TimelineItemSerializer(serializers.Serializer):
    """One touchpoint."""

    id = serializers.UUIDField()
    kind = serializers.CharField()
    label = serializers.SerializerMethodField()
    occurred_at = serializers.DateTimeField()
    received_at = serializers.DateTimeField()
    channel = serializers.CharField()
    source = serializers.IntegerField(source="source_id", allow_null=True)
    stage = serializers.CharField()
    properties = serializers.DictField()

    def get_label(self, item: Any) -> str:
        """The kind in the reader's language."""
        return str(item.label)


class TimelinePageSerializer(serializers.Serializer):
    """A page of a timeline; `next` is the value of `before` for the page after it."""

    next = serializers.CharField(allow_null=True)
    results = TimelineItemSerializer(many=True)


class ConsentSerializer(serializers.ModelSerializer):
    """A consent decision."""

    class Meta:
        model = ConsentRecord
        fields = ("id", "purpose", "channel", "granted", "way", "text_version", "occurred_at")
        read_only_fields = fields


class ConsentInputSerializer(StrictSerializer):
    """A decision to write down."""

    purpose = serializers.ChoiceField(choices=Purpose.choices)
    channel = serializers.ChoiceField(choices=Channel.choices)
    granted = serializers.BooleanField()
    way = serializers.ChoiceField(choices=ConsentWay.choices, default=ConsentWay.API)
    text_version = LineField(max_length=80, required=False, default="", allow_blank=True)
    evidence = serializers.DictField(required=False, default=dict)


class MergeInputSerializer(StrictSerializer):
    """Who is merged into the person of the URL, and per field whose value stays."""

    other = serializers.UUIDField(help_text="Public id of the person who is merged away.")
    choices = serializers.DictField(
        child=serializers.ChoiceField(choices=["winner", "loser"]),
        required=False,
        default=dict,
        help_text=f"Per field `winner` or `loser`. Fields: {', '.join(FIELDS)}, and `traits.<name>`.",
    )


class FieldPreviewSerializer(serializers.Serializer):
    """One value of a merge preview."""

    name = serializers.CharField()
    winner = serializers.JSONField(allow_null=True)
    loser = serializers.JSONField(allow_null=True)
    choice = serializers.ChoiceField(choices=["winner", "loser"])
    winner_source = serializers.DictField(
        help_text="Who gave it (`by`), how far they are believed, and when (`at`)."
    )
    loser_source = serializers.DictField()


class MergeSerializer(serializers.ModelSerializer):
    """A merge."""

    winner = serializers.UUIDField(source="winner.public_id", read_only=True)
    loser = serializers.UUIDField(source="loser.public_id", read_only=True)

    class Meta:
        model = MergeRecord
        fields = ("id", "winner", "loser", "cause", "actor", "created_at", "undone_at", "undone_by")
        read_only_fields = fields


class MergeSuggestionSerializer(serializers.ModelSerializer):
    """Two people who may be one."""

    first = serializers.UUIDField(source="first.public_id", read_only=True)
    second = serializers.UUIDField(source="second.public_id", read_only=True)
    evidence = serializers.SerializerMethodField()

    class Meta:
        model = MergeSuggestion
        fields = (
            "id", "first", "second", "score", "evidence", "reason", "status", "created_at", "decided_at",
            "decided_by",
        )  # fmt: skip
        read_only_fields = fields

    def get_evidence(self, row: MergeSuggestion) -> list[str]:
        """The codes of what speaks for it."""
        return sorted({str(entry.get("code")) for entry in row.evidence if isinstance(entry, dict)})


class SuggestionAcceptSerializer(StrictSerializer):
    """How to merge a suggested pair: who stays, and per field whose value."""

    swap = serializers.BooleanField(required=False, default=False, help_text="The second person stays.")
    choices = serializers.DictField(
        child=serializers.ChoiceField(choices=["winner", "loser"]), required=False, default=dict
    )


class KnobSerializer(serializers.Serializer):
    """A number of the product that staff may turn."""

    name = serializers.CharField()
    type = serializers.CharField()
    value = serializers.JSONField()
    default = serializers.JSONField()
    minimum = serializers.JSONField(allow_null=True)
    maximum = serializers.JSONField(allow_null=True)
    unit = serializers.CharField(allow_blank=True)
    label = serializers.CharField()
    help = serializers.CharField(allow_blank=True)


class KnobInputSerializer(StrictSerializer):
    """The value to set."""

    value = serializers.JSONField()
