"""Warnings of the door as staff read them: one topic per source, code and subject, over a span of days, with what
was decided about it. A topic is quiet while its decision lasts and open again when it happened afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db import connection

from crm import schema_faults, warning_codes
from crm.states import QuietState

OPEN = "open"
MOST_TOPICS = 500


@dataclass(frozen=True, slots=True)
class Topic:
    """What one source keeps doing. `days` are (day, count), oldest first, only days on which it happened."""

    id: int
    source_id: int | None
    source_name: str
    code: str
    subject: str
    count: int
    first_seen_at: datetime
    last_seen_at: datetime
    sample: dict[str, Any]
    state: str
    quiet_until: datetime | None
    note: str
    decided_by: str
    days: list[tuple[date, int]]

    @property
    def meaning(self) -> warning_codes.Meaning:
        """The code in words."""
        return warning_codes.meaning(self.code)

    @property
    def detail(self) -> str:
        """What was wrong with the newest example, in the reader's language where it is about a schema."""
        return schema_faults.in_words(str(self.sample.get("detail", "")))

    @property
    def effect(self) -> Any:
        """What became of the events; the sample knows better than the code."""
        if self.meaning.effect in (warning_codes.Effect.NOTICED, warning_codes.Effect.CHANGED):
            lost = self.sample.get("stored") is False
            return (warning_codes.Effect.LOST if lost else warning_codes.Effect(self.meaning.effect)).label
        return warning_codes.Effect(self.meaning.effect).label

    @property
    def state_label(self) -> Any:
        """The state in words; empty for an open one."""
        return QuietState(self.state).label if self.state != OPEN else ""


_TOPICS = """
    SELECT w.source_id, COALESCE(s.name, ''), w.code, w.subject, sum(w.count)::bigint, min(w.first_seen_at),
           max(w.last_seen_at), (array_agg(w.sample ORDER BY w.seen_on DESC))[1],
           (array_agg(w.id ORDER BY w.seen_on DESC))[1], d.state, d.quiet_until, COALESCE(d.note, ''),
           COALESCE(d.decided_by, ''), array_agg(w.seen_on ORDER BY w.seen_on),
           array_agg(w.count ORDER BY w.seen_on)
      FROM crm_ingestionwarning w
      LEFT JOIN crm_source s ON s.id = w.source_id
      LEFT JOIN crm_warningdecision d ON d.source_id IS NOT DISTINCT FROM w.source_id AND d.code = w.code
           AND d.subject = w.subject
     WHERE w.seen_on BETWEEN %(since)s AND %(until)s
       AND (%(source)s::bigint IS NULL OR w.source_id = %(source)s)
       AND (%(code)s = '' OR w.code = %(code)s)
     GROUP BY w.source_id, s.name, w.code, w.subject, d.state, d.quiet_until, d.note, d.decided_by
     ORDER BY max(w.last_seen_at) DESC, w.code, w.subject
     LIMIT %(limit)s
"""


def topics(
    *, since: date, until: date, source_id: int | None = None, code: str = "", state: str = ""
) -> list[Topic]:
    """The topics of these days, newest first; `state` is `open`, `resolved`, `muted` or empty for all."""
    import json

    with connection.cursor() as cursor:
        cursor.execute(
            _TOPICS,
            {"since": since, "until": until, "source": source_id, "code": code, "limit": MOST_TOPICS},
        )
        rows = cursor.fetchall()
    found = []
    for row in rows:
        quiet_until = row[10]
        quiet = quiet_until is not None and row[6] <= quiet_until
        sample = row[7] if isinstance(row[7], dict) else json.loads(row[7])
        found.append(
            Topic(
                source_id=row[0], source_name=row[1], code=row[2], subject=row[3], count=row[4],
                first_seen_at=row[5], last_seen_at=row[6], sample=sample, id=row[8],
                state=row[9] if quiet else OPEN, quiet_until=quiet_until if quiet else None, note=row[11],
                decided_by=row[12], days=list(zip(row[13], row[14], strict=True)),
            )
        )  # fmt: skip
    return [topic for topic in found if not state or topic.state == state]


def count_open(*, since: date, until: date) -> int:
    """Events of open topics in these days: what the home page shows."""
    return sum(topic.count for topic in topics(since=since, until=until, state=OPEN))


def open_per_source(source_ids: Iterable[int], *, since: date, until: date) -> dict[int, int]:
    """Open topics of each source, for lists."""
    wanted = set(source_ids)
    found: dict[int, int] = dict.fromkeys(wanted, 0)
    for topic in topics(since=since, until=until, state=OPEN):
        if topic.source_id in wanted:
            found[topic.source_id] += 1
    return found
