"""What the page of a source shows: its keys, its minutes and days, the last touchpoints it brought, and how it is.

Everything is read from tallies and minutes that folding keeps anyway; the live list is found by the time of arrival,
in minutes of which it is known that the source was there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from django.db import connection
from django.db.models import Case, When

from crm.models import IngestionWarning, RetiredKey, Source
from crm.registry import channel_label, kind_label, property_label

LIVE = 50
MINUTES = 60
DAYS = 30
LIMITED_FOR = timedelta(minutes=10)
BUSY_FOR = timedelta(minutes=5)
# How far apart arrival and happening may be for the live list.
LATE = timedelta(days=31)
WORKS, REVOKED, EXPIRED = "works", "revoked", "expired"


@dataclass(frozen=True, slots=True)
class KeyState:
    """A replaced key and how it is."""

    id: int
    write_key: str
    retired_at: datetime
    works_until: datetime
    last_used_at: datetime | None
    state: str

    @property
    def ends(self) -> str:
        """Enough of the key to tell it from others."""
        return f"{self.write_key[:6]}…{self.write_key[-2:]}"


def retired_keys(source_id: int, *, now: datetime) -> list[KeyState]:
    """The last replaced keys of a source, newest first."""
    return [
        KeyState(
            row.pk, row.write_key, row.retired_at, row.works_until, row.last_used_at,
            REVOKED if row.revoked_at else WORKS if row.works_until > now else EXPIRED,
        )
        for row in RetiredKey.objects.filter(source_id=source_id)[:20]
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart: its place, its height of 100, its number and when it was."""

    place: int
    height: int
    count: int
    at: datetime | date

    @property
    def top(self) -> int:
        """Where the bar begins, from above."""
        return 100 - self.height


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars, oldest first, with the sum and the highest."""

    bars: list[Bar]
    total: int
    highest: int


def per_minute(source_id: int, *, now: datetime) -> Chart:
    """The last hour, minute by minute."""
    first = now.replace(second=0, microsecond=0) - timedelta(minutes=MINUTES - 1)
    counts = dict(_minutes(source_id, since=first))
    return _chart(
        [(first + timedelta(minutes=n), counts.get(first + timedelta(minutes=n), 0)) for n in range(MINUTES)]
    )


def per_day(source_id: int, *, today: date) -> Chart:
    """The last thirty days (UTC)."""
    first = today - timedelta(days=DAYS - 1)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT received_on, sum(count)::bigint FROM (
                SELECT received_on, count FROM crm_touchpointtally
                 WHERE source_id = %(source)s AND received_on BETWEEN %(first)s AND %(today)s
                UNION ALL
                SELECT received_on, count FROM crm_touchpointtallydelta
                 WHERE source_id = %(source)s AND received_on BETWEEN %(first)s AND %(today)s
            ) AS both_parts GROUP BY received_on
            """,
            {"source": source_id, "first": first, "today": today},
        )
        counts = dict(cursor.fetchall())
    days = [first + timedelta(days=n) for n in range(DAYS)]
    return _chart([(day, counts.get(day, 0)) for day in days])


def _minutes(source_id: int, *, since: datetime) -> list[tuple[datetime, int]]:
    """(minute, events) from `since`, newest first; folded ones and those not folded yet."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT minute, sum(count)::bigint FROM (
                SELECT minute, count FROM crm_sourceminute WHERE source_id = %(source)s AND minute >= %(since)s
                UNION ALL
                SELECT date_trunc('minute', received_at), count FROM crm_touchpointtallydelta
                 WHERE source_id = %(source)s AND received_at >= %(since)s
            ) AS both_parts GROUP BY minute ORDER BY minute DESC
            """,
            {"source": source_id, "since": since},
        )
        return cursor.fetchall()


def _chart(numbers: Sequence[tuple[Any, int]]) -> Chart:
    highest = max((count for _at, count in numbers), default=0)
    bars = [
        Bar(place, max(2, round(100 * count / highest)) if count else 0, count, at)
        for place, (at, count) in enumerate(numbers)
    ]
    return Chart(bars, sum(bar.count for bar in bars), highest)


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """One touchpoint as the live list shows it."""

    id: UUID
    profile_id: int
    received_at: datetime
    occurred_at: datetime
    kind: str
    channel: str
    properties: dict[str, Any]

    @property
    def label(self) -> Any:
        """What staff read for its kind."""
        return kind_label(self.kind)

    @property
    def channel_label(self) -> Any:
        """What staff read for its channel."""
        return channel_label(self.channel)

    @property
    def facts(self) -> list[tuple[Any, Any]]:
        """A few of its properties, as they were sent."""
        return [(property_label(name), _shown(value)) for name, value in list(self.properties.items())[:4]]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def live(source_id: int, *, now: datetime, limit: int = LIVE) -> list[LiveEvent]:
    """The newest touchpoints of a source, within the days for which minutes are kept. Reads only as many minutes of
    arrivals as hold `limit` of them."""
    since = _since(source_id, now=now, limit=limit)
    if since is None:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, profile_id, received_at, occurred_at, kind, channel, properties::text FROM crm_touchpoint"
            " WHERE received_at >= %s AND source_id = %s AND occurred_at >= %s AND occurred_at <= %s"
            " ORDER BY received_at DESC, id DESC LIMIT %s",
            [since, source_id, since - LATE, now + LATE, limit],
        )
        return [
            LiveEvent(ident, profile_id, received_at, occurred_at, kind, channel, orjson.loads(text))
            for ident, profile_id, received_at, occurred_at, kind, channel, text in cursor.fetchall()
        ]


def _since(source_id: int, *, now: datetime, limit: int) -> datetime | None:
    seen, found = 0, None
    for minute, count in _minutes(source_id, since=now - timedelta(days=7)):
        seen, found = seen + count, minute
        if seen >= limit:
            break
    # The batch's own time may lie a little before the time of its row.
    return found - timedelta(minutes=1) if found is not None else None


@dataclass(frozen=True, slots=True)
class Health:
    """How a source is: when it was last heard, and whether it is held back."""

    last_minute: datetime | None
    limited_at: datetime | None
    is_busy: bool


def names(*, most: int, beside: int | None = None) -> list[tuple[int, str]]:
    """Sources by name, active ones first, at most so many, and `beside` in any case: one query."""
    is_chosen = Case(When(pk=beside or 0, then=0), default=1)
    return list(Source.objects.order_by(is_chosen, "-is_active", "name").values_list("pk", "name")[:most])


def health(sources: Sequence[Source], *, now: datetime) -> dict[int, Health]:
    """The same for several sources, in two reads."""
    ids = [source.pk for source in sources]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT source_id, max(minute) FROM (
                SELECT source_id, minute FROM crm_sourceminute WHERE source_id = ANY(%(ids)s)
                UNION ALL
                SELECT source_id, received_at FROM crm_touchpointtallydelta WHERE source_id = ANY(%(ids)s)
            ) AS both_parts GROUP BY source_id
            """,
            {"ids": ids},
        )
        last = dict(cursor.fetchall())
    limited = dict(
        IngestionWarning.objects.filter(
            source_id__in=ids, code="rate_limited", last_seen_at__gte=now - LIMITED_FOR
        ).values_list("source_id", "last_seen_at")
    )
    return {
        ident: Health(last.get(ident), limited.get(ident), ident in last and last[ident] >= now - BUSY_FOR)
        for ident in ids
    }
