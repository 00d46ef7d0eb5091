"""Segments over REST: made, previewed, activated, listed, filled, exported."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from crm.kernel import clock
from crm.kernel.models import ActionLog
from crm.models import Export, ExportPart, Profile, Segment, SegmentEvent, SegmentMembership
from crm.services import exports, profiles, segments, sources
from tests.crm.segments.conftest import ACTOR, DAY, NOON, happened, people, person, run_passes

pytestmark = pytest.mark.django_db
BUYERS = {"touchpoint": "Order Completed", "within_days": 90}


class Api:
    """A client that holds a key."""

    def __init__(self, client: Client, *scopes: str) -> None:
        self.client = client
        _key, text = sources.create_api_key("test", scopes=scopes, actor=ACTOR, now=NOON)
        self.headers = {"Authorization": f"Bearer {text}"}

    def __call__(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        data = query if method == "get" else json.dumps(body)
        more = {} if method == "get" else {"content_type": "application/json"}
        with clock.stopped(NOON):
            return getattr(self.client, method)(f"/api/v1/{path}", data, headers=self.headers, **more)


@pytest.fixture
def api(client: Client) -> Api:
    return Api(
        client, *(f"crm.{noun}:{verb}" for noun in ("segment", "segmentexport") for verb in ("read", "write"))
    )


def test_a_segment_is_made_previewed_activated_and_read(api: Api) -> None:
    buyer = person(display_name="Ann Buyer")
    person(display_name="Ben Browser")
    happened(buyer, "Order Completed", NOON - DAY)
    found = api("post", "segments/preview/", {"rule": BUYERS}).json()
    assert found["count"] == 1
    assert found["is_estimate"] is False
    assert [one["name"] for one in found["sample"]] == ["Ann Buyer"]
    assert found["sentence"] == "Everyone who bought in the last 90 days."
    assert Segment.objects.count() == 0

    made = api("post", "segments/", {"name": "Buyers", "rule": BUYERS})
    assert made.status_code == 201
    assert (made.json()["key"], made.json()["status"], made.json()["size"]) == ("buyers", "draft", 0)
    assert api("post", "segments/buyers/activate/", {}).json()["status"] == "active"
    run_passes()
    read = api("get", "segments/buyers/").json()
    assert (read["size"], read["run"], read["kind"]) == (1, None, "dynamic")
    page = api("get", "segments/buyers/members/").json()
    assert [one["name"] for one in page["results"]] == ["Ann Buyer"]
    assert [one["size"] for one in api("get", "segments/buyers/sizes/").json()] == [1]
    kinds = [one["kind"] for one in api("get", "segments/buyers/history/").json()]
    assert kinds == ["activated", "created"]
    assert api("post", "segments/buyers/check/", None).status_code == 202
    assert api("post", "segments/buyers/check/", None).status_code == 202
    assert api("post", "segments/buyers/pause/", None).json()["status"] == "paused"
    assert api("post", "segments/buyers/archive/", None).json()["status"] == "archived"
    run_passes()
    assert people(Segment.objects.get()) == set()
    assert api("post", "segments/buyers/activate/", {}).json()["code"] == "not_allowed"


@pytest.mark.parametrize(
    ("body", "code", "place"),
    [
        ({"name": "X", "rule": {"all": [{"fact": "no.such"}]}}, "invalid_rule", "all[0].fact"),
        (
            {"name": "X", "rule": {"touchpoint": "A", "times": {"op": "gte", "value": -1}}},
            "invalid_rule",
            "times.value",
        ),
        ({"name": "X", "rule": {"segment": "nobody-knows"}}, "invalid_rule", "rule"),
        ({"name": "X", "rule": {"segment": "x"}}, "cycle", "rule"),
        ({"name": "", "rule": BUYERS}, "blank", "name"),
        ({"name": "X", "key": "Ä", "rule": BUYERS}, "invalid", "key"),
        ({"name": "X", "color": "red"}, "unknown_field", "color"),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(api: Api, body: Any, code: str, place: str) -> None:
    answer = api("post", "segments/", body)
    assert answer.status_code in (400, 409)
    problem = answer.json()
    named = [
        (one.get("code"), one.get("attr"))
        for one in problem.get("errors", [problem | {"attr": problem.get("attr")}])
    ]
    assert (code, place) in named or (problem.get("code"), problem.get("field")) == (code, place), problem
    assert Segment.objects.count() == SegmentEvent.objects.count() == 0


def test_circles_and_segments_in_use_are_refused(api: Api) -> None:
    api("post", "segments/", {"name": "A", "rule": BUYERS})
    api("post", "segments/", {"name": "B", "rule": {"segment": "a"}})
    answer = api("patch", "segments/a/", {"rule": {"not": {"segment": "b"}}})
    assert (answer.status_code, answer.json()["code"]) == (409, "cycle")
    assert Segment.objects.get(key="a").rule == BUYERS
    answer = api("post", "segments/a/archive/", None)
    assert (answer.status_code, answer.json()["code"]) == (409, "in_use")
    assert Segment.objects.get(key="a").status == "draft"


def test_a_stale_edit_is_refused(api: Api) -> None:
    api("post", "segments/", {"name": "A", "rule": BUYERS})
    assert api("patch", "segments/a/", {"name": "A1", "version": 1}).json()["version"] == 2
    answer = api("patch", "segments/a/", {"name": "A2", "version": 1})
    assert (answer.status_code, answer.json()["code"]) == (409, "stale")
    assert Segment.objects.get().name == "A1"


def test_static_lists_take_what_staff_paste(api: Api) -> None:
    ann = profiles.resolve([("email", "ann@example.com")], trust="server", actor=ACTOR, now=NOON)
    bao = profiles.resolve([("phone", "13800138000")], trust="server", actor=ACTOR, now=NOON)
    cai = Profile.objects.get(pk=person())
    api("post", "segments/", {"name": "Guests"})
    answer = api(
        "post", "segments/guests/add-members/",
        {"identifiers": ["ANN@example.com", "138 0013 8000", "who@example.com"], "profiles": [str(cai.public_id)]},
    )  # fmt: skip
    assert answer.json() == {"changed": 3, "unchanged": 0, "unmatched": ["who@example.com"]}
    row = Segment.objects.get()
    assert people(row) == {ann, bao, cai.pk}
    answer = api("post", "segments/guests/remove-members/", {"identifiers": ["ann@example.com"]})
    assert answer.json()["changed"] == 1
    assert people(row) == {bao, cai.pk}
    api("post", "segments/", {"name": "Rule", "rule": BUYERS})
    answer = api("post", "segments/rule/add-members/", {"identifiers": ["ann@example.com"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "dynamic")
    copy = api("post", "segments/guests/snapshot/", {"name": "Guests of June"}).json()
    assert (copy["kind"], copy["size"]) == ("static", 2)


def test_an_export_is_written_quoted_bound_and_gone(api: Api, client: Client) -> None:
    evil = person(display_name="=HYPERLINK(1)", country="CN")
    spaced = person(display_name="  ＋1", language="zh-hans")
    gone = person(display_name="Gone")
    api("post", "segments/", {"name": "Guests"})
    row = Segment.objects.get()
    segments.add_members(row.pk, profile_ids=[evil, spaced, gone], actor=ACTOR, now=NOON)
    Profile.objects.filter(pk=gone).update(erased_at=NOON)
    asked = api("post", "segment-exports/", {"segment": "guests", "columns": ["display_name", "country"]})
    assert asked.status_code == 202
    path = f"segment-exports/{asked.json()['id']}/"
    assert api("get", path).json()["status"] == "waiting"
    assert api("get", path + "file/").json()["code"] == "not_ready"
    while exports.work(now=NOON):
        pass
    assert api("get", path).json() | {"status": "ready", "row_count": 2} == api("get", path).json()
    body = b"".join(api("get", path + "file/").streaming_content).decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(body))) == [
        ["name", "country"], ["'=HYPERLINK(1)", "CN"], ["'  ＋1", ""],
    ]  # fmt: skip
    assert ActionLog.objects.filter(action="crm.export.list_downloaded").count() == 1

    other = Api(client, "crm.segmentexport:read")
    assert other("get", path).status_code == 404
    assert exports.expire(now=NOON + timedelta(hours=25)) == 1
    assert ExportPart.objects.count() == 0
    assert api("get", path).status_code == 410
    assert (
        api("post", "segment-exports/", {"segment": "guests", "columns": ["password"]}).json()["code"]
        == "invalid_columns"
    )
    assert Export.objects.count() == 1


def test_an_export_is_cut_at_the_limit_and_written_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    from crm.kernel import knobs
    from crm.services import segment_exports

    monkeypatch.setattr(exports, "ROWS_PER_PART", 3)
    knobs.set("crm.export_rows", 7, actor=ACTOR, now=NOON)
    row = segments.create("Many", actor=ACTOR, now=NOON)
    ids = [person(display_name=f"P{n}") for n in range(9)]
    segments.add_members(row.pk, profile_ids=ids, actor=ACTOR, now=NOON)
    made = segment_exports.request(row, columns=["display_name"], language="zh-hans", actor=ACTOR, now=NOON)
    steps = 0
    while exports.work(now=NOON):
        steps += 1
    made.refresh_from_db()
    assert (steps, made.status, made.row_count, made.is_cut) == (3, "ready", 7, True)
    _row, parts = exports.download(made.public_id, actor=ACTOR, now=NOON)
    lines = b"".join(parts).decode("utf-8-sig").splitlines()
    assert lines[1:] == [f"P{n}" for n in range(7)]


def test_keys_need_the_scope(client: Client) -> None:
    api = Api(client, "crm.segment:read")
    assert api("post", "segments/", {"name": "X"}).status_code == 403
    assert api("get", "segments/").status_code == 200
    assert api("post", "segment-exports/", {"segment": "x"}).status_code == 403
    assert Segment.objects.count() == SegmentMembership.objects.count() == Export.objects.count() == 0
