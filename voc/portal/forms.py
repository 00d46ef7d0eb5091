"""Forms of the portal. Errors are said beside the field and once more in a summary that takes the focus."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from crm.kernel import knobs
from crm.kernel.errors import DomainError
from voc.services import feedback, tickets


class AccessibleForm(forms.Form):
    """Ties hints and errors to their fields for screen readers."""

    required_css_class = "required"

    # A field no person sees; whatever fills it in is a program.
    website = forms.CharField(
        required=False, widget=forms.TextInput(attrs={"tabindex": "-1", "autocomplete": "off"})
    )

    hints: dict[str, Any] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, auto_id="%s", **kwargs)
        for name in self.fields:
            described = [f"{name}-hint"] if name in self.hints else []
            if self.is_bound and name in self.errors:
                described.insert(0, f"{name}-error")
                self.fields[name].widget.attrs["aria-invalid"] = "true"
            if described:
                self.fields[name].widget.attrs["aria-describedby"] = " ".join(described)
            self.fields[name].hint = self.hints.get(name, "")

    @property
    def is_trapped(self) -> bool:
        """Whether the hidden field was filled in."""
        return bool(self.cleaned_data.get("website"))

    def refuse(self, error: DomainError) -> None:
        """Show a service's refusal beside the field it is about."""
        name = error.field if error.field in self.fields else None
        self.add_error(name, str(error.message))
        if name:
            self.fields[name].widget.attrs["aria-invalid"] = "true"
            described = self.fields[name].widget.attrs.get("aria-describedby", "")
            self.fields[name].widget.attrs["aria-describedby"] = f"{name}-error {described}".strip()


def _credit(value: str) -> str:
    try:
        return tickets.credit(value)
    except DomainError as error:
        raise forms.ValidationError(str(error.message), code=error.code) from None


class FeedbackForm(AccessibleForm):
    """What the person has to say, and how to reach them if they like."""

    text = forms.CharField(
        label=_("What would you like to tell us?"),
        widget=forms.Textarea(attrs={"rows": 7}),
        error_messages={"required": _("Write something: the text is empty.")},
    )
    email = forms.EmailField(
        label=_("E-mail"),
        required=False,
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email", "inputmode": "email"}),
        error_messages={"invalid": _("Enter an e-mail address such as name@example.com, or leave it empty.")},
    )
    name = forms.CharField(
        label=_("Your name"),
        required=False,
        max_length=tickets.MAX_CREDIT_NAME,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    may_name = forms.BooleanField(label=_("You may thank me by name"), required=False)

    hints = {
        "text": _("What happened, what did you expect? Any language you like."),
        "email": _("Only to tell you what became of it. We ask you to confirm the address first."),
        "may_name": _("When it ships, your name stands in the public list of changes."),
    }

    def clean_text(self) -> str:
        """Within the limits of feedback."""
        try:
            return feedback.read_text(self.cleaned_data["text"])
        except DomainError as error:
            raise forms.ValidationError(str(error.message), code=error.code) from None

    def clean_name(self) -> str:
        """A name, not an address."""
        return _credit(self.cleaned_data["name"])

    def clean(self) -> dict[str, Any]:
        """To be thanked by name takes a name."""
        data = super().clean() or {}
        if data.get("may_name") and not data.get("name") and "name" not in self.errors:
            self.add_error("name", _("Write the name we may thank you by."))
        if data.get("may_name") and not data.get("email") and "email" not in self.errors:
            self.add_error("email", _("To be credited, leave an address: we ask it whether it was you."))
        return data

    @property
    def text_limit(self) -> int:
        """Shown with the field."""
        return knobs.get("voc.feedback_text_limit")


class FollowForm(AccessibleForm):
    """An address to tell."""

    email = forms.EmailField(
        label=_("E-mail"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email", "inputmode": "email"}),
        error_messages={
            "required": _("Enter an e-mail address."),
            "invalid": _("Enter an e-mail address such as name@example.com."),
        },
    )

    hints = {"email": _("One message when it ships. We ask you to confirm the address first.")}
