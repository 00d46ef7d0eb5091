"""One value against one condition, in SQL: typed columns, loose JSON values, and what a number is compared with.

Every predicate here is about a value that may be missing: it is then NULL or false, never an error. So text that is
no number or no date simply does not match.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from crm import facts
from crm.conditions.definition import OPPOSITES, Compare, Filter, Value
from crm.conditions.fragments import Sql, both, param, put

_SIGNS: Final = {"eq": "=", "ne": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_CASTS: Final = {facts.TEXT: "text", facts.CHOICE: "text", facts.NUMBER: "numeric", facts.BOOLEAN: "boolean"}
_NUMBER: Final = r"'^-?[0-9]{{1,15}}([.][0-9]{{1,6}})?$'"
_DAY_OF_YEAR: Final = "(extract(month FROM {})::int * 100 + extract(day FROM {})::int) = ANY({})"
_DATE: Final = r"'^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}'"


@dataclass(frozen=True, slots=True)
class Moment:
    """The instant a rule is read at, in the organisation's time zone: what `today` and `the last n days` mean."""

    now: datetime
    zone: ZoneInfo
    currency: str
    beginning: datetime

    @property
    def today(self) -> date:
        """The organisation's day."""
        return self.now.astimezone(self.zone).date()

    def start_of(self, day: date) -> datetime:
        """The first instant of a day in the organisation's time zone."""
        return datetime.combine(day, time.min, tzinfo=self.zone)

    def days_ago(self, days: int | Decimal) -> datetime:
        """So many times 24 hours before now."""
        return self.now - timedelta(days=int(days))


def compare(number: Sql, how: Compare, *, whole: bool = False) -> Sql:
    """A numeric expression against a comparison. `whole`: it is a count, which is not made a decimal for whole
    numbers."""
    bounds = how.value if isinstance(how.value, tuple) else (how.value,)
    kind = "bigint" if whole and all(_is_small_whole(bound) for bound in bounds) else "numeric"
    if isinstance(how.value, tuple):
        low, high = how.value
        return put("{} BETWEEN {} AND {}", number, param(low, kind), param(high, kind))
    return put(f"{{}} {_SIGNS[how.op]} {{}}", number, param(how.value, kind))


def _is_small_whole(number: Decimal) -> bool:
    return number == number.to_integral_value() and abs(number) < 1_000_000_000


def holds(how: Compare, number: Decimal) -> bool:
    """The same comparison of a number that is known here."""
    if isinstance(how.value, tuple):
        return how.value[0] <= number <= how.value[1]
    return {
        "eq": number == how.value,
        "ne": number != how.value,
        "gt": number > how.value,
        "gte": number >= how.value,
        "lt": number < how.value,
        "lte": number <= how.value,
    }[how.op]


def typed(column: Sql, kind: str, op: str, value: Value, at: Moment) -> Sql:
    """A column or a fact's value of a known type. `op` is never one that is another turned round."""
    if op == "is_set":
        blank = put("{} <> ''", column) if kind in (facts.TEXT, facts.CHOICE) else Sql("")
        filled = put("cardinality({}) > 0", column) if kind == facts.LIST else Sql("")
        return both([put("{} IS NOT NULL", column), blank, filled])
    if kind == facts.NUMBER:
        return compare(column, Compare(op, value))  # type: ignore[arg-type]
    if kind == facts.DATE:
        return _day(column, op, value, at)
    if kind == facts.MOMENT:
        return _moment(column, op, value, at)
    if kind == facts.LIST:
        wanted = list(value) if isinstance(value, tuple) else [value]
        return put("{} && {}", column, param(wanted, "text[]"))
    if op == "contains":
        return put("position(lower({}) IN lower({})) > 0", param(value, "text"), column)
    if op == "starts_with":
        return put("starts_with(lower({}), lower({}))", column, param(value, "text"))
    if op == "in":
        return put("{} = ANY({})", column, param(list(value), f"{_CASTS[kind]}[]"))  # type: ignore[arg-type]
    return put("{} = {}", column, param(value, _CASTS[kind]))


def loose(document: Sql, path: tuple[str, ...], op: str, value: Value, at: Moment) -> Sql:
    """A value inside a JSON document. Its type is that of the value it is compared with."""
    if "[]" in path:
        place = path.index("[]")
        source = inner(document, path[:place])
        element = loose(Sql("e.v"), path[place + 1 :], op, value, at)
        return put(
            "EXISTS (SELECT 1 FROM jsonb_array_elements("
            "CASE WHEN jsonb_typeof({}) = 'array' THEN {} ELSE '[]'::jsonb END) AS e(v) WHERE {})",
            source, source, element,
        )  # fmt: skip
    found, text = inner(document, path), inner(document, path, as_text=True)
    if op == "is_set":
        return put("{} <> ''", text)
    if op in ("contains", "starts_with"):
        within = put("position(lower({}) IN lower({})) > 0", param(value, "text"), text)
        if op == "starts_with":
            begins = put("starts_with(lower({}), lower({}))", text, param(value, "text"))
            return put("CASE WHEN jsonb_typeof({}) = 'string' THEN {} END", found, begins)
        return put(
            "CASE jsonb_typeof({}) WHEN 'array' THEN {} @> to_jsonb({}) WHEN 'string' THEN {} END",
            found, found, param(value, "text"), within,
        )  # fmt: skip
    if op in ("on", "before", "after") or op.endswith(("_days", "_ago")):
        day = put(
            f"CASE WHEN {{}} ~ {_DATE} AND pg_input_is_valid(left({{}}, 10), 'date') THEN left({{}}, 10)::date END",
            text, text, text,
        )  # fmt: skip
        return _day(put("({})", day), op, value, at)
    sample = value[0] if isinstance(value, tuple) and value else value
    if isinstance(sample, Decimal):
        number = numeric(document, path)
        if op == "in":
            return put("{} = ANY({})", number, param(list(value), "numeric[]"))  # type: ignore[arg-type]
        return compare(number, Compare(op, value))  # type: ignore[arg-type]
    if isinstance(sample, bool):
        words = ["true" if one else "false" for one in (value if isinstance(value, tuple) else (value,))]  # type: ignore[union-attr]
        return put("{} = ANY({})", text, param(words, "text[]"))
    if op == "in":
        return put("{} = ANY({})", text, param(list(value), "text[]"))  # type: ignore[arg-type]
    return put("{} = {}", text, param(value, "text"))


def matches(document: Sql, one: Filter, at: Moment) -> Sql:
    """A filter on a touchpoint, never NULL where it is turned round."""
    opposite = OPPOSITES.get(one.op)
    if opposite:
        return put("({}) IS NOT TRUE", loose(document, one.path, opposite, one.value, at))
    return loose(document, one.path, one.op, one.value, at)


def numeric(document: Sql, path: tuple[str, ...]) -> Sql:
    """A number inside a JSON document, also one that was sent as text; NULL for anything else."""
    found, text = inner(document, path), inner(document, path, as_text=True)
    return put(
        "(CASE jsonb_typeof({}) WHEN 'number' THEN ({})::numeric"
        f" WHEN 'string' THEN CASE WHEN {{}} ~ {_NUMBER} THEN ({{}})::numeric END END)",
        found, found, text, text,
    )  # fmt: skip


def inner(document: Sql, path: tuple[str, ...], *, as_text: bool = False) -> Sql:
    """What is at a place in a JSON document, as JSON or as text."""
    if not path:
        return put("({} #>> '{{}}')", document) if as_text else document
    arrow = "->>" if as_text else "->"
    if len(path) == 1:
        return put(f"({{}} {arrow} {{}})", document, param(path[0], "text"))
    return put(f"({{}} {arrow.replace('-', '#')} {{}})", document, param(list(path), "text[]"))


def _day(column: Sql, op: str, value: Any, at: Moment) -> Sql:
    """A calendar date; days are those of the organisation."""
    today = at.today
    if op == "between":
        return put("{} BETWEEN {} AND {}", column, param(value[0], "date"), param(value[1], "date"))
    if op == "on":
        return put("{} = {}", column, param(value, "date"))
    if op == "before":
        return put("{} < {}", column, param(value, "date"))
    if op == "after":
        return put("{} > {}", column, param(value, "date"))
    days = timedelta(days=int(value))
    if op == "in_last_days":
        return put("{} BETWEEN {} AND {}", column, param(today - days, "date"), param(today, "date"))
    if op == "in_next_days":
        return put("{} BETWEEN {} AND {}", column, param(today, "date"), param(today + days, "date"))
    if op == "more_than_days_ago":
        return put("{} < {}", column, param(today - days, "date"))
    return put(_DAY_OF_YEAR, column, column, param(anniversaries(today, int(value)), "int[]"))


def birthday(days: int, at: Moment) -> Sql:
    """A birthday within so many days. Lunar birthdays keep their day of the lunar year."""
    solar = put(
        _DAY_OF_YEAR, Sql("p.birthday"), Sql("p.birthday"), param(anniversaries(at.today, days), "int[]")
    )
    lunar = put(
        _DAY_OF_YEAR, Sql("p.birthday"), Sql("p.birthday"), param(lunar_days(at.today, days), "int[]")
    )
    return put("CASE WHEN p.birthday_is_lunar THEN {} ELSE {} END", lunar, solar)


@lru_cache(maxsize=64)
def lunar_days(today: date, days: int) -> list[int]:
    """The days of the lunar year from today to so many days ahead, as month * 100 + day; leap months like others."""
    from lunar_python import Solar

    found = set()
    for ahead in range(min(days, 366) + 1):
        day = today + timedelta(days=ahead)
        lunar = Solar.fromYmd(day.year, day.month, day.day).getLunar()
        found.add(abs(lunar.getMonth()) * 100 + lunar.getDay())
    return sorted(found)


def anniversaries(today: date, days: int) -> list[int]:
    """The days of the year from today to so many days ahead, as month * 100 + day.

    Who was born on 29 February has the 28th in other years.
    """
    found = set()
    for ahead in range(min(days, 366) + 1):
        day = today + timedelta(days=ahead)
        found.add(day.month * 100 + day.day)
        if (day.month, day.day) == (2, 28) and (day + timedelta(days=1)).month == 3:
            found.add(229)
    return sorted(found)


def _moment(column: Sql, op: str, value: Any, at: Moment) -> Sql:
    """An instant: `the last n days` are n times 24 hours, dates are days of the organisation."""
    one_day = timedelta(days=1)
    if op == "anniversary_in_days":
        local = put("({} AT TIME ZONE {})::date", column, param(at.zone.key, "text"))
        return _day(local, op, value, at)
    if op in ("on", "between"):
        first, last = value if isinstance(value, tuple) else (value, value)
        return put(
            "({} >= {} AND {} < {})",
            column, param(at.start_of(first), "timestamptz"),
            column, param(at.start_of(last + one_day), "timestamptz"),
        )  # fmt: skip
    if op == "before":
        return put("{} < {}", column, param(at.start_of(value), "timestamptz"))
    if op == "after":
        return put("{} >= {}", column, param(at.start_of(value + one_day), "timestamptz"))
    if op == "in_last_days":
        return put("{} >= {}", column, param(at.days_ago(value), "timestamptz"))
    if op == "more_than_days_ago":
        return put("{} < {}", column, param(at.days_ago(value), "timestamptz"))
    until = at.now + timedelta(days=int(value))
    return put("{} BETWEEN {} AND {}", column, param(at.now, "timestamptz"), param(until, "timestamptz"))
