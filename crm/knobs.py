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
    "crm.currency", type=str, default="CNY", label=_("Currency of the organisation"),
    help=_("Three letters of ISO 4217. Amounts that came without a currency are in this one."),
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
    "crm.stage_days", type=int, default=365, minimum=1, maximum=3660, unit=_("days"), label=_("Stage of a person"),
    help=_("A person is in the stage of their newest touchpoint that has one, unless it is older than this."),
)  # fmt: skip
knobs.register(
    "crm.group_most", type=int, default=64, minimum=1, maximum=500, unit=_("events"),
    label=_("Events in one group commit"),
    help=_("Single events that arrive at the same time are stored in one transaction, at most this many. 1 turns "
           "grouping off."),
)  # fmt: skip
knobs.register(
    "crm.group_wait_ms", type=int, default=5, minimum=0, maximum=50, unit=_("ms"),
    label=_("Longest wait for a group commit"),
    help=_("How long the first event of a group waits for others while many arrive. An event that is alone never "
           "waits."),
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
    "crm.order_kind", type=str, default="Order Completed", label=_("Kind of touchpoint that is an order"),
    help=_("Recency, frequency and monetary value (RFM) and repurchase are computed from these touchpoints."),
)  # fmt: skip
knobs.register(
    "crm.order_amount", type=str, default="revenue, total", label=_("Property with the amount of an order"),
    help=_(
        "The first of these properties that an order has, separated by commas. Amounts in another currency than the"
        " organisation's are not counted."
    ),
)  # fmt: skip
knobs.register(
    "crm.computed_most", type=int, default=50, minimum=1, maximum=500, label=_("Active computed traits"),
    help=_("At most this many computed traits follow events at the same time."),
)  # fmt: skip
knobs.register(
    "crm.computed_chunk_people", type=int, default=10_000, minimum=1, maximum=100_000, unit=_("people"),
    label=_("People per step of a pass"),
    help=_("A pass over everybody goes on in steps of this many people; it can be cancelled between two."),
)  # fmt: skip
knobs.register(
    "crm.timeline_window_days", type=int, default=730, minimum=7, maximum=3660, unit=_("days"),
    label=_("Timeline window"), help=_("Timelines are read newest first in windows of this many days."),
)  # fmt: skip

knobs.register(
    "crm.pressure_weight_survey", type=int, default=3, minimum=0, maximum=100, unit=PRESSURE_POINTS,
    label=_("Weight of a survey"), help=_("Points one survey takes from the budget, wherever it is shown."),
)  # fmt: skip
knobs.register(
    "crm.pressure_weight_popup", type=int, default=2, minimum=0, maximum=100, unit=PRESSURE_POINTS,
    label=_("Weight of a pop-up"), help=_("Points one pop-up takes from the budget."),
)  # fmt: skip
knobs.register(
    "crm.pressure_fewer_percent", type=int, default=50, minimum=1, maximum=100, unit="%",
    label=_("Budget of people who want fewer messages"),
    help=_("Share of the budget and of the cap that is used for them; at least one marketing message stays."),
)  # fmt: skip
knobs.register(
    "crm.pressure_least_percent", type=int, default=10, minimum=0, maximum=100, unit="%",
    label=_("Budget of people who want only the most important"),
    help=_("Share of the budget that is used for them. No marketing is sent to them."),
)  # fmt: skip
knobs.register(
    "crm.pause_days", type=int, default=30, minimum=1, maximum=365, unit=_("days"), label=_("Length of a pause"),
    help=_("Somebody who presses pause gets nothing but transactional messages for this long."),
)  # fmt: skip
knobs.register(
    "crm.reservation_minutes", type=int, default=15, minimum=1, maximum=1440, unit=_("minutes"),
    label=_("Reservation of contact pressure"),
    help=_("What an outside sender reserved and neither showed nor gave back is given back after this long."),
)  # fmt: skip
knobs.register(
    "crm.opt_in_hours", type=int, default=72, minimum=1, maximum=720, unit=_("hours"),
    label=_("Time to confirm a subscription"), help=_("After this long the link asks to sign up again."),
)  # fmt: skip
knobs.register(
    "crm.opt_in_mails", type=int, default=3, minimum=1, maximum=20, unit=_("messages"),
    label=_("Confirmation mails per address and month"),
    help=_("However often somebody signs an address up: no more than one a day, and this many in 30 days."),
)  # fmt: skip
knobs.register(
    "crm.export_hours", type=int, default=24, minimum=1, maximum=168, unit=_("hours"),
    label=_("Life of a personal export"), help=_("The file is deleted after this long."),
)  # fmt: skip
knobs.register(
    "crm.erasure_grace_days", type=int, default=7, minimum=0, maximum=28, unit=_("days"),
    label=_("Grace period of an erasure that a person asked for"),
    help=_("They can change their mind this long; nothing is sent to them meanwhile. The law allows a month."),
)  # fmt: skip
knobs.register(
    "crm.retention_days", type=int, default=0, minimum=0, maximum=36500, unit=_("days"),
    label=_("Retention of touchpoints"),
    help=_("Touchpoints of kinds without a retention of their own are deleted after this long. 0 keeps them."),
)  # fmt: skip
knobs.register(
    "crm.retention_from_hour", type=int, default=1, minimum=0, maximum=23, unit=_("hour"),
    label=_("Retention begins"), help=_("Hour in the organisation's zone from which old touchpoints are deleted."),
)  # fmt: skip
knobs.register(
    "crm.retention_until_hour", type=int, default=6, minimum=0, maximum=23, unit=_("hour"),
    label=_("Retention ends"), help=_("Hour until which they are deleted; what is left waits for the next night."),
)  # fmt: skip

knobs.register(
    "crm.source_rate", type=int, default=50_000, minimum=1, maximum=1_000_000, unit=_("events per second"),
    label=_("Limit of a source"),
    help=_(
        "A source without a limit of its own may send this many events per second on average. Beyond it the door"
        " answers 429 and says when to send again."
    ),
)  # fmt: skip
knobs.register(
    "crm.source_burst", type=int, default=500_000, minimum=1, maximum=10_000_000, unit=_("events"),
    label=_("Burst of a source"),
    help=_("So many events may come at once before the limit of a source is felt."),
)  # fmt: skip
knobs.register(
    "crm.source_share", type=int, default=75, minimum=10, maximum=100, unit="%",
    label=_("Share of one source while others send"),
    help=_(
        "While several sources send, one of them may hold at most this share of the requests a web process works on"
        " at once; a flood of one leaves room for the others. A source that is alone may use all. 100 turns it off."
    ),
)  # fmt: skip
knobs.register(
    "crm.most_kinds", type=int, default=2_000, minimum=100, maximum=20_000, label=_("Kinds in the catalogue"),
    help=_("New kinds of events enter the catalogue up to this number. Events of further kinds are stored as well."),
)  # fmt: skip
knobs.register(
    "crm.import_max_mb", type=int, default=500, minimum=1, maximum=4000, unit=_("MB"), label=_("Largest list"),
    help=_("A list that is uploaded has at most this size."),
)  # fmt: skip
knobs.register(
    "crm.import_chunk_rows", type=int, default=4000, minimum=100, maximum=20000, unit=_("rows"),
    label=_("Rows per step of an import"),
    help=_("So many rows are written in one transaction. People of those rows wait for each other that long."),
)  # fmt: skip
knobs.register(
    "crm.import_lease_seconds", type=int, default=60, minimum=3, maximum=3600, unit=_("seconds"),
    label=_("Lease of an import"),
    help=_("An import whose worker died is taken up by another one after this long."),
)  # fmt: skip
knobs.register(
    "crm.import_file_days", type=int, default=7, minimum=1, maximum=90, unit=_("days"), label=_("Lists are kept"),
    help=_("The file of an import, and the values it names as rejected, are removed this long after its end."),
)  # fmt: skip
knobs.register(
    "crm.suggestions_per_pass", type=int, default=1000, minimum=10, maximum=20_000, unit=_("pairs"),
    label=_("Merge suggestions per pass"),
    help=_("At most this many pairs of people are suggested by one search for people who may be one."),
)  # fmt: skip
knobs.register(
    "crm.suggestion_least_score", type=int, default=40, minimum=1, maximum=99, unit=_("points of 99"),
    label=_("Least score of a merge suggestion"),
    help=_("Pairs of people with less evidence than this are not suggested."),
)  # fmt: skip

knobs.register(
    "crm.segment_pass_hour", type=int, default=3, minimum=0, maximum=23, unit=_("hour"),
    label=_("Nightly check of segments"),
    help=_("Hour in the organisation's zone from which every segment is set against its rule, once a day."),
)  # fmt: skip
knobs.register(
    "crm.segment_work_mem", type=int, default=128, minimum=4, maximum=4096, unit=_("MB"),
    label=_("Memory of a segment pass"),
    help=_("Room for sorting and hashing while a rule is asked about everybody. One pass runs at a time."),
)  # fmt: skip
knobs.register(
    "crm.segment_preview_seconds", type=int, default=3, minimum=1, maximum=60, unit=_("seconds"),
    label=_("Time for the preview of a segment"),
    help=_("If counting takes longer, the number is estimated from a sample of people, and the page says so."),
)  # fmt: skip
knobs.register(
    "crm.export_rows", type=int, default=100_000, minimum=1, maximum=5_000_000, unit=_("rows"),
    label=_("Rows of an export"), help=_("A file has at most this many rows; a longer list is cut, and says so."),
)  # fmt: skip
knobs.register(
    "crm.export_file_hours", type=int, default=24, minimum=1, maximum=24, unit=_("hours"),
    label=_("Life of an exported list"), help=_("The file can be fetched by who asked for it, and is deleted after."),
)  # fmt: skip
