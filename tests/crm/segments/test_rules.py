"""Rules: random trees over a small random population, against a straightforward oracle; and what a rule says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm.conditions import definition, sentences
from crm.conditions.definition import (
    All,
    Allowed,
    AnyOf,
    Compare,
    Happened,
    Known,
    Member,
    Node,
    Not,
    parse,
)
from crm.conditions.predicates import anniversaries, lunar_days
from crm.models import (
    ConsentRecord,
    ContactPoint,
    MergeRecord,
    Profile,
    Segment,
    SegmentMembership,
    Suppression,
)
from crm.selectors import consents
from crm.services import partitions
from tests.crm.segments.conftest import DAY, NOON, matching

SHANGHAI = ZoneInfo("Asia/Shanghai")
KINDS = ("Order Completed", "Product Viewed", "Complaint")
WORDS = ("tea", "Tea 茶", "cup", "", "10", "-3.5", "2026-05-30")
MOMENTS = [
    NOON,
    NOON - DAY,
    NOON - 7 * DAY,
    NOON - 7 * DAY - timedelta(microseconds=1),
    NOON - 30 * DAY,
    datetime(2026, 5, 30, 16, tzinfo=UTC),
    datetime(2026, 5, 30, 15, 59, 59, 999999, tzinfo=UTC),
    datetime(2026, 5, 31, 16, tzinfo=UTC),
    datetime(2026, 2, 1, tzinfo=UTC),
]

loose = st.one_of(
    st.sampled_from(WORDS),
    st.integers(-5, 15),
    st.sampled_from([0.5, 10.25]),
    st.booleans(),
    st.none(),
    st.lists(st.sampled_from(["tea", "cup"]), max_size=2),
)
properties = st.dictionaries(st.sampled_from(["category", "revenue", "currency"]), loose, max_size=3)
happening = st.tuples(
    st.sampled_from(KINDS), st.sampled_from(MOMENTS), properties, st.sampled_from(["", "web"])
)
human = st.fixed_dictionaries(
    {
        "country": st.sampled_from(["", "CN", "SG"]),
        "birthday": st.sampled_from([None, date(2000, 6, 3), date(1996, 2, 29), date(1990, 12, 31)]),
        "birthday_is_lunar": st.booleans(),
        "last_seen_at": st.sampled_from([None, *MOMENTS]),
        "traits": st.dictionaries(st.sampled_from(["plan", "tags", "since"]), loose, max_size=3),
        "touchpoints": st.lists(happening, max_size=4),
        "email": st.booleans(),
        "consents": st.lists(st.tuples(st.sampled_from(["marketing", "service"]), st.booleans()), max_size=2),
        "suppressed": st.booleans(),
        "fate": st.sampled_from(["", "", "", "merged", "erased"]),
        "member": st.booleans(),
    }
)

number = st.sampled_from([0, 1, 2, 10, -3.5, 0.5])
comparison = st.one_of(
    st.fixed_dictionaries({"op": st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte"]), "value": number}),
    st.just({"op": "between", "value": [0, 10]}),
)
times = st.one_of(
    st.fixed_dictionaries(
        {"op": st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte"]), "value": st.integers(0, 3)}
    ),
    st.just({"op": "between", "value": [1, 2]}),
)
value_test = st.one_of(
    st.fixed_dictionaries(
        {
            "op": st.sampled_from(["eq", "ne"]),
            "value": st.one_of(st.sampled_from([w for w in WORDS if w]), number, st.booleans()),
        }
    ),
    st.fixed_dictionaries({"op": st.sampled_from(["in", "not_in"]), "value": st.just(["tea", "10"])}),
    st.fixed_dictionaries({"op": st.just("in"), "value": st.just([10, 0.5])}),
    st.fixed_dictionaries(
        {
            "op": st.sampled_from(["contains", "not_contains", "starts_with"]),
            "value": st.sampled_from(["te", "tea", "茶"]),
        }
    ),
    comparison.filter(lambda one: one["op"] not in ("eq", "ne")),
    st.fixed_dictionaries({"op": st.sampled_from(["on", "before", "after"]), "value": st.just("2026-05-30")}),
    st.fixed_dictionaries(
        {"op": st.sampled_from(["in_last_days", "more_than_days_ago"]), "value": st.sampled_from([0, 3, 30])}
    ),
    st.fixed_dictionaries({"op": st.sampled_from(["is_set", "is_not_set"])}),
)
where = st.lists(
    st.tuples(st.sampled_from(["category", "revenue"]), value_test).map(
        lambda pair: {"property": pair[0], **pair[1]}
    ),
    max_size=1,
)
window = st.sampled_from(
    [
        {},
        {"within_days": 7},
        {"within_days": 30},
        {"between": ["2026-05-31", "2026-05-31"]},
        {"between": [None, "2026-05-30"]},
        {"between": ["2026-05-31", None]},
    ]
)


@st.composite
def happened_leaf(draw: Callable[..., Any]) -> dict[str, Any]:
    leaf: dict[str, Any] = {
        "touchpoint": draw(st.sampled_from([*KINDS, "*", ["Order Completed", "Complaint"]]))
    }
    leaf["where"] = draw(where)
    if draw(st.booleans()):
        leaf["channel"] = "web"
    if draw(st.integers(0, 4)) == 0:
        return leaf | {"not_since_days": draw(st.sampled_from([7, 30]))}
    leaf |= draw(window)
    if draw(st.booleans()):
        leaf["times"] = draw(times)
    if draw(st.integers(0, 2)) == 0:
        leaf[draw(st.sampled_from(["sum", "avg", "min", "max"]))] = {"property": "revenue"} | draw(comparison)
    return leaf


leaf = st.one_of(
    happened_leaf(),
    st.tuples(st.sampled_from(["plan", "tags", "since"]), value_test).map(
        lambda p: {"fact": f"trait:{p[0]}", **p[1]}
    ),
    st.fixed_dictionaries(
        {
            "fact": st.just("profile.country"),
            "op": st.sampled_from(["eq", "ne"]),
            "value": st.sampled_from(["CN", "SG"]),
        }
    ),
    st.sampled_from([{"fact": "profile.country", "op": op} for op in ("is_set", "is_not_set")]),
    st.fixed_dictionaries(
        {
            "fact": st.just("profile.last_seen"),
            "op": st.sampled_from(["in_last_days", "more_than_days_ago"]),
            "value": st.just(7),
        }
    ),
    st.fixed_dictionaries(
        {
            "fact": st.just("profile.last_seen"),
            "op": st.sampled_from(["on", "before", "after"]),
            "value": st.just("2026-05-31"),
        }
    ),
    st.just({"fact": "profile.birthday", "op": "anniversary_in_days", "value": 7}),
    st.just({"fact": "profile.birthday", "op": "before", "value": "2000-01-01"}),
    st.sampled_from([{"fact": "contact.email", "op": "eq", "value": v} for v in (True, False)]),
    st.sampled_from([{"segment": "others", "member": v} for v in (True, False)]),
    st.fixed_dictionaries(
        {
            "consent": st.fixed_dictionaries(
                {"purpose": st.sampled_from(["marketing", "service"]), "channel": st.just("email")}
            ),
            "allowed": st.booleans(),
        }
    ),
)
tree = st.recursive(
    leaf,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"all": parts}),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"any": parts}),
        inner.map(lambda part: {"not": part}),
    ),
    max_leaves=6,
)


class Oracle:
    """What a rule means, said in Python, one person after the other."""

    def __init__(
        self, root: dict[str, Any], all_of: list[dict[str, Any]], allowed: Callable[[str], bool]
    ) -> None:
        self.root, self.all_of, self.allowed = root, all_of, allowed

    def says(self, node: Node) -> bool:
        if isinstance(node, All):
            return all(self.says(part) for part in node.parts)
        if isinstance(node, AnyOf):
            return any(self.says(part) for part in node.parts)
        if isinstance(node, Not):
            return not self.says(node.part)
        if isinstance(node, Member):
            return any(one["member"] for one in self.all_of) == node.member
        if isinstance(node, Allowed):
            return self.allowed(node.purpose) == node.allowed
        if isinstance(node, Known):
            return self.known(node)
        return self.happened(node)

    def known(self, node: Known) -> bool:
        if node.op in definition.OPPOSITES:
            return not self.known(Known(node.fact, definition.OPPOSITES[node.op], node.value))
        if node.fact == "contact.email":
            return any(one["email"] for one in self.all_of) is node.value
        if node.fact == "profile.country":
            return bool(self.root["country"]) if node.op == "is_set" else self.root["country"] == node.value
        if node.fact == "profile.birthday":
            day = self.root["birthday"]
            if day is None:
                return False
            if node.op == "before":
                return day < node.value
            days = lunar_days if self.root["birthday_is_lunar"] else anniversaries
            return day.month * 100 + day.day in days(NOON.astimezone(SHANGHAI).date(), 7)
        if node.fact == "profile.last_seen":
            at = self.root["last_seen_at"]
            if at is None:
                return False
            if node.op == "in_last_days":
                return at >= NOON - 7 * DAY
            if node.op == "more_than_days_ago":
                return at < NOON - 7 * DAY
            day = at.astimezone(SHANGHAI).date()
            return {"on": day == node.value, "before": day < node.value, "after": day > node.value}[node.op]
        return test(self.root["traits"].get(node.fact.removeprefix("trait:")), node.op, node.value)

    def happened(self, node: Happened) -> bool:
        rows = [
            (kind, at, props)
            for one in self.all_of
            for kind, at, props, channel in one["touchpoints"]
            if (not node.kinds or kind in node.kinds)
            and (not node.channel or channel == node.channel)
            and all(test(props.get(f.path[0]), f.op, f.value) for f in node.where)
        ]
        if node.not_since_days:
            return bool(rows) and max(at for _kind, at, _props in rows) < NOON - node.not_since_days * DAY
        w = node.window
        rows = [
            row
            for row in rows
            if (not w.days or row[1] >= NOON - w.days * DAY)
            and (not w.first or row[1].astimezone(SHANGHAI).date() >= w.first)
            and (not w.last or row[1].astimezone(SHANGHAI).date() <= w.last)
        ]
        if not compares(Decimal(len(rows)), node.times):
            return False
        if node.aggregate is None:
            return True
        amounts = [
            amount
            for _kind, _at, props in rows
            if text(props.get("currency")).upper() in ("", "CNY")
            and (amount := numeric(props.get("revenue"))) is not None
        ]
        if node.aggregate.function == "sum":
            return compares(sum(amounts, Decimal(0)), node.aggregate.compare)
        if not amounts:
            return False
        if node.aggregate.function == "avg":
            return compares(sum(amounts, Decimal(0)) / len(amounts), node.aggregate.compare)
        return compares({"min": min, "max": max}[node.aggregate.function](amounts), node.aggregate.compare)


def numeric(value: Any) -> Decimal | None:
    if isinstance(value, bool) or value is None or isinstance(value, list):
        return None
    if isinstance(value, str):
        return Decimal(value) if value in ("10", "-3.5") else None
    return Decimal(repr(value))


def text(value: Any) -> str:
    import json

    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, separators=(", ", ": "), ensure_ascii=False)


def compares(number: Decimal, how: Compare) -> bool:
    if isinstance(how.value, tuple):
        return how.value[0] <= number <= how.value[1]
    return bool(
        {
            "eq": number == how.value,
            "ne": number != how.value,
            "gt": number > how.value,
            "gte": number >= how.value,
            "lt": number < how.value,
            "lte": number <= how.value,
        }[how.op]
    )


def test_value(value: Any, op: str, wanted: Any) -> bool:
    if op in definition.OPPOSITES:
        return not test_value(value, definition.OPPOSITES[op], wanted)
    if op == "is_set":
        return text(value) != ""
    if op == "contains":
        if isinstance(value, list):
            return wanted in value
        return isinstance(value, str) and wanted.lower() in value.lower()
    if op == "starts_with":
        return isinstance(value, str) and value.lower().startswith(wanted.lower())
    if op in ("on", "before", "after", "in_last_days", "more_than_days_ago"):
        if text(value) != "2026-05-30":
            return False
        day, today = date(2026, 5, 30), NOON.astimezone(SHANGHAI).date()
        if op in ("on", "before", "after"):
            return bool({"on": day == wanted, "before": day < wanted, "after": day > wanted}[op])
        limit = today - timedelta(days=int(wanted))
        return limit <= day <= today if op == "in_last_days" else day < limit
    sample = wanted[0] if isinstance(wanted, tuple) else wanted
    if isinstance(sample, Decimal):
        found = numeric(value)
        if found is None:
            return False
        return found in wanted if op == "in" else compares(found, Compare(op, wanted))
    if value is None:
        return False
    if isinstance(sample, bool):
        return text(value) == ("true" if wanted else "false")
    return text(value) in wanted if op == "in" else text(value) == wanted


test_value.__test__ = False  # type: ignore[attr-defined]
test = test_value


@pytest.fixture(scope="module")
def months(django_db_setup: Any, django_db_blocker: Any) -> None:
    """The months of the touchpoints, made once."""
    with django_db_blocker.unblock():
        partitions.ensure({(2026, month) for month in (2, 4, 5, 6)})
        partitions.forget()


def settle(humans: list[dict[str, Any]]) -> tuple[list[int], dict[int, list[int]]]:
    """Write the population down. Returns the ids in order, and the id sets of roots."""
    from django.db import connection

    others = Segment.objects.create(
        key="others", name="Others", kind="static", status="active", activated_at=NOON
    )
    ids: list[int] = []
    sets: dict[int, list[int]] = {}
    for place, one in enumerate(humans):
        row = Profile.objects.create(
            country=one["country"],
            birthday=one["birthday"],
            birthday_is_lunar=one["birthday_is_lunar"],
            last_seen_at=one["last_seen_at"],
            traits=one["traits"],
        )
        ids.append(row.pk)
        if one["fate"] == "merged" and sets:
            root = next(iter(sets))
            Profile.objects.filter(pk=row.pk).update(merged_into=root)
            MergeRecord.objects.create(
                winner_id=root, loser_id=row.pk, cause="staff", actor="test", created_at=NOON
            )
            sets[root].append(row.pk)
        else:
            sets[row.pk] = [row.pk]
            if one["fate"] == "erased":
                Profile.objects.filter(pk=row.pk).update(erased_at=NOON)
        if one["email"]:
            digest = f"{place:064d}"
            ContactPoint.objects.create(
                profile=row,
                channel="email",
                value=f"p{place}@example.com",
                value_hash=digest,
                origin="server",
            )
            if one["suppressed"]:
                Suppression.objects.create(channel="email", value_hash=digest, purpose="", reason="staff")
        for number, (purpose, granted) in enumerate(one["consents"]):
            ConsentRecord.objects.create(
                profile=row,
                purpose=purpose,
                channel="email",
                granted=granted,
                way="form",
                actor="test",
                occurred_at=NOON - number * DAY,
            )
        if one["member"]:
            SegmentMembership.objects.create(segment_id=others.pk, profile_id=row.pk, entered_at=NOON)
        with connection.cursor() as cursor:
            for kind, at, props, channel in one["touchpoints"]:
                import json

                cursor.execute(
                    "INSERT INTO crm_touchpoint (profile_id, occurred_at, id, received_at, kind, channel, properties)"
                    " VALUES (%s, %s, gen_random_uuid(), %s, %s, %s, %s)",
                    [row.pk, at, NOON, kind, channel, json.dumps(props)],
                )
    return ids, sets


@pytest.mark.django_db
@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(humans=st.lists(human, min_size=1, max_size=5), rules=st.lists(tree, min_size=1, max_size=4))
def test_sql_and_oracle_agree(months: None, humans: list[dict[str, Any]], rules: list[Any]) -> None:
    from django.db import transaction

    with transaction.atomic():
        ids, sets = settle(humans)
        by_id = dict(zip(ids, humans, strict=True))
        live = [root for root in sets if by_id[root]["fate"] != "erased"]
        allowed = {
            purpose: consents.allowed(live, purpose=purpose, channel="email")
            for purpose in ("marketing", "service")
        }
        for rule in rules:
            node = parse(rule)
            assert parse(definition.dump(node)) == node
            assert sentences.sentence(node)
            expected = {
                root
                for root in live
                if Oracle(
                    by_id[root], [by_id[ident] for ident in sets[root]], lambda p, r=root: allowed[p][r]
                ).says(node)
            }
            assert matching(rule) == expected, rule
            some = live[::2]
            assert matching(rule, only=some) == expected & set(some), rule
        transaction.set_rollback(True)
