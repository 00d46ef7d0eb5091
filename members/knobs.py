"""Knobs of members."""

from django.utils.translation import gettext_lazy as _

from crm.kernel import knobs

knobs.register(
    "members.thanks_points",
    type=int,
    default=50,
    minimum=0,
    maximum=100_000,
    unit=_("points"),
    label=_("Thank-you points"),
    help=_("Booked for whoever reported something, when it is fixed. 0 turns it off."),
)
