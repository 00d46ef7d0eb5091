"""The numbers of crm that staff may turn."""

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from crm.kernel import knobs

PRESSURE_POINTS = pgettext_lazy("contact pressure", "points")

knobs.register(
    "crm.phone_region", type=str, default="CN", label=_("Region of phone numbers"),
    help=_("Two letters. A phone number without a country code is read as a number of this region."),
)  # fmt: skip
knobs.register(
    "crm.time_zone", type=str, default="Asia/Shanghai", label=_("Time zone of the organisation"),
    help=_("Used for people whose own time zone is unknown, for example Asia/Shanghai."),
)  # fmt: skip
knobs.register(
    "crm.first_month", type=str, default="1990-01", label=_("First month of history"),
    help=_("Events dated before this month (YYYY-MM) are stored with the time they arrived, and a warning."),
)  # fmt: skip
knobs.register(
    "crm.future_days", type=int, default=2, minimum=0, maximum=30, unit=_("days"), label=_("Future tolerance"),
    help=_("Events dated further ahead than this are stored with the time they arrived, and a warning."),
)  # fmt: skip
knobs.register(
    "crm.quiet_hours_start", type=int, default=21, minimum=0, maximum=23, unit=_("hour"), label=_("Quiet hours begin"),
    help=_("Local hour of the person from which nothing but transactional messages is sent."),
)  # fmt: skip
knobs.register(
    "crm.quiet_hours_end", type=int, default=9, minimum=0, maximum=23, unit=_("hour"), label=_("Quiet hours end"),
    help=_("Local hour from which sending goes on. The same hour as the beginning means no quiet hours."),
)  # fmt: skip
knobs.register(
    "crm.pressure_window_hours", type=int, default=24, minimum=1, maximum=720, unit=_("hours"),
    label=_("Contact pressure window"), help=_("The budget of contact pressure is counted over this many hours."),
)  # fmt: skip
knobs.register(
    "crm.pressure_budget", type=int, default=12, minimum=0, maximum=1000, unit=PRESSURE_POINTS,
    label=_("Contact pressure budget"),
    help=_("Points that all messages to one person may take within the window."),
)  # fmt: skip
knobs.register(
    "crm.pressure_marketing_cap", type=int, default=3, minimum=0, maximum=100, unit=_("messages"),
    label=_("Marketing messages within the window"),
    help=_("At most this many marketing messages to one person within the contact pressure window."),
)  # fmt: skip
knobs.register(
    "crm.pressure_weight_marketing", type=int, default=4, minimum=0, maximum=100, unit=PRESSURE_POINTS,
    label=_("Weight of a marketing message"), help=_("Points one marketing message takes from the budget."),
)  # fmt: skip
knobs.register(
    "crm.pressure_weight_service", type=int, default=1, minimum=0, maximum=100, unit=PRESSURE_POINTS,
    label=_("Weight of a service message"),
    help=_("Points one service message takes. Service messages are counted, and never refused."),
)  # fmt: skip
knobs.register(
    "crm.pressure_weight_care", type=int, default=1, minimum=0, maximum=100, unit=PRESSURE_POINTS,
    label=_("Weight of a care message"), help=_("Points one care message takes from the budget."),
)  # fmt: skip
knobs.register(
    "crm.timeline_window_days", type=int, default=730, minimum=7, maximum=3660, unit=_("days"),
    label=_("Timeline window"), help=_("Timelines are read newest first in windows of this many days."),
)  # fmt: skip
