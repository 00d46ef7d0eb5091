"""Words of lifecycle that are stored in rows, and which may follow which. Pure Python, imported by everybody."""

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class Decision(models.TextChoices):
    """What became of one message to one person."""

    QUEUED = "queued", _("Waiting")
    HELD = "held", _("Held")
    SENT = "sent", _("Sent")
    DROPPED = "dropped", _("Not sent")
    FAILED = "failed", _("Failed")


OPEN_DECISIONS = (Decision.QUEUED, Decision.HELD)

DECISION_TRANSITIONS: dict[str, tuple[str, ...]] = {
    Decision.QUEUED: (Decision.HELD, Decision.SENT, Decision.DROPPED, Decision.FAILED),
    Decision.HELD: (Decision.QUEUED, Decision.HELD, Decision.SENT, Decision.DROPPED, Decision.FAILED),
    # An accepted message may still come back: the address does not exist, or its fate stays unknown.
    Decision.SENT: (Decision.FAILED,),
    Decision.DROPPED: (),
    # Staff may give a failed message another try.
    Decision.FAILED: (Decision.QUEUED,),
}


class Reason(models.TextChoices):
    """Why a message was held, dropped or failed; empty when it went out."""

    NONE = "", "–"
    QUIET_HOURS = "quiet_hours", _("Quiet hours where the person lives")
    TEMPLATE_ERROR = "template_error", _("The template needs a value that is missing")
    NO_ADDRESS = "no_address", _("No address we may write to")
    NO_CONSENT = "no_consent", _("The person has not agreed to this kind of message")
    UNSUBSCRIBED = "unsubscribed", _("Unsubscribed")
    SUPPRESSED = "suppressed", _("This address must not be written to")
    PAUSED = "paused", _("The person asked for a pause")
    FREQUENCY_CAP = "frequency_cap", _("Enough messages for now (contact pressure)")
    ERASED = "erased", _("The person's data was erased")
    DUPLICATE = "duplicate", _("Already sent to the same person under another profile")
    HOLDOUT = "holdout", _("In the comparison group that gets nothing")
    CONVERTED = "converted", _("The goal was met before")
    CANCELLED = "cancelled", _("Cancelled")
    EXPIRED = "expired", _("Too late to be of use")
    UNKNOWN_KIND = "unknown_kind", _("No such kind of message is installed")
    BOUNCED = "bounced", _("The address does not exist")
    REFUSED = "refused", _("Refused by the mail server")
    GAVE_UP = "gave_up", _("The mail server could not be reached for too long")
    UNKNOWN_FATE = "unknown_fate", _("It may or may not have arrived; it is not sent again")
    TOO_MANY_CLAIMS = "too_many_claims", _("Sending was interrupted too many times")


class DeliveryStatus(models.TextChoices):
    """One channel of one message."""

    QUEUED = "queued", _("Waiting for another try")
    CLAIMED = "claimed", _("In a run that is sending")
    SENT = "sent", _("Handed over")
    FAILED = "failed", _("Failed")
    UNKNOWN = "unknown", _("Fate unknown")


DELIVERY_TRANSITIONS: dict[str, tuple[str, ...]] = {
    DeliveryStatus.QUEUED: (DeliveryStatus.CLAIMED, DeliveryStatus.FAILED),
    DeliveryStatus.CLAIMED: (
        DeliveryStatus.SENT,
        DeliveryStatus.FAILED,
        DeliveryStatus.UNKNOWN,
        DeliveryStatus.QUEUED,
    ),
    DeliveryStatus.SENT: (),
    DeliveryStatus.FAILED: (DeliveryStatus.QUEUED,),
    DeliveryStatus.UNKNOWN: (),
}


class JourneyStatus(models.TextChoices):
    """Whether a journey takes people in and moves them on."""

    DRAFT = "draft", _("Draft")
    ACTIVE = "active", pgettext_lazy("journey", "Active")
    PAUSED = "paused", _("Paused")
    ARCHIVED = "archived", _("Archived")


JOURNEY_TRANSITIONS: dict[str, tuple[str, ...]] = {
    JourneyStatus.DRAFT: (JourneyStatus.ACTIVE, JourneyStatus.ARCHIVED),
    JourneyStatus.ACTIVE: (JourneyStatus.PAUSED, JourneyStatus.ARCHIVED),
    JourneyStatus.PAUSED: (JourneyStatus.ACTIVE, JourneyStatus.ARCHIVED),
    JourneyStatus.ARCHIVED: (),
}


class EnrolmentStatus(models.TextChoices):
    """Where one person is in one journey."""

    WAITING = "waiting", _("On the way")
    CONVERTED = "converted", _("Goal met")
    EXITED = "exited", _("Left early")
    FINISHED = "finished", _("Reached the end")
    FAILED = "failed", _("Failed")


ENROLMENT_TRANSITIONS: dict[str, tuple[str, ...]] = {
    EnrolmentStatus.WAITING: (
        EnrolmentStatus.CONVERTED,
        EnrolmentStatus.EXITED,
        EnrolmentStatus.FINISHED,
        EnrolmentStatus.FAILED,
    ),
    # Counted when the goal is met inside the journey's window, also after its last step.
    EnrolmentStatus.FINISHED: (EnrolmentStatus.CONVERTED,),
    EnrolmentStatus.CONVERTED: (),
    EnrolmentStatus.EXITED: (),
    EnrolmentStatus.FAILED: (EnrolmentStatus.WAITING,),
}


class Arm(models.TextChoices):
    """Which side of the comparison a person is on; fixed by a hash, so it never flips."""

    TREATMENT = "treatment", _("Gets the messages")
    HOLDOUT = "holdout", _("Comparison group")


class EnrolmentEventKind(models.TextChoices):
    """What happened to an enrolment."""

    ENTERED = "entered", _("Entered")
    WAITED = "waited", _("Waits")
    BRANCHED = "branched", _("Condition checked")
    MESSAGED = "messaged", _("Message queued")
    WITHHELD = "withheld", _("Message withheld (comparison group)")
    CONVERTED = "converted", _("Goal met")
    EXITED = "exited", _("Left early")
    FINISHED = "finished", _("Reached the end")
    FAILED = "failed", _("Failed")


class ExitCause(models.TextChoices):
    """Why somebody left a journey before its end."""

    NONE = "", "–"
    EXIT_RULE = "exit_rule", _("An exit rule matched")
    ERASED = "erased", _("The person's data was erased")
    DUPLICATE = "duplicate", _("Merged with a person who is in this journey with the same key")
    ARCHIVED = "archived", _("The journey was archived")
    EXPIRED = "expired", _("The journey stood still for too long")
