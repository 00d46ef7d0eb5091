"""A person's own page and the sign-up form, over HTTP: no script, nothing by GET, nothing for the wrong reader."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.test import Client

from crm.kernel import reactions
from crm.models import ConsentRecord, ConsentRequest, ContactPoint, Erasure, Identity, PersonExport, Profile
from crm.selectors import choices, consents
from crm.services import erasure, merges, person_exports
from lifecycle.models import OutboundMessage
from lifecycle.services import inbox, messages
from tests.lifecycle.conftest import ACTOR, NOON

pytestmark = pytest.mark.django_db
Person = Callable[..., int]
BASE = "http://localhost:8000"


@pytest.fixture(autouse=True)
def noon(settings: Any, tmp_path: Path) -> Any:
    settings.MEDIA_ROOT = tmp_path / "media"
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


def page_of(profile_id: int, page: str = "preferences") -> str:
    return f"{inbox.link(profile_id).removeprefix(BASE)}{page}/"


def react() -> None:
    """Let every receiver run, then send what is due."""
    for name in reactions.receiver_names():
        while reactions.run(name, now=NOON).claimed:
            pass
    while messages.deliver(now=NOON).claimed:
        pass


def link_in(sent: Any, kind: str) -> str:
    found = re.search(rf"{BASE}(/{kind}/\S+/)", sent.body)
    assert found is not None, sent.body
    return found[1]


def said(client: Client, path: str) -> str:
    """What the page says after a POST led back to it."""
    return client.get(path).content.decode()


# -- consents


def test_switches_set_and_take_back(client: Client, person: Person) -> None:
    reader = person(agrees=("marketing",), language="en")
    path = page_of(reader)
    page = said(client, path)
    assert 'name="marketing.email" checked' in page and 'name="survey.email">' in page
    assert "marketing-1" in page
    sent = {"survey.sms": "on", "service.email": "on", "service.in_app": "on", "text.survey": "survey-1"}
    assert client.post(f"{path}consents/", sent).status_code == 302
    assert "Saved. It counts from this moment." in said(client, path)
    grid = consents.grid([reader])
    given = {key for key, cell in grid.items() if cell.is_allowed}
    assert given == {("survey", "sms"), ("service", "email"), ("service", "in_app")}
    record = ConsentRecord.objects.get(profile_id=reader, purpose="survey", channel="sms")
    assert (record.way, record.text_version, record.language) == ("preferences", "survey-1", "en")
    count = ConsentRecord.objects.count()
    client.post(f"{path}consents/", sent)
    assert ConsentRecord.objects.count() == count


def test_the_words_on_record_are_those_that_were_read(client: Client, person: Person) -> None:
    reader = person()
    client.post(f"{page_of(reader)}consents/", {"marketing.email": "on", "text.marketing": "made-up-9"})
    assert ConsentRecord.objects.get(purpose="marketing", granted=True).text_version == "marketing-1"


def test_stop_everything(client: Client, person: Person) -> None:
    reader = person(agrees=("marketing", "survey"))
    client.post(f"{page_of(reader)}nothing/")
    assert not any(cell.is_allowed for cell in consents.grid([reader]).values())
    assert set(ConsentRecord.objects.filter(granted=False).values_list("way", flat=True)) == {"one_click"}


@pytest.mark.parametrize("part", ["preferences", "data", "data/erase"])
def test_looking_changes_nothing(client: Client, person: Person, part: str) -> None:
    reader = person(agrees=("marketing",))
    before = ConsentRecord.objects.count()
    for method in (client.get, client.head, client.options):
        method(page_of(reader, part))
    assert (ConsentRecord.objects.count(), Erasure.objects.count(), PersonExport.objects.count()) == (
        before,
        0,
        0,
    )
    response = client.get(page_of(reader, part))
    assert (response["Referrer-Policy"], response["X-Robots-Tag"]) == ("same-origin", "noindex")


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_pages_speak_both_languages_without_scripts(client: Client, person: Person, language: str) -> None:
    reader = person(email="lin.xia@example.com", language=language, name="Lin Xia")
    client.cookies["django_language"] = language
    for page in ("preferences", "data", "data/erase"):
        text = said(client, page_of(reader, page))
        assert "<script" not in text and "onclick" not in text
        assert "lin.xia@example.com" not in text


# -- pause, settings, addresses


def test_pause_and_end_of_pause(client: Client, person: Person) -> None:
    reader = person(agrees=("marketing",))
    client.post(f"{page_of(reader)}pause/", {"pause": "1"})
    messages.queue(
        [
            messages.Item("tests.marketing", reader, "a", {"percent": 10}),
            messages.Item("tests.service", reader, "b", {"ticket": {"number": 1, "title": "Lamp"}}),
            messages.Item("tests.receipt", reader, "c"),
        ],
        actor=ACTOR,
        now=NOON,
    )
    messages.deliver(now=NOON)
    reasons = dict(OutboundMessage.objects.values_list("kind", "reason"))
    assert reasons == {"tests.marketing": "paused", "tests.service": "paused", "tests.receipt": ""}
    assert [sent.subject for sent in mail.outbox] == ["Your receipt"]
    client.post(f"{page_of(reader)}pause/", {"pause": "0"})
    assert choices.of_person(reader).pause(now=NOON) is None


def test_settings_are_kept_and_refused_as_a_whole(client: Client, person: Person) -> None:
    reader, path = (made := person(language="en")), page_of(made)
    sent = {
        "frequency": "fewer", "quiet_from": "20", "quiet_until": "10", "language": "zh-hans",
        "time_zone": "Australia/Lord_Howe",
    }  # fmt: skip
    client.post(f"{path}settings/", sent)
    row = Profile.objects.get(pk=reader)
    assert (row.language, row.time_zone) == ("zh-hans", "Australia/Lord_Howe")
    assert choices.of_person(reader) == choices.Choice(None, "fewer", (20, 10))
    for bad in (
        {"time_zone": "Mars/Base"},
        {"quiet_until": ""},
        {"quiet_from": "24"},
        {"frequency": "never"},
    ):
        client.post(f"{path}settings/", {**sent, "language": "en", **bad})
        assert Profile.objects.get(pk=reader).language == "zh-hans"
        assert choices.of_person(reader).quiet == (20, 10)


def test_an_address_is_removed_and_does_not_come_back(client: Client, person: Person) -> None:
    reader = person(email="old@example.com", agrees=("marketing",))
    contact = ContactPoint.objects.get(profile_id=reader)
    assert client.post(f"{page_of(reader)}address/{contact.pk}/", {"action": "remove"}).status_code == 302
    assert "o…@example.com" not in said(client, page_of(reader))
    messages.queue([messages.Item("tests.marketing", reader, "a", {"percent": 1})], actor=ACTOR, now=NOON)
    messages.deliver(now=NOON)
    assert OutboundMessage.objects.get().reason == "no_address"
    assert len(mail.outbox) == 0


def test_an_address_is_confirmed_and_preferred(client: Client, person: Person) -> None:
    reader = person(email="new@example.com", origin="form")
    contact = ContactPoint.objects.get(profile_id=reader)
    client.post(f"{page_of(reader)}address/{contact.pk}/", {"action": "verify"})
    messages.deliver(now=NOON)
    assert [sent.to for sent in mail.outbox] == [["new@example.com"]]
    client.post(link_in(mail.outbox[0], "confirm"))
    contact.refresh_from_db()
    assert contact.verified_at == NOON


def test_nobody_touches_the_address_of_another(client: Client, person: Person) -> None:
    reader, stranger = person(), person()
    contact = ContactPoint.objects.get(profile_id=stranger)
    assert client.post(f"{page_of(reader)}address/{contact.pk}/", {"action": "remove"}).status_code == 404
    contact.refresh_from_db()
    assert contact.removed_at is None


# -- data


def test_a_person_puts_right_what_we_know(client: Client, person: Person) -> None:
    reader = person(name="Lin Xai", language="en")
    path = page_of(reader, "data")
    client.post(f"{path}correct/", {"display_name": "Lin Xia", "birthday": "1990-02-28", "country": "CN"})
    row = Profile.objects.get(pk=reader)
    assert (row.display_name, str(row.birthday), row.country) == ("Lin Xia", "1990-02-28", "CN")
    assert row.value_sources["display_name"]["by"] == f"person:{reader}"
    client.post(f"{path}correct/", {"birthday": "not a day", "display_name": "Other"})
    row.refresh_from_db()
    assert (row.display_name, str(row.birthday)) == ("Lin Xia", "1990-02-28")
    client.post(f"{path}correct/", {"birthday": ""})
    row.refresh_from_db()
    assert row.birthday is None


def test_the_file_goes_to_the_address_and_not_onto_the_page(client: Client, person: Person) -> None:
    reader = person(email="lin@example.com", name="Lin Xia", agrees=("marketing",), language="en")
    path = page_of(reader, "data")
    for _time in range(2):
        client.post(f"{path}file/")
    assert PersonExport.objects.count() == 1
    while person_exports.prepare(now=NOON):
        pass
    react()
    assert "/file/" not in said(client, path)
    [sent] = mail.outbox
    link = link_in(sent, "file")
    assert client.get(link).status_code == 200
    assert PersonExport.objects.get().downloads == 0
    response = client.post(link)
    assert (response.status_code, response["Content-Type"]) == (200, "application/zip")
    archive = zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content)))  # type: ignore[attr-defined]
    assert json.loads(archive.read("json/addresses.json"))[0]["value"] == "lin@example.com"
    assert "Everything we keep about you" in archive.read("README.txt").decode()
    with time_machine.travel(NOON + timedelta(hours=25), tick=False):
        assert client.get(link).status_code == client.post(link).status_code == 410


def test_without_an_address_the_page_hands_the_file_over(client: Client, person: Person) -> None:
    reader = person(email=None, language="en")
    path = page_of(reader, "data")
    client.post(f"{path}file/")
    while person_exports.prepare(now=NOON):
        pass
    found = re.search(r'href="[^"]*(/file/[^"]+/)"', said(client, path))
    assert found is not None
    assert client.post(found[1]).status_code == 200


def test_erasing_takes_two_steps_and_seven_days(client: Client, person: Person, noon: Any) -> None:
    reader = person(email="lin@example.com", name="Lin Xia", agrees=("marketing",), language="en")
    path = page_of(reader, "data/erase")
    assert client.post(path).status_code == 400
    assert Erasure.objects.count() == 0
    response = client.post(path, {"understood": "1"})
    status = response["Location"]
    row = Erasure.objects.get()
    assert (row.status, row.due_at, row.requested_by) == (
        "scheduled", NOON + timedelta(days=7), f"person:{reader}",
    )  # fmt: skip
    react()
    assert [sent.subject for sent in mail.outbox] == ["Your data will be erased on 2026-11-25"]
    assert link_in(mail.outbox[0], "erasure") == status
    messages.queue([messages.Item("tests.marketing", reader, "a", {"percent": 1})], actor=ACTOR, now=NOON)
    messages.deliver(now=NOON)
    assert OutboundMessage.objects.get(kind="tests.marketing").reason == "paused"
    assert erasure.work(now=NOON + timedelta(days=6)) == 0
    later = NOON + timedelta(days=7)
    while erasure.work(now=later):
        pass
    row.refresh_from_db()
    assert (row.status, row.done_at) == ("done", later)
    assert not Identity.objects.filter(profile_id=reader).exists()
    page = said(client, status)
    assert row.certificate_hash in page and str(row.public_id) in page and "Lin" not in page
    assert client.get(path).status_code == 410


def test_an_erasure_can_be_stopped_in_time(client: Client, person: Person) -> None:
    reader = person(agrees=("marketing",), language="en")
    status = client.post(page_of(reader, "data/erase"), {"understood": "1"})["Location"]
    assert client.get(status).status_code == 200
    assert Erasure.objects.get().status == "scheduled"
    client.post(status)
    assert (Erasure.objects.get().status, choices.of_person(reader).paused_until) == ("cancelled", None)
    assert erasure.work(now=NOON + timedelta(days=8)) == 0
    assert Identity.objects.filter(profile_id=reader).exists()
    assert "It was stopped" in said(client, status)


def test_the_page_spans_everything_the_person_ever_was(client: Client, person: Person) -> None:
    one, two = person(agrees=("marketing",), language="en"), person(email="second@example.com")
    link = page_of(two)
    merges.merge(one, two, actor=ACTOR, now=NOON)
    assert "s…@example.com" in said(client, link)
    client.post(f"{link}nothing/")
    assert not consents.allowed([one], purpose="marketing", channel="email")[one]


# -- signing up


def sign_up(client: Client, email: str = "new@example.com", **chosen: str) -> Any:
    return client.post("/subscribe/", {"email": email, **(chosen or {"marketing": "on"})})


def test_signing_up_sends_one_question_and_nothing_else(client: Client) -> None:
    assert sign_up(client).status_code == 200
    react()
    [sent] = mail.outbox
    assert (sent.to, "List-Unsubscribe" in sent.extra_headers) == (["new@example.com"], False)
    profile_id = ConsentRequest.objects.get().profile_id
    messages.queue([messages.Item("tests.marketing", profile_id, "a", {"percent": 1})], actor=ACTOR, now=NOON)
    messages.deliver(now=NOON)
    assert len(mail.outbox) == 1
    link = link_in(sent, "subscribe")
    page = client.get(link).content.decode()
    assert "coupons and news about products" in page
    assert not ConsentRecord.objects.exists()
    assert client.post(link).status_code == 200
    assert client.post(link).status_code == 200
    record = ConsentRecord.objects.get()
    assert (record.way, record.purpose, record.evidence["asked_by"]) == ("double_opt_in", "marketing", "form")
    messages.queue([messages.Item("tests.marketing", profile_id, "b", {"percent": 1})], actor=ACTOR, now=NOON)
    messages.deliver(now=NOON)
    assert len(mail.outbox) == 2


def test_the_answer_tells_nothing_about_the_address(client: Client) -> None:
    pages = []
    for _time in range(3):
        text = sign_up(client).content.decode()
        pages.append(re.sub(r'name="csrfmiddlewaretoken" value="[^"]+"', "", text))
    assert len(set(pages)) == 1
    react()
    assert (ConsentRequest.objects.count(), len(mail.outbox)) == (1, 1)


@pytest.mark.parametrize(
    "sent",
    [{"email": "nonsense", "marketing": "on"}, {"email": "a@example.com"}, {"email": "", "care": "on"}],
)
def test_a_bad_sign_up_is_refused(client: Client, sent: dict[str, str]) -> None:
    assert client.post("/subscribe/", sent).status_code == 400
    assert not Profile.objects.exists() and not ConsentRequest.objects.exists()


def test_a_program_that_fills_every_field_gets_nowhere(client: Client) -> None:
    assert sign_up(client, marketing="on", website="https://spam.example").status_code == 200
    assert not Profile.objects.exists()


def test_one_network_signs_up_so_many_an_hour(client: Client) -> None:
    codes = [sign_up(client, f"new{number}@example.com").status_code for number in range(22)]
    assert codes == [200] * 20 + [429] * 2
    assert ConsentRequest.objects.count() == 20


def test_a_link_expires(client: Client) -> None:
    sign_up(client)
    react()
    link = link_in(mail.outbox[0], "subscribe")
    with time_machine.travel(NOON + timedelta(hours=73), tick=False):
        assert client.get(link).status_code == client.post(link).status_code == 410
    assert not ConsentRecord.objects.exists()


def test_the_unsubscribe_page_mails_the_link_of_the_own_page(client: Client, person: Person) -> None:
    reader = person(email="lin@example.com", agrees=("marketing",))
    messages.queue([messages.Item("tests.marketing", reader, "a", {"percent": 1})], actor=ACTOR, now=NOON)
    messages.deliver(now=NOON)
    unsubscribe = link_in(mail.outbox[0], "u") if "/u/" in mail.outbox[0].body else None
    header = mail.outbox[0].extra_headers["List-Unsubscribe"]
    path = unsubscribe or header.strip("<>").removeprefix(BASE)
    for _time in range(2):
        assert client.post(f"{path}page/").status_code == 302
    messages.deliver(now=NOON)
    [_offer, sent] = mail.outbox
    assert client.get(link_in(sent, "me")).status_code == 200
