"""Accounts by group calls and by staff: who may say what, who belongs, and the roll-up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from crm.kernel.errors import Conflict, Gone, NotFound
from crm.models import Account, AccountMembership, IngestionWarning, Source, Touchpoint
from crm.services import accounts, erasure, merges, touchpoints
from tests.crm.conftest import NOON, SYSTEM, ref
from tests.crm.people.conftest import Maker

pytestmark = pytest.mark.django_db


def group(source: Source, user: str, group_id: Any = "acme", hours: int = 0, **traits: Any) -> Any:
    properties = {"groupId": group_id, **({"traits": traits} if traits else {})}
    event = touchpoints.Event(
        "group", NOON + timedelta(hours=hours), "", identifiers=[("user_id", user)], properties=properties
    )
    return touchpoints.record([event], source=ref(source), actor=SYSTEM, now=NOON + timedelta(days=1))


def members() -> list[tuple[int, str, bool]]:
    rows = AccountMembership.objects.order_by("account_id", "profile_id")
    return [(row.profile_id, row.trust, row.until is None) for row in rows]


def order(source: Source, user: str, revenue: Any, currency: str = "CNY") -> None:
    event = touchpoints.Event(
        "Order Completed", NOON, "", identifiers=[("user_id", user)],
        properties={"revenue": revenue, "currency": currency},
    )  # fmt: skip
    touchpoints.record([event], source=ref(source), actor=SYSTEM, now=NOON)


def test_a_group_call_makes_the_account_and_the_membership(shop: Source, identify: Maker) -> None:
    one, two = identify("a"), identify("b")
    group(shop, "a", name="Acme Tea", website="https://www.acme.example/about", plan="pro")
    group(shop, "b", plan="pro")
    row = Account.objects.get()
    assert (row.group_id, row.name, row.domain) == ("acme", "Acme Tea", "acme.example")
    assert row.traits == {"website": "https://www.acme.example/about", "plan": "pro"}
    assert row.value_sources["plan"]["trust"] == "server"
    assert members() == [(one, "server", True), (two, "server", True)]
    group(shop, "a")
    assert (Account.objects.count(), len(members())) == (1, 2)
    assert Touchpoint.objects.filter(kind="group").count() == 3


def test_the_newer_statement_wins(shop: Source, identify: Maker) -> None:
    identify("a")
    group(shop, "a", hours=5, plan="pro")
    group(shop, "a", hours=2, plan="free", seats=3)
    assert Account.objects.get().traits == {"plan": "pro", "seats": 3}


def test_a_browser_makes_no_accounts_and_tells_no_traits(
    shop: Source, browser_source: Source, identify: Maker
) -> None:
    one, two = identify("a"), identify("b")
    result = group(browser_source, "a", plan="pro")
    assert [(code, detail) for _at, code, detail in result.warnings] == [("account_unknown", "groupId")]
    assert not Account.objects.exists() and not AccountMembership.objects.exists()
    group(shop, "b", plan="pro")
    result = group(browser_source, "a", plan="free", name="Mine now")
    assert [code for _at, code, _detail in result.warnings] == ["account_traits_ignored"]
    row = Account.objects.get()
    assert (row.name, row.traits) == ("", {"plan": "pro"})
    assert members() == [(one, "browser", True), (two, "server", True)]
    assert set(IngestionWarning.objects.values_list("code", flat=True)) == {
        "account_unknown", "account_traits_ignored",
    }  # fmt: skip
    group(shop, "a")
    assert members()[0] == (one, "server", True), "a server confirms the claim"


@pytest.mark.parametrize("group_id", ["x" * 256, True, None, {"a": 1}])
def test_a_group_id_that_is_none(shop: Source, identify: Maker, group_id: Any) -> None:
    identify("a")
    result = group(shop, "a", group_id)
    assert result.accepted == 1
    assert [code for _at, code, _detail in result.warnings] == ["account_unknown"]
    assert not Account.objects.exists()


def test_a_batch_of_group_calls_is_a_handful_of_queries(shop: Source, identify: Maker) -> None:
    def batch(number: int, prefix: str) -> int:
        events = [
            touchpoints.Event(
                "group", NOON, "", identifiers=[("user_id", f"{prefix}-{n}")],
                properties={"groupId": f"{prefix}-{n % 5}", "traits": {"plan": "pro"}},
            )
            for n in range(number)
        ]  # fmt: skip
        with CaptureQueriesContext(connection) as queries:
            touchpoints.record(events, source=ref(shop), actor=SYSTEM, now=NOON)
        return len([q for q in queries if "crm_account" in q["sql"]])

    batch(1, "warm")
    assert batch(10, "few") == batch(60, "many")


def test_the_roll_up(shop: Source, identify: Maker) -> None:
    one, two = identify("a"), identify("b")
    identify("outsider")
    group(shop, "a")
    group(shop, "b")
    order(shop, "a", 12.5)
    order(shop, "b", "7.50")
    order(shop, "a", 100, "JPY")
    order(shop, "a", "a lot")
    order(shop, "outsider", 99)
    assert accounts.roll_up_stale(now=NOON + timedelta(hours=1)) == 1
    row = Account.objects.get()
    assert row.people == 2
    assert row.orders == {"CNY": {"orders": 2, "minor": 2000}, "JPY": {"orders": 1, "minor": 100}}
    assert row.touchpoints_lately == Touchpoint.objects.filter(profile_id__in=[one, two]).count()
    assert (row.last_seen_at, row.stale_at) == (NOON, None)
    assert row.figures == {"voc.open_tickets": 0}
    assert accounts.roll_up_stale(now=NOON) == 0


def test_the_roll_up_of_many_costs_what_that_of_one_costs(shop: Source, identify: Maker) -> None:
    for number in range(12):
        identify(f"u-{number}")
        group(shop, f"u-{number}", f"g-{number}")
    ids = list(Account.objects.values_list("pk", flat=True))

    def cost(some: list[int]) -> int:
        with CaptureQueriesContext(connection) as queries:
            accounts.roll_up(some, now=NOON)
        return len(queries)

    assert cost(ids[:1]) == cost(ids)


def test_merged_people_count_once_and_come_apart_again(shop: Source, identify: Maker) -> None:
    one, two = identify("a"), identify("b")
    group(shop, "a")
    group(shop, "b")
    record = merges.merge(one, two, actor=SYSTEM, now=NOON)
    accounts.roll_up_all(now=NOON)
    assert Account.objects.get().people == 1
    merges.undo(record.pk, actor=SYSTEM, now=NOON)
    accounts.touch([one], now=NOON)
    accounts.roll_up_stale(now=NOON)
    assert Account.objects.get().people == 2


def test_the_erased_belong_nowhere(shop: Source, identify: Maker) -> None:
    one = identify("a")
    group(shop, "a")
    erasure.erase(one, actor=SYSTEM, now=NOON)
    accounts.roll_up_all(now=NOON)
    assert Account.objects.get().people == 0


def test_staff_add_and_remove_people(shop: Source, identify: Maker) -> None:
    one, two = identify("a"), identify("b")
    account = accounts.save("acme", values={"name": "Acme"}, actor=SYSTEM, now=NOON)
    accounts.add_person(account.pk, profile_id=one, role="Buyer", actor=SYSTEM, now=NOON)
    accounts.add_person(account.pk, profile_id=one, role="Owner", actor=SYSTEM, now=NOON)
    assert AccountMembership.objects.get().role == "Owner"
    assert accounts.remove_person(account.pk, profile_id=one, actor=SYSTEM, now=NOON) == 1
    assert members() == [(one, "server", False)]
    with pytest.raises(Conflict):
        accounts.remove_person(account.pk, profile_id=one, actor=SYSTEM, now=NOON)
    with pytest.raises(NotFound):
        accounts.add_person(account.pk, profile_id=10**9, actor=SYSTEM, now=NOON)
    erasure.erase(two, actor=SYSTEM, now=NOON)
    with pytest.raises(Gone):
        accounts.add_person(account.pk, profile_id=two, actor=SYSTEM, now=NOON)
    assert members() == [(one, "server", False)]
