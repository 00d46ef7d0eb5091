"""Quiet hours: nothing but transactional messages while it is evening, night or early morning where a person is.

Computed on the wall clock of the person's zone, so a day with 23 or 25 hours, or a shift of half an hour, moves
the end of the quiet hours with the clock people read.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from crm.kernel import knobs


def zone_of(name: str) -> ZoneInfo:
    """The zone of that name; the organisation's, then UTC, when there is none."""
    for candidate in (name, knobs.get("crm.time_zone")):
        try:
            if candidate:
                return ZoneInfo(candidate)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            continue
    return ZoneInfo("UTC")


def next_allowed(zone: str, *, now: datetime, own: tuple[int, int] | None = None) -> datetime | None:
    """None when it is not quiet now in `zone`, else the aware UTC time at which the quiet hours end. `own` are the
    hours (from, until) a person chose for themselves instead of the house's."""
    start, end = own or (knobs.get("crm.quiet_hours_start"), knobs.get("crm.quiet_hours_end"))
    if start == end:
        return None
    place = zone_of(zone)
    local = now.astimezone(place)
    if not _is_quiet(local.hour, start, end):
        return None
    day = local.date() if local.hour < end else local.date() + timedelta(days=1)
    return _wall_clock(datetime.combine(day, time(end)), place)


def _is_quiet(hour: int, start: int, end: int) -> bool:
    return start <= hour < end if start < end else hour >= start or hour < end


def _wall_clock(naive: datetime, place: ZoneInfo) -> datetime:
    """The first instant at which the wall clock shows `naive` or, in a gap, something later."""
    early = naive.replace(tzinfo=place, fold=0).astimezone(UTC)
    back = early.astimezone(place).replace(tzinfo=None)
    if back == naive:
        # A doubled hour: the second pass, because in the first the clock may still fall back into quiet time.
        late = naive.replace(tzinfo=place, fold=1).astimezone(UTC)
        return late if late.astimezone(place).replace(tzinfo=None) == naive else early
    return max(early, naive.replace(tzinfo=place, fold=1).astimezone(UTC))
