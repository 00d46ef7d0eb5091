"""Tallies: how many touchpoints arrived per day, source and kind, without a counter that writers wait for."""

from __future__ import annotations

from django.db import connection, transaction

LOCK = 0x52454E03


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
                RETURNING received_on, source_id, kind, count
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
