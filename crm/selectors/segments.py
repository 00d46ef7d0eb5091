"""Reading segments: who is in, who would be, the segments of a person, and how a number went."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from django.db import OperationalError, connection, transaction
from django.db.models import QuerySet
from psycopg import errors

from crm.conditions import compiler, definition, sentences
from crm.conditions.definition import Node
from crm.conditions.fragments import Sql, put
from crm.kernel import knobs
from crm.kernel.errors import Invalid
from crm.models import Segment, SegmentEvent, SegmentMembership, SegmentRun, SegmentSize
from crm.selectors import profiles
from crm.selectors.profiles import Card
from crm.states import SegmentStatus

SAMPLED_PEOPLE: Final = 10_000
MOST_SHOWN: Final = 50
CHART_DAYS: Final = 90


@dataclass(frozen=True, slots=True)
class Preview:
    """How many a rule would let in, and some of them. An estimate comes from `asked` people chosen at random."""

    count: int
    is_estimate: bool
    asked: int
    sample: list[Card]


@dataclass(frozen=True, slots=True)
class Belonging:
    """A segment that a person is in."""

    id: int
    key: str
    name: str
    entered_at: datetime


def preview(rule: Mapping[str, Any], *, now: datetime, sample: int = 10) -> Preview:
    """Ask a rule about everybody without writing anything. Raises RuleError.

    Counting is given the seconds of a knob; after that the number is estimated from a random sample of people.
    """
    node = definition.parse(rule)
    at = compiler.moment(now=now)
    number = min(max(sample, 0), MOST_SHOWN)
    seconds = knobs.get("crm.segment_preview_seconds")
    try:
        with transaction.atomic():
            _limit(seconds)
            count, ids = _count(compiler.compile_rule(node, at=at), number)
    except OperationalError as error:
        if not isinstance(error.__cause__, errors.QueryCanceled):
            raise
        return _estimate(node, at=at, sample=number, seconds=seconds)
    return Preview(count, False, 0, _cards(ids))


def _limit(seconds: int) -> None:
    """The time of one statement, and plans for sets, as the passes use them; until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('statement_timeout', %s, true), set_config('work_mem', %s, true),"
            " set_config('enable_nestloop', 'off', true), set_config('jit', 'off', true)",
            [f"{seconds}s", f"{knobs.get('crm.segment_work_mem')}MB"],
        )


def _count(statement: Sql, number: int) -> tuple[int, list[int]]:
    asked = put(
        "WITH hit AS MATERIALIZED ({}) SELECT (SELECT count(*) FROM hit),"
        " ARRAY(SELECT id FROM hit ORDER BY id DESC LIMIT {})",
        statement, Sql("%s", (number,)),
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(asked.text, list(asked.params))
        count, ids = cursor.fetchone()
    return count, ids


def _estimate(node: Node, *, at: Any, sample: int, seconds: int) -> Preview:
    """The share of a random sample, times the number of people as the planner knows it."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{4 * seconds}s"])
        cursor.execute("SELECT greatest(reltuples, 1) FROM pg_class WHERE oid = 'crm_profile'::regclass")
        rows = float(cursor.fetchone()[0])
        share = min(100.0, 100.0 * 1.2 * SAMPLED_PEOPLE / rows)
        cursor.execute(
            "SELECT id, merged_into_id IS NULL AND erased_at IS NULL FROM crm_profile TABLESAMPLE SYSTEM (%s) LIMIT %s",
            [share, SAMPLED_PEOPLE],
        )
        drawn = cursor.fetchall()
        roots = sorted(pk for pk, is_live in drawn if is_live)
        members = [member for ids in profiles.id_sets(roots).values() for member in ids]
        found, ids = _count(compiler.compile_rule(node, at=at, roots=roots, members=members), sample)
    count = round(found / len(drawn) * rows) if drawn else 0
    return Preview(count, True, len(roots), _cards(ids))


def _cards(ids: Sequence[int]) -> list[Card]:
    cards = profiles.cards(ids)
    return [cards[ident] for ident in ids if ident in cards]


def sentence(row: Segment) -> str:
    """The rule of a segment in the reader's language; of a rule that can no longer be read, what is wrong."""
    if row.rule is None:
        return ""
    try:
        node = definition.parse(row.rule)
    except Invalid as error:
        return str(error)
    return sentences.sentence(node, names=namer(definition.segments(node)))


def namer(keys: Iterable[str]) -> Any:
    """A function from the key of a segment to its name."""
    wanted = set(keys)
    found = dict(Segment.objects.filter(key__in=wanted).values_list("key", "name")) if wanted else {}
    return lambda key: found.get(key, key)


def segments_of(profile_ids: Iterable[int]) -> list[Belonging]:
    """The segments that one person is in, newest first. `profile_ids` are all ids of the person."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT g.id, g.key, g.name, s.entered_at FROM crm_segmentmembership s"
            " JOIN crm_segment g ON g.id = s.segment_id AND g.status <> 'archived'"
            " WHERE s.profile_id = ANY(%s) ORDER BY s.entered_at DESC, g.id",
            [list(profile_ids)],
        )
        return [Belonging(*row) for row in cursor.fetchall()]


def is_member(key: str, profile_ids: Iterable[int]) -> dict[int, bool]:
    """For each profile id whether its person is in the segment now; unknown ids are left out."""
    roots = profiles.roots(profile_ids)
    sets = profiles.id_sets(set(roots.values()))
    members = [member for ids in sets.values() for member in ids]
    inside = set(
        SegmentMembership.objects.filter(
            segment_id__in=Segment.objects.filter(key=key).values("pk"), profile_id__in=members
        ).values_list("profile_id", flat=True)
    )
    return {ident: bool(inside & set(sets[root])) for ident, root in roots.items()}


def members(segment_id: int) -> QuerySet[SegmentMembership]:
    """The people of a segment, newest ids first: paged by the key."""
    return SegmentMembership.objects.filter(segment_id=segment_id).order_by("-profile_id")


def history(segment_id: int, *, now: datetime, days: int = CHART_DAYS) -> list[SegmentSize]:
    """The sizes of the last days, oldest first, and the last one before them, so that a chart has a beginning."""
    first = now.date() - timedelta(days=days)
    rows = SegmentSize.objects.filter(segment_id=segment_id)
    before = list(rows.filter(day__lt=first).order_by("-day")[:1])
    return [*before, *rows.filter(day__gte=first).order_by("day")]


def daily(rows: Sequence[SegmentSize], *, until: date) -> list[tuple[date, int]]:
    """A size for every day from the first row on: a day without changes has the size of the day before."""
    found: list[tuple[date, int]] = []
    for row, following in zip(rows, [*rows[1:], None], strict=False):
        last = following.day - timedelta(days=1) if following else until
        day = row.day
        while day <= last:
            found.append((day, row.size))
            day += timedelta(days=1)
    return found


def events(segment_id: int) -> QuerySet[SegmentEvent]:
    """What was done to a segment, newest first."""
    return SegmentEvent.objects.filter(segment_id=segment_id).order_by("-id")


def runs(segment_id: int) -> QuerySet[SegmentRun]:
    """The passes of a segment, newest first."""
    return SegmentRun.objects.filter(segment_id=segment_id).order_by("-id")


def open_runs(segment_ids: Iterable[int]) -> dict[int, SegmentRun]:
    """The pass at work or waiting, per segment."""
    rows = SegmentRun.objects.filter(segment_id__in=list(segment_ids), status__in=("waiting", "running"))
    return {row.segment_id: row for row in rows}


def users_of(key: str) -> list[Segment]:
    """The segments that ask about another one."""
    found = []
    for row in Segment.objects.exclude(status=SegmentStatus.ARCHIVED).exclude(rule=None):
        try:
            if key in definition.segments(definition.parse(row.rule)):
                found.append(row)
        except Invalid:
            continue
    return found


def names_of(segment_ids: Iterable[int]) -> dict[int, str]:
    """The names of segments."""
    names: dict[int, str] = defaultdict(str)
    names.update(Segment.objects.filter(pk__in=list(segment_ids)).values_list("pk", "name"))
    return names
