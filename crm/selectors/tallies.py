"""Touchpoint counts for dashboards: folded tallies plus the deltas not folded yet."""

from __future__ import annotations

from datetime import date

from django.db import connection


def by_kind(*, since: date, until: date) -> dict[str, int]:
    """Touchpoints received from `since` to `until` (days, inclusive), per kind, most frequent first."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT kind, sum(count)::bigint FROM (
                SELECT kind, count FROM crm_touchpointtally WHERE received_on BETWEEN %(since)s AND %(until)s
                UNION ALL
                SELECT kind, count FROM crm_touchpointtallydelta WHERE received_on BETWEEN %(since)s AND %(until)s
            ) AS both_kinds GROUP BY kind ORDER BY 2 DESC, 1
            """,
            {"since": since, "until": until},
        )
        return dict(cursor.fetchall())
