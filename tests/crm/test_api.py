"""REST of crm: scopes, strict input, cursor pages, and the services behind it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from crm.kernel import actors
from crm.models import ApiKey, ConsentRecord, MergeRecord, Profile, Source, StaffUser, Touchpoint
from crm.services import profiles, sources, touchpoints
from tests.crm.conftest import NOON, SYSTEM, ref

pytestmark = pytest.mark.django_db
ALL = [
    f"{noun}:{verb}"
    for noun in (
        "crm.profile", "crm.mergerecord", "crm.mergesuggestion", "crm.source", "crm.ingestionwarning", "kernel.knob",
    )
    for verb in ("read", "write")
]  # fmt: skip


class Api:
    """A client that holds a key."""

    def __init__(self, client: Client, *scopes: str) -> None:
        self.client = client
        _key, text = sources.create_api_key("test", scopes=scopes, actor=SYSTEM, now=NOON)
        self.headers = {"Authorization": f"Bearer {text}"}

    def __call__(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        data = query if method == "get" else json.dumps(body)
        more = {} if method == "get" else {"content_type": "application/json"}
        return getattr(self.client, method)(f"/api/v1/{path}", data, headers=self.headers, **more)


@pytest.fixture
def api(client: Client) -> Api:
    return Api(client, *ALL)


def person(key: str, **names: Any) -> Profile:
    pk = profiles.resolve(
        [("email", f"{key}@example.com")], trust="server", actor=SYSTEM, now=NOON, names=names
    )
    return Profile.objects.get(pk=pk)


def test_keys_open_only_their_scopes(client: Client) -> None:
    one = person("ann")
    for path in ("profiles/", f"profiles/{one.public_id}/", "sources/", "merges/", "knobs/"):
        assert client.get(f"/api/v1/{path}").status_code in (401, 403), path
        assert (
            client.get(f"/api/v1/{path}", headers={"Authorization": "Bearer rx_no_thing"}).status_code == 401
        )
    reader = Api(client, "crm.profile:read")
    assert reader("get", "profiles/").status_code == 200
    assert reader("patch", f"profiles/{one.public_id}/", {"region": "x"}).status_code == 403
    assert reader("get", "sources/").status_code == 403
    ApiKey.objects.update(revoked_at=NOON)
    assert reader("get", "profiles/").status_code == 401


def test_people_are_listed_found_read_and_changed(api: Api) -> None:
    one, two = person("ann", name="Ann Example", plan="gold"), person("zhang", name="张伟")
    assert [row["id"] for row in api("get", "profiles/").json()["results"]] == [
        str(two.public_id),
        str(one.public_id),
    ]
    page = api("get", "profiles/", page_size=1).json()
    assert [row["display_name"] for row in page["results"]] == ["张伟"]
    following = api.client.get(page["next"], headers=api.headers).json()
    assert [row["display_name"] for row in following["results"]] == ["Ann Example"]
    for query in ({"search": "zhang"}, {"email": "Zhang@example.com"}, {"search": "张伟"}):
        assert [row["display_name"] for row in api("get", "profiles/", **query).json()["results"]] == ["张伟"]
    body = api("get", f"profiles/{one.public_id}/").json()
    assert (body["traits"], body["identities"][0]["value"]) == ({"plan": "gold"}, "ann@example.com")
    body = api("patch", f"profiles/{one.public_id}/", {"language": "en", "birthday": "2000-02-29"}).json()
    assert (body["language"], body["birthday"], body["display_name"]) == ("en", "2000-02-29", "Ann Example")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"is_staff": True}, "unknown_field"),
        ({"balance": 1}, "unknown_field"),
        ({"display_name": "a\r\nb"}, "invalid_character"),
        ({"display_name": "x" * 201}, "max_length"),
        ({"time_zone": "Mars/Olympus"}, "invalid_choice"),
        ({"birthday": "2001-02-29"}, "invalid"),
        ({}, "empty"),
    ],
)
def test_bad_values_are_refused_and_nothing_changes(api: Api, body: dict[str, Any], code: str) -> None:
    one = person("ann", name="Ann")
    response = api("patch", f"profiles/{one.public_id}/", body)
    assert (response.status_code, response.json()["code"]) == (400, code)
    one.refresh_from_db()
    assert (one.display_name, one.time_zone, one.birthday) == ("Ann", "", None)


@pytest.mark.parametrize(
    "query", [{"nonsense": "1"}, {"ordering": "id"}, {"page_size": "0"}, {"cursor": "forged"}]
)
def test_unknown_filters_and_forged_cursors(api: Api, query: dict[str, str]) -> None:
    assert api("get", "profiles/", **query).status_code == 400
    one = person("ann")
    bad = {"before": "forged"} if "cursor" in query else {"limit": "0"} if "page_size" in query else query
    assert api("get", f"profiles/{one.public_id}/timeline/", **bad).status_code == 400


def test_the_timeline_is_paged(api: Api, server_source: Source) -> None:
    events = [
        touchpoints.Event("page", NOON - timedelta(days=n), f"m{n}", identifiers=[("user_id", "u1")])
        for n in range(25)
    ]
    found = touchpoints.record(
        events, source=ref(server_source), actor=actors.source(server_source.pk), now=NOON
    )
    one = Profile.objects.get(pk=found.profile_ids[0])
    seen, before = [], None
    for _ in range(10):
        query = {"limit": 10, **({"before": before} if before else {})}
        body = api("get", f"profiles/{one.public_id}/timeline/", **query).json()
        seen += [row["id"] for row in body["results"]]
        before = body["next"]
        if before is None:
            break
    assert len(seen) == len(set(seen)) == 25
    body = api("get", f"profiles/{one.public_id}/timeline/", kind="nothing").json()
    assert body == {"next": None, "results": []}


def test_consent_merge_undo_and_erase(api: Api) -> None:
    one, two = person("ann", name="Ann"), person("bea", name="Bea")
    path = f"profiles/{one.public_id}"
    decision = {"purpose": "marketing", "channel": "email", "granted": True}
    assert api("post", f"{path}/consents/", decision).status_code == 201
    assert api("post", f"{path}/consents/", {**decision, "purpose": "all"}).status_code == 400
    assert ConsentRecord.objects.count() == 1
    assert [row["granted"] for row in api("get", f"{path}/consents/").json()] == [True]
    other = {"other": str(two.public_id), "choices": {"display_name": "loser"}}
    assert len(api("post", f"{path}/preview-merge/", other).json()) == 9
    merged = api("post", f"{path}/merge/", other)
    assert (merged.status_code, merged.json()["loser"]) == (201, str(two.public_id))
    assert api("get", f"profiles/{two.public_id}/").json()["id"] == str(one.public_id)
    again = api("post", f"{path}/merge/", other)
    assert (again.status_code, again.json()["code"]) == (409, "same_person")
    assert api("post", f"merges/{merged.json()['id']}/undo/").json()["undone_by"].startswith("api_key:")
    assert api("post", f"merges/{merged.json()['id']}/undo/").json()["code"] == "already_undone"
    assert MergeRecord.objects.count() == 1
    assert api("post", f"{path}/erase/").status_code == 204
    assert api("get", f"{path}/").status_code == 404


def test_an_idempotency_key_has_one_effect(api: Api) -> None:
    api.headers["Idempotency-Key"] = "k-1"
    first = api("post", "sources/", {"name": "Shop"})
    second = api("post", "sources/", {"name": "Shop"})
    assert (first.status_code, second.status_code, second.json()) == (201, 201, first.json())
    assert Source.objects.count() == 1
    assert api("post", "sources/", {"name": "Other"}).status_code == 422


def test_sources_show_keys_to_those_who_may_read_them(
    client: Client, api: Api, server_source: Source
) -> None:
    assert api("get", f"sources/{server_source.pk}/").json()["write_key"] == server_source.write_key
    reader = Api(client, "crm.source:read")
    assert reader("get", f"sources/{server_source.pk}/").json()["write_key"] == ""
    rotated = api("post", f"sources/{server_source.pk}/rotate/").json()["write_key"]
    assert rotated not in ("", server_source.write_key)
    assert api("patch", f"sources/{server_source.pk}/", {"is_active": False}).json()["is_active"] is False
    taken = api("post", "sources/", {"name": server_source.name})
    assert (taken.status_code, taken.json()["code"]) == (409, "name_taken")


def test_knobs_and_warnings(api: Api, server_source: Source) -> None:
    touchpoints.record(
        [touchpoints.Event("page", NOON, "m")], source=ref(server_source), actor=SYSTEM, now=NOON
    )
    rows = api("get", "ingestion-warnings/", code="no_identifier", source=server_source.pk).json()["results"]
    assert [(row["code"], row["count"]) for row in rows] == [("no_identifier", 1)]
    assert api("patch", "knobs/crm.pressure_budget/", {"value": 5}).json()["value"] == 5
    assert api("patch", "knobs/crm.pressure_budget/", {"value": -5}).status_code == 400
    assert api("get", "knobs/crm.nothing/").status_code == 404
    assert "crm.pressure_budget" in [row["name"] for row in api("get", "knobs/").json()]


def test_staff_sessions_need_permissions(client: Client) -> None:
    one = person("ann")
    client.force_login(StaffUser.objects.create_user("nobody", password="not-a-secret", is_staff=True))
    assert client.get("/api/v1/profiles/").status_code == 403
    client.force_login(StaffUser.objects.create_superuser("boss", password="not-a-secret"))
    assert client.get(f"/api/v1/profiles/{one.public_id}/").status_code == 200


# -- commands


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    call_command(*arguments)
    return capsys.readouterr().out.splitlines()[-1]


def test_create_write_key(capsys: pytest.CaptureFixture[str]) -> None:
    key = run("create_write_key", "Shop", capsys=capsys)
    assert run("create_write_key", "Shop", capsys=capsys) == key
    assert (Source.objects.get().write_key, Source.objects.get().trust) == (key, "server")
    with pytest.raises(CommandError):
        call_command("create_write_key", "Shop", "--browser")
    assert run("create_write_key", "Site", "--browser", capsys=capsys).startswith("pk_")


def test_create_api_key(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(
        "create_api_key", "BI", "--scope", "crm.profile:read", "--scope", "voc.ticket:write", capsys=capsys
    )
    key = sources.find_api_key(text)
    assert key is not None
    assert key.scopes == ["crm.profile:read", "voc.ticket:write"]
    assert text.rpartition("_")[2] not in key.secret_hash
    assert sources.find_api_key(text + "x") is None
    with pytest.raises(CommandError):
        call_command("create_api_key", "BI", "--scope", "everything")
    assert ApiKey.objects.count() == 1


def test_the_month_of_a_purchase_of_1997_is_made_on_demand(server_source: Source) -> None:
    event = touchpoints.Event(
        "Order Completed", NOON.replace(year=1997), "m", identifiers=[("user_id", "u1")]
    )
    touchpoints.record([event], source=ref(server_source), actor=SYSTEM, now=NOON)
    assert Touchpoint.objects.get().occurred_at.year == 1997
