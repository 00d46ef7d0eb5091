"""What goes in and out of the points API."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from crm.kernel.api.serializers import LineField, StrictSerializer
from crm.kernel.errors import DomainError
from members.models import PointsAccount, PointsEntry
from members.services import points
from members.states import CREDIT_KINDS, DEBIT_KINDS


@extend_schema_field({"type": "integer", "minimum": 1, "maximum": points.MOST})
class AmountField(serializers.Field):
    """A whole number of points; anything else is `invalid_amount`, strings and fractions too."""

    def to_internal_value(self, data: object) -> int:
        """The amount."""
        try:
            return points.read_amount(data)
        except DomainError as error:
            raise serializers.ValidationError(str(error.message), code=error.code) from None

    def to_representation(self, value: int) -> int:
        """As it is."""
        return value


class CreditInput(StrictSerializer):
    """Points to book for a person."""

    profile = serializers.UUIDField(help_text="Public id of the person.")
    amount = AmountField()
    key = LineField(max_length=180, help_text="One movement per key, for ever: an order number, say.")
    kind = serializers.ChoiceField([(kind.value, kind.label) for kind in CREDIT_KINDS], default="granted")
    note = LineField(required=False, default="", allow_blank=True, max_length=200)
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)


class DebitInput(StrictSerializer):
    """Points to take from a person."""

    profile = serializers.UUIDField(help_text="Public id of the person.")
    amount = AmountField()
    key = LineField(max_length=180, help_text="One movement per key, for ever: a redemption number, say.")
    kind = serializers.ChoiceField([(kind.value, kind.label) for kind in DEBIT_KINDS], default="spent")
    note = LineField(required=False, default="", allow_blank=True, max_length=200)


class AccountOutput(serializers.ModelSerializer):
    """What one person holds."""

    profile = serializers.UUIDField(source="profile.public_id", read_only=True)

    class Meta:
        model = PointsAccount
        fields = ["id", "profile", "balance", "created_at"]
        read_only_fields = fields


class EntryOutput(serializers.ModelSerializer):
    """One movement; negative amounts are debits."""

    account = serializers.IntegerField(source="account_id", read_only=True)
    profile = serializers.UUIDField(source="account.profile.public_id", read_only=True)
    key = serializers.CharField(source="idempotency_key", read_only=True)

    class Meta:
        model = PointsEntry
        fields = [
            "id",
            "account",
            "profile",
            "kind",
            "amount",
            "missing",
            "balance_after",
            "key",
            "note",
            "expires_at",
            "actor",
            "created_at",
        ]
        read_only_fields = fields
