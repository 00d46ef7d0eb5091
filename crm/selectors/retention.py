"""How long touchpoints are kept, and what is past its time: read by the page, the command and the nightly run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import connection

from crm.kernel import knobs
from crm.models import EventKind, RetentionRun

_NAME = re.compile(r"^crm_touchpoint_y(\d{4})m(\d{2})$")


@dataclass(frozen=True, slots=True)
class Rules:
    """Days per kind that has its own, and of all others; 0 keeps for good."""

    of_kind: dict[str, int]
    usual: int

    def days(self, kind: str) -> int:
        """Days a touchpoint of this kind is kept; 0 keeps it."""
        return self.of_kind.get(kind, self.usual)

    @property
    def shortest(self) -> int:
        """The least number of days after which anything goes at all; 0 when nothing ever does."""
        return min((days for days in (*self.of_kind.values(), self.usual) if days), default=0)

    @property
    def longest(self) -> int:
        """Days after which everything is gone, whatever its kind; 0 when some kind is kept for good."""
        return 0 if not self.usual else max((self.usual, *self.of_kind.values()))


@dataclass(frozen=True, slots=True)
class Month:
    """A month partition: its table, its bounds, and whether a detach was left halfway."""

    table: str
    start: datetime
    end: datetime
    is_pending: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do to one month: `drop` it whole, `delete` rows of some kinds, or `keep` it."""

    month: Month
    action: str
    rows: int
    size: int
    kinds: tuple[tuple[str, int], ...]


def rules() -> Rules:
    """The catalogue's retention per kind, and the knob for the others."""
    own = EventKind.objects.exclude(retention_days=None).values_list("name", "retention_days")
    return Rules({name: int(days) for name, days in own if days is not None}, knobs.get("crm.retention_days"))


def months() -> list[Month]:
    """Every month partition, oldest first; those whose detaching was interrupted as well."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, i.inhdetachpending FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = 'crm_touchpoint'::regclass ORDER BY c.relname"
        )
        found = []
        for table, pending in cursor.fetchall():
            match = _NAME.match(table)
            if match:
                year, number = int(match[1]), int(match[2])
                start = datetime(year, number, 1, tzinfo=UTC)
                end = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)
                found.append(Month(table, start, end, pending))
    return found


def is_past(month: Month, rules_now: Rules, *, now: datetime) -> bool:
    """Whether nothing in this month may be kept, whatever its kind: known without reading it."""
    return bool(rules_now.longest) and month.end <= now - timedelta(days=rules_now.longest)


def has_past(month: Month, rules_now: Rules, *, now: datetime) -> bool:
    """Whether something in this month may be past its time."""
    return bool(rules_now.shortest) and month.start < now - timedelta(days=rules_now.shortest)


def cutoffs(month: Month, rules_now: Rules, *, now: datetime) -> dict[str, datetime]:
    """Kinds of their own retention with the moment before which their touchpoints go."""
    found = {kind: now - timedelta(days=days) for kind, days in rules_now.of_kind.items() if days}
    return {kind: moment for kind, moment in found.items() if moment > month.start}


def plan(*, now: datetime) -> list[Plan]:
    """What a run at this moment would do, month by month. Reads only the months in which something may go."""
    rules_now = rules()
    plans = []
    for month in months():
        rows, size = _extent(month)
        if month.is_pending or is_past(month, rules_now, now=now):
            plans.append(Plan(month, "drop", rows, size, ()))
        elif has_past(month, rules_now, now=now):
            kinds, left = _kinds_past(month, rules_now, now=now)
            action = "keep" if not kinds else "delete" if left else "drop"
            plans.append(Plan(month, action, sum(kinds.values()), size, tuple(sorted(kinds.items()))))
        else:
            plans.append(Plan(month, "keep", rows, size, ()))
    return plans


def _extent(month: Month) -> tuple[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT GREATEST(reltuples, 0)::bigint, pg_total_relation_size(oid) FROM pg_class WHERE oid = %s::regclass",
            [month.table],
        )
        rows, size = cursor.fetchone()
    return int(rows), int(size)


def _kinds_past(month: Month, rules_now: Rules, *, now: datetime) -> tuple[dict[str, int], bool]:
    """Rows past their time per kind, and whether anything else is left in the month."""
    usual = now - timedelta(days=rules_now.usual) if rules_now.usual else None
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT t.kind, count(*) FILTER (WHERE t.occurred_at < COALESCE(k.cutoff, %(usual)s)), count(*)
              FROM {month.table} t
              LEFT JOIN unnest(%(kinds)s::text[], %(moments)s::timestamptz[]) AS k(kind, cutoff) ON k.kind = t.kind
             WHERE t.occurred_at >= %(start)s AND t.occurred_at < %(end)s
             GROUP BY t.kind
            """,
            {
                "kinds": list(rules_now.of_kind),
                "moments": [now - timedelta(days=days) for days in rules_now.of_kind.values()],
                "usual": usual,
                "start": month.start,
                "end": month.end,
            },
        )
        rows = cursor.fetchall()
    past = {kind: number for kind, number, _all in rows if number}
    return past, any(number < every for _kind, number, every in rows)


def runs(limit: int = 20) -> list[RetentionRun]:
    """The newest runs."""
    return list(RetentionRun.objects.all()[:limit])
