"""Words of voc that are stored in rows, and the tables of what may follow what. Pure Python.

A ticket is resolved by shipping a release that names it, never by hand: that is what lets us say that
everyone who asked was told. Questions and privacy requests may be answered instead.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _


class FeedbackChannel(models.TextChoices):
    """The way a voice reached us."""

    PORTAL = "portal", _("Portal")
    API = "api", _("API")
    STAFF = "staff", _("Staff")
    EMAIL = "email", _("E-mail")
    HOTLINE = "hotline", _("Hotline")
    CHAT = "chat", _("Chat")
    COMMUNITY = "community", _("Community")
    REVIEW = "review", _("Review")
    WIDGET = "widget", _("In-app widget")


# What a member of staff may choose when typing in what somebody said elsewhere.
STAFF_CHANNELS = (
    FeedbackChannel.STAFF,
    FeedbackChannel.EMAIL,
    FeedbackChannel.HOTLINE,
    FeedbackChannel.CHAT,
    FeedbackChannel.COMMUNITY,
    FeedbackChannel.REVIEW,
)


class FeedbackStatus(models.TextChoices):
    """What was decided about a voice."""

    NEW = "new", _("New")
    ATTACHED = "attached", _("On a ticket")
    DISMISSED = "dismissed", _("Dismissed")


FEEDBACK_TRANSITIONS: dict[str, tuple[str, ...]] = {
    FeedbackStatus.NEW: (FeedbackStatus.ATTACHED, FeedbackStatus.DISMISSED),
    FeedbackStatus.ATTACHED: (FeedbackStatus.ATTACHED, FeedbackStatus.NEW),
    FeedbackStatus.DISMISSED: (FeedbackStatus.NEW, FeedbackStatus.ATTACHED),
}


class TicketKind(models.TextChoices):
    """What sort of thing is asked of us."""

    BUG = "bug", _("Fault")
    REQUEST = "request", _("Request")
    COMPLAINT = "complaint", _("Complaint")
    PRIVACY = "privacy", _("Privacy")
    QUESTION = "question", _("Question")


class Severity(models.TextChoices):
    """How much it hurts."""

    LOW = "low", _("Low")
    NORMAL = "normal", _("Normal")
    HIGH = "high", _("High")
    CRITICAL = "critical", _("Critical")


class TicketStatus(models.TextChoices):
    """Where a ticket stands."""

    OPEN = "open", _("Open")
    PLANNED = "planned", _("Planned")
    IN_PROGRESS = "in_progress", _("In progress")
    REOPENED = "reopened", _("Reopened")
    RESOLVED = "resolved", _("Fixed")
    ANSWERED = "answered", _("Answered")
    DECLINED = "declined", _("Declined")
    DUPLICATE = "duplicate", _("Merged")


# The promise clock runs while a ticket is in one of these.
OPEN_STATUSES = (TicketStatus.OPEN, TicketStatus.PLANNED, TicketStatus.IN_PROGRESS, TicketStatus.REOPENED)

_WORK = (TicketStatus.RESOLVED, TicketStatus.ANSWERED, TicketStatus.DECLINED, TicketStatus.DUPLICATE)

TICKET_TRANSITIONS: dict[str, tuple[str, ...]] = {
    TicketStatus.OPEN: (TicketStatus.PLANNED, TicketStatus.IN_PROGRESS, *_WORK),
    TicketStatus.PLANNED: (TicketStatus.OPEN, TicketStatus.IN_PROGRESS, *_WORK),
    TicketStatus.IN_PROGRESS: (TicketStatus.PLANNED, *_WORK),
    TicketStatus.REOPENED: (TicketStatus.PLANNED, TicketStatus.IN_PROGRESS, *_WORK),
    TicketStatus.RESOLVED: (TicketStatus.REOPENED, TicketStatus.DUPLICATE),
    TicketStatus.ANSWERED: (TicketStatus.REOPENED, TicketStatus.DUPLICATE),
    TicketStatus.DECLINED: (TicketStatus.REOPENED, TicketStatus.DUPLICATE),
    # Undoing a merge gives a ticket back the status it had.
    TicketStatus.DUPLICATE: (
        *OPEN_STATUSES,
        TicketStatus.RESOLVED,
        TicketStatus.ANSWERED,
        TicketStatus.DECLINED,
    ),
}

# Steps that belong to a service of their own and are refused to tickets.move() callers at the edges.
BY_SERVICE_ONLY = (TicketStatus.RESOLVED, TicketStatus.DUPLICATE)

# Kinds that end with an answer rather than with a release.
ANSWERABLE_KINDS = (TicketKind.QUESTION, TicketKind.PRIVACY, TicketKind.COMPLAINT)


def moves_by_hand(status: str, kind: str) -> tuple[str, ...]:
    """The statuses a person may choose next for a ticket of this kind."""
    if status == TicketStatus.DUPLICATE:
        return ()
    return tuple(
        target
        for target in TICKET_TRANSITIONS[status]
        if target not in BY_SERVICE_ONLY and (target != TicketStatus.ANSWERED or kind in ANSWERABLE_KINDS)
    )


class FollowerRole(models.TextChoices):
    """Why somebody wants to hear of a ticket, strongest first."""

    REPORTED = "reported", _("Reported it")
    VOTED = "voted", _("Voted for it")
    ASKED = "asked", _("Asked to be told")


ROLE_RANK: dict[str, int] = {FollowerRole.REPORTED: 0, FollowerRole.VOTED: 1, FollowerRole.ASKED: 2}


class TicketEventKind(models.TextChoices):
    """What can happen to a ticket."""

    OPENED = "opened", _("Opened")
    MOVED = "moved", _("Moved")
    EDITED = "edited", _("Edited")
    VOICE_ADDED = "voice_added", _("Feedback added")
    VOICE_REMOVED = "voice_removed", _("Feedback removed")
    MERGED = "merged", _("Merged into another ticket")
    TOOK_OVER = "took_over", _("Took over another ticket")
    UNMERGED = "unmerged", _("Merge undone")
    NOTED = "noted", _("Note")


class ReleaseStatus(models.TextChoices):
    """Where a release stands."""

    DRAFT = "draft", _("Draft")
    SHIPPED = "shipped", _("Shipped")
    WITHDRAWN = "withdrawn", _("Withdrawn")


RELEASE_TRANSITIONS: dict[str, tuple[str, ...]] = {
    ReleaseStatus.DRAFT: (ReleaseStatus.SHIPPED,),
    ReleaseStatus.SHIPPED: (ReleaseStatus.WITHDRAWN,),
    ReleaseStatus.WITHDRAWN: (),
}
