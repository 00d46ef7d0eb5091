"""The catalogue of kinds, read three ways: the rules that the door asks for every event (from a cache of the
process, at most five seconds old), the numbers on the pages of staff, and a kind's schema as JSON Schema.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection

from crm import registry, schema_faults
from crm.models import EventKind, KindProperty
from crm.states import PropertyType, ViolationAnswer

CACHE_SECONDS = 5.0
DAYS = 30


# -- what the door asks


@dataclass(frozen=True, slots=True)
class KindRule:
    """What staff decided about a kind, ready to be asked. `checks` are (name, type test or None, allowed texts)."""

    is_blocked: bool
    refuses: bool
    stage: str
    required: tuple[str, ...]
    checks: tuple[tuple[str, str, Callable[[Any], bool] | None, frozenset[str]], ...]

    def fault_in(self, properties: Mapping[str, Any]) -> str:
        """What is wrong with these properties, naming the property; empty when nothing is."""
        for name in self.required:
            if properties.get(name) is None:
                return schema_faults.MISSING % {"name": name}
        for name, wanted, fits, allowed in self.checks:
            value = properties.get(name)
            if value is None:
                continue
            if fits is not None and not fits(value):
                return schema_faults.WRONG_TYPE % {"name": name, "type": wanted}
            if allowed and text_of(value) not in allowed:
                return schema_faults.NOT_ALLOWED % {"name": name}
        return ""


_rules: dict[str, KindRule] = {}
_read_at = float("-inf")


def rule_for(kind: str) -> KindRule | None:
    """The rule of a kind, None for a kind that nobody decided anything about."""
    if time.monotonic() - _read_at > CACHE_SECONDS:
        _read()
    return _rules.get(kind)


def forget() -> None:
    """Drop this process's rules."""
    global _read_at
    _read_at = float("-inf")


def _read() -> None:
    global _rules, _read_at
    properties: dict[int, list[KindProperty]] = {}
    checked = EventKind.objects.exclude(on_violation=ViolationAnswer.NOTHING)
    for row in KindProperty.objects.filter(kind__in=checked):
        properties.setdefault(row.kind_id, []).append(row)
    found = {}
    for kind in EventKind.objects.all():
        own = properties.get(kind.pk, [])
        if kind.is_blocked or own or kind.stage:
            found[kind.name] = compiled(kind, own)
    _rules, _read_at = found, time.monotonic()


def compiled(kind: EventKind, properties: list[KindProperty]) -> KindRule:
    """A kind and the lines of its schema as a rule."""
    return KindRule(
        is_blocked=kind.is_blocked,
        refuses=kind.on_violation == ViolationAnswer.REFUSE,
        stage=kind.stage,
        required=tuple(row.name for row in properties if row.is_required),
        checks=tuple(
            (row.name, row.type, _FITS.get(row.type), frozenset(row.allowed_values))
            for row in properties
            if row.type or row.allowed_values
        ),
    )


def text_of(value: Any) -> str:
    """A value as staff write it in the list of allowed ones."""
    if value is True or value is False:
        return "true" if value else "false"
    return value if type(value) is str else str(value)


def type_of(value: Any) -> str:
    """The type of a value in words of PropertyType; texts that are times are times."""
    kind = type(value)
    if kind is bool:
        return PropertyType.BOOLEAN
    if kind is int:
        return PropertyType.INTEGER
    if kind is float:
        return PropertyType.NUMBER
    if kind is str:
        return PropertyType.TIME if _is_time(value) else PropertyType.STRING
    if kind is list:
        return PropertyType.ARRAY
    return PropertyType.OBJECT if kind is dict else PropertyType.ANY


def _is_time(value: Any) -> bool:
    if type(value) is not str or not 8 <= len(value) <= 35 or not value[:4].isdigit() or value.isdigit():
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


_FITS: dict[str, Callable[[Any], bool]] = {
    PropertyType.STRING: lambda value: type(value) is str,
    PropertyType.NUMBER: lambda value: type(value) in (int, float),
    PropertyType.INTEGER: lambda value: type(value) is int or (type(value) is float and value.is_integer()),
    PropertyType.BOOLEAN: lambda value: type(value) is bool,
    PropertyType.TIME: _is_time,
    PropertyType.ARRAY: lambda value: type(value) is list,
    PropertyType.OBJECT: lambda value: type(value) is dict,
}


# -- what others ask


def retention() -> dict[str, int]:
    """Days for which touchpoints of a kind are kept, for kinds that have a term of their own."""
    rows = EventKind.objects.exclude(retention_days=None).values_list("name", "retention_days")
    return {name: days for name, days in rows if days is not None}


def is_own(kind: str) -> bool:
    """Whether the product records this kind itself; such a name is not taken from outside."""
    found = registry.kinds().get(kind)
    return found is not None and bool(found.payload)


# -- what the pages show


@dataclass(frozen=True, slots=True)
class KindNumbers:
    """How much of a kind arrived: per day (oldest first, DAYS numbers), in all of them, and from which sources."""

    days: tuple[int, ...]
    total: int
    today: int
    sources: dict[int, int]

    @property
    def bars(self) -> list[tuple[int, int, int]]:
        """(x, height, count) of a small chart, 100 high."""
        top = max(self.days, default=0) or 1
        return [
            (place, round(100 * count / top) if count else 0, count) for place, count in enumerate(self.days)
        ]


NOTHING = KindNumbers((0,) * DAYS, 0, 0, {})
_TALLIES = """
    SELECT kind, received_on, source_id, sum(count)::bigint FROM (
        SELECT kind, received_on, source_id, count FROM crm_touchpointtally
         WHERE received_on BETWEEN %(since)s AND %(until)s
        UNION ALL
        SELECT kind, received_on, source_id, count FROM crm_touchpointtallydelta
         WHERE received_on BETWEEN %(since)s AND %(until)s
    ) AS both_parts
    WHERE %(kind)s = '' OR kind = %(kind)s
    GROUP BY kind, received_on, source_id
"""


def numbers(*, today: date, kind: str = "") -> dict[str, KindNumbers]:
    """Per kind, the last DAYS days (UTC) from the tallies: kinds x days x sources, never events."""
    since = today - timedelta(days=DAYS - 1)
    with connection.cursor() as cursor:
        cursor.execute(_TALLIES, {"since": since, "until": today, "kind": kind})
        rows = cursor.fetchall()
    days: dict[str, list[int]] = {}
    sources: dict[str, dict[int, int]] = {}
    for name, day, source_id, count in rows:
        days.setdefault(name, [0] * DAYS)[(day - since).days] += count
        per_source = sources.setdefault(name, {})
        per_source[source_id] = per_source.get(source_id, 0) + count
    return {
        name: KindNumbers(tuple(counts), sum(counts), counts[-1], sources[name])
        for name, counts in days.items()
    }


def json_schema(kind: EventKind) -> dict[str, Any]:
    """The schema of a kind's properties as JSON Schema 2020-12."""
    rows = list(kind.properties.all())
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": kind.name,
        "type": "object",
        "properties": {row.name: _property_schema(row) for row in rows},
        "required": [row.name for row in rows if row.is_required],
        "additionalProperties": True,
    }
    if kind.description_en or kind.description_zh:
        schema["description"] = kind.description_en or kind.description_zh
    return schema


def _property_schema(row: KindProperty) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if row.type == PropertyType.TIME:
        found = {"type": "string", "format": "date-time"}
    elif row.type:
        found = {"type": str(row.type)}
    if row.allowed_values:
        found["enum"] = [_typed(value, row.type) for value in row.allowed_values]
    if row.description:
        found["description"] = row.description
    return found


def _typed(text: str, kind: str) -> Any:
    try:
        if kind == PropertyType.INTEGER:
            return int(text)
        if kind == PropertyType.NUMBER:
            return float(text)
    except ValueError:
        return text
    return {"true": True, "false": False}.get(text, text) if kind == PropertyType.BOOLEAN else text
