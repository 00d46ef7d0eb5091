"""The public pages: reachable without signing in, clear about errors, and of no use to a spammer."""

from typing import Any

import pytest
from django.test import Client

from crm.models import ContactPoint, Profile
from lifecycle.models import OutboundMessage
from tests.voc import build
from tests.voc.build import AGENT, NOW
from voc.models import Feedback, SubmissionCount, TicketFollower
from voc.services import feedback, ticket_merges, tickets

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["/", "/feedback/", "/changelog/"])
def test_the_pages_are_there_before_anything_happened(client: Client, path: str) -> None:
    page = client.get(path)
    assert page.status_code == 200
    text = page.content.decode()
    assert 'href="#main"' in text and "<script" not in text and "style=" not in text
    assert "script-src" in page.headers["Content-Security-Policy"]


def test_the_language_can_be_switched_without_an_account(client: Client) -> None:
    answer = client.post("/i18n/setlang/", {"language": "zh-hans", "next": "/changelog/"})
    assert (answer.status_code, answer["Location"]) == (302, "/changelog/")
    assert 'lang="zh-hans"' in client.get("/changelog/").content.decode()


def test_feedback_with_an_address_asks_it_first(client: Client) -> None:
    answer = client.post(
        "/feedback/", {"text": "Too slow.\nVery.", "email": "ann@example.com", "name": "Ann"}
    )
    row = Feedback.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/feedback/{row.token}/")
    assert (row.channel, row.text, row.created_by) == ("portal", "Too slow.\nVery.", "system:voc.portal")
    assert ContactPoint.objects.get().verified_at is None
    message = OutboundMessage.objects.get()
    assert message.kind == "lifecycle.confirm_address"
    assert "slow" not in str(message.context)
    page = client.get(answer["Location"]).content.decode()
    assert "confirm your address" in page and "slow" not in page


@pytest.mark.parametrize(("asked_in", "kept"), [("en", "en"), ("zh-hans", "zh-hans"), ("zh-cn", "zh-hans")])
def test_people_are_written_to_in_the_language_they_wrote_in(
    client: Client, asked_in: str, kept: str
) -> None:
    """The confirmation of a Chinese form is not in English; following a ticket keeps it as well."""
    ticket = tickets.open(title="Slow", actor=AGENT, now=NOW)
    headers = {"Accept-Language": asked_in}
    client.post("/feedback/", {"text": "慢", "email": "ann@example.com"}, headers=headers)
    client.post(f"/t/{ticket.token}/", {"email": "bob@example.com"}, headers=headers)
    assert list(Profile.objects.values_list("language", flat=True)) == [kept, kept]


def test_feedback_without_an_address_is_anonymous(client: Client) -> None:
    client.post("/feedback/", {"text": "Hello"})
    assert Feedback.objects.get().profile_id is None
    assert OutboundMessage.objects.count() == 0


@pytest.mark.parametrize(
    ("data", "field", "words"),
    [
        ({"text": ""}, "text", "Write something"),
        ({"text": "x" * 5001}, "text", "5001 characters; at most 5000"),
        ({"text": "x", "email": "nope"}, "email", "Enter an e-mail address such as"),
        ({"text": "x", "name": "http://spam"}, "name", "a name, not an address"),
        ({"text": "x", "email": "a@b.example", "may_name": "on"}, "name", "Write the name"),
    ],
)
def test_errors_are_said_at_the_field_and_in_a_summary(
    client: Client, data: dict[str, str], field: str, words: str
) -> None:
    answer = client.post("/feedback/", data)
    text = answer.content.decode()
    assert answer.status_code == 400
    assert f'id="{field}-error"' in text and f'href="#{field}"' in text and 'aria-invalid="true"' in text
    assert text.count(words) == 2
    assert Feedback.objects.count() == 0


def test_what_fills_in_the_hidden_field_is_not_stored(client: Client) -> None:
    answer = client.post("/feedback/", {"text": "buy", "website": "http://spam"})
    assert (answer.status_code, Feedback.objects.count()) == (302, 0)


def test_markup_is_shown_as_text(client: Client) -> None:
    row = build.ticket("<svg onload=alert(1)>")
    text = client.get(f"/t/{row.token}/").content.decode()
    assert "<svg" not in text and "&lt;svg onload" in text


def test_a_flood_from_one_network_is_refused(client: Client) -> None:
    from crm.kernel import knobs

    knobs.set("voc.submissions_per_hour", 10, actor=AGENT, now=NOW)
    try:
        answers = [client.post("/feedback/", {"text": f"n{number}"}).status_code for number in range(11)]
    finally:
        knobs.reset("voc.submissions_per_hour", actor=AGENT, now=NOW)
    assert answers == [302] * 10 + [429]
    assert Feedback.objects.count() == 10
    assert "127.0.0.1" not in str(list(SubmissionCount.objects.values()))


def test_an_address_is_asked_three_times_a_day_at_most(client: Client) -> None:
    for number in range(5):
        client.post("/feedback/", {"text": f"n{number}", "email": "ann@example.com"})
    assert Feedback.objects.count() == 5
    assert OutboundMessage.objects.count() <= 3


def test_following_a_ticket_by_mail(client: Client) -> None:
    row = build.ticket("Slow checkout")
    path = f"/t/{row.token}/"
    assert "Slow checkout" in client.get(path).content.decode()
    assert client.post(path, {"email": "bad"}).status_code == 400
    answer = client.post(path, {"email": "bo@example.com"})
    assert (answer.status_code, answer["Location"]) == (302, f"{path}?asked=1")
    assert TicketFollower.objects.get().role == "asked"
    assert OutboundMessage.objects.get().kind == "lifecycle.confirm_address"
    assert "confirm your address" in client.get(answer["Location"]).content.decode()


def test_private_unknown_and_merged_tickets(client: Client) -> None:
    private = tickets.open(title="Delete my data", kind="privacy", actor=AGENT, now=NOW)
    assert client.get(f"/t/{private.token}/").status_code == 404
    assert client.get("/t/nothing/").status_code == 404
    assert client.get("/feedback/nothing/").status_code == 404
    kept, gone = build.ticket("kept"), build.ticket("gone")
    ticket_merges.merge(gone.pk, into=kept.pk, actor=AGENT, now=NOW)
    assert client.get(f"/t/{gone.token}/")["Location"] == f"/t/{kept.token}/"


def test_the_changelog_credits_who_agreed(client: Client) -> None:
    ann, bo, cy = build.person("Ann Example"), build.person("Bo Silent"), build.person("Cy Example")
    row = build.ticket("Faster checkout", bo)
    tickets.follow(row.pk, profile_id=ann, role="asked", may_name=True, actor=AGENT, now=NOW)
    tickets.follow(
        row.pk, profile_id=cy, role="asked", may_name=True, credit_name="C. E.", actor=AGENT, now=NOW
    )
    unproven = feedback.give(
        text="me too",
        channel="portal",
        person=feedback.Person(email="x@example.com", name="Famous Person"),
        trusted=False,
        may_name=True,
        credit_name="Famous Person",
        actor=AGENT,
        now=NOW,
    )
    feedback.attach(unproven.pk, ticket_id=row.pk, actor=AGENT, now=NOW)
    build.shipped("Spring", row)
    text = client.get("/changelog/").content.decode()
    assert "Faster checkout" in text and "Ann Example" in text and "C. E." in text
    assert "Bo Silent" not in text and "Cy Example" not in text and "Famous Person" not in text
    assert "Faster checkout" in client.get("/").content.decode()
    assert "It is fixed and shipped." in client.get(f"/t/{row.token}/").content.decode()


def test_the_changelog_has_pages(client: Client) -> None:
    for number in range(12):
        build.shipped(f"R{number:02}", build.ticket(f"T{number}"))
    first = client.get("/changelog/").content.decode()
    assert "R11" in first and "R01" not in first
    edge: Any = first.split("?before=")[1].split('"')[0]
    second = client.get(f"/changelog/?before={edge}").content.decode()
    assert "R01" in second and "R00" in second and "R02" not in second
    assert client.get("/changelog/?before=abc").status_code == 200
