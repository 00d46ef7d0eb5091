"""Two connections at once: a withdrawal against a send, and many senders against one budget."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core import mail
from django.db import connection, connections, transaction

from crm.kernel import actors, jobs, knobs
from crm.models import PressureEntry
from crm.services import consents, contacts, pressure, profiles, reservations
from lifecycle.models import OutboundMessage
from lifecycle.services import messages
from tests.crm.conftest import SYSTEM

pytestmark = pytest.mark.django_db(transaction=True)
# Noon in Shanghai, the organisation's zone.
NOON = datetime(2026, 11, 18, 4, 0, tzinfo=UTC)
OFFER = {"product_name": "Lamp", "product_url": "", "coupon_code": "C", "percent": 5}


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(jobs, "_send", lambda name, ids: None)
    yield
    knobs.forget()


@pytest.fixture
def reader() -> int:
    one = profiles.resolve([("user_id", "raced")], trust="server", actor=SYSTEM, now=NOON)
    contacts.add(one, channel="email", value="raced@example.com", origin="server", actor=SYSTEM, now=NOON)
    decide(one, granted=True)
    return one


def decide(profile_id: int, *, granted: bool) -> None:
    consents.record(
        profile_id, purpose="marketing", channel="email", granted=granted, way="form", text_version="1",
        evidence={}, actor=SYSTEM, now=NOON,
    )  # fmt: skip


def offer(profile_id: int, key: str) -> None:
    item = messages.Item("lifecycle.browsed_not_bought", profile_id, key, OFFER)
    messages.queue([item], actor=SYSTEM, now=NOON)


def in_thread(work: Callable[[], Any]) -> Callable[[], Any]:
    def run() -> Any:
        try:
            return work()
        finally:
            connections.close_all()

    return run


def waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        # Not pg_stat_activity: a transaction sees that as it was when it first looked.
        cursor.execute("SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted)")
        return bool(cursor.fetchone()[0])


def test_a_withdrawal_that_commits_first_stops_a_send_that_began_before(reader: int) -> None:
    """The send has claimed the message and waits for the person; the no commits; nothing goes out."""
    offer(reader, "a")
    sender = threading.Thread(target=in_thread(lambda: messages.deliver(now=NOON)))
    with transaction.atomic():
        decide(reader, granted=False)
        sender.start()
        for _try in range(500):
            if waits_for_a_lock():
                break
            threading.Event().wait(0.01)
        assert waits_for_a_lock()
        assert mail.outbox == []
    sender.join(30)
    row = OutboundMessage.objects.get()
    assert (row.decision, row.reason, mail.outbox) == ("dropped", "unsubscribed", [])


@pytest.mark.long
def test_500_triggers_from_every_side_with_an_unsubscription_in_the_middle(reader: int) -> None:
    """Messages, surveys and pop-ups of four senders at once: one budget, and no offer after the no."""
    for number in range(100):
        offer(reader, f"k{number}")
    callers = [actors.Actor("api_key", str(number)) for number in range(4)]

    def trigger(number: int) -> bool:
        if number % 5 == 0:
            messages.deliver(now=NOON, limit=5)
            return False
        kind = ("survey", "popup", "marketing", "care")[number % 4]
        answer = reservations.ask(
            reader, pressure_class=kind, label=f"n{number}", actor=callers[number % 4], now=NOON
        )
        return answer.granted

    def triggers(numbers: Iterator[int]) -> Callable[[], int]:
        """One caller: takes the next number until there is none, over a connection of its own."""
        return in_thread(lambda: sum(trigger(number) for number in numbers))

    def all_callers(numbers: Iterable[int]) -> int:
        shared = iter(list(numbers))  # of a list: next() is one step for all threads
        return sum(future.result(120) for future in [pool.submit(triggers(shared)) for _caller in range(4)])

    with ThreadPoolExecutor(4) as pool:
        granted = all_callers(range(250))
        decide(reader, granted=False)
        sent_before = OutboundMessage.objects.filter(decision="sent").count()
        granted += all_callers(range(250, 500))
    while messages.deliver(now=NOON).claimed:
        pass
    entries = list(PressureEntry.objects.filter(profile_id=reader).values_list("weight", "message_class"))
    assert sum(weight for weight, _class in entries) <= 12
    assert sum(one == "marketing" for _weight, one in entries) <= 3
    assert 1 <= granted + sent_before == len(entries)
    assert OutboundMessage.objects.filter(decision="sent").count() == sent_before == len(mail.outbox)
    assert pressure.left([reader], now=NOON)[0] == 12 - sum(weight for weight, _class in entries)


def test_one_reservation_however_often_it_is_asked_for_at_once(reader: int) -> None:
    caller = actors.Actor("api_key", "1")

    def ask() -> Any:
        answer = reservations.ask(
            reader, pressure_class="popup", label="Banner", key="same", actor=caller, now=NOON
        )
        return answer.reservation.public_id  # type: ignore[union-attr]

    with ThreadPoolExecutor(4) as pool:
        found = {future.result(60) for future in [pool.submit(in_thread(ask)) for _number in range(20)]}
    assert len(found) == 1
    assert PressureEntry.objects.filter(profile_id=reader).count() == 1
