"""Learning what arrives: the catalogue follows the tallies, and a bounded sample of the newest touchpoints of each
kind says which properties it has. Runs in a worker every few minutes; the door does no work for it.

Values are kept as samples only when they say nothing about a person: numbers, yes and no, and short texts that at
least `KNOWN_BY` people of the sample share. So an erased person cannot live on in the catalogue.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import orjson
from django.db import connection, transaction

from crm.kernel import jobs, knobs
from crm.models import EventKind, ObservedProperty
from crm.selectors import catalogue

EVERY = timedelta(minutes=5)
# How far back a run looks at most, by time of arrival, and how far apart arrival and happening may be.
BACK = timedelta(hours=24)
LATE = timedelta(days=31)
EARLY = timedelta(days=31)
SAMPLE = 3_000
RARE_SAMPLE = 100
MOST_RARE = 20
FADE_ABOVE = 20_000
MOST_PROPERTIES = 100
MOST_SAMPLES = 5
KNOWN_BY = 3
LONGEST_SAMPLE = 40
# A longer number may be a phone or an account.
LONGEST_NUMBER = 7
_PERSONAL = re.compile(r"@|https?://|\d[\d\s\-]{5,}\d")


@dataclass(slots=True)
class _Seen:
    """One property within a sample."""

    filled: int = 0
    types: dict[str, int] = field(default_factory=dict)
    values: dict[str, set[int]] = field(default_factory=dict)
    free: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class _Sample:
    """A kind within a sample."""

    events: int = 0
    properties: dict[str, _Seen] = field(default_factory=dict)


def learn_due(*, now: datetime) -> int:
    """The periodic run: once per slot whoever asks. Returns how many kinds were looked at."""
    if not jobs.claim_slot("crm.learn_kinds", now=now, every=EVERY):
        return 0
    return learn(now=now)


def learn(*, now: datetime, back: timedelta = BACK) -> int:
    """Enter new kinds, move first and last seen, and look at a sample of what arrived since the last look (at most
    `back`). Returns how many kinds were looked at."""
    days = (now - back).date(), now.date()
    enter(since=days[0], until=days[1])
    due = _due(since=days[0], now=now)
    if not due:
        return 0
    since = max(min(due.values()), now - back)
    samples: dict[str, _Sample] = {}
    _add(samples, _newest(since=since, until=now, limit=SAMPLE), only=due)
    rare = [name for name in sorted(due) if name not in samples][:MOST_RARE]
    for name in rare:
        _add(
            samples,
            _newest(since=max(due[name], now - back), until=now, limit=RARE_SAMPLE, kind=name),
            only=due,
        )
    for name, sample in sorted(samples.items()):
        _keep(name, sample, now=now)
    EventKind.objects.filter(name__in=rare).exclude(name__in=samples).update(learned_at=now)
    return len(samples)


def enter(*, since: date, until: date) -> int:
    """Make catalogue rows of the kinds in the tallies of these days, up to `crm.most_kinds` in all; move their first
    and last day. Returns how many are new."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            """
            WITH seen AS (
                SELECT kind, min(received_on) AS first_on, max(received_on) AS last_on FROM (
                    SELECT kind, received_on FROM crm_touchpointtally WHERE received_on BETWEEN %(since)s AND %(until)s
                    UNION ALL
                    SELECT kind, received_on FROM crm_touchpointtallydelta
                     WHERE received_on BETWEEN %(since)s AND %(until)s
                ) AS both_parts GROUP BY kind
            ), moved AS (
                UPDATE crm_eventkind k
                   SET first_seen_on = LEAST(k.first_seen_on, seen.first_on),
                       last_seen_on = GREATEST(k.last_seen_on, seen.last_on)
                  FROM seen WHERE k.name = seen.kind
                   AND (k.first_seen_on IS NULL OR k.first_seen_on > seen.first_on
                        OR k.last_seen_on IS NULL OR k.last_seen_on < seen.last_on)
            ), fresh AS (
                INSERT INTO crm_eventkind (name, description_en, description_zh, purpose, stage, is_blocked,
                                           on_violation, first_seen_on, last_seen_on, sampled)
                SELECT kind, '', '', '', '', false, 'nothing', first_on, last_on, 0 FROM seen
                 WHERE NOT EXISTS (SELECT 1 FROM crm_eventkind k WHERE k.name = seen.kind)
                 ORDER BY kind
                 LIMIT GREATEST(0, %(most)s - (SELECT count(*) FROM crm_eventkind))
                ON CONFLICT (name) DO NOTHING RETURNING 1
            )
            SELECT count(*) FROM fresh
            """,
            {"since": since, "until": until, "most": knobs.get("crm.most_kinds")},
        )
        return int(cursor.fetchone()[0])


def _due(*, since: date, now: datetime) -> dict[str, datetime]:
    """Kinds that arrived since they were looked at, with that time."""
    rows = EventKind.objects.filter(last_seen_on__gte=since).values_list("name", "learned_at")
    return {name: learned_at or now - LATE for name, learned_at in rows}


def _newest(*, since: datetime, until: datetime, limit: int, kind: str = "") -> list[tuple[str, int, str]]:
    """Up to `limit` touchpoints that arrived in the span: (kind, profile id, properties). Found by the block-range
    index over the time of arrival, within the months around it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT kind, profile_id, properties::text FROM crm_touchpoint"
            " WHERE received_at > %s AND received_at <= %s AND occurred_at >= %s AND occurred_at <= %s"
            + (" AND kind = %s" if kind else "")
            + " LIMIT %s",
            [since, until, since - LATE, until + EARLY, *([kind] if kind else []), limit],
        )
        return cursor.fetchall()


def _add(
    samples: dict[str, _Sample], rows: Iterable[tuple[str, int, str]], *, only: Mapping[str, Any]
) -> None:
    for name, profile_id, text in rows:
        if name not in only:
            continue
        sample = samples.setdefault(name, _Sample())
        sample.events += 1
        for key, value in orjson.loads(text).items():
            if value is None or len(key) > 200 or "\x00" in key:
                continue
            if key not in sample.properties and len(sample.properties) >= MOST_PROPERTIES:
                continue
            _look(sample.properties.setdefault(key, _Seen()), value, profile_id)


def _look(seen: _Seen, value: Any, profile_id: int) -> None:
    kind = catalogue.type_of(value)
    seen.filled += 1
    seen.types[kind] = seen.types.get(kind, 0) + 1
    if type(value) in (int, float, bool):
        text = catalogue.text_of(value)
        if len(text) <= LONGEST_NUMBER and len(seen.free) < MOST_SAMPLES:
            seen.free[text] = None
    elif (
        type(value) is str
        and 0 < len(value) <= LONGEST_SAMPLE
        and not _PERSONAL.search(value)
        and (value in seen.values or len(seen.values) < 200)
    ):
        seen.values.setdefault(value, set()).add(profile_id)


def _keep(name: str, sample: _Sample, *, now: datetime) -> None:
    """Add one kind's sample to what is known of it."""
    with transaction.atomic():
        kind = EventKind.objects.select_for_update().filter(name=name).first()
        if kind is None:
            return
        share = 0.5 if kind.sampled > FADE_ABOVE else 1.0
        kind.sampled = int(kind.sampled * share) + sample.events
        kind.learned_at = now
        kind.save(update_fields=["sampled", "learned_at"])
        known = {row.name: row for row in ObservedProperty.objects.filter(kind=kind)}
        changed = []
        for key, row in known.items():
            seen = sample.properties.get(key)
            row.filled = int(row.filled * share) + (seen.filled if seen else 0)
            row.types = {word: int(count * share) for word, count in row.types.items()}
            if seen:
                row.types = {
                    word: row.types.get(word, 0) + seen.types.get(word, 0) for word in row.types | seen.types
                }
                row.samples = _harmless(seen) or row.samples
                row.last_seen_at = now
            if seen or share < 1:
                changed.append(row)
        ObservedProperty.objects.bulk_update(changed, ["filled", "types", "samples", "last_seen_at"])
        room = MOST_PROPERTIES - len(known)
        fresh = sorted(
            sample.properties.keys() - known.keys(), key=lambda key: (-sample.properties[key].filled, key)
        )
        ObservedProperty.objects.bulk_create(
            ObservedProperty(
                kind=kind, name=key, filled=sample.properties[key].filled, types=sample.properties[key].types,
                samples=_harmless(sample.properties[key]), first_seen_at=now, last_seen_at=now,
            )
            for key in fresh[:max(0, room)]
        )  # fmt: skip


def _harmless(seen: _Seen) -> list[str]:
    shared = sorted(
        (value for value, people in seen.values.items() if len(people) >= KNOWN_BY),
        key=lambda value: (-len(seen.values[value]), value),
    )
    return [*shared, *seen.free][:MOST_SAMPLES]
