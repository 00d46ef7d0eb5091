"""The form of the preference page."""

from django import forms
from django.utils.translation import gettext_lazy as _

from crm.states import Purpose


class PreferenceForm(forms.Form):
    """One box per purpose."""

    service = forms.BooleanField(
        required=False,
        label=_("Answers to what I asked or reported"),
        help_text=_("For example: something I reported is fixed."),
    )
    care = forms.BooleanField(
        required=False, label=_("Greetings and kindnesses"), help_text=_("They never sell anything.")
    )
    survey = forms.BooleanField(
        required=False, label=_("Questions about how it went"), help_text=_("Short, and only now and then.")
    )
    marketing = forms.BooleanField(
        required=False, label=_("Offers"), help_text=_("Coupons and news about products.")
    )

    field_order = [Purpose.SERVICE, Purpose.CARE, Purpose.SURVEY, Purpose.MARKETING]
