"""What people chose about being written to, over everything they ever were: the most restrictive counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from crm.kernel.lookups import Many
from crm.models import ContactChoice
from crm.selectors import profiles
from crm.states import Frequency

_STRICTNESS = {Frequency.NORMAL: 0, Frequency.FEWER: 1, Frequency.LEAST: 2}


@dataclass(frozen=True, slots=True)
class Choice:
    """The choice in force for one person. `quiet` is (from, until) in local hours, or None for the house's own."""

    paused_until: datetime | None = None
    frequency: str = Frequency.NORMAL
    quiet: tuple[int, int] | None = None

    def pause(self, *, now: datetime) -> datetime | None:
        """When the pause ends, or None when there is none (any more)."""
        return self.paused_until if self.paused_until is not None and self.paused_until > now else None


NOTHING = Choice()


def of(root_ids: Iterable[int], *, members: Mapping[int, list[int]] | None = None) -> dict[int, Choice]:
    """The choice of each root that has made one. `members` saves the read of the id sets. Hours of the root itself
    come before those of somebody merged into it."""
    sets = members if members is not None else profiles.id_sets(set(root_ids))
    root_of = {member: root for root in root_ids for member in sets[root]}
    rows = (
        ContactChoice.objects.filter(profile_id__any=Many(root_of))
        .order_by("updated_at")
        .values_list("profile_id", "paused_until", "frequency", "quiet_start", "quiet_end")
    )
    found: dict[int, Choice] = {}
    own_hours: set[int] = set()
    for profile_id, paused_until, frequency, start, end in rows:
        root = root_of[profile_id]
        held = found.get(root, NOTHING)
        pauses = [moment for moment in (held.paused_until, paused_until) if moment is not None]
        quiet = held.quiet
        if start is not None and end is not None and (profile_id == root or root not in own_hours):
            quiet = (start, end)
            if profile_id == root:
                own_hours.add(root)
        found[root] = Choice(
            paused_until=max(pauses, default=None),
            frequency=max(held.frequency, frequency, key=lambda one: _STRICTNESS[Frequency(one)]),
            quiet=quiet,
        )
    return found


def of_person(root_id: int) -> Choice:
    """The choice of one person; the default when they made none."""
    return of([root_id]).get(root_id, NOTHING)
