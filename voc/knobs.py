"""Knobs of voc."""

from django.utils.translation import gettext_lazy as _

from crm.kernel import knobs

knobs.register(
    "voc.promise_days",
    type=int,
    default=7,
    minimum=1,
    maximum=90,
    unit=_("days"),
    label=_("Promise"),
    help=_("Days from the first voice to the fix. Applies to tickets opened or reopened from now on."),
)
knobs.register(
    "voc.due_soon_days",
    type=int,
    default=2,
    minimum=0,
    maximum=30,
    unit=_("days"),
    label=_("Due soon"),
    help=_("A ticket with this many days left, or fewer, is marked."),
)
knobs.register(
    "voc.feedback_text_limit",
    type=int,
    default=5000,
    minimum=100,
    maximum=20000,
    unit=_("characters"),
    label=_("Longest feedback"),
)
knobs.register(
    "voc.submissions_per_hour",
    type=int,
    default=20000,
    minimum=10,
    maximum=1000000,
    label=_("Portal submissions per network address and hour"),
    help=_("Protects the inbox from a flood. Many people may share one address."),
)
knobs.register(
    "voc.confirmations_per_day",
    type=int,
    default=3,
    minimum=1,
    maximum=20,
    label=_("Confirmation mails per address and day"),
    help=_("Feedback beyond it is kept; only no further mail is sent to the same address."),
)
knobs.register(
    "voc.similarity",
    type=str,
    default="overlap",
    label=_("Similar tickets"),
    help=_("Name of the engine that suggests similar tickets."),
)
