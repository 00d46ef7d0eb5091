"""Every function against an independent computation in Python, over generated histories."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

import orjson
import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm import computed
from crm.models import Profile
from crm.selectors import computed as reads
from crm.services import partitions
from tests.crm.conftest import NOON

FUNCTIONS = [
    ("count", "number"),
    ("sum", "number"),
    ("sum", "money"),
    ("average", "number"),
    ("average", "money"),
    ("minimum", "number"),
    ("maximum", "money"),
    ("minimum", "moment"),
    ("maximum", "moment"),
    ("first", "text"),
    ("last", "text"),
    ("first", "number"),
    ("last", "moment"),
    ("most_frequent", "text"),
    ("unique_list", "list"),
]
NUMBERS = st.one_of(
    st.integers(-5000, 5000),
    st.decimals(-5000, 5000, places=2).map(str),
    st.decimals(-50, 50, places=3).map(float),
)
WORDS = st.sampled_from(["tea", "cup", "茶", " tea ", "", "2026-01-05", "2026-03-01T08:00:00Z", "12", "12.5"])
LOOSE = st.one_of(NUMBERS, WORDS, st.none(), st.booleans(), st.just([1]), st.just({"a": 1}))
PROPERTIES = st.fixed_dictionaries(
    {},
    optional={
        "v": LOOSE,
        "currency": st.sampled_from(["CNY", "cny", "USD", ""]),
        "items": st.lists(st.fixed_dictionaries({}, optional={"v": LOOSE}), max_size=3),
        "shelf": st.sampled_from(["a", "b"]),
    },
)
HAPPENED = st.tuples(
    st.integers(0, 3),  # whose: 0 and 1 are one person, 3 is erased
    st.integers(-2, 200),  # hours ago
    st.sampled_from(["Order Completed", "page"]),
    PROPERTIES,
)


@pytest.fixture
def people(db: None) -> list[int]:
    """Ids of four profiles: a root, one merged into it, another root, and an erased one."""
    partitions.ensure({(2026, 5), (2026, 6)})
    long_ago = NOON - timedelta(days=30)
    ids = [Profile.objects.create(created_at=long_ago, first_seen_at=long_ago).pk for _ in range(4)]
    Profile.objects.filter(pk=ids[1]).update(merged_into=ids[0])
    Profile.objects.filter(pk=ids[3]).update(erased_at=NOON)
    return ids


@pytest.mark.parametrize(("function", "kept"), FUNCTIONS)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    happened=st.lists(HAPPENED, max_size=12),
    days=st.sampled_from([0, 1, 3, 7]),
    path=st.sampled_from(["v", "items[].v", ""]),
    shelf=st.booleans(),
)
def test_the_statement_computes_what_the_definition_says(
    people: list[int], function: str, kept: str, happened: list[Any], days: int, path: str, shelf: bool
) -> None:
    if not path and not (function == "count" or kept == "moment"):
        path = "v"
    data: dict[str, Any] = {"kind": "Order Completed", "function": function, "type": kept}
    data |= {"property": path} if path else {}
    data |= {"currency": "CNY"} if kept == "money" else {}
    data |= {"within_days": days} if days else {}
    data |= {"where": [{"property": "shelf", "op": "eq", "value": "a"}]} if shelf else {}
    data |= {"limit": 3} if function == "unique_list" else {}
    rows = [
        (people[who], NOON - timedelta(hours=hours, seconds=place), place, kind, properties)
        for place, (who, hours, kind, properties) in enumerate(happened)
    ]
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM crm_touchpoint WHERE profile_id = ANY(%s)", [people])
        cursor.executemany(
            "INSERT INTO crm_touchpoint (profile_id, occurred_at, id, received_at, kind, properties)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            [
                (
                    who,
                    at,
                    f"00000000-0000-7000-8000-{place:012d}",
                    NOON,
                    kind,
                    orjson.dumps(properties).decode(),
                )
                for who, at, place, kind, properties in rows
            ],
        )
    wanted = computed.parse(data)
    assert computed.parse(computed.dump(wanted)) == wanted
    found = reads.compute(wanted, roots=[people[0], people[2], people[3]], now=NOON)
    got = {root: reads.plain(held, kept) for root, held in found.items()}
    assert got == oracle(data, rows, people), (data, rows)
    assert isinstance(reads.describe(wanted), str)


def oracle(data: dict[str, Any], rows: list[Any], people: list[int]) -> dict[int, Any]:
    """The same in plain Python."""
    root_of = {people[0]: people[0], people[1]: people[0], people[2]: people[2]}
    held: dict[int, list[tuple[datetime, int, int, Any]]] = {}
    for who, at, place, kind, properties in rows:
        if who not in root_of or kind != data["kind"]:
            continue
        if data.get("within_days") and at < NOON - timedelta(days=data["within_days"]):
            continue
        if data.get("where") and properties.get("shelf") != "a":
            continue
        for number, value in enumerate(read(data, properties, at)):
            if value is not None:
                held.setdefault(root_of[who], []).append((at, place, number, value))
    return {root: answer(data, found) for root, found in held.items()}


def read(data: dict[str, Any], properties: dict[str, Any], at: datetime) -> list[Any]:
    path = data.get("property", "")
    if not path:
        return [at]
    if path == "v":
        return [typed(data, properties, properties)] if "v" in properties else []
    return [typed(data, item, properties) if "v" in item else None for item in properties.get("items", [])]


def typed(data: dict[str, Any], document: dict[str, Any], properties: dict[str, Any]) -> Any:
    value = document["v"]
    if data["type"] in ("number", "money") and data["function"] != "count":
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            return None
        try:
            number = Decimal(repr(value) if isinstance(value, float) else value)
        except ArithmeticError:
            return None
        if isinstance(value, str) and value != value.strip():
            return None
        if data["type"] == "number":
            return number
        said = (document.get("currency") or properties.get("currency") or "CNY").upper()
        return (number * 100).quantize(Decimal(1), ROUND_HALF_UP) if said == "CNY" else None
    if data["type"] == "moment":
        try:
            read = datetime.fromisoformat(value) if isinstance(value, str) and value[4:5] == "-" else None
        except ValueError:
            return None
        return read and (read if read.tzinfo else read.replace(tzinfo=UTC))
    if data["function"] == "count":
        return None if value in (None, "") and value is not False else 1
    if isinstance(value, (list, dict)) or value is None:
        return None
    text = orjson.dumps(value).decode() if not isinstance(value, str) else value
    return text.strip(" ") or None


def answer(data: dict[str, Any], found: list[tuple[datetime, int, int, Any]]) -> Any:
    values = [value for _at, _place, _number, value in found]
    function, places = data["function"], 0 if data["type"] == "money" else 6
    latest: dict[Any, datetime] = {}
    for at, _place, _number, value in found:
        latest[value] = max(at, latest.get(value, at))
    if function == "count":
        return len(values)
    if function == "sum":
        return shown(sum(values, Decimal(0)), places)
    if function == "average":
        mean = sum(map(Fraction, values), Fraction(0)) / len(values)
        scaled = abs(mean) * 10**places
        whole = int(scaled) + (1 if scaled - int(scaled) >= Fraction(1, 2) else 0)
        return shown(Decimal(whole if mean >= 0 else -whole).scaleb(-places), places)
    if function in ("minimum", "maximum"):
        best = (min if function == "minimum" else max)(values)
        return best if data["type"] == "moment" else shown(best, places)
    if function in ("first", "last"):
        best = (min if function == "first" else max)(found, key=lambda one: one[:3])[3]
        return shown(best, places) if isinstance(best, Decimal) else best
    if function == "most_frequent":
        times = Counter(values)
        return min(times, key=lambda word: (-times[word], -latest[word].timestamp(), word.encode()))
    return sorted(latest, key=lambda word: (-latest[word].timestamp(), word.encode()))[: data["limit"]]


def shown(number: Decimal, places: int) -> Any:
    rounded = number.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    return int(rounded) if rounded == rounded.to_integral_value() else float(rounded)
