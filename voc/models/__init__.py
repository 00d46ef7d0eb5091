"""Models of voc, one file per noun."""

from voc.models.feedback import Feedback
from voc.models.release import FixNotice, Release, ReleaseEvent, ReleaseItem
from voc.models.submission import SubmissionCount
from voc.models.ticket import Ticket, TicketEvent, TicketFollower

__all__ = [
    "Feedback",
    "FixNotice",
    "Release",
    "ReleaseEvent",
    "ReleaseItem",
    "SubmissionCount",
    "Ticket",
    "TicketEvent",
    "TicketFollower",
]
