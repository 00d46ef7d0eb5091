"""The ingest door: what it takes, what it refuses, and that one bad event never costs its neighbours their place."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from crm.kernel import clock
from crm.models import EventReceipt, Identity, IngestionWarning, Profile, Source, Touchpoint
from tests.crm.conftest import Post

pytestmark = pytest.mark.django_db


def track(number: int = 1, **more: Any) -> dict[str, Any]:
    return {"type": "track", "event": "Product Viewed", "userId": "u-1", "messageId": f"m-{number}", **more}


def answer(response: Any) -> tuple[int, int, int, list[tuple[int, str]]]:
    body = response.json()
    return (
        response.status_code,
        body["accepted"],
        body["duplicates"],
        [(item["index"], item["code"]) for item in body["rejected"]],
    )


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    ("route", "body", "kind"),
    [
        ("track", {"event": "Order Completed", "properties": {"total": 1}}, "Order Completed"),
        ("t", {"event": "中文事件"}, "中文事件"),
        ("page", {"name": "Home"}, "page"),
        ("p", {"name": "Home"}, "page"),
        ("screen", {"name": "Start"}, "screen"),
        ("s", {"name": "Start"}, "screen"),
        ("group", {"groupId": "g-1", "traits": {"name": "Example Ltd"}}, "group"),
        ("g", {"groupId": 7}, "group"),
        ("identify", {"traits": {"plan": "gold"}}, "identify"),
        ("i", {"traits": {}}, "identify"),
        ("alias", {"previousId": "before"}, "alias"),
        ("a", {"previousId": "before"}, "alias"),
    ],
)
def test_each_call_stores_one_touchpoint(
    post: Post, route: str, body: dict[str, Any], kind: str, slash: str
) -> None:
    response = post(f"/v1/{route}{slash}", {"userId": "u-1", "messageId": "m-1", **body})
    assert answer(response) == (200, 1, 0, [])
    assert list(Touchpoint.objects.values_list("kind", flat=True)) == [kind]


@pytest.mark.parametrize("route", ["batch", "batch/", "b", "import", "import/"])
def test_batches(post: Post, route: str) -> None:
    response = post(f"/v1/{route}", {"batch": [track(1), track(2), track(1)]})
    assert answer(response) == (200, 2, 1, [])
    assert answer(post(f"/v1/{route}", {"batch": [track(1), track(3)]})) == (200, 1, 1, [])
    assert Touchpoint.objects.count() == 3
    assert Profile.objects.count() == 1


def test_the_same_message_id_of_another_source_is_another_event(post: Post, browser_source: Source) -> None:
    post("/v1/track", track())
    assert answer(post("/v1/track", track(), key=browser_source.write_key)) == (200, 1, 0, [])
    assert Touchpoint.objects.count() == 2


def test_exact_twins_with_their_own_message_ids_are_both_kept(post: Post) -> None:
    twin = {"timestamp": "1997-01-01T00:00:00Z", "properties": {"revenue": "11.77"}}
    assert answer(post("/v1/batch", {"batch": [track(1, **twin), track(2, **twin)]})) == (200, 2, 0, [])


def test_properties_are_kept_as_received(post: Post) -> None:
    properties = {"revenue": "29.33", "list": [1, None, {"深": "层"}], "flag": False, "n": -0.5}
    post(
        "/v1/track", track(properties=properties, context={"page": {"path": "/p"}, "library": {"name": "x"}})
    )
    row = Touchpoint.objects.get()
    assert row.properties == properties
    assert row.context == {"page": {"path": "/p"}}


# -- who knocks


def test_keys_in_the_header_and_in_the_body(client: Client, server_source: Source) -> None:
    key = server_source.write_key
    basic = b64encode(f"{key}:".encode()).decode()
    for number, (headers, extra) in enumerate(
        [
            ({"Authorization": f"Basic {basic}"}, {}),
            ({"Authorization": f"Bearer {key}"}, {}),
            ({}, {"writeKey": key}),
            ({"Authorization": "Basic bm9ib2R5Og=="}, {"writeKey": key}),
        ]
    ):
        body = json.dumps({"batch": [track(number)], **extra})
        response = client.post("/v1/batch", body, content_type="text/plain", headers=headers)
        assert answer(response) == (200, 1, 0, []), headers
    body = json.dumps({"batch": [track(9, writeKey=key)]})
    assert answer(client.post("/v1/b", body, content_type="text/plain")) == (200, 1, 0, [])


@pytest.mark.parametrize("key", ["", "wrong", "x" * 500, "键"])
def test_an_unknown_key_is_401_and_nothing_is_written(post: Post, key: str) -> None:
    response = post("/v1/track", track(), key=key)
    assert (response.status_code, response.json()["code"]) == (401, "invalid_write_key")
    assert "WWW-Authenticate" in response
    assert Touchpoint.objects.count() == 0


def test_a_source_that_is_switched_off_is_401(post: Post, server_source: Source) -> None:
    Source.objects.filter(pk=server_source.pk).update(is_active=False)
    assert post("/v1/track", track()).status_code == 401


@pytest.mark.parametrize("where", ["crm.ingest.keys.find", "crm.services.touchpoints.record"])
def test_an_outage_is_503_with_retry_after_never_401(
    post: Post, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def away(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("the server is away")

    monkeypatch.setattr(where, away)
    response = post("/v1/batch", {"batch": [track()]})
    assert (response.status_code, response["Retry-After"], response.json()["code"]) == (
        503,
        "5",
        "unavailable",
    )
    monkeypatch.undo()
    assert Touchpoint.objects.count() == 0


def test_other_methods(client: Client, server_source: Source) -> None:
    assert client.get("/v1/track").status_code == 405
    preflight = client.options("/v1/t", headers={"Origin": "https://shop.example"})
    assert preflight.status_code in (200, 204)
    assert preflight["Access-Control-Allow-Origin"] == "*"
    assert client.post("/v1/nothing", b"{}", content_type="application/json").status_code == 404


def test_the_settings_of_a_browser_key(client: Client, browser_source: Source) -> None:
    for slash in ("", "/"):
        body = client.get(f"/v1/projects/{browser_source.write_key}/settings{slash}").json()
        assert body["integrations"]["Segment.io"]["apiKey"] == browser_source.write_key
        assert body["integrations"]["Segment.io"]["apiHost"] == "testserver/v1"
    assert client.get("/v1/projects/wrong/settings").status_code == 404


# -- encodings


def test_gzip_and_form_content_types(post: Post) -> None:
    raw = json.dumps({"batch": [track(1)]}).encode()
    form = "application/x-www-form-urlencoded"
    assert answer(post("/v1/batch", gzip.compress(raw), **{"Content-Encoding": "gzip"})) == (200, 1, 0, [])
    assert answer(post("/v1/batch", gzip.compress(raw), content_type=form)) == (200, 0, 1, [])
    assert answer(post("/v1/batch", raw, content_type=form)) == (200, 0, 1, [])
    assert answer(post("/v1/batch", b"\xef\xbb\xbf" + raw, content_type="text/plain")) == (200, 0, 1, [])


def test_a_gzip_bomb_is_413(post: Post) -> None:
    bomb = gzip.compress(b"[" + b" " * (64 * 1024 * 1024))
    response = post("/v1/batch", bomb, **{"Content-Encoding": "gzip"})
    assert (response.status_code, response.json()["code"]) == (413, "too_large")
    assert "4194304" in response.json()["detail"]


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (b"", {}, "invalid_json"),
        (b"not json", {}, "invalid_json"),
        (b'{"batch": [', {}, "invalid_json"),
        (b'{"a": "\xff"}', {}, "invalid_json"),
        (b"[]", {}, "invalid_json"),
        (b'{"batch": 5}', {}, "invalid_json"),
        (b"[" * 100_000, {}, "too_deep"),
        (b"\x1f\x8bbroken", {}, "invalid_encoding"),
        (gzip.compress(b"{}", mtime=0)[:-5], {}, "invalid_encoding"),
        (b"{}", {"Content-Encoding": "br"}, "invalid_encoding"),
    ],
)
def test_bodies_that_cannot_be_read_are_400(
    post: Post, body: bytes, headers: dict[str, str], code: str
) -> None:
    response = post("/v1/batch", body, **headers)
    assert (response.status_code, response.json()["code"]) == (400, code)
    assert EventReceipt.objects.count() == 0


def test_body_caps(post: Post) -> None:
    pad = "x" * (1024 * 1024)
    assert post("/v1/track", {**track(), "properties": {"pad": pad}}).status_code == 413
    assert post("/v1/batch", {"batch": [track()], "pad": pad * 4}).status_code == 413
    assert Touchpoint.objects.count() == 0


# -- one bad event among good ones

BAD_EVENTS: list[tuple[str, str]] = [
    ('{"type":"track","event":"x","userId":"u","properties":{"n":NaN}}', "number_out_of_range"),
    ('{"type":"track","event":"x","userId":"u","properties":{"n":-Infinity}}', "number_out_of_range"),
    ('{"type":"track","event":"x","userId":"u","properties":{"n":1e400}}', "number_out_of_range"),
    (
        '{"type":"track","event":"x","userId":"u","properties":{"n":' + "9" * 5000 + "}}",
        "number_out_of_range",
    ),
    (
        '{"type":"track","event":"x","userId":"u","properties":' + '{"a":' * 300 + "1" + "}" * 300 + "}",
        "invalid_event",
    ),
    (
        '{"type":"track","event":"x","userId":"u","properties":{"a":' + "[" * 9000 + "]" * 9000 + "}}",
        "too_deep",
    ),
    ('{"type":"track","event":"x","userId":"u","properties":{"a":"\\ud800"}}', "invalid_character"),
    ('{"type":"track","event":"x","userId":"u","properties":{"a":"b\\u0000c"}}', "invalid_character"),
    ('{"type":"track","event":"x\\u0000","userId":"u"}', "invalid_character"),
    ('{"type":"track","event":"x","userId":"u","properties":{"a":"' + "y" * 33_000 + '"}}', "too_large"),
    ('{"type":"track","event":"x"}', "no_identifier"),
    ('{"type":"track","event":"x","userId":null,"anonymousId":""}', "no_identifier"),
    ('{"type":"track","event":"x","userId":"null"}', "illegal_identifier"),
    ('{"type":"track","event":"x","userId":"Guest"}', "illegal_identifier"),
    ('{"type":"track","event":"x","userId":"0"}', "illegal_identifier"),
    ('{"type":"track","event":"x","userId":0}', "illegal_identifier"),
    ('{"type":"track","event":"x","userId":"00-00"}', "illegal_identifier"),
    ('{"type":"track","event":"x","userId":{"a":1}}', "illegal_identifier"),
    ('{"type":"track","event":"x","userId":true}', "illegal_identifier"),
    ('{"type":"track","event":"x","userId":"' + "u" * 300 + '"}', "illegal_identifier"),
    ('{"type":"track","userId":"u"}', "invalid_event"),
    ('{"type":"track","event":"","userId":"u"}', "invalid_event"),
    ('{"type":"track","event":["x"],"userId":"u"}', "invalid_event"),
    ('{"type":"track","event":"' + "x" * 201 + '","userId":"u"}', "invalid_event"),
    ('{"type":"track","event":"x","userId":"u","properties":[1]}', "invalid_event"),
    ('{"type":"nonsense","userId":"u"}', "invalid_event"),
    ('{"userId":"u"}', "invalid_event"),
    ('{"type":"track","event":"x","userId":"u","messageId":"' + "m" * 256 + '"}', "invalid_message_id"),
    ('{"type":"track","event":"x","userId":"u","messageId":[1]}', "invalid_message_id"),
    ('{"type":"group","userId":"u"}', "invalid_event"),
    ('{"type":"alias","userId":"u"}', "invalid_event"),
    ("null", "invalid_event"),
    ("[]", "invalid_event"),
    ('"text"', "invalid_event"),
]


@pytest.mark.parametrize(
    ("bad", "code"), BAD_EVENTS, ids=[f"{n}-{code}" for n, (_bad, code) in enumerate(BAD_EVENTS)]
)
def test_a_bad_event_is_refused_alone(post: Post, server_source: Source, bad: str, code: str) -> None:
    body = f'{{"batch":[{json.dumps(track(1))},{bad},{json.dumps(track(2))}]}}'.encode()
    assert answer(post("/v1/batch", body)) == (200, 2, 0, [(1, code)])
    assert Touchpoint.objects.count() == 2
    assert Profile.objects.count() == 1
    assert [(w.source_id, w.code, w.count) for w in IngestionWarning.objects.all()] == [
        (server_source.pk, code, 1)
    ]


def test_a_bad_single_event_is_answered_like_a_batch_of_one(post: Post) -> None:
    assert answer(post("/v1/track", {"event": "x"})) == (200, 0, 0, [(0, "no_identifier")])
    assert Profile.objects.count() == 0


def test_items_beyond_2500_are_refused_by_index(post: Post) -> None:
    response = post("/v1/batch", {"batch": [track(number) for number in range(2_503)]})
    assert answer(response) == (200, 2_500, 0, [(n, "too_large") for n in (2_500, 2_501, 2_502)])
    assert Touchpoint.objects.count() == 2_500


def test_a_blocked_id_beside_a_good_one_is_left_out_with_a_warning(post: Post) -> None:
    response = post("/v1/track", {"event": "x", "userId": "null", "anonymousId": "device-1"})
    assert answer(response) == (200, 1, 0, [])
    assert response.json()["warnings"] == [{"index": 0, "code": "illegal_identifier", "detail": "user_id"}]
    assert list(Identity.objects.values_list("kind", "value")) == [("anonymous_id", "device-1")]


# -- time


@pytest.mark.parametrize(
    ("timestamp", "code"),
    [
        ("0000-01-01T00:00:00Z", "time_unreadable"),
        ("10000-01-01T00:00:00Z", "time_unreadable"),
        ("yesterday", "time_unreadable"),
        (1700000000, "time_unreadable"),
        ("2026-05-01T10:00:00", "time_without_zone"),
        ("1989-12-31T23:59:59Z", "time_out_of_range"),
        ("2999-01-01T00:00:00Z", "time_out_of_range"),
        ("0001-01-01T00:00:00+14:00", "time_unreadable"),
        ("9999-12-31T23:59:59-14:00", "time_unreadable"),
    ],
)
def test_odd_times_are_stored_with_the_received_time_and_a_warning(
    post: Post, timestamp: Any, code: str
) -> None:
    before = clock.now()
    response = post("/v1/track", track(timestamp=timestamp))
    assert answer(response) == (200, 1, 0, [])
    assert [w["code"] for w in response.json()["warnings"]] == [code]
    assert before <= Touchpoint.objects.get().occurred_at <= clock.now()
    assert IngestionWarning.objects.get().code == code


def test_skew_is_taken_out_and_the_original_kept(post: Post) -> None:
    sent = datetime(2026, 1, 1, 12, tzinfo=UTC)
    response = post(
        "/v1/batch", {"sentAt": sent.isoformat(), "batch": [track(timestamp="2026-01-01T11:50:00Z")]}
    )
    assert answer(response) == (200, 1, 0, [])
    row = Touchpoint.objects.get()
    assert abs(row.received_at - row.occurred_at - timedelta(minutes=10)) < timedelta(seconds=1)
    assert row.context == {"originalTimestamp": "2026-01-01T11:50:00Z"}


def test_a_time_from_a_right_clock_is_kept_to_the_microsecond(post: Post) -> None:
    post("/v1/batch", {"sentAt": clock.now().isoformat(), "batch": [track(timestamp="1997-01-01T00:00:00Z")]})
    assert Touchpoint.objects.get().occurred_at == datetime(1997, 1, 1, tzinfo=UTC)


# -- trust


def test_what_a_browser_key_may_not_do(post: Post, browser_source: Source) -> None:
    key = browser_source.write_key
    assert answer(post("/v1/alias", {"userId": "u", "previousId": "p"}, key=key)) == (
        200,
        0,
        0,
        [(0, "not_allowed")],
    )
    refused = post("/v1/import", {"batch": [track()]}, key=key)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
    assert Touchpoint.objects.count() == 0


def test_batch_context_is_merged_into_each_item(post: Post) -> None:
    body = {"context": {"locale": "zh-CN", "ip": "192.0.2.1"}, "batch": [track(context={"ip": "192.0.2.2"})]}
    post("/v1/batch", body)
    assert Touchpoint.objects.get().context == {"locale": "zh-CN", "ip": "192.0.2.2"}


def test_identify_traits_only_in_context_and_without_timestamp(post: Post) -> None:
    item = {
        "type": "identify", "userId": "u-1", "messageId": "r-1", "channel": "server",
        "originalTimestamp": clock.now().isoformat(), "sentAt": clock.now().isoformat(),
        "context": {"traits": {"email": "Ann@Example.com", "name": "Ann Example", "plan": "gold"}},
    }  # fmt: skip
    assert answer(post("/v1/batch", {"batch": [item]})) == (200, 1, 0, [])
    profile = Profile.objects.get()
    assert (profile.display_name, profile.traits) == ("Ann Example", {"plan": "gold"})
    assert set(Identity.objects.values_list("kind", "value")) == {
        ("user_id", "u-1"),
        ("email", "ann@example.com"),
    }
    assert Touchpoint.objects.get().properties == {"traits": ["email", "name", "plan"]}


# -- what the SDKs' wire formats differ in


def test_a_single_event_s_own_sent_at_corrects_its_time(post: Post) -> None:
    late = clock.now() - timedelta(hours=2)
    body = track(timestamp=(late - timedelta(minutes=5)).isoformat(), sentAt=late.isoformat())
    assert answer(post("/v1/track", body)) == (200, 1, 0, [])
    row = Touchpoint.objects.get()
    assert abs(row.received_at - row.occurred_at - timedelta(minutes=5)) < timedelta(seconds=5)
    assert row.context["originalTimestamp"] == body["timestamp"]


def test_a_clock_that_is_ahead_is_set_back(post: Post) -> None:
    ahead = clock.now() + timedelta(days=400)
    post("/v1/batch", {"sentAt": ahead.isoformat(), "batch": [track(timestamp=ahead.isoformat())]})
    row = Touchpoint.objects.get()
    assert abs(row.received_at - row.occurred_at) < timedelta(seconds=5)
    assert IngestionWarning.objects.count() == 0


def test_events_of_a_batch_may_carry_their_own_sent_at(post: Post) -> None:
    """RudderStack for Node: originalTimestamp and sentAt per event, no timestamp, gzip under a form's content type."""
    late = clock.now() - timedelta(days=1)
    items = [
        {
            **track(n),
            "originalTimestamp": (late - timedelta(minutes=n)).isoformat(),
            "sentAt": late.isoformat(),
        }
        for n in (1, 2)
    ]
    raw = gzip.compress(json.dumps({"batch": items}).encode())
    form = "application/x-www-form-urlencoded"
    assert answer(post("/v1/batch", raw, content_type=form)) == (200, 2, 0, [])
    gaps = sorted(
        round((row.received_at - row.occurred_at).total_seconds() / 60) for row in Touchpoint.objects.all()
    )
    assert gaps == [1, 2]


def test_integrations_nulls_and_unknown_members_are_tolerated(post: Post) -> None:
    body = track(
        anonymousId=None, integrations={"All": False, "Segment.io": {"apiKey": "x"}}, _metadata={"bundled": []},
        channel=None, whatever=[1],
    )  # fmt: skip
    assert answer(post("/v1/track", body)) == (200, 1, 0, [])
    assert Touchpoint.objects.get().properties == {}


def test_the_preflight_allows_what_the_browser_sdk_sends(client: Client) -> None:
    for path in ("/v1/t", "/v1/b", "/v1/projects/any/settings"):
        answered = client.options(path, headers={"Origin": "https://shop.example"})
        allowed = {name.strip() for name in answered["Access-Control-Allow-Headers"].split(",")}
        assert {"authorization", "content-type", "content-encoding", "x-retry-count"} <= allowed
        assert "POST" in answered["Access-Control-Allow-Methods"]
        assert answered["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answered


@pytest.mark.parametrize(
    "path", ["/v1/batch", "/v1/batch/", "/v1/t", "/v1/t/", "/v1/nothing", "/v1", "/v1//batch"]
)
def test_nothing_under_v1_redirects(post: Post, path: str) -> None:
    """Two SDKs count a redirect as delivered."""
    assert not 300 <= post(path, {"batch": []}).status_code < 400
