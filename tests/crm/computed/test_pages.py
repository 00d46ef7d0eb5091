"""Staff pages, the panel of a person, and REST of computed traits and purchases."""

from __future__ import annotations

import json
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from crm.kernel import roles
from crm.models import ComputedRun, ComputedTrait, PurchaseSummary, StaffUser
from crm.services import passes, sources
from tests.crm.computed.conftest import happen, trait, work
from tests.crm.conftest import NOON, SYSTEM

pytestmark = pytest.mark.django_db
ORDER = "Order Completed"


def staff(client: Client, role: str) -> Client:
    roles.sync()
    user = StaffUser.objects.create_user(role, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client.force_login(user)
    return client


def form(**values: Any) -> dict[str, Any]:
    """What the form of a trait posts."""
    return {
        "node": ["n0||group", "n1|n0|did"], "n0-mode": "all", "n1-kind": ORDER, "n1-window": "days", "n1-days": "90",
        "function": "sum", "property": "revenue", "type": "money", "currency": "cny", "name": "Spent", "key": "spent",
        "description": "", "do": "save", **values,
    }  # fmt: skip


def test_a_trait_is_made_in_the_form_and_activated(client: Client) -> None:
    staff(client, "lead")
    happen("ann", ORDER, {"revenue": 12.5})
    address = reverse("admin:crm_computedtrait_add")
    assert client.get(address).status_code == 200
    filters = {
        "n1-where-property": ["category"],
        "n1-where-op": ["ne"],
        "n1-where-value": ["cup"],
        "n1-where-value2": [""],
    }
    answer = client.post(address, form(do="activate", **filters))
    row = ComputedTrait.objects.get()
    assert (answer.status_code, answer["Location"]) == (
        302,
        reverse("admin:crm_computedtrait_change", args=[row.pk]),
    )
    assert row.status == "active"
    assert row.versions.get().definition == {
        "kind": ORDER, "function": "sum", "property": "revenue", "type": "money", "currency": "CNY", "within_days": 90,
        "where": [{"property": "category", "op": "ne", "value": "cup"}],
    }  # fmt: skip
    work()
    with time_machine.travel(NOON, tick=False):
        page = client.get(reverse("admin:crm_computedtrait_change", args=[row.pk])).content.decode()
    assert "12.50 CNY" in page
    edit = client.get(reverse("admin:crm_computedtrait_edit", args=[row.pk])).content.decode()
    assert 'value="category"' in edit and 'value="cup"' in edit


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"n1-days": "0"}, "must be 1 or more"),
        ({"currency": "yuan"}, "must be three capital letters of ISO 4217"),
        ({"property": "", "type": "number"}, "is needed for this function"),
        ({"key": "Spent!"}, "A key is 1 to 60 small letters"),
        ({"name": ""}, "A name has 1 to 120 characters."),
    ],
)
def test_a_mistake_keeps_what_was_typed(client: Client, values: dict[str, str], said: str) -> None:
    staff(client, "lead")
    answer = client.post(reverse("admin:crm_computedtrait_add"), form(description="kept words", **values))
    page = answer.content.decode()
    assert answer.status_code == 400
    assert said in page and "kept words" in page
    assert not ComputedTrait.objects.exists()


def test_buttons_of_the_form_change_the_form_alone(client: Client) -> None:
    staff(client, "analyst")
    tree = reverse("admin:crm_computedtrait_tree")
    page = client.post(tree, form(do="filter:n1")).content.decode()
    assert 'data-focus="n1-where-property-0"' in page
    outcome = client.post(reverse("admin:crm_computedtrait_outcome"), form()).content.decode()
    assert "in the last 90 days" in outcome
    assert client.post(reverse("admin:crm_computedtrait_add"), form()).status_code == 403
    assert not ComputedTrait.objects.exists()


def test_who_may_press_the_buttons(client: Client) -> None:
    row = trait(active=False)
    staff(client, "agent")
    page = reverse("admin:crm_computedtrait_change", args=[row.pk])
    assert client.get(page).status_code == 200
    assert client.post(page, {"action": "activate"}).status_code == 403
    assert not ComputedRun.objects.exists()


def test_the_report_and_its_people(client: Client) -> None:
    staff(client, "lead")
    address = reverse("admin:crm_purchasereport_changelist")
    assert "There is no report yet" in client.get(address).content.decode()
    happen("ann", ORDER, {"revenue": 10})
    happen("bea", ORDER, {"revenue": 20}, days=40)
    assert client.post(address).status_code == 302
    work()
    page = client.get(address).content.decode()
    row = PurchaseSummary.objects.order_by("pk")[0]
    link = f"recency__exact={row.recency}&amp;frequency__exact={row.frequency}"
    assert link in page
    with CaptureQueriesContext(connection) as queries:
        buyers = client.get(
            reverse("admin:crm_purchasesummary_changelist") + "?" + link.replace("&amp;", "&")
        )
    assert not any("DISTINCT" in query["sql"] for query in queries), "choosing a score reads nobody"
    assert "10.00 CNY" in buyers.content.decode()
    assert "20.00 CNY" not in buyers.content.decode()


def test_the_customer_page_shows_values(client: Client) -> None:
    staff(client, "agent")
    ann = happen("ann", ORDER, {"revenue": 10})
    trait()
    passes.renew_purchases(now=NOON)
    work()
    page = client.get(reverse("admin:crm_profile_panels", args=[ann])).content.decode()
    assert "tea orders" in page
    assert "10.00 CNY" in page


def api(scope: str) -> dict[str, str]:
    _row, text = sources.create_api_key("bi", scopes=[scope], actor=SYSTEM, now=NOON)
    return {"Authorization": f"Bearer {text}"}


def test_rest(client: Client) -> None:
    headers = api("crm.computedtrait:write")
    headers_read = api("crm.computedtrait:read")
    body = {"key": "orders", "name": "Orders", "definition": {"kind": ORDER, "function": "count"}}
    send = {"content_type": "application/json", "headers": headers}
    answer = client.post("/api/v1/computed-traits/", json.dumps(body), **send)
    assert answer.status_code == 201, answer.content
    made = answer.json()
    assert made["sentence"] == "How many of “Order completed”, ever"
    assert made["definition"] == {"kind": ORDER, "function": "count", "type": "number"}
    wrong = json.dumps(body | {"key": "b", "name": "B", "definition": {"kind": ORDER, "function": "sum"}})
    refused = client.post("/api/v1/computed-traits/", wrong, **send)
    assert (refused.status_code, refused.json()["errors"][0]["attr"]) == (400, "property")
    assert ComputedTrait.objects.count() == 1
    activated = client.post(f"/api/v1/computed-traits/{made['id']}/activate/", "", **send).json()
    assert (activated["status"], activated["run"]["status"]) == ("active", "waiting")
    listed = client.get("/api/v1/computed-traits/?status=active", headers=headers_read).json()
    assert [row["key"] for row in listed["results"]] == ["orders"]
    forbidden = client.post(
        f"/api/v1/computed-traits/{made['id']}/pause/",
        "",
        content_type="application/json",
        headers=headers_read,
    )
    assert forbidden.status_code == 403
