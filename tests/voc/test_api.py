"""Voc over HTTP: scopes, roles, strict input, one effect per key."""

from typing import Any

import pytest

from crm.models import Identity
from tests.voc import build
from tests.voc.build import AGENT, NOW
from voc.models import Feedback, Release, Ticket, TicketFollower
from voc.services import tickets

pytestmark = pytest.mark.django_db
FEEDBACK = ("voc.feedback:read", "voc.feedback:write")
ALL = (*FEEDBACK, "voc.ticket:read", "voc.ticket:write", "voc.release:read", "voc.release:write")


def test_a_voice_comes_in_with_its_person(api: Any) -> None:
    answer = api(*FEEDBACK).post(
        "/api/v1/feedback/",
        {"text": "发票日期错了", "person": {"user_id": "u-1", "email": "li@example.com", "name": "李明"}},
        format="json",
    )
    assert answer.status_code == 201, answer.json()
    body = answer.json()
    assert (body["status"], body["channel"], body["person"]["name"]) == ("new", "api", "李明")
    row = Feedback.objects.get()
    assert row.tokens == ["发票", "票日", "日期", "期错", "错了"]
    assert Identity.objects.get(kind="user_id", value="u-1").profile_id == row.profile_id


def test_one_effect_per_idempotency_key(api: Any) -> None:
    client = api(*FEEDBACK)
    for _again in range(3):
        answer = client.post("/api/v1/feedback/", {"text": "Once"}, format="json", HTTP_IDEMPOTENCY_KEY="k-1")
        assert answer.status_code == 201
    assert Feedback.objects.count() == 1
    other = client.post("/api/v1/feedback/", {"text": "Other"}, format="json", HTTP_IDEMPOTENCY_KEY="k-1")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "required"),
        ({"text": " "}, 400, "blank"),
        ({"text": "x", "status": "attached"}, 400, "unknown_field"),
        ({"text": "x", "channel": "fax"}, 400, "invalid_choice"),
        ({"text": "x" * 5001}, 413, "too_large"),
        ({"text": "x", "reference": "a\nb"}, 400, "invalid_character"),
        ({"text": "a\x00b"}, 400, "invalid_character"),
        ({"text": "x", "person": {"user_id": "null"}}, 400, "illegal_identifier"),
        ({"text": "x", "credit_name": "http://spam"}, 400, "invalid_credit_name"),
    ],
)
def test_bad_feedback_is_refused_and_not_stored(
    api: Any, body: dict[str, Any], status: int, code: str
) -> None:
    answer = api(*FEEDBACK).post("/api/v1/feedback/", body, format="json")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert Feedback.objects.count() == 0


def test_scopes_bind(api: Any) -> None:
    assert api("voc.feedback:read").post("/api/v1/feedback/", {"text": "x"}, format="json").status_code == 403
    assert api("voc.ticket:read").get("/api/v1/feedback/").status_code == 403
    row = build.voice("x")
    target = build.ticket("hidden")
    client = api("voc.feedback:write")
    answer = client.post(f"/api/v1/feedback/{row.pk}/attach/", {"ticket": target.pk}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_such_ticket")
    row.refresh_from_db()
    assert row.status == "new"


def test_from_voice_to_shipped(api: Any) -> None:
    client = api(*ALL)
    ann = build.person("Ann", email="ann@example.com")
    row = build.voice("The invoice shows the wrong date. It always did.", ann)
    opened = client.post(f"/api/v1/feedback/{row.pk}/open-ticket/", {"kind": "bug"}, format="json")
    assert opened.status_code == 201, opened.json()
    number = opened.json()["number"]
    assert opened.json()["title"] == "The invoice shows the wrong date."
    assert client.get(f"/api/v1/tickets/{number}/followers/").json()["results"][0]["role"] == "reported"
    again = client.post(f"/api/v1/feedback/{row.pk}/open-ticket/", {}, format="json")
    assert (again.status_code, again.json()["code"]) == (409, "already_attached")
    release = client.post("/api/v1/releases/", {"title": "Spring"}, format="json").json()["id"]
    base = f"/api/v1/releases/{release}"
    assert client.post(f"{base}/ship/").json()["code"] == "release_empty"
    items = client.post(f"{base}/items/", {"tickets": [number]}, format="json").json()["items"]
    assert [item["ticket"] for item in items] == [number]
    shipped = client.post(f"{base}/ship/")
    assert (shipped.status_code, shipped.json()["status"]) == (200, "shipped")
    assert client.post(f"{base}/ship/").status_code == 409
    build.tell(Release.objects.get())
    progress = client.get(f"{base}/progress/").json()
    assert (progress["people"], progress["told"], progress["waiting"]) == (1, 0, 1)
    untold = client.get(f"{base}/untold/").json()
    assert untold["results"][0]["person"]["name"] == "Ann"
    assert [entry["title"] for entry in client.get("/api/v1/changelog/").json()["results"]] == ["Spring"]
    history = [event["kind"] for event in client.get(f"/api/v1/tickets/{number}/history/").json()["results"]]
    assert history == ["moved", "voice_added", "opened"]
    withdrawn = client.post(f"{base}/withdraw/", {"reason": "oops"}, format="json")
    assert withdrawn.json()["status"] == "withdrawn"
    assert client.get(f"/api/v1/tickets/{number}/").json()["status"] == "reopened"


def test_tickets_are_filtered_strictly(api: Any) -> None:
    client = api(*ALL)
    late = build.ticket("late", now=build.NOW.replace(year=2020))
    build.ticket("fresh", now=build.NOW.replace(year=2099))
    assert [row["id"] for row in client.get("/api/v1/tickets/?overdue=true").json()["results"]] == [late.pk]
    by_date = client.get("/api/v1/tickets/?ordering=due_at").json()["results"]
    assert [row["title"] for row in by_date] == ["late", "fresh"]
    for query in ("colour=red", "ordering=title", "status=nowhere", "page_size=0", "cursor=x", "assignee=a"):
        assert client.get(f"/api/v1/tickets/?{query}").status_code == 400, query


def test_moves_merges_and_undo(api: Any) -> None:
    client = api(*ALL)
    one, two = build.ticket("one"), build.ticket("two")
    moved = client.post(f"/api/v1/tickets/{one.pk}/move/", {"to": "planned", "note": "soon"}, format="json")
    assert (moved.status_code, moved.json()["status"]) == (200, "planned")
    refused = client.post(f"/api/v1/tickets/{one.pk}/move/", {"to": "resolved"}, format="json")
    assert (refused.status_code, refused.json()["code"]) == (409, "ship_a_release")
    merged = client.post(f"/api/v1/tickets/{one.pk}/merge/", {"into": two.pk}, format="json")
    assert (merged.status_code, merged.json()["id"]) == (200, two.pk)
    assert client.post(f"/api/v1/tickets/{two.pk}/merge/", {"into": two.pk}, format="json").status_code == 400
    undone = client.post(f"/api/v1/tickets/{one.pk}/unmerge/")
    assert (undone.status_code, undone.json()["status"]) == (200, "planned")


def test_following_for_somebody(api: Any) -> None:
    client = api(*ALL)
    row = build.ticket("Follow me")
    made = client.post(
        f"/api/v1/tickets/{row.pk}/follow/",
        {"person": {"user_id": "u-9"}, "role": "voted"},
        format="json",
    )
    assert (made.status_code, made.json()["role"]) == (201, "voted")
    assert client.post(f"/api/v1/tickets/{row.pk}/follow/", {}, format="json").status_code == 400
    assert TicketFollower.objects.count() == 1


def test_similar_tickets_of_a_text(api: Any) -> None:
    row = build.ticket("发票日期显示错误")
    answer = api(*FEEDBACK).get("/api/v1/feedback/similar/", {"text": "我的发票日期错误"})
    assert [match["ticket"]["id"] for match in answer.json()] == [row.pk]


def test_an_agent_may_not_ship_and_an_analyst_only_reads(staff: Any) -> None:
    release = Release.objects.create(title="R", created_by="system:test", created_at=NOW)
    agent, analyst, lead = staff("agent"), staff("analyst"), staff("lead")
    assert agent.post(f"/api/v1/releases/{release.pk}/ship/").status_code == 403
    assert lead.post(f"/api/v1/releases/{release.pk}/ship/").json()["code"] == "release_empty"
    body = {"text": "typed in"}
    assert analyst.post("/api/v1/feedback/", body, content_type="application/json").status_code == 403
    assert agent.post("/api/v1/feedback/", body, content_type="application/json").status_code == 201
    assert analyst.get("/api/v1/tickets/").status_code == 200


def test_huge_ids_are_not_found(api: Any) -> None:
    client = api(*ALL)
    row = build.voice("x")
    assert client.get(f"/api/v1/tickets/{10**17}/").status_code == 404
    answer = client.post(f"/api/v1/feedback/{row.pk}/attach/", {"ticket": 2**62}, format="json")
    assert answer.status_code == 404
    assert client.get("/api/v1/tickets/?assignee=99999999999999999999").status_code == 400


def test_lists_cost_the_same_at_any_length(api: Any) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client = api(*ALL)
    client.get("/api/v1/tickets/")  # the first use of a key is noted
    counts = []
    for size in (2, 20):
        while Ticket.objects.count() < size:
            tickets.open(title=f"T{Ticket.objects.count()}", actor=AGENT, now=NOW)
            build.voice("v", build.person(f"q{Feedback.objects.count()}"))
        with CaptureQueriesContext(connection) as queries:
            client.get("/api/v1/tickets/")
            client.get("/api/v1/feedback/")
        counts.append(len(queries))
    assert counts[0] == counts[1]
