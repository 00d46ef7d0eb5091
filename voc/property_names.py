"""What the numbers of feedback, tickets and releases are called on the timeline. Loaded in ready()."""

from __future__ import annotations

from crm.registry import register_property_names
from voc.models import Release, Ticket

register_property_names("ticket_id", kinds="voc.", rows=Ticket.objects.all, words="title")
register_property_names("release_id", kinds="voc.", rows=Release.objects.all, words="title")
register_property_names("feedback_id", kinds="voc.")
