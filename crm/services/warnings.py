"""Ingestion warnings: what a source sent that was refused or changed, counted and visible to staff.

One row per source, code and day, written as the last thing of the batch's transaction so that its lock is held
for the shortest time. The sample names the event and the field, never a person's value.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from crm.services import hotpath


def keep(
    events: Sequence[Any],
    *,
    rejected: Sequence[Any] = (),
    noticed: Sequence[tuple[int, str, str]] = (),
    source_id: int | None,
    now: datetime,
) -> None:
    """Count the rejections (index, message_id, code, detail) and warnings (index, code, detail) of a batch."""
    if not rejected and not noticed:
        return
    found: dict[str, list[Any]] = {}
    for rejection in rejected:
        kind = _kind(events, rejection.index)
        _add(
            found,
            rejection.code,
            _sample(rejection.index, rejection.message_id, kind, rejection.detail, False),
        )
    for index, code, detail in noticed:
        message_id = getattr(events[index], "message_id", "")
        _add(found, code, _sample(index, message_id, _kind(events, index), detail, True))
    write(
        [(code, number, sample) for code, (number, sample) in sorted(found.items())],
        source_id=source_id,
        now=now,
    )


def write(
    entries: Sequence[tuple[str, int, dict[str, Any]]], *, source_id: int | None, now: datetime
) -> None:
    """Add (code, count, sample) entries, sorted by code, to today's rows."""
    hotpath.fetch(
        """
        INSERT INTO crm_ingestionwarning AS w
               (source_id, code, seen_on, count, sample, first_seen_at, last_seen_at)
        SELECT %(source)s, code, %(day)s, number, sample::jsonb, %(now)s, %(now)s
          FROM unnest(%(codes)s::text[], %(numbers)s::bigint[], %(samples)s::text[]) AS t(code, number, sample)
         ORDER BY code
        ON CONFLICT (source_id, code, seen_on) DO UPDATE
           SET count = w.count + EXCLUDED.count, sample = EXCLUDED.sample, last_seen_at = EXCLUDED.last_seen_at
        """,
        {
            "source": source_id,
            "day": now.date(),
            "now": now,
            "codes": [code for code, _number, _sample in entries],
            "numbers": [number for _code, number, _sample in entries],
            "samples": [orjson.dumps(sample).decode() for _code, _number, sample in entries],
        },
    )


def _add(found: dict[str, list[Any]], code: str, sample: dict[str, Any]) -> None:
    entry = found.setdefault(code, [0, sample])
    entry[0] += 1


def _kind(events: Sequence[Any], index: int) -> str:
    return str(getattr(events[index], "kind", "")) if 0 <= index < len(events) else ""


def _sample(index: int, message_id: str, kind: str, detail: str, stored: bool) -> dict[str, Any]:
    return {
        "index": index,
        "message_id": str(message_id)[:100],
        "kind": kind[:100],
        "detail": str(detail)[:200],
        "stored": stored,
    }
