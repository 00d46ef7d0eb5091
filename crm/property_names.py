"""What crm's own numbers and keys are called on the timeline: segments and lists by name. Loaded in ready()."""

from __future__ import annotations

from crm.models import ImportRun, Segment
from crm.registry import register_property_names

register_property_names("segment", kinds="crm.segment.", rows=Segment.objects.all, key="key")
register_property_names("segment_id", kinds="crm.segment.")
register_property_names("import", kinds="crm.profile.imported", rows=ImportRun.objects.all, words="file_name")
