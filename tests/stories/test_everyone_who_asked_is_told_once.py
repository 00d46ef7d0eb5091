"""The promise at the heart of the product: a release ships, and everyone who asked is told, once.

Told through services only, as a day in the life: nothing here sets a status by hand.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core import mail

from crm.kernel import actors, reactions
from crm.models import Touchpoint
from crm.services import merges
from lifecycle.models import InboxItem, OutboundMessage
from members import selectors as points
from tests.voc import build
from tests.voc.build import NOW
from voc.selectors import changelog, progress
from voc.services import feedback, releases, telling, ticket_merges, tickets

# Sending commits in small steps, so these tests run on real transactions.
pytestmark = pytest.mark.django_db(transaction=True)

AGENT = actors.system("agent")
LEAD = actors.system("lead")


def say(text: str, profile_id: int, **values: object) -> feedback.Feedback:
    """A person says something through the API."""
    return feedback.give(
        text=text,
        channel="api",
        person=feedback.Person(profile_id=profile_id),
        actor=AGENT,
        now=NOW,
        **values,
    )


def ship(title: str, *numbers: int) -> int:
    """A lead ships a release."""
    release = releases.create(title=title, actor=LEAD, now=NOW)
    releases.add_items(release.pk, ticket_ids=list(numbers), actor=LEAD, now=NOW)
    releases.ship(release.pk, actor=LEAD, now=NOW)
    return release.pk


def the_workers_work() -> None:
    """Everything that the workers would do: tell, send, react."""
    for release_id in telling.sweep(now=NOW):
        telling.tell_followers(release_id, now=NOW)
    build.deliver(now=NOW)
    for name in reactions.receiver_names():
        while reactions.run(name, now=NOW).claimed:
            pass


def mails_to(address: str) -> list[str]:
    """Subjects that arrived at an address."""
    return [message.subject for message in mail.outbox if address in message.to]


def inbox(profile_id: int) -> int:
    """How many messages a person finds in their own inbox."""
    return InboxItem.objects.filter(profile_id=profile_id).count()


def test_from_a_complaint_to_thanks() -> None:
    ann = build.person("Ann", email="ann@example.com")
    mei = build.person("美", email="mei@example.com", language="zh-hans")
    cy = build.person("Cy")

    # Ann complains. An agent opens a ticket; the clock runs from her words.
    complaint = say(
        "The invoice shows the wrong date. It is a nuisance.", ann, may_name=True, credit_name="Ann"
    )
    ticket = feedback.open_ticket(complaint.pk, actor=AGENT, now=NOW + timedelta(hours=2))
    assert ticket.title == "The invoice shows the wrong date."
    assert ticket.due_at == NOW + timedelta(days=7)

    # Mei asks for the same, Cy votes for it.
    feedback.attach(say("发票日期不对", mei).pk, ticket_id=ticket.pk, actor=AGENT, now=NOW)
    tickets.follow(ticket.pk, profile_id=cy, role="voted", actor=AGENT, now=NOW)

    # It ships. Nobody has to remember who asked.
    release_id = ship("Spring update", ticket.pk)
    the_workers_work()

    assert mails_to("ann@example.com") == ["Done: The invoice shows the wrong date."]
    assert mails_to("mei@example.com") == ["您提的问题已解决：The invoice shows the wrong date."]
    assert [inbox(one) for one in (ann, mei, cy)] == [1, 1, 1]

    # The page of the release says so, for each person.
    numbers = progress.of_release(release_id)
    assert numbers.people == 3
    assert numbers.told + numbers.not_told == 3 and numbers.waiting == 0

    # Those who reported are thanked; the changelog names who agreed.
    assert [points.balance([one]) for one in (ann, mei, cy)] == [50, 50, 0]
    entry = changelog.entries(list(changelog.releases()))[0]
    assert (entry.title, entry.credits) == ("Spring update", ["Ann"])

    # And doing all of it again changes nothing.
    releases.tell_followers(release_id, now=NOW)
    the_workers_work()
    assert len(mail.outbox) == 2
    assert points.balance([ann]) == 50
    assert Touchpoint.objects.filter(kind="voc.fix.told").count() == 3


def test_one_message_for_two_fixes() -> None:
    ann = build.person("Ann", email="ann@example.com")
    numbers = [
        feedback.open_ticket(say(text, ann).pk, actor=AGENT, now=NOW).pk
        for text in ("Too slow.", "Too loud.")
    ]
    ship("Both", *numbers)
    the_workers_work()
    assert mails_to("ann@example.com") == ["2 things you told us about are done"]
    assert "Too slow." in mail.outbox[0].body and "Too loud." in mail.outbox[0].body


def test_a_backport_does_not_repeat_the_news() -> None:
    ann = build.person("Ann", email="ann@example.com")
    ticket = feedback.open_ticket(say("Crash.", ann).pk, actor=AGENT, now=NOW)
    ship("2.0", ticket.pk)
    the_workers_work()
    ship("1.9.1", ticket.pk)
    the_workers_work()
    assert len(mails_to("ann@example.com")) == 1


def test_two_tickets_that_were_one() -> None:
    ann, bo = build.person("Ann", email="ann@example.com"), build.person("Bo", email="bo@example.com")
    first = feedback.open_ticket(say("Crash.", ann).pk, actor=AGENT, now=NOW)
    second = feedback.open_ticket(say("It crashes.", bo).pk, actor=AGENT, now=NOW)
    tickets.follow(second.pk, profile_id=ann, role="asked", actor=AGENT, now=NOW)
    ticket_merges.merge(second.pk, into=first.pk, actor=AGENT, now=NOW)
    ship("Fixed", first.pk)
    the_workers_work()
    assert len(mails_to("ann@example.com")) == len(mails_to("bo@example.com")) == 1


def test_two_people_who_were_one() -> None:
    ann, anna = build.person("Ann", email="ann@example.com"), build.person("Anna", email="anna@example.com")
    ticket = feedback.open_ticket(say("Crash.", ann).pk, actor=AGENT, now=NOW)
    tickets.follow(ticket.pk, profile_id=anna, role="asked", actor=AGENT, now=NOW)
    merges.merge(ann, anna, actor=AGENT, now=NOW)
    ship("Fixed", ticket.pk)
    the_workers_work()
    assert len(mail.outbox) == 1
    assert points.balance([ann, anna]) == 50


def test_a_fix_that_did_not_hold_is_a_new_promise() -> None:
    ann = build.person("Ann", email="ann@example.com")
    ticket = feedback.open_ticket(say("Crash.", ann).pk, actor=AGENT, now=NOW)
    ship("1", ticket.pk)
    the_workers_work()
    tickets.move(ticket.pk, to="reopened", note="still crashes", actor=AGENT, now=NOW)
    ship("2", ticket.pk)
    the_workers_work()
    assert len(mails_to("ann@example.com")) == 2


def test_a_withdrawn_release_tells_nobody_any_more() -> None:
    ann = build.person("Ann", email="ann@example.com")
    ticket = feedback.open_ticket(say("Crash.", ann).pk, actor=AGENT, now=NOW)
    release_id = ship("Broken build", ticket.pk)
    telling.tell_followers(release_id, now=NOW)
    releases.withdraw(release_id, reason="It made things worse", actor=LEAD, now=NOW)
    the_workers_work()
    assert mail.outbox == []
    assert OutboundMessage.objects.get().decision == "dropped"
    ship("Good build", ticket.pk)
    the_workers_work()
    assert len(mails_to("ann@example.com")) == 1


def test_somebody_who_comes_late_is_told_at_once() -> None:
    ann, bo = build.person("Ann", email="ann@example.com"), build.person("Bo", email="bo@example.com")
    ticket = feedback.open_ticket(say("Crash.", ann).pk, actor=AGENT, now=NOW)
    ship("Fixed", ticket.pk)
    the_workers_work()
    feedback.attach(say("It crashes!", bo).pk, ticket_id=ticket.pk, actor=AGENT, now=NOW)
    the_workers_work()
    assert len(mails_to("ann@example.com")) == len(mails_to("bo@example.com")) == 1
