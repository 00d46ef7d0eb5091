"""The numbers of lifecycle that staff may turn."""

from django.utils.translation import gettext_lazy as _

from crm.kernel import knobs

knobs.register(
    "lifecycle.sending_paused",
    type=bool,
    default=False,
    label=_("Sending is paused"),
    help=_(
        "While this is on, nothing is decided and nothing is sent; messages wait. Turn it on after a restore."
    ),
)
knobs.register(
    "lifecycle.default_language",
    type=str,
    default="en",
    choices=("en", "zh-hans"),
    label=_("Language of messages"),
    help=_("Used for people whose own language is unknown."),
)
knobs.register(
    "lifecycle.organisation_name",
    type=str,
    default="Renxin",
    label=_("Name of the organisation"),
    help=_("How messages sign, where a template says so."),
)
knobs.register(
    "lifecycle.send_tasks",
    type=int,
    default=1,
    minimum=1,
    maximum=32,
    unit=_("tasks"),
    label=_("Sending tasks at once"),
    help=_("How many tasks send a large number of messages side by side; the other workers stay free."),
)
knobs.register(
    "lifecycle.connections_per_task",
    type=int,
    default=4,
    minimum=1,
    maximum=16,
    unit=_("connections"),
    label=_("Connections of a sending task"),
    help=_(
        "Each sending task opens so many connections to the mail server and has one e-mail under way on each. Should "
        "a worker be killed, that many e-mails of it are in doubt at most."
    ),
)
knobs.register(
    "lifecycle.service_waits_for_morning",
    type=bool,
    default=True,
    label=_("Service messages respect quiet hours"),
    help=_("Off: messages such as “your report is fixed” go out at any hour. Transactional ones always do."),
)
knobs.register(
    "lifecycle.lease_seconds",
    type=int,
    default=90,
    minimum=3,
    maximum=3600,
    unit=_("seconds"),
    label=_("Lease of a sending task"),
    help=_(
        "What a sending task that died was holding is taken up by another one after this long. Longer than handing "
        "over one e-mail ever takes."
    ),
)
knobs.register(
    "lifecycle.give_up_hours",
    type=int,
    default=72,
    minimum=1,
    maximum=720,
    unit=_("hours"),
    label=_("Trying to deliver for"),
    help=_("An e-mail that the mail server keeps refusing for the time being is given up after this long."),
)
knobs.register(
    "lifecycle.link_days",
    type=int,
    default=180,
    minimum=1,
    maximum=3650,
    unit=_("days"),
    label=_("Personal links stay valid"),
    help=_("Links to the own inbox. Unsubscribe links do not expire."),
)
knobs.register(
    "lifecycle.confirm_hours",
    type=int,
    default=72,
    minimum=1,
    maximum=720,
    unit=_("hours"),
    label=_("Confirmation links stay valid"),
    help=_("For the link by which somebody confirms that an address is theirs."),
)
knobs.register(
    "lifecycle.journey_stale_hours",
    type=int,
    default=24,
    minimum=1,
    maximum=8760,
    unit=_("hours"),
    label=_("A journey's next step may be late by"),
    help=_(
        "A person whose next step is later than this, because the journey was paused, leaves it silently."
    ),
)

knobs.register(
    "lifecycle.sign_ups_per_hour", type=int, default=20, minimum=1, maximum=10000, unit=_("sign-ups"),
    label=_("Sign-ups per network and hour"),
    help=_("More than this many sign-ups from one network within an hour are refused."),
)  # fmt: skip
