"""REST about one person: what is derived of them, and their timeline with every filter."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from crm.kernel import clock
from crm.models import Profile, Source, StaffUser
from crm.selectors import computed as computed_reads
from crm.services import computed, merges, passes, segments, touchpoints
from tests.crm.computed.conftest import forget_traits, trait, work
from tests.crm.conftest import SYSTEM, ref
from tests.crm.people.conftest import Maker
from tests.crm.test_api import Api

__all__ = ["forget_traits"]

pytestmark = pytest.mark.django_db


def event(kind: str, user: str, at: datetime, *, channel: str = "", **properties: Any) -> touchpoints.Event:
    return touchpoints.Event(
        kind, at, "", identifiers=[("user_id", user)], properties=properties, channel=channel
    )


def send(source: Source, *events: touchpoints.Event, now: datetime) -> None:
    touchpoints.record(list(events), source=ref(source), actor=SYSTEM, now=now)


def public(pk: int) -> str:
    return str(Profile.objects.get(pk=pk).public_id)


def test_a_person_comes_with_what_is_derived_of_them(client: Client, shop: Source, identify: Maker) -> None:
    now = clock.now()
    ann = identify("ann", name="Ann")
    ordered = now - timedelta(days=3)
    send(
        shop,
        event("Product Viewed", "ann", now - timedelta(days=9)),
        event("Order Completed", "ann", ordered, revenue=20.5),
        event("Bell Rung", "ann", now - timedelta(days=1)),
        now=now,
    )
    trait("orders", now=now)
    trait("spent", function="sum", property="revenue", type="money", currency="CNY", now=now)
    passes.renew_purchases(now=now)
    work(now)
    listed = segments.create("VIP", actor=SYSTEM, now=now)
    segments.add_members(listed.pk, profile_ids=[ann], actor=SYSTEM, now=now)
    api = Api(client, "crm.profile:read", "crm.computedtrait:read", "crm.segment:read")
    body = api("get", f"profiles/{public(ann)}/").json()
    assert [(one["key"], one["type"], one["value"], one["currency"]) for one in body["computed"]] == [
        ("orders", "number", 1, ""),
        ("spent", "money", 2050, "CNY"),
    ]
    bought = body["purchases"]
    assert (bought["orders"], bought["spent"], bought["currency"]) == (1, 2050, "CNY")
    assert (bought["rfm_group"], bought["rfm_group_label"]) != ("", "")
    assert [(one["key"], one["name"]) for one in body["segments"]] == [(listed.key, "VIP")]
    assert body["stage"]["key"] == "decision" and body["stage"]["kind"] == "Order Completed"
    assert datetime.fromisoformat(body["stage"]["since"]) == ordered
    with translation.override("zh-hans"):
        headers = api.headers | {"Accept-Language": "zh-hans"}
        chinese = api.client.get(f"/api/v1/profiles/{public(ann)}/", headers=headers).json()
    assert chinese["stage"]["label"] == "决策"


def test_what_a_key_may_not_read_is_null(client: Client, shop: Source, identify: Maker) -> None:
    now = clock.now()
    ann = identify("ann")
    send(shop, event("Order Completed", "ann", now - timedelta(days=2), revenue=1), now=now)
    trait("orders", now=now)
    passes.renew_purchases(now=now)
    work(now)
    body = Api(client, "crm.profile:read")("get", f"profiles/{public(ann)}/").json()
    assert (body["computed"], body["purchases"], body["segments"]) == (None, None, None)
    assert body["stage"]["key"] == "decision"
    client.force_login(StaffUser.objects.create_superuser("boss", password="not-a-secret"))
    body = client.get(f"/api/v1/profiles/{public(ann)}/").json()
    assert ([one["value"] for one in body["computed"]], body["purchases"]["orders"], body["segments"]) == (
        [1],
        1,
        [],
    )


def test_a_stage_is_of_the_whole_person_and_not_for_ever(
    client: Client, shop: Source, identify: Maker
) -> None:
    now = clock.now()
    ann, bea = identify("ann"), identify("bea")
    send(
        shop,
        event("Product Viewed", "ann", now - timedelta(days=40)),
        event("Order Refunded", "bea", now - timedelta(days=20)),
        now=now,
    )
    read = Api(client, "crm.profile:read")
    assert read("get", f"profiles/{public(ann)}/").json()["stage"]["key"] == "consideration"
    merged = merges.merge(ann, bea, actor=SYSTEM, now=now)
    assert read("get", f"profiles/{public(ann)}/").json()["stage"]["key"] == "retention"
    merges.undo(merged.pk, actor=SYSTEM, now=now)
    assert read("get", f"profiles/{public(ann)}/").json()["stage"]["key"] == "consideration"
    from crm.kernel import knobs

    knobs.set("crm.stage_days", 30, actor=SYSTEM, now=now)
    assert read("get", f"profiles/{public(ann)}/").json()["stage"] is None


@pytest.fixture
def told(shop: Source, browser_source: Source, identify: Maker) -> tuple[str, Source]:
    """Six touchpoints of one person on six days of May 2026, beside the identify of the first of June."""
    ann = identify("ann")
    days = [datetime(2026, 5, day, 8, tzinfo=UTC) for day in (1, 5, 10, 15, 20)]
    send(
        shop,
        event("Product Viewed", "ann", days[0], channel="web", name="Walnut lamp"),
        event("Order Completed", "ann", days[1], channel="web", order_id="A-1001", note='say "hello"'),
        event("Product Viewed", "ann", days[2], channel="mobile", name="龙井茶"),
        event("Bell Rung", "ann", days[3], channel="store"),
        now=datetime(2026, 6, 1, tzinfo=UTC),
    )
    event_of_browser = touchpoints.Event(
        "page",
        days[4],
        "",
        identifiers=[("user_id", "ann")],
        properties={"path": "/100%_real"},
        channel="web",
    )
    send(browser_source, event_of_browser, now=datetime(2026, 6, 1, tzinfo=UTC))
    return public(ann), browser_source


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ("kind=Product Viewed&kind=page", ["page", "Product Viewed", "Product Viewed"]),
        ("group=shopping", ["Product Viewed", "Order Completed", "Product Viewed"]),
        ("group=other", ["Bell Rung"]),
        ("channel=store", ["Bell Rung"]),
        ("source={browser}", ["page"]),
        ("since=2026-05-15&until=2026-05-20", ["page", "Bell Rung"]),
        ("since=2026-05-15T08:00:00Z&until=2026-05-20T08:00:00Z", ["Bell Rung"]),
        ("since=2026-05-15T16:00:00%2B08:00&until=2026-05-20T08:00:01Z", ["page", "Bell Rung"]),
        ("search=lamp", ["Product Viewed"]),
        ("search=LAMP", ["Product Viewed"]),
        ("search=a-1001", ["Order Completed"]),
        ('search=say "hello"', ["Order Completed"]),
        ("search=龙井", ["Product Viewed"]),
        ("search=100%25_real", ["page"]),
        ("search=bell", ["Bell Rung"]),
        ("search=viewed&channel=mobile", ["Product Viewed"]),
        ("search=nothing of it", []),
    ],
)
def test_the_timeline_takes_every_filter(
    client: Client, told: tuple[str, Source], query: str, kinds: list[str]
) -> None:
    ident, browser = told
    api = Api(client, "crm.profile:read")
    query = query.format(browser=browser.pk)
    found = api("get", f"profiles/{ident}/timeline/?{query}").json()
    assert [row["kind"] for row in found["results"]] == kinds


def test_the_search_knows_the_reader_s_words(client: Client, told: tuple[str, Source]) -> None:
    ident, browser = told
    api = Api(client, "crm.profile:read")
    api.headers["Accept-Language"] = "zh-hans"
    found = api("get", f"profiles/{ident}/timeline/?search=页面").json()["results"]
    assert [(row["kind"], row["source"]) for row in found] == [("page", browser.pk)]


def test_filters_hold_over_pages(client: Client, told: tuple[str, Source]) -> None:
    ident, _browser = told
    api = Api(client, "crm.profile:read")
    first = api("get", f"profiles/{ident}/timeline/?group=shopping&limit=2").json()
    assert len(first["results"]) == 2
    second = api("get", f"profiles/{ident}/timeline/?group=shopping&limit=2&before={first['next']}").json()
    assert ([row["kind"] for row in second["results"]], second["next"]) == (["Product Viewed"], None)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("group=nonsense", "group"),
        ("source=shop", "source"),
        ("since=yesterday", "since"),
        ("until=2026-05-20T08:00:00", "until"),
        ("since=0001-01-01", "since"),
        ("search=" + "x" * 101, "search"),
        ("channel=a%00b", ""),
        ("q=lamp", "q"),
    ],
)
def test_what_cannot_be_understood_is_refused(
    client: Client, told: tuple[str, Source], query: str, field: str
) -> None:
    response = Api(client, "crm.profile:read")("get", f"profiles/{told[0]}/timeline/?{query}")
    assert response.status_code == 400
    assert not field or field in json.dumps(response.json())


def test_the_list_of_traits_costs_the_same_whatever_its_length(client: Client) -> None:
    api = Api(client, "crm.computedtrait:read")

    def cost() -> int:
        computed_reads.in_force()
        with CaptureQueriesContext(connection) as queries:
            rows = api("get", "computed-traits/").json()["results"]
        assert all(row["definition"] and row["sentence"] for row in rows)
        return len([query for query in queries if "kernel_knob" not in query["sql"]])

    trait("one")
    cost()  # a key notes its first use
    few = cost()
    for number in range(6):
        trait(f"more_{number}")
    computed.revise(
        trait("last").pk, definition={"kind": "page", "function": "count"}, actor=SYSTEM, now=clock.now()
    )
    rows = api("get", "computed-traits/").json()["results"]
    assert (rows[0]["version"], rows[0]["definition"]["kind"], rows[1]["run"]["status"]) == (
        2,
        "page",
        "done",
    )
    assert cost() == few
