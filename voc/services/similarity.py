"""Which open tickets a text is likely about: one replaceable function.

The shipped engine compares token sets (voc.tokens): the cosine of the overlap between the text and the closest
voice of a ticket, its own words or any feedback on it. Another engine is a function of the same shape,
registered under a name and chosen by the knob `voc.similarity`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from django.db import connection

from crm.kernel import knobs
from voc import tokens
from voc.models import Ticket
from voc.states import OPEN_STATUSES

MAX_LIMIT: Final = 20
# Below this two texts share only what any two texts share.
LEAST_SCORE: Final = 0.12


@dataclass(frozen=True, slots=True)
class Match:
    """An open ticket and how near it is: 1.0 is the same words, LEAST_SCORE is barely related."""

    ticket: Ticket
    score: float


Engine = Callable[[str, int], list[tuple[int, float]]]
_engines: dict[str, Engine] = {}


def register(name: str, engine: Engine) -> None:
    """Add an engine: `(text, limit) -> [(ticket id, score 0..1)]`, best first, open root tickets only."""
    _engines[name] = engine


def find(text: str, *, limit: int = 5) -> list[Match]:
    """The open tickets most like `text`, best first. `limit` is 1 to MAX_LIMIT."""
    limit = max(1, min(limit, MAX_LIMIT))
    engine = _engines.get(knobs.get("voc.similarity"), overlap)
    scored = engine(text, limit)[:limit]
    rows = Ticket.objects.open().select_related("assignee").in_bulk([ident for ident, _score in scored])
    return [Match(rows[ident], score) for ident, score in scored if ident in rows]


def overlap(text: str, limit: int) -> list[tuple[int, float]]:
    """Han pairs and words in common, read through the GIN indexes."""
    wanted = tokens.cut(text)
    if not wanted:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH near AS MATERIALIZED (
                SELECT id AS ticket_id, tokens FROM voc_ticket
                 WHERE status = ANY(%(open)s) AND tokens && %(wanted)s::text[]
                UNION ALL
                SELECT COALESCE(t.merged_into_id, t.id), f.tokens
                  FROM (SELECT ticket_id, tokens FROM voc_feedback
                         WHERE ticket_id IS NOT NULL AND tokens && %(wanted)s::text[] OFFSET 0) AS f
                  JOIN voc_ticket t ON t.id = f.ticket_id
            ), scored AS MATERIALIZED (
                SELECT ticket_id,
                       (SELECT count(*) FROM unnest(near.tokens) AS word WHERE word = ANY(%(wanted)s::text[]))
                       / sqrt(cardinality(near.tokens)::float * %(size)s) AS score
                  FROM near
            ), best AS MATERIALIZED (
                SELECT ticket_id, max(score) AS score FROM scored GROUP BY ticket_id HAVING max(score) >= %(least)s
            )
            SELECT best.ticket_id, best.score
              FROM best JOIN voc_ticket t ON t.id = best.ticket_id AND t.status = ANY(%(open)s)
             ORDER BY best.score DESC, best.ticket_id LIMIT %(limit)s
            """,
            {
                "open": list(OPEN_STATUSES),
                "wanted": wanted,
                "size": len(wanted),
                "least": LEAST_SCORE,
                "limit": limit,
            },
        )
        return [(row[0], round(float(row[1]), 4)) for row in cursor.fetchall()]


register("overlap", overlap)
