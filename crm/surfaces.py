"""What crm shows on the staff home page."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.urls import reverse
from django.utils.formats import localize
from django.utils.translation import gettext as _

from crm.kernel import surfaces
from crm.kernel.surfaces import Card, Panel
from crm.selectors import segments, tallies, warnings


@surfaces.home_card("crm.touchpoints", order=50)
def touchpoints_today(*, now: datetime, **context: Any) -> Card:
    """Touchpoints received today (UTC)."""
    counts = tallies.by_kind(since=now.date(), until=now.date())
    return Card(_("Touchpoints today"), sum(counts.values()), url=reverse("admin:crm_profile_changelist"))


@surfaces.home_card("crm.warnings", order=60)
def warnings_this_week(*, now: datetime, **context: Any) -> Card:
    """Warnings of the last seven days that nobody resolved or muted."""
    number = warnings.count_open(since=now.date() - timedelta(days=6), until=now.date())
    url = reverse("admin:crm_ingestionwarning_changelist")
    return Card(_("Ingestion warnings, 7 days"), number, url=url, tone="warn" if number else "good")


@surfaces.profile_panel("crm.segments", order=30)
def segments_of_person(*, profile_ids: list[int], user: Any, **context: Any) -> Panel | None:
    """The segments a person is in."""
    if not user.has_perm("crm.view_segment"):
        return None
    rows = [
        (one.name, localize(one.entered_at.date()), reverse("admin:crm_segment_change", args=[one.id]))
        for one in segments.segments_of(profile_ids)[:20]
    ]
    return Panel(_("Segments"), rows, empty_text=_("In no segment."))
