"""The SQL of computed traits: one statement per definition, for one person or for a million.

The statement reads the touchpoints of people over all their ids and yields `(root, number, text, moment, list,
moves_at)`, a row per person with a value. It is the same text for a pass over everybody (a range of profile ids), a
follow-up of events (given roots) and a preview, so there is one truth. A scope bounds it twice: by people and by time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import connection

from crm.computed import Definition
from crm.conditions import predicates
from crm.conditions.definition import Window
from crm.conditions.fragments import TRUE, Sql, both, join, param, put
from crm.conditions.predicates import Moment
from crm.kernel import money
from crm.states import ComputedFunction, ComputedType

# The door takes events dated a little ahead; they count at once, so that no value changes by waiting for them.
AHEAD: Final = timedelta(days=31)
LONGEST_VALUE: Final = 200
# Beyond this a number is a mistake, and sums of it would not fit.
LARGEST: Final = "1e15"
_MOMENT: Final = (
    r"'^[12][0-9]{{3}}-[0-9]{{2}}-[0-9]{{2}}([T ][0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}([.][0-9]{{1,6}})?)?"
    r"(Z|[+-][0-9]{{2}}:?[0-9]{{2}})?)?$'"
)


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose values: the given roots, or those with after < id <= upto. `oldest`: nothing of theirs is older."""

    roots: tuple[int, ...] | None = None
    after: int = 0
    upto: int = 0
    oldest: datetime | None = None

    def covers(self, column: str) -> Sql:
        """Whether a profile id lies in the scope."""
        if self.roots is not None:
            return put(f"{column} = ANY({{}})", param(list(self.roots), "bigint[]"))
        return put(
            f"{column} > {{}} AND {column} <= {{}}", param(self.after, "bigint"), param(self.upto, "bigint")
        )


def scope_of(roots: Sequence[int]) -> Scope:
    """The scope of given roots, bounded by the first thing that happened to any of their ids."""
    wanted = tuple(sorted(set(roots)))
    return _bounded(Scope(wanted))


def range_of(after: int, upto: int) -> Scope:
    """The scope of the roots with after < id <= upto."""
    return _bounded(Scope(after=after, upto=upto))


def _bounded(scope: Scope) -> Scope:
    query = put(
        "SELECT min(least(first_seen_at, created_at)) FROM ("
        "SELECT p.first_seen_at, p.created_at FROM crm_profile p WHERE {}"
        " UNION ALL SELECT p.first_seen_at, p.created_at FROM crm_profile p"
        " WHERE p.merged_into_id IS NOT NULL AND {}) AS known",
        scope.covers("p.id"), scope.covers("p.merged_into_id"),
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(query.text, query.params)
        oldest = cursor.fetchone()[0]
    # First seen moves by the hour only.
    return Scope(scope.roots, scope.after, scope.upto, oldest and oldest - timedelta(days=1))


def touchpoints(scope: Scope, kind: str, *, low: datetime, high: datetime, more: Sql = TRUE) -> Sql:
    """The touchpoints of a kind of everybody in the scope, as (root, occurred_at, id, properties).

    Erased people have none. Merged profiles count for their root; those of a range are read by id, since they may lie
    anywhere.
    """
    if scope.oldest is not None:
        low = max(low, scope.oldest)
    rows = both(
        [
            put("t.kind = {}", param(kind, "text")),
            put("t.occurred_at >= {}", param(low, "timestamptz")),
            put("t.occurred_at < {}", param(high, "timestamptz")),
            more,
        ]
    )
    own = scope.covers("t.profile_id")
    return put(
        "SELECT p.id AS root, t.occurred_at, t.id, t.properties FROM crm_touchpoint t"
        " JOIN crm_profile p ON p.id = t.profile_id AND p.merged_into_id IS NULL AND p.erased_at IS NULL"
        " WHERE {} AND {} UNION ALL"
        " SELECT p.merged_into_id, t.occurred_at, t.id, t.properties FROM crm_profile p"
        " JOIN crm_profile r ON r.id = p.merged_into_id AND r.erased_at IS NULL"
        " JOIN crm_touchpoint t ON t.profile_id = p.id"
        " WHERE p.merged_into_id IS NOT NULL AND {} AND {}",
        own, rows, scope.covers("p.merged_into_id"), rows,
    )  # fmt: skip


def statement(wanted: Definition, *, at: Moment, scope: Scope) -> Sql:
    """The values of a definition: `(root, number, text, moment, list, moves_at)`."""
    low, high = bounds(wanted.window, at=at)
    more = both(predicates.matches(Sql("t.properties"), one, at) for one in wanted.where)
    found = touchpoints(scope, wanted.kind, low=low, high=high, more=more)
    values = put("SELECT f.root, f.occurred_at, f.id, {} FROM ({}) AS f {}", *_value(wanted, at, found))
    moves = "NULL::timestamptz"
    if wanted.window.days:
        moves = f"{{}} + interval '{int(wanted.window.days)} days'"
    return put("SELECT g.root, {} FROM ({}) AS g GROUP BY g.root", *_answer(wanted, values, moves))


def bounds(window: Window, *, at: Moment) -> tuple[datetime, datetime]:
    """From when to before when touchpoints count."""
    if window.days:
        return at.days_ago(window.days), at.now + AHEAD
    low = at.start_of(window.first) if window.first else at.beginning
    high = at.start_of(window.last + timedelta(days=1)) if window.last else at.now + AHEAD
    return low, high


def _value(wanted: Definition, at: Moment, found: Sql) -> tuple[Sql, Sql, Sql]:
    """The value of one touchpoint as `v` (with its place `n` in a list), the rows, and the unfolding of a list."""
    document, path, unfolded = Sql("f.properties"), wanted.path, Sql("")
    place = "1 AS n"
    if not path:
        return Sql(f"f.occurred_at AS v, {place}"), found, unfolded
    if "[]" in path:
        split = path.index("[]")
        outer, path = path[:split], path[split + 1 :]
        source = put("(f.properties #> {})", param(list(outer), "text[]"))
        unfolded = put(
            "CROSS JOIN LATERAL jsonb_array_elements(CASE WHEN jsonb_typeof({}) = 'array' THEN {} ELSE '[]' END)"
            " WITH ORDINALITY AS e(v, n)",
            source, source,
        )  # fmt: skip
        document, place = Sql("e.v"), "e.n"
    return put(f"{{}} AS v, {place}", _typed(wanted, document, path, at)), found, unfolded


def _typed(wanted: Definition, document: Sql, path: tuple[str, ...], at: Moment) -> Sql:
    """The value in its type; NULL for anything that is none."""
    text = _text(document, path)
    if wanted.function == ComputedFunction.COUNT:
        return put("NULLIF({}, '')", text)
    if wanted.type in (ComputedType.NUMBER, ComputedType.MONEY):
        number = predicates.numeric(document, path)
        sane = put(f"CASE WHEN abs({{}}) < {LARGEST} THEN {{}} END", number, number)
        return (
            sane if wanted.type == ComputedType.NUMBER else _minor(wanted.currency, document, path, sane, at)
        )
    if wanted.type == ComputedType.MOMENT:
        return put(
            f"CASE WHEN {{}} ~ {_MOMENT} AND pg_input_is_valid({{}}, 'timestamptz') THEN ({{}})::timestamptz END",
            text, text, text,
        )  # fmt: skip
    scalar = put(
        "CASE WHEN jsonb_typeof({}) IN ('string', 'number', 'boolean') THEN NULLIF(btrim({}), '') END",
        _inner(document, path), text,
    )  # fmt: skip
    return put(f"left({{}}, {LONGEST_VALUE})", scalar)


def _minor(currency: str, document: Sql, path: tuple[str, ...], number: Sql, at: Moment) -> Sql:
    """An amount in minor units of the currency; amounts of another one are left out, as in rules. An amount that says
    no currency, neither beside it nor on the touchpoint, is in the organisation's."""
    beside = (*path[:-1], "currency") if path else ("currency",)
    said = put(
        "upper(COALESCE(NULLIF({}, ''), NULLIF(f.properties ->> 'currency', ''), {}))",
        _text(document, beside), param(at.currency, "text"),
    )  # fmt: skip
    scale = 10 ** money.exponent(currency)
    return put(f"CASE WHEN {{}} = {{}} THEN round({{}} * {scale}) END", said, param(currency, "text"), number)


def _inner(document: Sql, path: tuple[str, ...]) -> Sql:
    return put("({} #> {})", document, param(list(path), "text[]")) if path else document


def _text(document: Sql, path: tuple[str, ...]) -> Sql:
    return put("({} #>> {})", document, param(list(path), "text[]"))


_EMPTY: Final = {
    "number": "NULL::numeric",
    "text": "NULL::text",
    "moment": "NULL::timestamptz",
    "list": "NULL::text[]",
}
_COLUMN: Final = {
    ComputedType.NUMBER: "number",
    ComputedType.MONEY: "number",
    ComputedType.TEXT: "text",
    ComputedType.MOMENT: "moment",
    ComputedType.LIST: "list",
}


def column_of(kind: str) -> str:
    """The column of the values table that holds this type."""
    return _COLUMN[ComputedType(kind)]


def _answer(wanted: Definition, values: Sql, moves: str) -> tuple[Sql, Sql]:
    """The columns of the answer, and the rows they are taken from."""
    held = put("SELECT * FROM ({}) AS x WHERE x.v IS NOT NULL", values)
    if wanted.function == ComputedFunction.COUNT and not wanted.path:
        held = values
    earliest = "min(g.occurred_at)"
    digits = 0 if wanted.type == ComputedType.MONEY else 6
    answer = {
        ComputedFunction.COUNT: "count(*)::numeric",
        ComputedFunction.SUM: f"round(sum(g.v), {digits})",
        ComputedFunction.AVERAGE: f"round(avg(g.v), {digits})",
        ComputedFunction.MINIMUM: "min(g.v)",
        ComputedFunction.MAXIMUM: "max(g.v)",
        ComputedFunction.FIRST: "(array_agg(g.v ORDER BY g.occurred_at, g.id, g.n))[1]",
        ComputedFunction.LAST: "(array_agg(g.v ORDER BY g.occurred_at DESC, g.id DESC, g.n DESC))[1]",
        ComputedFunction.MOST_FREQUENT: '(array_agg(g.v ORDER BY g.times DESC, g.latest DESC, g.v COLLATE "C"))[1]',
        ComputedFunction.UNIQUE_LIST: '(array_agg(g.v ORDER BY g.latest DESC, g.v COLLATE "C"))[1:{limit}]',
    }[ComputedFunction(wanted.function)].format(limit=int(wanted.limit))
    if wanted.type == ComputedType.NUMBER and wanted.function in _TAKEN:
        answer = f"round({answer}, 6)"
    if wanted.function in (ComputedFunction.MOST_FREQUENT, ComputedFunction.UNIQUE_LIST):
        held = put(
            "SELECT h.root, h.v, count(*) AS times, max(h.occurred_at) AS latest, min(h.occurred_at) AS occurred_at"
            " FROM ({}) AS h GROUP BY h.root, h.v",
            held,
        )
    columns = dict(_EMPTY) | {column_of(wanted.type): answer}
    answers = [Sql(f"{text} AS {name}") for name, text in columns.items()]
    return join(", ", [*answers, Sql(f"{moves.format(earliest)} AS moves_at")]), held


_TAKEN: Final = (
    ComputedFunction.MINIMUM, ComputedFunction.MAXIMUM, ComputedFunction.FIRST, ComputedFunction.LAST,
)  # fmt: skip
