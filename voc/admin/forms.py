"""Forms of the staff pages."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth import get_user_model
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from unfold.widgets import (
    UnfoldAdminEmailInputWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from voc.states import STAFF_CHANNELS, FeedbackChannel, Severity, TicketKind


class EntryForm(forms.Form):
    """What somebody said on the phone, by mail or elsewhere, typed in by staff."""

    channel = forms.ChoiceField(label=_("How it reached us"), widget=UnfoldAdminSelectWidget)
    text = forms.CharField(
        label=_("What was said"),
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 6}),
        help_text=_("In the person's own words."),
    )
    name = forms.CharField(label=_("Name"), required=False, max_length=200, widget=UnfoldAdminTextInputWidget)
    email = forms.EmailField(label=_("E-mail"), required=False, widget=UnfoldAdminEmailInputWidget)
    phone = forms.CharField(
        label=_("Phone"), required=False, max_length=40, widget=UnfoldAdminTextInputWidget
    )
    reference = forms.CharField(
        label=_("Reference"),
        required=False,
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("Number of the call, address of the post."),
    )
    may_name = forms.BooleanField(
        label=_("May be credited by name in public"), required=False, widget=UnfoldBooleanWidget
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["channel"].choices = [(c.value, FeedbackChannel(c).label) for c in STAFF_CHANNELS]


class TicketForm(forms.Form):
    """A ticket's own words."""

    title = forms.CharField(label=_("Title"), max_length=200, widget=UnfoldAdminTextInputWidget)
    description = forms.CharField(
        label=_("Description"),
        required=False,
        max_length=20_000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
        help_text=_("For colleagues; the public page shows the title only."),
    )
    kind = forms.ChoiceField(label=_("Kind"), choices=TicketKind.choices, widget=UnfoldAdminSelectWidget)
    severity = forms.ChoiceField(
        label=_("Severity"), choices=Severity.choices, initial=Severity.NORMAL, widget=UnfoldAdminSelectWidget
    )
    theme = forms.CharField(
        label=pgettext_lazy("ticket", "Theme"),
        required=False,
        max_length=80,
        widget=UnfoldAdminTextInputWidget,
    )
    assignee = forms.TypedChoiceField(
        label=_("Assignee"), required=False, coerce=int, empty_value=None, widget=UnfoldAdminSelectWidget
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        users = get_user_model().objects.filter(is_staff=True, is_active=True).order_by("username")[:200]
        self.fields["assignee"].choices = [("", "–")] + [
            (user.pk, user.get_full_name() or user.get_username()) for user in users
        ]

    def values(self) -> dict[str, Any]:
        """The input as tickets.open() and tickets.edit() take it."""
        data = dict(self.cleaned_data)
        data["assignee_id"] = data.pop("assignee")
        return data


class ReleaseForm(forms.Form):
    """A release's own words."""

    title = forms.CharField(
        label=_("Title"),
        max_length=120,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("People read it in the message and in the changelog."),
    )
    notes = forms.CharField(
        label=_("Notes for the changelog"),
        required=False,
        max_length=20_000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
    )
