"""The statements that store prepared events: receipts, the touchpoints themselves, tallies, and who was seen when.

Everything goes in sorted key order, inside the caller's transaction, so that two batches never deadlock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from crm.registry import stage_of
from crm.services import hotpath
from crm.services.events import Row, uuids

MOVED_SECONDS = 3600.0
# Up to here one statement costs less than the three exchanges of a COPY.
FEW = 32
_ESCAPES = str.maketrans(
    {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\b": "\\b", "\v": "\\v", "\f": "\\f"}
)


def receipts(rows: list[Row], *, own_transaction: bool) -> list[Row]:
    """Write the receipts and return the rows that had none before. Events without a message id need none.

    In a transaction of our own this also tells the planner to stay with indexes until its end. Plans are kept with
    the connection: one made while the tables were nearly empty would read them whole, batch after batch, until the
    statistics catch up.
    """
    known = sorted([(row.digest, row.at) for row in rows if row.digest])
    if not known:
        return rows
    count, digests, _seqscan = hotpath.fetch(
        """
        WITH fresh AS (
            INSERT INTO crm_eventreceipt (digest, occurred_at)
            SELECT digest, occurred_at FROM unnest(%s::uuid[], %s::timestamptz[]) AS e(digest, occurred_at)
            ON CONFLICT DO NOTHING RETURNING digest
        )
        SELECT count(*), CASE WHEN count(*) < %s THEN array_agg(digest::text) END,
               CASE WHEN %s THEN set_config('enable_seqscan', 'off', true) END
          FROM fresh
        """,
        [
            hotpath.array([digest for digest, _at in known]),
            hotpath.array([at for _digest, at in known]),
            len(known),
            own_transaction,
        ],
    )[0]
    if count == len(known):
        return rows
    new = {text.replace("-", "") for text in digests or ()}
    return [row for row in rows if not row.digest or row.digest in new]


def touchpoints(rows: Sequence[Row], *, source_id: int | None, now: datetime) -> list[str]:
    """Store the touchpoints and their tally deltas, by COPY or, when they are few, in one statement. Returns their
    ids (UUIDv7 of the time of arrival), in the order of `rows`."""
    idents = uuids(len(rows), now=now)
    counts = Counter(row.event.kind for row in rows)
    if len(rows) <= FEW:
        _insert(rows, idents, counts, source_id=source_id, now=now)
    else:
        _copy(rows, idents, source_id=source_id, now=now)
        # Deltas are only ever inserted; folding them into the tallies is housekeeping.
        hotpath.fetch(
            "INSERT INTO crm_touchpointtallydelta (received_on, source_id, kind, count)"
            " SELECT %s, %s, kind, number FROM unnest(%s::text[], %s::int[]) AS t(kind, number)",
            [now.date(), source_id or 0, hotpath.array(list(counts)), hotpath.array(list(counts.values()))],
        )
    return idents


def _insert(
    rows: Sequence[Row], idents: list[str], counts: Counter[str], *, source_id: int | None, now: datetime
) -> None:
    array = hotpath.array
    hotpath.fetch(
        """
        WITH tallied AS (
            INSERT INTO crm_touchpointtallydelta (received_on, source_id, kind, count)
            SELECT %(day)s, %(tally_source)s, kind, number
              FROM unnest(%(kinds)s::text[], %(numbers)s::int[]) AS t(kind, number)
        )
        INSERT INTO crm_touchpoint (profile_id, occurred_at, id, received_at, kind, channel, source_id, stage,
                                    properties, context)
        SELECT profile_id, occurred_at, id, %(now)s, kind, channel, %(source)s, stage, properties, context
          FROM unnest(%(profiles)s::bigint[], %(times)s::timestamptz[], %(ids)s::uuid[], %(kind)s::text[],
                      %(channels)s::text[], %(stages)s::text[], %(properties)s::jsonb[], %(contexts)s::jsonb[])
               AS e(profile_id, occurred_at, id, kind, channel, stage, properties, context)
        """,
        {
            "day": now.date(),
            "tally_source": source_id or 0,
            "kinds": array(list(counts)),
            "numbers": array(list(counts.values())),
            "now": now,
            "source": source_id,
            "profiles": array([row.profile_id for row in rows]),
            "times": array([row.at for row in rows]),
            "ids": array(idents),
            "kind": array([row.event.kind for row in rows]),
            "channels": array([row.event.channel for row in rows]),
            "stages": array([row.event.stage or stage_of(row.event.kind) for row in rows]),
            "properties": hotpath.json_array([row.properties for row in rows]),
            "contexts": hotpath.json_array([row.context or None for row in rows]),
        },
    )


def _copy(rows: Sequence[Row], idents: list[str], *, source_id: int | None, now: datetime) -> None:
    source = "\\N" if source_id is None else str(source_id)
    tail = f"\t{now.isoformat()}\t"
    kinds: dict[str, tuple[str, str]] = {}
    lines = []
    for row, ident in zip(rows, idents, strict=True):
        event = row.event
        names = kinds.get(event.kind)
        if names is None:
            names = kinds[event.kind] = (_text(event.kind), stage_of(event.kind))
        kind, stage = names
        if event.stage:
            stage = _text(event.stage)
        # JSON has no raw control characters: only its backslashes are escaped once more.
        properties = row.properties.replace("\\", "\\\\")
        context = row.context.replace("\\", "\\\\") or "\\N"
        lines.append(
            f"{row.profile_id}\t{row.at}\t{ident}{tail}{kind}\t{_text(event.channel)}\t{source}\t{stage}"
            f"\t{properties}\t{context}\n"
        )
    with hotpath.copy(
        "COPY crm_touchpoint (profile_id, occurred_at, id, received_at, kind, channel, source_id, stage,"
        " properties, context) FROM STDIN"
    ) as copy:
        copy.write("".join(lines))


def _text(value: str) -> str:
    """A text in COPY's format."""
    return value if value.isalnum() else value.translate(_ESCAPES)


def note_seen(
    seen: dict[int, list[float]],
    root_id: int,
    *,
    occurred_at: datetime,
    known: tuple[float | None, float | None],
) -> None:
    """Collect people whose first or last seen moves by an hour or more; less would make their rows hot."""
    first, last = known
    moment = occurred_at.timestamp()
    if first is None or first - moment >= MOVED_SECONDS or last is None or moment - last >= MOVED_SECONDS:
        span = seen.setdefault(root_id, [moment, moment])
        span[0] = min(span[0], moment)
        span[1] = max(span[1], moment)


def move_seen(seen: dict[int, list[float]]) -> None:
    """Move first and last seen of these people, locked in id order."""
    ids = sorted(seen)
    hotpath.fetch(
        """
        WITH moved AS MATERIALIZED (
            SELECT p.id, to_timestamp(s.first_at) AS first_at, to_timestamp(s.last_at) AS last_at
              FROM crm_profile p
              JOIN unnest(%s::bigint[], %s::float8[], %s::float8[]) AS s(id, first_at, last_at)
                ON s.id = p.id
             ORDER BY p.id FOR NO KEY UPDATE OF p
        )
        UPDATE crm_profile p
           SET first_seen_at = LEAST(p.first_seen_at, moved.first_at),
               last_seen_at = GREATEST(p.last_seen_at, moved.last_at)
          FROM moved WHERE p.id = moved.id
        """,
        [
            hotpath.array(ids),
            hotpath.array([seen[ident][0] for ident in ids]),
            hotpath.array([seen[ident][1] for ident in ids]),
        ],
    )
