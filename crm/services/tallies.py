"""Tallies: how many touchpoints arrived per day, source and kind, without a counter that writers wait for.

Folding also keeps the minutes of each source for some days: what the page of a source draws costs the door nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection, transaction

LOCK = 0x52454E04
MINUTES_KEPT = timedelta(days=7)


def fold(*, limit: int = 50_000) -> int:
    """Move up to `limit` deltas into the tallies. Two folders take turns; nothing is counted twice or lost."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(
            """
            WITH taken AS (
                DELETE FROM crm_touchpointtallydelta
                 WHERE id IN (SELECT id FROM crm_touchpointtallydelta ORDER BY id LIMIT %s)
                RETURNING received_on, source_id, kind, count, received_at
            ), minutes AS (
                INSERT INTO crm_sourceminute AS m (source_id, minute, count)
                SELECT source_id, date_trunc('minute', received_at), sum(count) FROM taken
                 GROUP BY 1, 2 ORDER BY 1, 2
                ON CONFLICT (source_id, minute) DO UPDATE SET count = m.count + EXCLUDED.count
            ), folded AS (
                INSERT INTO crm_touchpointtally AS t (received_on, source_id, kind, count)
                SELECT received_on, source_id, kind, sum(count) FROM taken
                 GROUP BY received_on, source_id, kind ORDER BY received_on, source_id, kind
                ON CONFLICT (received_on, source_id, kind) DO UPDATE SET count = t.count + EXCLUDED.count
            )
            SELECT count(*) FROM taken
            """,
            [limit],
        )
        return cursor.fetchone()[0]


def forget_minutes(*, now: datetime) -> int:
    """Drop the minutes nobody looks at any more. Returns how many."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM crm_sourceminute WHERE minute < %s", [now - MINUTES_KEPT])
        return cursor.rowcount
