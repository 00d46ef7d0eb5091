"""Pages behind signed links: a GET changes nothing, a POST counts at commit, and a forged link opens nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.test import Client

from crm.kernel import tokens
from crm.models import ConsentRecord, ContactPoint, Profile, Suppression
from crm.selectors import consents, timeline
from lifecycle.models import InboxItem, OutboundMessage
from lifecycle.services import confirmations, inbox, messages
from tests.lifecycle.conftest import ACTOR, NOON

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def noon() -> Any:
    with time_machine.travel(NOON, tick=False):
        yield


def send(profile_id: int, kind: str = "tests.marketing", key: str = "a", context: Any = None) -> Any:
    context = context or {"percent": 10}
    messages.queue([messages.Item(kind, profile_id, key, context)], actor=ACTOR, now=NOON)
    messages.deliver(now=NOON)
    return mail.outbox[-1] if mail.outbox else None


def unsubscribe_path(sent: Any) -> str:
    found = re.fullmatch(r"<https?://[^/]+(/u/[^>]+/)>", sent.extra_headers["List-Unsubscribe"])
    assert found is not None
    return found[1]


def test_one_click_works_without_cookie_and_csrf_token(person: Callable[..., int]) -> None:
    reader = person(agrees=("marketing",))
    path = unsubscribe_path(send(reader))
    client = Client(enforce_csrf_checks=True)
    response = client.post(path, {"List-Unsubscribe": "One-Click"})
    assert (response.status_code, response["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert consents.allowed([reader], purpose="marketing", channel="email") == {reader: False}
    assert Suppression.objects.get().purpose == "marketing"
    send(reader, key="b")
    assert OutboundMessage.objects.get(subject_key="b").reason == "unsubscribed"
    assert len(mail.outbox) == 1


def test_one_click_twice_is_one_decision(person: Callable[..., int]) -> None:
    path = unsubscribe_path(send(person(agrees=("marketing",))))
    for _number in range(3):
        Client().post(path, {"List-Unsubscribe": "One-Click"})
    assert ConsentRecord.objects.filter(granted=False).count() == 1


@pytest.mark.parametrize("method", ["get", "head", "options"])
def test_looking_changes_nothing(person: Callable[..., int], method: str) -> None:
    reader = person(agrees=("marketing",))
    path = unsubscribe_path(send(reader))
    getattr(Client(), method)(path)
    assert consents.allowed([reader], purpose="marketing", channel="email") == {reader: True}
    assert Suppression.objects.count() == 0


def test_the_page_says_what_it_does_and_hides_the_address(person: Callable[..., int]) -> None:
    path = unsubscribe_path(send(person(email="lin.xia@example.com", agrees=("marketing",))))
    response = Client().get(path)
    assert response.status_code == 200
    page = response.content.decode()
    assert "l…@example.com" in page and "lin.xia" not in page
    assert "Marketing" in page
    assert response["Referrer-Policy"] == "same-origin"


def test_everybody_with_the_address_is_bound(person: Callable[..., int]) -> None:
    first = person(email="family@example.com", agrees=("marketing",))
    second = person(email="family@example.com", agrees=("marketing",))
    Client().post(unsubscribe_path(send(first)))
    assert consents.allowed([second], purpose="marketing", channel="email") == {second: False}


def test_preferences_take_back_and_give(person: Callable[..., int]) -> None:
    reader = person(agrees=("marketing",))
    path = unsubscribe_path(send(reader))
    Client().post(f"{path}preferences/", {"survey": "on"})
    allowed = {
        p: consents.allowed([reader], purpose=p, channel="email")[reader]
        for p in ("service", "care", "survey", "marketing")
    }
    assert allowed == {"service": False, "care": False, "survey": True, "marketing": False}
    Client().post(f"{path}preferences/", {"service": "on", "marketing": "on"})
    allowed = {p: consents.allowed([reader], purpose=p, channel="email")[reader] for p in allowed}
    assert allowed == {"service": True, "care": False, "survey": False, "marketing": True}
    assert Suppression.objects.filter(purpose__in=("service", "marketing")).count() == 0


def test_a_merged_person_can_give_back_what_another_id_took(person: Callable[..., int]) -> None:
    first, second = person(agrees=("marketing",)), person(agrees=("marketing",))
    path = unsubscribe_path(send(first))
    Profile.objects.filter(pk=second).update(merged_into=first)
    consents_before = consents.allowed([first], purpose="marketing", channel="email")
    Client().post(path)
    Client().post(f"{path}preferences/", {"service": "on", "marketing": "on"})
    assert consents.allowed([first], purpose="marketing", channel="email") == consents_before == {first: True}


@pytest.mark.parametrize("path", ["/u/forged/", "/me/forged/", "/confirm/forged/", "/u/a:b:c/", "/me/a:b:c/"])
def test_a_forged_link_is_404(client: Client, path: str) -> None:
    for method in (client.get, client.post) if "/me/" not in path else (client.get,):
        response = method(path)
        assert response.status_code == 404
        assert "Traceback" not in response.content.decode()


def test_a_token_of_another_purpose_opens_nothing(client: Client, person: Callable[..., int]) -> None:
    reader = person()
    assert client.get(f"/u/{tokens.make('inbox', {'p': reader})}/").status_code == 404
    assert client.get(f"/me/{tokens.make('unsubscribe', {'m': 1, 'c': 1})}/").status_code == 404


def test_expired_links_are_410(client: Client, person: Callable[..., int]) -> None:
    reader = person(origin="form")
    contact = ContactPoint.objects.get(profile_id=reader)
    old_inbox = f"/me/{tokens.make('inbox', {'p': reader})}/"
    old_confirm = f"/confirm/{tokens.make('confirm', {'c': contact.pk, 'p': reader})}/"
    with time_machine.travel(NOON + timedelta(days=200), tick=False):
        assert client.get(old_inbox).status_code == 410
        assert client.get(old_confirm).status_code == 410
        assert client.post(old_confirm).status_code == 410
    assert ContactPoint.objects.get(pk=contact.pk).verified_at is None


def test_the_inbox_shows_text_as_text_and_marks_as_read(client: Client, person: Callable[..., int]) -> None:
    reader = person(name="<svg onload=alert(1)>", language="en")
    send(reader, kind="tests.service", context={"ticket": {"number": 1, "title": "<b>Lamp</b>"}})
    path = inbox.link(reader).removeprefix("http://localhost:8000")
    page = client.get(path).content.decode()
    assert "&lt;b&gt;Lamp&lt;/b&gt;" in page and "<b>Lamp" not in page and "<svg onload" not in page
    item = InboxItem.objects.get()
    assert item.read_at is None
    assert client.post(f"{path}read/{item.pk}/").status_code == 302
    item.refresh_from_db()
    assert item.read_at == NOON
    client.post(f"{path}read/{item.pk}/")
    assert [t.kind for t in timeline.page([reader], now=NOON)].count("lifecycle.message.read") == 1


def test_nobody_reads_or_marks_another_persons_messages(client: Client, person: Callable[..., int]) -> None:
    reader, stranger = person(), person()
    send(reader, kind="tests.service", context={"ticket": {"number": 1, "title": "Lamp"}})
    path = inbox.link(stranger).removeprefix("http://localhost:8000")
    assert "Lamp" not in client.get(path).content.decode()
    assert client.post(f"{path}read/{InboxItem.objects.get().pk}/").status_code == 404
    assert InboxItem.objects.get().read_at is None


def test_the_inbox_spans_all_ids_and_pages(client: Client, person: Callable[..., int]) -> None:
    first, second = person(), person()
    for number in range(23):
        reader = first if number % 2 else second
        send(
            reader,
            kind="tests.service",
            key=f"k{number}",
            context={"ticket": {"number": number, "title": f"T{number}."}},
        )
    Profile.objects.filter(pk=second).update(merged_into=first)
    path = inbox.link(second).removeprefix("http://localhost:8000")
    page = client.get(path).content.decode()
    assert "T22." in page and "T3." in page and "T2." not in page
    older = re.search(r'href="(\?before=\d+)"', page)
    assert older is not None
    assert "T0." in client.get(path + older[1]).content.decode()
    assert client.get(f"{path}?before=-1").status_code == 400


def test_confirming_an_address_makes_it_deliverable(client: Client, person: Callable[..., int]) -> None:
    reader = person(email="new@example.com", origin="form")
    contact = ContactPoint.objects.get(profile_id=reader)
    for _number in range(2):
        confirmations.ask(contact.pk, profile_id=reader, actor=ACTOR, now=NOON)
    messages.deliver(now=NOON)
    [sent] = mail.outbox
    assert sent.to == ["new@example.com"]
    assert "List-Unsubscribe" not in sent.extra_headers
    found = re.search(r"https?://[^/\s]+(/confirm/\S+/)", sent.body)
    assert found is not None
    assert client.get(found[1]).status_code == 200
    assert ContactPoint.objects.get().verified_at is None
    assert client.post(found[1]).status_code == 200
    assert ContactPoint.objects.get().verified_at == NOON
    send(reader, kind="tests.service", context={"ticket": {"number": 1, "title": "Lamp"}})
    assert len(mail.outbox) == 2


def test_the_question_carries_no_word_of_the_visitor(person: Callable[..., int]) -> None:
    reader = person(email="new@example.com", origin="form", name="Buy cheap pills at pills.example")
    contact = ContactPoint.objects.get(profile_id=reader)
    confirmations.ask(contact.pk, profile_id=reader, actor=ACTOR, now=NOON)
    messages.deliver(now=NOON)
    assert "pills" not in mail.outbox[0].body + mail.outbox[0].subject


def test_an_address_is_asked_three_times_a_month_at_most(person: Callable[..., int]) -> None:
    reader = person(email="new@example.com", origin="form")
    contact = ContactPoint.objects.get(profile_id=reader)
    for day in range(10):
        now = NOON + timedelta(days=day)
        confirmations.ask(contact.pk, profile_id=reader, actor=ACTOR, now=now)
        messages.deliver(now=now)
    assert len(mail.outbox) == 3


def test_an_erased_person_has_no_pages(client: Client, person: Callable[..., int]) -> None:
    reader = person(agrees=("marketing",))
    path = unsubscribe_path(send(reader))
    Profile.objects.filter(pk=reader).update(erased_at=NOON)
    ContactPoint.objects.filter(profile_id=reader).delete()
    assert client.get(inbox.link(reader).removeprefix("http://localhost:8000")).status_code == 410
    assert client.get(path).status_code == 410
