"""REST of lifecycle: scopes, strict input, clear answers, and a description that says the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from crm.kernel import actors, roles
from crm.models import Profile, StaffUser
from crm.services import sources
from lifecycle import shipped
from lifecycle.models import Journey, MessageTemplate, OutboundMessage
from lifecycle.services import messages
from tests.lifecycle.conftest import ACTOR, NOON

pytestmark = pytest.mark.django_db
TICKET = {"ticket": {"number": 7, "title": "Lamp"}}


@pytest.fixture
def call() -> Callable[..., Any]:
    """Call with an API key: `call("get", "/messages/", scopes=[…], data=…)`."""

    def make(method: str, path: str, *, scopes: list[str], data: Any = None, **headers: str) -> Any:
        _key, secret = sources.create_api_key("tests", scopes=scopes, actor=ACTOR, now=NOON)
        options: dict[str, Any] = {"headers": {"Authorization": f"Bearer {secret}", **headers}}
        if data is not None:
            options |= {"data": data, "content_type": "application/json"}
        return getattr(Client(), method)(f"/api/v1{path}", **options)

    return make


MESSAGES = ["lifecycle.message:read", "lifecycle.message:write"]
JOURNEYS = ["lifecycle.journey:read", "lifecycle.journey:write"]
TEMPLATES = ["lifecycle.messagetemplate:read", "lifecycle.messagetemplate:write"]


def test_decisions_are_listed_and_filtered(call: Callable[..., Any], person: Callable[..., int]) -> None:
    told, silent = person(), person(email=None)
    for reader in (told, silent):
        messages.queue([messages.Item("tests.service", reader, "ticket:7", TICKET)], actor=ACTOR, now=NOON)
    messages.deliver(now=NOON)
    body = call("get", "/messages/", scopes=MESSAGES).json()
    assert [row["decision"] for row in body["results"]] == ["dropped", "sent"]
    assert body["results"][0]["reason_label"] == "No address we may write to"
    public_id = Profile.objects.get(pk=told).public_id
    for query in ("decision=sent", f"profile={public_id}", "kind=tests.service&decision=sent"):
        rows = call("get", f"/messages/?{query}", scopes=MESSAGES).json()["results"]
        assert [row["profile"] for row in rows] == [str(public_id)], query
    message = OutboundMessage.objects.get(profile_id=told)
    detail = call("get", f"/messages/{message.pk}/", scopes=MESSAGES).json()
    assert [(row["channel"], row["status"]) for row in detail["deliveries"]] == [("email", "sent")]


@pytest.mark.parametrize(
    "query", ["surprise=1", "decision=maybe", "reason=bored", "profile=1", "cursor=x", "page_size=0"]
)
def test_unknown_filters_are_400(call: Callable[..., Any], query: str) -> None:
    assert call("get", f"/messages/?{query}", scopes=MESSAGES).status_code == 400


@pytest.mark.parametrize(
    "path", ["/messages/", "/journeys/", "/enrolments/", "/message-kinds/", "/message-templates/"]
)
def test_a_key_needs_the_scope(call: Callable[..., Any], path: str) -> None:
    assert call("get", path, scopes=["crm.profile:read"]).status_code == 403
    assert Client().get(f"/api/v1{path}").status_code in (401, 403)


def test_cancel_and_retry_say_what_is_possible(call: Callable[..., Any], person: Callable[..., int]) -> None:
    ids = messages.queue([messages.Item("tests.service", person(), "t", TICKET)], actor=ACTOR, now=NOON)
    [pk] = ids.values()
    assert call("post", f"/messages/{pk}/retry/", scopes=MESSAGES).status_code == 409
    assert call("post", f"/messages/{pk}/cancel/", scopes=["lifecycle.message:read"]).status_code == 403
    cancelled = call("post", f"/messages/{pk}/cancel/", scopes=MESSAGES)
    assert (cancelled.status_code, cancelled.json()["reason"]) == (200, "cancelled")
    again = call("post", f"/messages/{pk}/cancel/", scopes=MESSAGES)
    assert (again.status_code, again.json()["code"]) == (409, "already_decided")


def test_a_journey_from_draft_to_archive(call: Callable[..., Any]) -> None:
    made = call("post", "/journeys/", scopes=JOURNEYS, data={"template": "browsed_not_bought"})
    assert (made.status_code, made.json()["status"]) == (201, "draft")
    assert made.json()["description"][0].startswith("When this happens: Product viewed")
    pk = made.json()["id"]
    data = shipped.TEMPLATES["browsed_not_bought"].definition | {"holdout_percent": 20}
    changed = call(
        "patch", f"/journeys/{pk}/", scopes=JOURNEYS, data={"definition": data, "name": "Second thoughts"}
    )
    assert (changed.status_code, changed.json()["version"], changed.json()["name"]) == (
        200,
        2,
        "Second thoughts",
    )
    for verb, state in (
        ("activate", "active"),
        ("pause", "paused"),
        ("activate", "active"),
        ("archive", "archived"),
    ):
        assert call("post", f"/journeys/{pk}/{verb}/", scopes=JOURNEYS).json()["status"] == state
    refused = call("post", f"/journeys/{pk}/activate/", scopes=JOURNEYS)
    assert (refused.status_code, refused.json()["code"]) == (409, "wrong_state")
    assert call("get", f"/journeys/{pk}/funnel/", scopes=JOURNEYS).json()["entered"] == 0
    assert [
        row["id"] for row in call("get", "/journeys/?status=archived", scopes=JOURNEYS).json()["results"]
    ] == [pk]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({}, "invalid"),
        ({"name": "x", "definition": {}}, "invalid_definition"),
        ({"name": "x\ny", "definition": {}}, "invalid_character"),
        ({"template": "nothing"}, "no_such_template"),
        ({"template": "browsed_not_bought", "status": "active"}, "unknown_field"),
        ({"name": "x", "definition": "text"}, "not_a_dict"),
    ],
)
def test_a_bad_journey_is_refused_and_not_kept(call: Callable[..., Any], data: Any, code: str) -> None:
    response = call("post", "/journeys/", scopes=JOURNEYS, data=data)
    assert response.status_code in (400, 404)
    assert code in {error["code"] for error in response.json()["errors"]}
    assert Journey.objects.count() == 0


def test_a_repeated_post_has_one_effect(call: Callable[..., Any]) -> None:
    _key, secret = sources.create_api_key("tests", scopes=JOURNEYS, actor=ACTOR, now=NOON)
    headers = {"Authorization": f"Bearer {secret}", "Idempotency-Key": "once"}
    answers = [
        Client().post(
            "/api/v1/journeys/",
            {"template": "browsed_not_bought"},
            content_type="application/json",
            headers=headers,
        )
        for _number in range(3)
    ]
    assert {answer.json()["id"] for answer in answers} == {Journey.objects.get().pk}


def test_validate_reads_a_definition_back(call: Callable[..., Any]) -> None:
    data = {"definition": shipped.TEMPLATES["browsed_not_bought"].definition}
    response = call("post", "/journeys/validate/", scopes=JOURNEYS, data=data)
    assert response.status_code == 200
    assert "1. Wait 30 minutes." in response.json()["description"]
    assert Journey.objects.count() == 0


def test_texts_are_saved_previewed_and_taken_back(call: Callable[..., Any]) -> None:
    data = {
        "kind": "tests.service",
        "language": "en",
        "subject": "Fixed",
        "body": "Dear customer {{ ticket.title }}",
    }
    preview = call("post", "/message-templates/preview/", scopes=TEMPLATES, data=data)
    assert preview.json()["body"] == "Dear customer Lamp flickers\n"
    assert len(preview.json()["advice"]) == 1
    assert MessageTemplate.objects.count() == 0
    made = call("post", "/message-templates/", scopes=TEMPLATES, data=data)
    assert made.status_code == 201
    kind = call("get", "/message-kinds/tests.service/", scopes=TEMPLATES).json()
    assert [(text["language"], text["is_own"]) for text in kind["texts"]] == [
        ("en", True),
        ("zh-hans", False),
    ]
    bad = call("post", "/message-templates/", scopes=TEMPLATES, data={**data, "body": "{{ secret }}"})
    assert (bad.status_code, bad.json()["code"]) == (400, "unknown_variable")
    assert call("delete", f"/message-templates/{made.json()['id']}/", scopes=TEMPLATES).status_code == 204
    assert MessageTemplate.objects.count() == 0


@pytest.mark.parametrize(("role", "code"), [("agent", 403), ("analyst", 403), ("lead", 200), ("admin", 200)])
def test_roles(role: str, code: int) -> None:
    roles.sync()
    user = StaffUser.objects.create_user("somebody", password="x", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    assert client.get("/api/v1/messages/").status_code == 200
    from lifecycle.services import journeys

    journey = journeys.create_from_template("browsed_not_bought", actor=actors.staff(user), now=NOON)
    assert client.post(f"/api/v1/journeys/{journey.pk}/activate/").status_code == code
