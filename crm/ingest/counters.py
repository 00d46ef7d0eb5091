"""What the door counts for /metrics: requests by status with their seconds, and events by what became of them.

Successful requests have no log line each: at a thousand a second the lines cost as much as the work.
"""

from __future__ import annotations

from prometheus_client import Counter, Summary

_SECONDS = Summary("renxin_ingest_request_seconds", "Requests to /v1/ and the seconds they took.", ["status"])
_EVENTS = Counter("renxin_ingest_events", "Events that came through the door.", ["outcome"])
_GROUPS = Summary("renxin_ingest_group_events", "Groups of single events, and the events in them.")
_accepted, _duplicate, _rejected = (_EVENTS.labels(name) for name in ("accepted", "duplicate", "rejected"))


def answered(status: int, seconds: float) -> None:
    """One request was answered."""
    _SECONDS.labels(str(status)).observe(seconds)


def took(*, accepted: int, duplicates: int, rejected: int) -> None:
    """One request's events."""
    for counter, number in ((_accepted, accepted), (_duplicate, duplicates), (_rejected, rejected)):
        if number:
            counter.inc(number)


def grouped(events: int) -> None:
    """So many single events shared one transaction."""
    _GROUPS.observe(events)
