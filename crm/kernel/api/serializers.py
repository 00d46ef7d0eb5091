"""Serializers that refuse what they do not know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail


class LineField(serializers.CharField):
    """One line of text: names, titles, subjects. CR and LF are refused, not stripped."""

    default_error_messages = {"invalid_character": _("This is one line: line breaks are not allowed.")}

    def to_internal_value(self, data: Any) -> str:
        """The text, or a fault `invalid_character`."""
        value = super().to_internal_value(data)
        if any(character in value for character in "\r\n\u2028\u2029\x85"):
            self.fail("invalid_character")
        return value


class _Strict(serializers.Serializer):
    def to_internal_value(self, data: Any) -> Any:
        """As the base class, after refusing unknown fields."""
        if isinstance(data, Mapping):
            known = {name for name, field in self.fields.items() if not field.read_only}
            unknown = sorted(set(data) - known - {"csrfmiddlewaretoken"})
            if unknown:
                allowed = ", ".join(sorted(known)) or "–"
                raise serializers.ValidationError(
                    {
                        name: ErrorDetail(
                            _("Unknown field. Allowed: %(allowed)s.") % {"allowed": allowed},
                            code="unknown_field",
                        )
                        for name in unknown[:20]
                    }
                )
        return super().to_internal_value(data)


class StrictSerializer(_Strict):
    """A serializer for input: an unknown or read-only field is a 400 `unknown_field`."""


class StrictModelSerializer(_Strict, serializers.ModelSerializer):
    """The same over a model; fields are always listed, never `__all__`."""
