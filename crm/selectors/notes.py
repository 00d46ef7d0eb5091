"""Notes that staff left about a person, over all ids, pinned ones first."""

from __future__ import annotations

from collections.abc import Sequence

from crm.models import ProfileNote
from crm.states import FIRST_NOTES

MOST = 100


def of(profile_ids: Sequence[int]) -> list[ProfileNote]:
    """At most a hundred notes. `is_first` marks those that belong on top: needs and preferences, and what is
    pinned."""
    rows = ProfileNote.objects.filter(profile_id__in=list(profile_ids)).order_by("-is_pinned", "-pk")[:MOST]
    notes = list(rows)
    for note in notes:
        note.is_first = note.is_pinned or note.category in FIRST_NOTES  # type: ignore[attr-defined]
    return notes
