"""REST of the door: keys, limits, activity, warnings with decisions, and the catalogue of kinds."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from crm.kernel import clock
from crm.models import EventKind, RetiredKey, Source, WarningDecision
from crm.services import kind_learning, sources
from tests.crm.conftest import SYSTEM, Post

pytestmark = pytest.mark.django_db
SCOPES = [
    f"crm.{noun}:{verb}" for noun in ("source", "ingestionwarning", "eventkind") for verb in ("read", "write")
]


@pytest.fixture
def api(client: Client) -> Any:
    _key, text = sources.create_api_key("test", scopes=SCOPES, actor=SYSTEM, now=clock.now())

    def call(method: str, path: str, body: Any = None, **query: Any) -> tuple[int, Any]:
        data = query if method == "get" else json.dumps(body)
        more = {} if method == "get" else {"content_type": "application/json"}
        answer = getattr(client, method)(
            f"/api/v1/{path}", data, headers={"Authorization": f"Bearer {text}"}, **more
        )
        return answer.status_code, answer.json()

    return call


def test_keys_overlap_and_are_revoked(api: Any, server_source: Source) -> None:
    base, old = f"sources/{server_source.pk}", server_source.write_key
    until = (clock.now() + timedelta(days=3)).isoformat()
    status, answer = api("post", f"{base}/rotate/", {"works_until": until})
    assert (status, answer["write_key"] != old) == (200, True)
    status, listed = api("get", f"{base}/keys/")
    assert [(key["write_key"], key["state"]) for key in listed] == [(old, "works")]
    assert api("post", f"{base}/revoke-key/", {"key": 987})[0] == 404
    status, listed = api("post", f"{base}/revoke-key/", {"key": listed[0]["id"]})
    assert (status, [key["state"] for key in listed]) == (200, ["revoked"])
    late = (clock.now() + timedelta(days=300)).isoformat()
    status, problem = api("post", f"{base}/rotate/", {"works_until": late})
    assert (status, problem["code"], RetiredKey.objects.count()) == (400, "invalid_time", 1)


def test_a_key_of_another_source_is_not_found(
    api: Any, server_source: Source, browser_source: Source
) -> None:
    sources.rotate(
        browser_source.pk, works_until=clock.now() + timedelta(days=1), actor=SYSTEM, now=clock.now()
    )
    key = RetiredKey.objects.get()
    assert api("post", f"sources/{server_source.pk}/revoke-key/", {"key": key.pk})[0] == 404
    key.refresh_from_db()
    assert key.revoked_at is None


def test_limits_and_activity(api: Any, post: Post, server_source: Source) -> None:
    base = f"sources/{server_source.pk}"
    status, answer = api("post", f"{base}/limits/", {"rate_limit": 50, "burst_limit": None})
    assert (status, answer["rate_limit"], answer["burst_limit"]) == (200, 50, None)
    assert api("post", f"{base}/limits/", {"rate_limit": 0, "burst_limit": 1})[0] == 400
    assert api("post", f"{base}/limits/", {"rate_limit": 5})[0] == 400
    post("/v1/track", {"event": "x", "userId": "u-1", "properties": {"sku": "a"}})
    status, activity = api("get", f"{base}/activity/")
    assert (status, len(activity["minutes"]), len(activity["days"])) == (200, 60, 30)
    assert sum(minute["count"] for minute in activity["minutes"]) == activity["days"][-1]["count"] == 1
    assert [event["properties"] for event in api("get", f"{base}/live/")[1]] == [{"sku": "a"}]


def test_warnings_are_read_in_words_and_decided(api: Any, post: Post, server_source: Source) -> None:
    post("/v1/track", {"event": "x", "userId": "null"})
    status, topics = api("get", "ingestion-warnings/topics/", state="open")
    assert (status, len(topics)) == (200, 1)
    topic = topics[0]
    assert (topic["code"], topic["source"], topic["count"]) == ("illegal_identifier", server_source.pk, 1)
    assert topic["title"] == "A value that identifies nobody"
    assert api("post", f"ingestion-warnings/{topic['id']}/mute/", {"days": 0})[0] == 400
    assert WarningDecision.objects.count() == 0
    status, decided = api("post", f"ingestion-warnings/{topic['id']}/mute/", {"days": 7, "note": "known"})
    assert (status, decided["state"], decided["note"]) == (200, "muted", "known")
    assert api("get", "ingestion-warnings/topics/", state="open")[1] == []
    assert api("get", "ingestion-warnings/topics/", state="muted", source=server_source.pk)[1] != []
    assert api("post", f"ingestion-warnings/{topic['id']}/reopen/")[0] == 200
    assert api("post", f"ingestion-warnings/{topic['id']}/resolve/", {})[1]["state"] == "resolved"
    assert api("get", "ingestion-warnings/topics/", days=400)[0] == 400
    assert api("get", "ingestion-warnings/topics/", colour="red")[0] == 400
    rows = api("get", "ingestion-warnings/", code="illegal_identifier")[1]["results"]
    assert [row["title"] for row in rows] == ["A value that identifies nobody"]


def test_the_catalogue(api: Any, post: Post, server_source: Source) -> None:
    for number in range(3):
        post("/v1/track", {"event": "Tea Tasted", "userId": f"u-{number}", "properties": {"rating": number}})
    kind_learning.learn(now=clock.now())
    kind = EventKind.objects.get()
    (listed,) = api("get", "event-kinds/", name="Tea Tasted")[1]["results"]
    assert (listed["total"], listed["days"][-1], listed["sources"]) == (3, 3, {str(server_source.pk): 3})
    assert listed["observed"][0]["types"] == {"integer": 3}
    base = f"event-kinds/{kind.pk}"
    suggestion = api("get", f"{base}/suggestion/")[1]
    assert suggestion == [
        {"name": "rating", "type": "integer", "is_required": True, "allowed_values": [], "description": ""}
    ]
    status, changed = api("post", f"{base}/properties/", {"properties": suggestion})
    assert (status, changed["properties"]) == (200, suggestion)
    status, changed = api("patch", f"{base}/", {"on_violation": "refuse", "retention_days": 30})
    assert (status, changed["on_violation"], changed["retention_days"]) == (200, "refuse", 30)
    assert api("get", f"{base}/json-schema/")[1]["properties"] == {"rating": {"type": "integer"}}
    answer = post("/v1/track", {"event": "Tea Tasted", "userId": "u-1"}).json()
    assert answer["rejected"][0]["detail"] == "rating is missing"
    assert api("patch", f"{base}/", {})[0] == 400
    assert api("patch", f"{base}/", {"owner": 987})[1]["code"] == "no_such_staff"
    assert api("post", "event-kinds/", {"name": "Tea Tasted"})[0] == 409
    assert api("post", "event-kinds/", {"name": "Tea Bought"})[0] == 201
