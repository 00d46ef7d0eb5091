"""What goes in and out of the API of voc. Input is strict; output lists its fields."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from crm.kernel import clock
from crm.kernel.api.serializers import LineField, StrictSerializer
from voc.models import Feedback, Release, ReleaseItem, Ticket, TicketEvent
from voc.selectors import clock as clock_reads
from voc.states import (
    FeedbackChannel,
    FollowerRole,
    ReleaseStatus,
    Severity,
    TicketEventKind,
    TicketKind,
    TicketStatus,
)

PERSON_HELP = "Who spoke. The identifiers find or make the person; leave all out for an anonymous voice."


class PersonInput(StrictSerializer):
    """The person behind a voice, as a trusted system knows them."""

    user_id = LineField(required=False, max_length=255)
    email = serializers.EmailField(required=False, max_length=254)
    phone = LineField(required=False, max_length=40)
    anonymous_id = LineField(required=False, max_length=255)
    name = LineField(required=False, max_length=200)


class FeedbackInput(StrictSerializer):
    """A voice to store."""

    # The true limit is a knob, and a longer text is answered 413.
    text = serializers.CharField(trim_whitespace=True)
    channel = serializers.ChoiceField(FeedbackChannel.choices, default=FeedbackChannel.API)
    person = PersonInput(required=False, help_text=PERSON_HELP)
    may_name = serializers.BooleanField(
        default=False, help_text="The person agreed to be credited in public."
    )
    credit_name = LineField(required=False, default="", allow_blank=True, max_length=40)
    reference = LineField(required=False, default="", allow_blank=True, max_length=200)


class PersonRefOutput(serializers.Serializer):
    """A person by public id."""

    id = serializers.UUIDField()
    name = serializers.CharField()


class FeedbackOutput(serializers.ModelSerializer):
    """A voice as stored."""

    ticket = serializers.IntegerField(source="ticket_id", allow_null=True, read_only=True)
    person = serializers.SerializerMethodField()

    class Meta:
        model = Feedback
        fields = [
            "id",
            "channel",
            "text",
            "person",
            "may_name",
            "credit_name",
            "reference",
            "status",
            "ticket",
            "reason",
            "created_by",
            "created_at",
            "decided_by",
            "decided_at",
        ]
        read_only_fields = fields

    @extend_schema_field(PersonRefOutput(allow_null=True))
    def get_person(self, row: Feedback) -> dict[str, str] | None:
        """The person, when known; `cards` comes with the context."""
        card = self.context.get("cards", {}).get(row.profile_id)
        return {"id": card.public_id, "name": card.name} if card else None


class AttachInput(StrictSerializer):
    """The ticket to attach to."""

    ticket = serializers.IntegerField(min_value=1, max_value=2**62)


class DismissInput(StrictSerializer):
    """Why nothing is to be done."""

    reason = LineField(required=False, default="", allow_blank=True, max_length=200)


class TicketFields(StrictSerializer):
    """What can be said about a ticket."""

    title = LineField(max_length=200)
    description = serializers.CharField(required=False, allow_blank=True, max_length=20_000)
    kind = serializers.ChoiceField(TicketKind.choices, required=False)
    severity = serializers.ChoiceField(Severity.choices, required=False)
    theme = LineField(required=False, allow_blank=True, max_length=80)
    assignee = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=2**31 - 1)


class TicketInput(TicketFields):
    """A ticket to open."""


class TicketChange(TicketFields):
    """Changes to a ticket; what is left out stays."""

    title = LineField(required=False, max_length=200)


class OpenFromFeedbackInput(TicketFields):
    """A ticket from a voice; the title is suggested from its first sentence."""

    title = LineField(required=False, allow_blank=True, default="", max_length=200)


class ClockOutput(serializers.Serializer):
    """The promise clock: `days` is negative when overdue, null when the clock stands."""

    text = serializers.CharField()
    days = serializers.IntegerField(allow_null=True)
    is_overdue = serializers.BooleanField()


class TicketOutput(serializers.ModelSerializer):
    """A ticket. Counts are over the ticket and everything merged into it."""

    number = serializers.IntegerField(source="pk", read_only=True)
    merged_into = serializers.IntegerField(source="merged_into_id", allow_null=True, read_only=True)
    assignee = serializers.IntegerField(source="assignee_id", allow_null=True, read_only=True)
    url = serializers.SerializerMethodField()
    clock = serializers.SerializerMethodField()
    follower_count = serializers.SerializerMethodField()
    voice_count = serializers.SerializerMethodField()

    class Meta:
        model = Ticket
        fields = [
            "id",
            "number",
            "url",
            "title",
            "description",
            "kind",
            "severity",
            "theme",
            "status",
            "assignee",
            "merged_into",
            "round",
            "first_voice_at",
            "due_at",
            "clock",
            "status_changed_at",
            "closed_at",
            "follower_count",
            "voice_count",
            "created_by",
            "created_at",
        ]
        read_only_fields = fields

    def get_url(self, row: Ticket) -> str:
        """The public page."""
        from django.conf import settings

        return f"{settings.BASE_URL}/t/{row.token}/"

    @extend_schema_field(ClockOutput)
    def get_clock(self, row: Ticket) -> dict[str, Any]:
        """The promise clock as of this answer."""
        read = clock_reads.read(row, now=clock.now())
        return {"text": read.text, "days": read.days, "is_overdue": read.is_overdue}

    def get_follower_count(self, row: Ticket) -> int:
        """People who will be told."""
        return getattr(row, "follower_count", 0)

    def get_voice_count(self, row: Ticket) -> int:
        """Feedback on the ticket."""
        return getattr(row, "voice_count", 0)


class MatchOutput(serializers.Serializer):
    """A similar open ticket; `score` is 0 to 1."""

    ticket = TicketOutput()
    score = serializers.FloatField()


class MoveInput(StrictSerializer):
    """The next status of a ticket."""

    to = serializers.ChoiceField(TicketStatus.choices)
    note = LineField(required=False, default="", allow_blank=True, max_length=500)


class TicketMergeInput(StrictSerializer):
    """The ticket that this one is a duplicate of."""

    into = serializers.IntegerField(min_value=1, max_value=2**62)
    note = LineField(required=False, default="", allow_blank=True, max_length=500)


class FollowInput(StrictSerializer):
    """Who is to be told, by public id or by identifiers, and why."""

    profile = serializers.UUIDField(required=False)
    person = PersonInput(required=False)
    role = serializers.ChoiceField(FollowerRole.choices, default=FollowerRole.ASKED)
    may_name = serializers.BooleanField(default=False)
    credit_name = LineField(required=False, default="", allow_blank=True, max_length=40)


class FollowerOutput(serializers.Serializer):
    """Somebody who will be told."""

    id = serializers.IntegerField()
    ticket = serializers.IntegerField(source="ticket_id")
    person = serializers.SerializerMethodField()
    role = serializers.ChoiceField(FollowerRole.choices)
    may_name = serializers.BooleanField()
    credit_name = serializers.CharField()
    created_at = serializers.DateTimeField()
    left_at = serializers.DateTimeField(allow_null=True)

    @extend_schema_field(PersonRefOutput(allow_null=True))
    def get_person(self, row: Any) -> dict[str, str] | None:
        """The person; `cards` comes with the context."""
        card = self.context.get("cards", {}).get(row.profile_id)
        return {"id": card.public_id, "name": card.name} if card else None


class TicketEventOutput(serializers.ModelSerializer):
    """One line of the history."""

    kind = serializers.ChoiceField(TicketEventKind.choices, read_only=True)

    class Meta:
        model = TicketEvent
        fields = ["id", "kind", "from_status", "to_status", "note", "data", "actor", "at"]
        read_only_fields = fields


class ReleaseInput(StrictSerializer):
    """A draft to start."""

    title = LineField(max_length=120)
    notes = serializers.CharField(required=False, default="", allow_blank=True, max_length=20_000)


class ReleaseChange(StrictSerializer):
    """Words to change; what is left out stays."""

    title = LineField(required=False, max_length=120)
    notes = serializers.CharField(required=False, allow_blank=True, max_length=20_000)


class ItemsInput(StrictSerializer):
    """Tickets to name in a draft."""

    tickets = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**62), min_length=1, max_length=200
    )
    note = LineField(required=False, default="", allow_blank=True, max_length=200)


class RemoveItemInput(StrictSerializer):
    """The ticket to take out."""

    ticket = serializers.IntegerField(min_value=1, max_value=2**62)


class WithdrawInput(StrictSerializer):
    """Why the release is withdrawn."""

    reason = LineField(max_length=200)


class ItemOutput(serializers.ModelSerializer):
    """One ticket of a release."""

    ticket = serializers.IntegerField(source="ticket_id", read_only=True)
    title = serializers.CharField(source="ticket.title", read_only=True)
    status = serializers.ChoiceField(TicketStatus.choices, source="ticket.status", read_only=True)

    class Meta:
        model = ReleaseItem
        fields = ["ticket", "title", "status", "note", "round"]
        read_only_fields = fields


class ReleaseOutput(serializers.ModelSerializer):
    """A release. `told_at` is set when everyone who asked has been claimed."""

    status = serializers.ChoiceField(ReleaseStatus.choices, read_only=True)
    items = ItemOutput(many=True, read_only=True)

    class Meta:
        model = Release
        fields = [
            "id",
            "title",
            "notes",
            "status",
            "items",
            "shipped_at",
            "withdrawn_at",
            "withdrawn_reason",
            "told_at",
            "created_by",
            "created_at",
        ]
        read_only_fields = fields


class ReasonOutput(serializers.Serializer):
    """How many were not told for one reason."""

    reason = serializers.CharField()
    label = serializers.CharField()
    people = serializers.IntegerField()


class ProgressOutput(serializers.Serializer):
    """Told means: the message has the decision `sent`. `people` = told + waiting + not_told."""

    people = serializers.IntegerField()
    told = serializers.IntegerField()
    waiting = serializers.IntegerField()
    not_told = serializers.IntegerField()
    reasons = ReasonOutput(many=True)


class UntoldOutput(serializers.Serializer):
    """Somebody who was not told (yet), and why."""

    person = PersonRefOutput()
    decision = serializers.CharField()
    reason = serializers.CharField()
    reason_label = serializers.CharField()
    decided_at = serializers.DateTimeField(allow_null=True)


class UntoldPageOutput(serializers.Serializer):
    """A page of people; `next_after` continues it, null at the end."""

    results = UntoldOutput(many=True)
    next_after = serializers.IntegerField(allow_null=True)


class ChangelogLineOutput(serializers.Serializer):
    """One fix."""

    title = serializers.CharField()
    note = serializers.CharField()
    kind = serializers.ChoiceField(TicketKind.choices)


class ChangelogOutput(serializers.Serializer):
    """One shipped release as the public reads it."""

    id = serializers.IntegerField()
    title = serializers.CharField()
    notes = serializers.CharField()
    shipped_at = serializers.DateTimeField()
    lines = ChangelogLineOutput(many=True)
    credits = serializers.ListField(child=serializers.CharField())
    more_credits = serializers.IntegerField()
