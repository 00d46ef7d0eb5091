"""REST about people: search, merging with choices, suggestions, accounts, notes, links, identity rules."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from crm.models import (
    Account,
    AccountMembership,
    IdentityRule,
    MergeRecord,
    MergeSuggestion,
    Profile,
    ProfileLink,
    ProfileNote,
)
from crm.services import contacts, suggestions
from tests.crm.conftest import NOON, SYSTEM
from tests.crm.people.conftest import Maker
from tests.crm.test_api import Api

pytestmark = pytest.mark.django_db
SCOPES = [
    f"crm.{noun}:{verb}"
    for noun in (
        "profile",
        "mergerecord",
        "mergesuggestion",
        "account",
        "profilenote",
        "profilelink",
        "identityrule",
    )
    for verb in ("read", "write")
]


@pytest.fixture
def api(client: Client) -> Api:
    return Api(client, *SCOPES)


def public(pk: int) -> str:
    return str(Profile.objects.get(pk=pk).public_id)


def body(response: Any, status: int = 200) -> Any:
    assert response.status_code == status, response.content
    return response.json() if response.content else None


def test_search_is_ranked_and_says_why(api: Api, identify: Maker) -> None:
    longer, whole = identify("b", name="张伟国"), identify("a", name="张伟", email="zw@acme.example")
    rows = body(api("get", "profiles/?search=张伟"))["results"]
    assert [(row["id"], row["found_by"]) for row in rows] == [
        (public(whole), ["name"]),
        (public(longer), ["name"]),
    ]
    rows = body(api("get", "profiles/?search=zhang acme"))["results"]
    assert [(row["id"], row["found_by"]) for row in rows] == [(public(whole), ["pinyin", "email_domain"])]
    assert body(api("get", "profiles/?search=nobody"))["results"] == []
    assert [row["found_by"] for row in body(api("get", "profiles/"))["results"]] == [[], []]
    assert body(api("get", "profiles/?search=zhang&page_size=1"))["results"][0]["id"]


def test_merging_with_choices_and_undo(api: Api, identify: Maker) -> None:
    one, two = identify("a", name="Ann", plan="gold"), identify("b", name="Ann Example", plan="tin")
    rows = body(api("post", f"profiles/{public(one)}/preview-merge/", {"other": public(two)}))
    found = {row["name"]: row for row in rows}
    assert (found["traits.plan"]["winner"], found["traits.plan"]["loser"]) == ("gold", "tin")
    assert found["display_name"]["winner_source"]["trust"] == "server"
    choices = {"display_name": "loser", "traits.plan": "loser"}
    made = body(
        api("post", f"profiles/{public(one)}/merge/", {"other": public(two), "choices": choices}), 201
    )
    row = Profile.objects.get(pk=one)
    assert (row.display_name, row.traits) == ("Ann Example", {"plan": "tin"})
    body(api("post", f"merges/{made['id']}/undo/", {}))
    row.refresh_from_db()
    assert (row.display_name, row.traits) == ("Ann", {"plan": "gold"})
    wrong = {"other": public(two), "choices": {"nonsense": "loser"}}
    assert body(api("post", f"profiles/{public(one)}/merge/", wrong), 400)
    assert body(api("post", f"profiles/{public(one)}/merge/", {"other": public(one)}), 409)
    assert MergeRecord.objects.count() == 1


def test_suggestions_are_accepted_with_the_other_direction(api: Api, identify: Maker) -> None:
    one, two = identify("a", name="张伟", phone="13800138001"), identify("b", name="张玮")
    contacts.add(two, channel="sms", value="13800138001", origin="staff", actor=SYSTEM, now=NOON)
    suggestions.find(now=NOON)
    row = body(api("get", "merge-suggestions/?status=open"))["results"][0]
    assert (row["evidence"], row["score"]) == (["same_name", "same_phone"], 85)
    body(
        api(
            "post",
            f"merge-suggestions/{row['id']}/accept/",
            {"swap": True, "choices": {"display_name": "loser"}},
        )
    )
    record = MergeRecord.objects.get()
    assert (record.winner_id, record.loser_id) == (two, one)
    assert Profile.objects.get(pk=two).display_name == "张伟"
    assert MergeSuggestion.objects.get().status == "merged"
    assert body(api("post", f"merge-suggestions/{row['id']}/dismiss/", {}), 409)


def test_accounts(api: Api, identify: Maker) -> None:
    one = identify("a", name="Ann")
    row = body(api("post", "accounts/", {"group_id": "acme", "name": "Acme Tea"}), 201)
    address = f"accounts/{row['id']}/"
    assert body(api("patch", address, {"domain": "acme.example"}))["domain"] == "acme.example"
    members = body(api("post", f"{address}members/", {"profile": public(one), "role": "Buyer"}), 201)
    assert [(m["profile"], m["role"]) for m in members] == [(public(one), "Buyer")]
    assert body(api("get", "accounts/?search=acme"))["results"][0]["id"] == row["id"]
    assert body(api("get", "accounts/?search=acme.example"))["results"][0]["group_id"] == "acme"
    assert body(api("post", f"{address}members/", {"profile": str(uuid4())}), 404)
    assert body(api("post", f"{address}remove-member/", {"profile": public(one)}), 204) is None
    assert body(api("get", f"{address}members/")) == []
    assert body(api("post", "accounts/", {"group_id": "", "name": "x"}), 400)
    assert (Account.objects.count(), AccountMembership.objects.count()) == (1, 1)


def test_notes_and_links(api: Api, identify: Maker) -> None:
    one, two = identify("a"), identify("b")
    note = body(
        api("post", "profile-notes/", {"profile": public(one), "category": "taste", "text": "No coriander"}),
        201,
    )
    assert body(api("patch", f"profile-notes/{note['id']}/", {"is_pinned": True}))["is_pinned"] is True
    assert len(body(api("get", f"profile-notes/?profile={public(one)}"))["results"]) == 1
    assert body(api("get", f"profile-notes/?profile={public(two)}"))["results"] == []
    assert body(api("post", "profile-notes/", {"profile": public(one), "category": "x", "text": "x"}), 400)
    link = body(
        api("post", "profile-links/", {"one": public(one), "other": public(two), "kind": "household"}), 201
    )
    assert len(body(api("get", f"profile-links/?profile={public(two)}"))["results"]) == 1
    assert body(
        api("post", "profile-links/", {"one": public(one), "other": public(one), "kind": "family"}), 409
    )
    assert body(api("delete", f"profile-links/{link['id']}/"), 204) is None
    assert body(api("delete", f"profile-notes/{note['id']}/"), 204) is None
    assert not ProfileNote.objects.exists() and not ProfileLink.objects.exists()


def test_identity_rules(api: Api) -> None:
    IdentityRule.objects.get_or_create(kind="user_id", defaults={"priority": 1, "limit": 1})
    row = body(api("get", "identity-rules/user_id/"))
    assert "per person" in row["explanation"]
    changed = {"priority": 1, "limit": 2, "blocked_values": [*row["blocked_values"], "tablet"], "why": "shop"}
    row = body(api("put", "identity-rules/user_id/", changed))
    assert (row["limit"], row["origins"]["tablet"]["why"]) == (2, "shop")
    assert body(api("put", "identity-rules/user_id/", {**changed, "limit": 0}), 400)
    assert body(api("put", "identity-rules/user_id/", {**changed, "blocked_patterns": ["("]}), 400)
    assert IdentityRule.objects.get(kind="user_id").limit == 2
