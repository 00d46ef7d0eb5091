"""The form of an identity rule: lists one value a line."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from crm.kernel.errors import DomainError
from crm.models import IdentityRule
from crm.selectors import identity_rules
from crm.services import identity_rules as rule_services


class RuleForm(forms.Form):
    """What staff may set. `row` is the rule, None for a new one."""

    kind = forms.RegexField(r"^[A-Za-z][A-Za-z0-9_.\-]{0,59}$", label=_("kind"))
    priority = forms.IntegerField(
        label=_("priority"), min_value=1, max_value=1_000,
        help_text=_("1 is the strongest. When a limit would break, the weakest identifier is left out."),
    )  # fmt: skip
    limit = forms.IntegerField(
        label=_("limit"), min_value=1, max_value=10_000,
        help_text=_("How many identifiers of this kind one person may have."),
    )  # fmt: skip
    names_person = forms.BooleanField(
        label=_("names a person"), required=False,
        help_text=_("Off for identifiers of a device: a profile with only such identifiers is anonymous."),
    )  # fmt: skip
    blocked_values = forms.CharField(
        label=_("blocked values"), required=False, widget=forms.Textarea(attrs={"rows": 8}),
        help_text=_("One a line. Compared without regard to case."),
    )  # fmt: skip
    blocked_patterns = forms.CharField(
        label=_("blocked patterns"), required=False, widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("One a line. Regular expressions that must match the whole value."),
    )  # fmt: skip
    why = forms.CharField(
        label=_("why"), required=False, max_length=200, help_text=_("Kept beside the values you add.")
    )

    def __init__(self, *args: Any, row: IdentityRule | None, **kwargs: Any) -> None:
        initial: dict[str, Any] = {"priority": 50, "limit": 5, "names_person": True}
        if row is not None:
            initial = {
                "priority": row.priority,
                "limit": row.limit,
                "names_person": row.names_person,
                "blocked_values": "\n".join(row.blocked_values),
                "blocked_patterns": "\n".join(row.blocked_patterns),
            }
        super().__init__(*args, initial=initial, **kwargs)
        self.row = row
        if row is not None:
            del self.fields["kind"]

    @property
    def rule_kind(self) -> str:
        """The kind of the rule, or the one that was typed."""
        return self.row.kind if self.row is not None else str(self.cleaned_data["kind"])

    def clean_blocked_patterns(self) -> list[str]:
        """Patterns that can be used."""
        patterns = _lines(self.cleaned_data["blocked_patterns"])
        for pattern in patterns:
            try:
                rule_services.check_pattern(pattern)
            except DomainError as error:
                raise forms.ValidationError(str(error.message)) from None
        return patterns

    def clean_blocked_values(self) -> list[str]:
        """One value a line."""
        return _lines(self.cleaned_data["blocked_values"])

    def arguments(self) -> dict[str, Any]:
        """What the service takes."""
        return {name: value for name, value in self.cleaned_data.items() if name != "kind"}

    def effect(self, *, now: datetime) -> identity_rules.Effect:
        """What the rule as typed would meet among today's identifiers, beyond what it blocks already."""
        data = self.cleaned_data
        values = set(data["blocked_values"]) - set(self.row.blocked_values if self.row else ())
        patterns = [
            one for one in data["blocked_patterns"] if not self.row or one not in self.row.blocked_patterns
        ]
        return identity_rules.effect(
            self.rule_kind, limit=data["limit"], values=sorted(values),
            pattern="|".join(f"(?:{one})" for one in patterns), now=now,
        )  # fmt: skip


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
