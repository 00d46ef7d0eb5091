"""The catalogue of kinds: learned from what arrives, decided by staff, obeyed at the door."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm.kernel import clock, knobs
from crm.kernel.errors import Conflict, Invalid, NotFound
from crm.kernel.models import ActionLog
from crm.models import EventKind, IngestionWarning, ObservedProperty, Source, StaffUser, Touchpoint
from crm.selectors import catalogue as reads
from crm.services import catalogue, kind_learning, tallies
from crm.services.catalogue import PropertyRule
from tests.crm.conftest import SYSTEM, Post

pytestmark = pytest.mark.django_db

TASTED = "Tea Tasted"


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(StaffUser.objects.create_superuser("boss", password="not-a-secret"))
    return client


def tasted(number: int = 1, **properties: Any) -> dict[str, Any]:
    return {
        "type": "track", "event": TASTED, "userId": f"u-{number}", "messageId": f"m-{number}",
        "properties": properties,
    }  # fmt: skip


@pytest.fixture
def ruled() -> Callable[..., EventKind]:
    """Make the kind with a schema and an answer to violations."""

    def make(*rules: PropertyRule, **values: Any) -> EventKind:
        kind = catalogue.announce(TASTED, actor=SYSTEM, now=clock.now())
        catalogue.set_schema(kind.pk, rules=rules, actor=SYSTEM, now=clock.now())
        return catalogue.change(kind.pk, values=values, actor=SYSTEM, now=clock.now())

    return make


# -- at the door

RATING = PropertyRule("rating", "integer", is_required=True, allowed_values=("1", "2", "3", "4", "5"))
TEA = PropertyRule("tea", "string")


def test_a_violation_warns_and_is_stored(post: Post, ruled: Callable[..., EventKind]) -> None:
    ruled(RATING, TEA, on_violation="warn")
    answer = post(
        "/v1/batch", {"batch": [tasted(1, rating=4), tasted(2, tea="龙井"), tasted(3, rating="4")]}
    ).json()
    assert (answer["accepted"], answer["rejected"]) == (3, [])
    assert answer["warnings"] == [
        {"index": 1, "code": "schema_violation", "detail": "rating is missing"},
        {"index": 2, "code": "schema_violation", "detail": "rating is not of type integer"},
    ]
    warning = IngestionWarning.objects.get()
    assert (warning.code, warning.subject, warning.count) == ("schema_violation", TASTED, 2)
    assert warning.sample["stored"] is True


def test_a_violation_is_refused_alone(post: Post, ruled: Callable[..., EventKind]) -> None:
    ruled(RATING, TEA, on_violation="refuse")
    answer = post(
        "/v1/batch", {"batch": [tasted(1, rating=4), tasted(2, rating=9), tasted(3, rating=5)]}
    ).json()
    assert answer["accepted"] == 2
    assert answer["rejected"] == [
        {
            "index": 1, "message_id": "m-2", "code": "schema_violation",
            "detail": "rating has a value that is not allowed",
        }
    ]  # fmt: skip
    assert Touchpoint.objects.count() == 2
    warning = IngestionWarning.objects.get()
    assert (warning.subject, warning.sample["stored"]) == (TASTED, False)


def test_a_schema_that_answers_nothing_changes_nothing(post: Post, ruled: Callable[..., EventKind]) -> None:
    ruled(RATING)
    answer = post("/v1/batch", {"batch": [tasted(1)]}).json()
    assert (answer["accepted"], "warnings" in answer) == (1, False)


def test_a_blocked_kind_is_refused_and_its_neighbours_are_not(
    post: Post, ruled: Callable[..., EventKind]
) -> None:
    ruled(is_blocked=True)
    other = {"type": "track", "event": "x", "userId": "u-9"}
    answer = post("/v1/batch", {"batch": [tasted(1), other]}).json()
    assert (answer["accepted"], [r["code"] for r in answer["rejected"]]) == (1, ["kind_blocked"])
    assert list(Touchpoint.objects.values_list("kind", flat=True)) == ["x"]
    assert IngestionWarning.objects.get().subject == TASTED


def test_page_kinds_are_checked_too_whatever_the_route(post: Post) -> None:
    kind = catalogue.announce("page", actor=SYSTEM, now=clock.now())
    catalogue.set_schema(
        kind.pk, rules=[PropertyRule("path", "string", is_required=True)], actor=SYSTEM, now=clock.now()
    )
    catalogue.change(kind.pk, values={"on_violation": "refuse"}, actor=SYSTEM, now=clock.now())
    assert post("/v1/p", {"userId": "u-1", "properties": {"path": "/"}}).json()["accepted"] == 1
    assert post("/v1/p", {"userId": "u-1"}).json()["rejected"][0]["code"] == "schema_violation"
    assert IngestionWarning.objects.get().subject == "page"


def test_the_stage_that_staff_chose_is_stored(post: Post, ruled: Callable[..., EventKind]) -> None:
    ruled(stage="retention")
    post("/v1/batch", {"batch": [tasted(1)]})
    assert Touchpoint.objects.get().stage == "retention"


@pytest.mark.parametrize("name", ["voc.fix.told", "crm.profile.merged", "members.points.earned"])
def test_names_of_the_product_are_not_taken_from_outside(post: Post, name: str) -> None:
    answer = post("/v1/track", {"event": name, "userId": "u-1", "properties": {"merge_id": 1}}).json()
    assert (answer["accepted"], [r["code"] for r in answer["rejected"]]) == (0, ["reserved_kind"])
    assert Touchpoint.objects.count() == 0


def test_the_door_asks_the_database_once_in_five_seconds(post: Post, ruled: Callable[..., EventKind]) -> None:
    ruled(RATING, on_violation="warn")
    post("/v1/batch", {"batch": [tasted(0, rating=1)]})
    with CaptureQueriesContext(connection) as queries:
        for number in range(1, 4):
            post("/v1/batch", {"batch": [tasted(number, rating=1)]})
    assert [query["sql"] for query in queries if "crm_eventkind" in query["sql"]] == []


json_values = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(["2026-01-01", "true", "1", [], [1], {}, {"a": None}])
)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), json_values))
def test_a_rule_answers_about_anything_json_holds(properties: dict[str, Any]) -> None:
    rule = reads.compiled(
        EventKind(name="x", on_violation="warn"),
        [
            catalogue.KindProperty(name="a", type="integer", is_required=True),
            catalogue.KindProperty(name="b", type="time", allowed_values=["2026-01-01"]),
            catalogue.KindProperty(name="c", type="", allowed_values=["true", "1"]),
        ],
    )
    fault = rule.fault_in(properties)
    a, b, c = (properties.get(name) for name in "abc")
    fine = (
        (type(a) is int or (type(a) is float and a.is_integer()))
        and (b is None or b == "2026-01-01")
        and (c is None or reads.text_of(c) in ("true", "1"))
    )
    assert (fault == "") is fine


# -- learning


def test_what_arrives_is_learned(post: Post, server_source: Source) -> None:
    for number in range(4):
        post("/v1/batch", {"batch": [tasted(number, rating=number, tea="longjing", note=f"secret {number}")]})
    post("/v1/batch", {"batch": [tasted(9, tea=None, mail="ann@example.com")]})
    now = clock.now()
    assert kind_learning.learn(now=now) == 1
    kind = EventKind.objects.get()
    assert (kind.name, kind.sampled, kind.first_seen_on, kind.last_seen_on) == (
        TASTED,
        5,
        now.date(),
        now.date(),
    )
    seen = {row.name: (row.filled, row.types, row.samples) for row in kind.observed.all()}
    assert seen == {
        "rating": (4, {"integer": 4}, ["0", "1", "2", "3"]),
        "tea": (4, {"string": 4}, ["longjing"]),
        # Said by one person each: kept as a property, and never as a value.
        "note": (4, {"string": 4}, []),
        "mail": (1, {"string": 1}, []),
    }
    assert reads.numbers(today=now.date())[TASTED].sources == {server_source.pk: 5}
    tallies.fold()
    assert reads.numbers(today=now.date())[TASTED].total == 5


def test_learning_again_counts_only_what_is_new(post: Post) -> None:
    post("/v1/batch", {"batch": [tasted(1, rating=1)]})
    kind_learning.learn(now=clock.now())
    assert kind_learning.learn(now=clock.now()) == 0
    assert EventKind.objects.get().sampled == 1
    post("/v1/batch", {"batch": [tasted(2, rating="bad")]})
    kind_learning.learn(now=clock.now())
    row = ObservedProperty.objects.get()
    assert (row.filled, row.types) == (2, {"integer": 1, "string": 1})


def test_a_rare_kind_is_found_beside_a_flood(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind_learning, "SAMPLE", 20)
    flood = [{"type": "track", "event": "Looked", "userId": "u-1", "messageId": f"f-{n}"} for n in range(60)]
    post("/v1/batch", {"batch": flood})
    post("/v1/batch", {"batch": [tasted(1, rating=1)]})
    kind_learning.learn(now=clock.now())
    assert {kind.name: kind.sampled for kind in EventKind.objects.all()} == {"Looked": 20, TASTED: 1}


def test_the_catalogue_has_an_end(post: Post) -> None:
    knobs.set("crm.most_kinds", 100, actor=SYSTEM, now=clock.now())
    made_up = [{"type": "track", "event": f"k-{n:03}", "userId": "u-1"} for n in range(130)]
    assert post("/v1/batch", {"batch": made_up}).json()["accepted"] == 130
    kind_learning.learn(now=clock.now())
    assert EventKind.objects.count() == 100


def test_two_workers_learn_once(post: Post) -> None:
    post("/v1/batch", {"batch": [tasted(1)]})
    now = clock.now()
    assert [kind_learning.learn_due(now=now) for _ in range(2)] == [1, 0]


def test_a_suggestion_is_read_off_what_arrived(post: Post) -> None:
    for number in range(50):
        more = {"tea": "longjing"} if number else {}
        post(
            "/v1/batch",
            {"batch": [tasted(number, rating=number % 5, price=1.5 if number % 2 else 2, **more)]},
        )
    kind_learning.learn(now=clock.now())
    found = catalogue.suggest(EventKind.objects.get().pk)
    assert [(rule.name, rule.type, rule.is_required) for rule in found] == [
        ("price", "number", True), ("rating", "integer", True), ("tea", "string", True),
    ]  # fmt: skip


# -- decisions


def test_decisions_are_logged_and_kept(ruled: Callable[..., EventKind]) -> None:
    boss = StaffUser.objects.create_user("lin", is_staff=True)
    kind = ruled(
        RATING, owner=boss.pk, purpose="Which teas people like", retention_days=400, description_zh="品茶"
    )
    assert reads.retention() == {TASTED: 400}
    assert (kind.owner_id, kind.purpose) == (boss.pk, "Which teas people like")
    assert list(ActionLog.objects.order_by("id").values_list("action", "fields")) == [
        ("crm.event_kind.announced", ["name"]),
        ("crm.event_kind.schema", ["properties"]),
        ("crm.event_kind.changed", ["description_zh", "owner", "purpose", "retention_days"]),
    ]
    catalogue.set_schema(kind.pk, rules=[RATING], actor=SYSTEM, now=clock.now())
    assert ActionLog.objects.count() == 3
    schema = reads.json_schema(kind)
    assert schema["properties"] == {"rating": {"type": "integer", "enum": [1, 2, 3, 4, 5]}}
    assert schema["required"] == ["rating"]


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"retention_days": 0}, "invalid_retention"),
        ({"retention_days": 40_000}, "invalid_retention"),
        ({"stage": "nowhere"}, "invalid_choice"),
        ({"on_violation": "explode"}, "invalid_choice"),
        ({"owner": 987}, "no_such_staff"),
        ({"purpose": "x" * 301}, "too_long"),
        ({"name": "other"}, "unknown_field"),
    ],
)
def test_decisions_that_are_none(ruled: Callable[..., EventKind], values: dict[str, Any], code: str) -> None:
    kind = ruled()
    logged = ActionLog.objects.count()
    with pytest.raises(Invalid) as caught:
        catalogue.change(kind.pk, values=values, actor=SYSTEM, now=clock.now())
    assert caught.value.code == code
    assert ActionLog.objects.count() == logged


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ([PropertyRule("")], "invalid_name"),
        ([PropertyRule("a"), PropertyRule("a")], "duplicate"),
        ([PropertyRule("a", "colour")], "invalid_choice"),
        ([PropertyRule("a", allowed_values=["x" * 201])], "invalid_values"),
        ([PropertyRule(f"p{n}") for n in range(201)], "too_many"),
    ],
)
def test_schemas_that_are_none(ruled: Callable[..., EventKind], rules: list[PropertyRule], code: str) -> None:
    kind = ruled(RATING)
    with pytest.raises(Invalid) as caught:
        catalogue.set_schema(kind.pk, rules=rules, actor=SYSTEM, now=clock.now())
    assert caught.value.code == code
    assert [row.name for row in kind.properties.all()] == ["rating"]


def test_a_kind_is_announced_once() -> None:
    catalogue.announce(TASTED, actor=SYSTEM, now=clock.now())
    with pytest.raises(Conflict):
        catalogue.announce(f" {TASTED} ", actor=SYSTEM, now=clock.now())
    with pytest.raises(Invalid):
        catalogue.announce(" ", actor=SYSTEM, now=clock.now())
    with pytest.raises(NotFound):
        catalogue.suggest(987)
    assert EventKind.objects.count() == 1


# -- pages


def test_the_pages_of_the_catalogue(staff: Client, post: Post) -> None:
    for number in range(4):
        post("/v1/batch", {"batch": [tasted(number, rating=number, tea="longjing")]})
    kind_learning.learn(now=clock.now())
    kind = EventKind.objects.get()
    listing = staff.get(reverse("admin:crm_eventkind_changelist")).content.decode()
    assert TASTED in listing
    assert "100.0%" in listing
    url = reverse("admin:crm_eventkind_change", args=[kind.pk])
    with CaptureQueriesContext(connection) as queries:
        page = staff.get(url).content.decode()
    assert "longjing" in page
    assert len(queries) <= 15
    assert 'value="rating"' not in page
    assert 'value="rating"' in staff.get(url, {"suggest": 1}).content.decode()


def test_a_schema_is_typed_without_json(staff: Client) -> None:
    kind = catalogue.announce(TASTED, actor=SYSTEM, now=clock.now())
    url = reverse("admin:crm_eventkind_change", args=[kind.pk])
    lines = {
        "action": "schema", "p-TOTAL_FORMS": "3", "p-INITIAL_FORMS": "0",
        "p-0-name": "rating", "p-0-type": "integer", "p-0-is_required": "on", "p-0-allowed_values": "1\n2\n\n 3 ",
        "p-1-name": "tea", "p-1-type": "", "p-1-allowed_values": "", "p-2-name": "",
    }  # fmt: skip
    assert staff.post(url, lines).status_code == 302
    assert list(kind.properties.values_list("name", "type", "is_required", "allowed_values")) == [
        ("rating", "integer", True, ["1", "2", "3"]), ("tea", "", False, []),
    ]  # fmt: skip
    twice = staff.post(url, {**lines, "p-1-name": "rating"})
    assert twice.status_code == 400
    assert "rating is there twice" in twice.content.decode()
    staff.post(url, {**lines, "p-0-DELETE": "on"})
    assert [row.name for row in kind.properties.all()] == ["tea"]
    assert staff.post(url, {"action": "schema"}).status_code == 400
    assert [row.name for row in kind.properties.all()] == ["tea"]


def test_decisions_are_typed_into_a_form(staff: Client) -> None:
    kind = catalogue.announce(TASTED, actor=SYSTEM, now=clock.now())
    url = reverse("admin:crm_eventkind_change", args=[kind.pk])
    values = {
        "action": "decide",
        "purpose": "Taste",
        "retention_days": "30",
        "on_violation": "warn",
        "stage": "",
    }
    assert staff.post(url, values).status_code == 302
    kind.refresh_from_db()
    assert (kind.purpose, kind.retention_days, kind.on_violation) == ("Taste", 30, "warn")
    staff.post(url, {**values, "retention_days": "0"})
    kind.refresh_from_db()
    assert kind.retention_days == 30


def test_adding_a_kind_leads_to_its_page(staff: Client) -> None:
    answer = staff.post(reverse("admin:crm_eventkind_add"), {"name": TASTED})
    assert answer["Location"] == reverse("admin:crm_eventkind_change", args=[EventKind.objects.get().pk])
