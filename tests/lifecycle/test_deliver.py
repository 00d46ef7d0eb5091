"""One decision per person and message, made when it is claimed; e-mail goes out after the decision, in-app with it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext

from crm.kernel import knobs
from crm.kernel.errors import NotFound
from crm.models import PressureEntry, Profile
from crm.selectors import timeline
from crm.services import consents, suppressions
from lifecycle.models import Delivery, InboxItem, OutboundMessage
from lifecycle.services import messages
from lifecycle.states import Decision, Reason
from tests.lifecycle.conftest import ACTOR, NOON, MailServer

TICKET = {"ticket": {"number": 7, "title": "Lamp flickers"}}


def queue(
    profile_id: int, kind: str = "tests.service", key: str = "ticket:7", context: Any = TICKET, **more: Any
) -> int:
    item = messages.Item(kind, profile_id, key, context, **more)
    return messages.queue([item], actor=ACTOR, now=NOON)[(profile_id, key)]


def test_queueing_twice_keeps_one_record(person: Callable[..., int]) -> None:
    reader = person()
    first = queue(reader)
    assert queue(reader, context={"ticket": {"number": 8, "title": "Other"}}) == first
    assert OutboundMessage.objects.get().context == TICKET


def test_an_unknown_kind_is_refused_and_nothing_is_written(person: Callable[..., int]) -> None:
    reader = person()
    with pytest.raises(NotFound):
        queue(reader, kind="tests.nothing")
    assert OutboundMessage.objects.count() == 0


def test_a_service_message_goes_by_mail_and_into_the_inbox(person: Callable[..., int]) -> None:
    reader = person(email="lin@example.com", name="Lin Xia", language="zh-hans")
    message_id = queue(reader)
    result = messages.deliver(now=NOON)
    assert (result.claimed, result.sent, result.emails_sent) == (1, 1, 1)
    message = OutboundMessage.objects.get(pk=message_id)
    assert (message.decision, message.reason, message.language) == ("sent", "", "zh-hans")
    item = InboxItem.objects.get()
    assert (item.subject, item.body) == ("已修复：Lamp flickers", "Lin Xia，您好！\n\n7 号已修复。\n")
    [sent] = mail.outbox
    assert (sent.subject, sent.to) == ("已修复：Lamp flickers", ["lin@example.com"])
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.attempts, delivery.gaps) == ("sent", 1, 0)
    kinds = [touchpoint.kind for touchpoint in timeline.page([reader], now=NOON)]
    assert "lifecycle.message.sent" in kinds


def test_delivering_again_sends_nothing_more(person: Callable[..., int]) -> None:
    reader = person()
    queue(reader)
    messages.deliver(now=NOON)
    queue(reader)
    assert messages.deliver(now=NOON).claimed == 0
    assert len(mail.outbox) == 1


def test_nobody_without_an_address_is_written_to_and_the_inbox_keeps_what_we_owe(
    person: Callable[..., int],
) -> None:
    reader = person(email=None)
    queue(reader)
    messages.deliver(now=NOON)
    message = OutboundMessage.objects.get()
    assert (message.decision, message.reason) == ("dropped", "no_address")
    assert InboxItem.objects.count() == 1
    assert mail.outbox == []


def test_an_unconfirmed_address_is_no_address(person: Callable[..., int]) -> None:
    reader = person(origin="form")
    queue(reader)
    messages.deliver(now=NOON)
    assert OutboundMessage.objects.get().reason == "no_address"
    assert mail.outbox == []


def test_marketing_needs_consent_and_leaves_no_copy(person: Callable[..., int]) -> None:
    reader = person()
    queue(reader, kind="tests.marketing", context={"percent": 10})
    messages.deliver(now=NOON)
    message = OutboundMessage.objects.get()
    assert (message.decision, message.reason) == ("dropped", "no_consent")
    assert (InboxItem.objects.count(), len(mail.outbox)) == (0, 0)


def test_a_withdrawn_consent_stops_service_mail_but_not_the_inbox(person: Callable[..., int]) -> None:
    reader = person()
    consents.record(
        reader, purpose="service", channel="email", granted=False, way="unsubscribe", text_version="1", evidence={},
        actor=ACTOR, now=NOON,
    )  # fmt: skip
    queue(reader)
    messages.deliver(now=NOON)
    assert OutboundMessage.objects.get().reason == "unsubscribed"
    assert (InboxItem.objects.count(), len(mail.outbox)) == (1, 0)


def test_a_suppressed_address_binds_everybody_who_has_it(person: Callable[..., int]) -> None:
    first = person(email="family@example.com", agrees=("marketing",))
    second = person(email="family@example.com", agrees=("marketing",))
    suppressions.add("email", "family@example.com", purpose="", reason="complained", actor=ACTOR, now=NOON)
    for reader in (first, second):
        queue(reader, kind="tests.marketing", context={"percent": 10})
    messages.deliver(now=NOON)
    assert set(OutboundMessage.objects.values_list("decision", "reason")) == {("dropped", "suppressed")}
    assert mail.outbox == []


@pytest.mark.parametrize(
    ("zone", "hour_utc", "quiet"),
    [
        ("Asia/Shanghai", 14, True),
        ("Asia/Shanghai", 4, False),
        ("America/New_York", 4, True),
        ("America/New_York", 16, False),
        ("Asia/Kathmandu", 2, True),  # 07:45
        ("Asia/Kathmandu", 4, False),  # 09:45
        ("Australia/Lord_Howe", 21, True),  # 08:00
        ("Australia/Lord_Howe", 23, False),  # 10:00
    ],
)
def test_quiet_hours_hold_until_the_morning_there(
    person: Callable[..., int], zone: str, hour_utc: int, quiet: bool
) -> None:
    now = NOON.replace(hour=hour_utc)
    reader = person(time_zone=zone)
    assert Profile.objects.get(pk=reader).time_zone == zone
    queue(reader, run_at=now)
    messages.deliver(now=now)
    message = OutboundMessage.objects.get()
    if not quiet:
        assert (message.decision, len(mail.outbox)) == ("sent", 1)
        return
    assert (message.decision, message.reason, message.claims) == ("held", "quiet_hours", 0)
    assert (len(mail.outbox), InboxItem.objects.count()) == (0, 0)
    assert timedelta(0) < message.run_at - now < timedelta(hours=12)
    assert messages.deliver(now=message.run_at - timedelta(minutes=1)).claimed == 0
    messages.deliver(now=message.run_at)
    assert OutboundMessage.objects.get().decision == "sent"
    assert len(mail.outbox) == 1


def test_transactional_mail_goes_at_any_hour_without_unsubscribe(
    person: Callable[..., int], mail_server: MailServer
) -> None:
    night = NOON.replace(hour=18)
    reader = person()
    queue(reader, kind="tests.receipt", key="order:1", context={}, run_at=night)
    messages.deliver(now=night)
    [sent] = mail_server.messages
    assert sent["List-Unsubscribe"] is None
    assert InboxItem.objects.count() == 0


def test_five_hundred_triggers_and_an_unsubscribe_in_the_middle(person: Callable[..., int]) -> None:
    reader = person(agrees=("marketing",))
    knobs.set("crm.pressure_budget", 1000, actor=ACTOR, now=NOON)
    items = [messages.Item("tests.marketing", reader, f"product:{n}", {"percent": 10}) for n in range(500)]
    messages.queue(items, actor=ACTOR, now=NOON)
    assert messages.deliver(now=NOON, limit=2).sent == 2
    consents.record(
        reader, purpose="marketing", channel="email", granted=False, way="unsubscribe", text_version="1",
        evidence={}, actor=ACTOR, now=NOON,
    )  # fmt: skip
    while messages.deliver(now=NOON).claimed:
        pass
    assert len(mail.outbox) == 2
    assert OutboundMessage.objects.filter(decision="dropped", reason="unsubscribed").count() == 498


def test_five_hundred_triggers_send_three(person: Callable[..., int]) -> None:
    reader = person(agrees=("marketing",))
    items = [messages.Item("tests.marketing", reader, f"product:{n}", {"percent": 10}) for n in range(500)]
    messages.queue(items, actor=ACTOR, now=NOON)
    while messages.deliver(now=NOON).claimed:
        pass
    assert len(mail.outbox) == 3
    assert OutboundMessage.objects.filter(reason="frequency_cap").count() == 497
    assert PressureEntry.objects.count() == 3


def test_an_erased_person_is_never_written_to(person: Callable[..., int]) -> None:
    reader = person()
    queue(reader)
    Profile.objects.filter(pk=reader).update(erased_at=NOON)
    messages.deliver(now=NOON)
    message = OutboundMessage.objects.get()
    assert (message.decision, message.reason) == ("dropped", "erased")
    assert (InboxItem.objects.count(), len(mail.outbox)) == (0, 0)


def test_two_profiles_of_one_person_are_told_once(person: Callable[..., int]) -> None:
    first, second = person(), person()
    queue(first)
    queue(second)
    Profile.objects.filter(pk=second).update(merged_into=first)
    messages.deliver(now=NOON)
    assert sorted(OutboundMessage.objects.values_list("decision", "reason")) == [
        ("dropped", "duplicate"),
        ("sent", ""),
    ]
    assert len(mail.outbox) == 1


def test_a_merge_after_the_first_was_told_adds_nothing(person: Callable[..., int]) -> None:
    first, second = person(), person()
    queue(first)
    messages.deliver(now=NOON)
    queue(second)
    Profile.objects.filter(pk=first).update(merged_into=second)
    messages.deliver(now=NOON)
    assert OutboundMessage.objects.get(profile_id=second).reason == "duplicate"
    assert len(mail.outbox) == 1


def test_a_message_too_late_to_be_of_use_is_dropped(person: Callable[..., int]) -> None:
    queue(person(), expires_at=NOON)
    messages.deliver(now=NOON)
    assert OutboundMessage.objects.get().reason == "expired"
    assert mail.outbox == []


def test_a_missing_value_holds_the_message_and_not_its_neighbours(person: Callable[..., int]) -> None:
    poor, rich = person(), person()
    queue(poor, context={})
    queue(rich)
    messages.deliver(now=NOON)
    held = OutboundMessage.objects.get(profile_id=poor)
    assert (held.decision, held.reason) == ("held", "template_error")
    assert OutboundMessage.objects.get(profile_id=rich).decision == "sent"
    now = NOON
    for _attempt in range(6):
        now += timedelta(minutes=31)
        messages.deliver(now=now)
    failed = OutboundMessage.objects.get(profile_id=poor)
    assert (failed.decision, failed.reason) == ("failed", "template_error")


def test_nothing_happens_while_sending_is_paused(person: Callable[..., int]) -> None:
    queue(person())
    knobs.set("lifecycle.sending_paused", True, actor=ACTOR, now=NOON)
    assert messages.deliver(now=NOON).claimed == 0
    assert OutboundMessage.objects.get().decision == "queued"
    knobs.set("lifecycle.sending_paused", False, actor=ACTOR, now=NOON)
    assert messages.deliver(now=NOON).sent == 1


def test_a_holdout_is_a_decision_from_the_start(person: Callable[..., int]) -> None:
    queue(
        person(agrees=("marketing",)), kind="tests.marketing", context={"percent": 1}, withheld=Reason.HOLDOUT
    )
    assert messages.deliver(now=NOON).claimed == 0
    message = OutboundMessage.objects.get()
    assert (message.decision, message.reason, message.decided_at) == ("dropped", "holdout", NOON)


def test_a_batch_costs_the_same_number_of_queries_at_any_size(person: Callable[..., int]) -> None:
    counts = []
    for size in (1, 5, 40):  # the first one warms the caches of the process
        for number in range(size):
            queue(person(agrees=("marketing",)), key=f"batch:{size}:{number}")
        with CaptureQueriesContext(connection) as captured:
            assert messages.deliver(now=NOON).sent == size
        counts.append(len(captured))
    assert counts[1] == counts[2]


def test_what_arrives_is_whole(person: Callable[..., int], mail_server: MailServer) -> None:
    reader = person(email="lin@example.com", name="Lin <b>Xia</b>", language="en")
    message_id = queue(reader, context={"ticket": {"number": 7, "title": "Lamp\r\nBcc: other@example.com"}})
    messages.deliver(now=NOON)
    [sent] = mail_server.messages
    assert sent["Subject"] == "Fixed: Lamp Bcc: other@example.com"
    assert sent["Bcc"] is None
    assert sent["To"] == "lin@example.com"
    assert sent["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert sent["List-Unsubscribe"].startswith("<http") and "/u/" in sent["List-Unsubscribe"]
    assert sent["Message-ID"].startswith(f"<{message_id}.")
    text = sent.get_body(("plain",)).get_content().replace("\r\n", "\n")
    assert text.startswith("Hello Lin <b>Xia</b>,\n\nno. 7 is fixed.\n")
    html = sent.get_body(("html",)).get_content()
    assert "Lin &lt;b&gt;Xia&lt;/b&gt;" in html and "<b>Xia" not in html
    assert mail_server.connections == 1


def test_a_refused_recipient_fails_and_the_address_is_marked(
    person: Callable[..., int], mail_server: MailServer
) -> None:
    gone, here = person(email="gone@example.com"), person(email="here@example.com")
    mail_server.refuse["gone@example.com"] = "550 5.1.1 no such user"
    queue(gone)
    queue(here)
    result = messages.deliver(now=NOON)
    assert (result.emails_sent, result.emails_failed) == (1, 1)
    failed = OutboundMessage.objects.get(profile_id=gone)
    assert (failed.decision, failed.reason) == ("failed", "bounced")
    assert Delivery.objects.get(message=failed).error == "550 5.1.1"
    queue(gone, key="ticket:8")
    messages.deliver(now=NOON)
    assert OutboundMessage.objects.get(profile_id=gone, subject_key="ticket:8").reason == "no_address"
    assert mail_server.recipients == ["here@example.com"]


def test_a_temporary_refusal_is_tried_again_later(
    person: Callable[..., int], mail_server: MailServer
) -> None:
    reader = person(email="busy@example.com")
    mail_server.refuse["busy@example.com"] = "451 4.3.2 later"
    queue(reader)
    messages.deliver(now=NOON)
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.attempts, delivery.next_attempt_at) == (
        "queued",
        1,
        NOON + timedelta(minutes=1),
    )
    assert messages.deliver(now=NOON).claimed == 0
    mail_server.refuse.clear()
    result = messages.deliver(now=NOON + timedelta(minutes=1))
    assert (result.claimed, result.emails_sent) == (1, 1)
    assert Delivery.objects.get().status == "sent"
    assert InboxItem.objects.count() == 1
    assert len(mail_server.raw) == 1


def test_a_retry_checks_consent_again(person: Callable[..., int], mail_server: MailServer) -> None:
    reader = person(email="busy@example.com")
    mail_server.refuse["busy@example.com"] = "451 4.3.2 later"
    queue(reader)
    messages.deliver(now=NOON)
    suppressions.add(
        "email", "busy@example.com", purpose="service", reason="unsubscribed", actor=ACTOR, now=NOON
    )
    mail_server.refuse.clear()
    messages.deliver(now=NOON + timedelta(minutes=1))
    message = OutboundMessage.objects.get()
    assert (message.decision, message.reason) == ("failed", "suppressed")
    assert mail_server.raw == []


def test_a_server_that_is_away_leaves_mail_queued_and_decides_on(
    person: Callable[..., int], settings: Any
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    for _number in range(3):
        queue(person())
    result = messages.deliver(now=NOON)
    assert (result.sent, result.emails_sent, result.emails_waiting, result.unreachable) == (3, 0, 3, True)
    assert InboxItem.objects.count() == 3
    assert set(Delivery.objects.values_list("status", "attempts", "gaps")) == {("queued", 0, 0)}


def test_staff_retry_and_cancel(person: Callable[..., int], mail_server: MailServer) -> None:
    from crm.kernel.errors import Conflict

    mail_server.refuse_data = "554 5.7.1 no"
    message_id = queue(person())
    messages.deliver(now=NOON)
    assert OutboundMessage.objects.get().reason == "refused"
    mail_server.refuse_data = ""
    messages.retry(message_id, actor=ACTOR, now=NOON)
    messages.deliver(now=NOON)
    assert (OutboundMessage.objects.get().decision, len(mail_server.raw)) == (Decision.SENT, 1)
    with pytest.raises(Conflict):
        messages.retry(message_id, actor=ACTOR, now=NOON)
    with pytest.raises(Conflict):
        messages.withdraw(message_id, actor=ACTOR, now=NOON)
