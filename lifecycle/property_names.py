"""What the numbers of journeys and messages are called on the timeline. Loaded in ready()."""

from __future__ import annotations

from crm.registry import register_property_names
from lifecycle import registry
from lifecycle.models import Journey, OutboundMessage

register_property_names("journey_id", kinds="lifecycle.journey.", rows=Journey.objects.all)
register_property_names("enrolment_id", kinds="lifecycle.journey.")
register_property_names("subject_key", kinds="lifecycle.message.")
# A message that was sent has its kind beside it.
register_property_names("message_id", kinds="lifecycle.message.sent")
register_property_names(
    "message_id", kinds="lifecycle.message.read", rows=OutboundMessage.objects.all, words="kind",
    said=lambda kind: registry.labels().get(kind, kind),
)  # fmt: skip
