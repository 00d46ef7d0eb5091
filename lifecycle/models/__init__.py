"""Models of lifecycle, one file per noun."""

from lifecycle.models.journey import Enrolment, EnrolmentEvent, Journey, JourneyVersion
from lifecycle.models.message import Delivery, InboxItem, OutboundMessage, SendRun
from lifecycle.models.template import MessageTemplate

__all__ = [
    "Delivery",
    "Enrolment",
    "EnrolmentEvent",
    "InboxItem",
    "Journey",
    "JourneyVersion",
    "MessageTemplate",
    "OutboundMessage",
    "SendRun",
]
