"""Many hands at once, each with a connection of its own: schedulers, sending tasks, a release that is told while
people join, merge and withdraw, and points that are spent twice."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import connection

from config import invariants
from crm.kernel import jobs, knobs
from crm.kernel.errors import Conflict
from crm.kernel.models import JobSlot
from crm.selectors import profiles as people
from crm.services import merges, partitions
from lifecycle.models import InboxItem, OutboundMessage
from lifecycle.services import messages
from members.models import PointsAccount
from members.services import points
from tests.voc import build
from voc.models import FixNotice, TicketFollower
from voc.services import telling, tickets

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300), pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def forgetful_caches() -> Iterator[None]:
    """Tables are emptied between these tests; what a cache says of them is not true any more."""
    partitions.forget()
    knobs.forget()
    yield
    partitions.forget()
    knobs.forget()


class Hands:
    """Threads that start together; what any of them raises is a failure of the test."""

    def __init__(self) -> None:
        self.work: list[Callable[[], Any]] = []
        self.raised: list[BaseException] = []

    def add(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.work.append(lambda: function(*arguments))

    def run(self) -> None:
        """Start all, wait for all, and raise what went wrong."""
        line = threading.Barrier(len(self.work))

        def one(function: Callable[[], Any]) -> None:
            try:
                line.wait()
                function()
            except BaseException as error:
                self.raised.append(error)
            finally:
                connection.close()

        threads = [threading.Thread(target=one, args=(function,), daemon=True) for function in self.work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(200)
        assert not any(thread.is_alive() for thread in threads), "a thread hangs"
        if self.raised:
            raise self.raised[0]


def test_two_schedulers_whose_clocks_jump_run_each_slot_of_a_day_once() -> None:
    midnight, every = datetime(2026, 3, 1, tzinfo=UTC), timedelta(minutes=10)
    last = midnight + timedelta(hours=24, seconds=-1)
    ran: list[datetime] = []

    def schedule(seed: int) -> None:
        chance = random.Random(seed)
        for minute in range(0, 24 * 60, 5):
            jump = timedelta(minutes=chance.choice((0, 0, 0, -60, 7)), seconds=chance.random())
            now = max(midnight, min(midnight + timedelta(minutes=minute) + jump, last))
            if jobs.claim_slot("tests.job", now=now, every=every):
                ran.append(now - (now - midnight) % every)

    hands = Hands()
    for seed in range(3):
        hands.add(schedule, seed)
    hands.run()

    slots = [midnight + every * number for number in range(144)]
    assert sorted(ran) == slots
    assert sorted(JobSlot.objects.filter(job="tests.job").values_list("slot_start", flat=True)) == slots


def test_sending_tasks_that_race_send_each_message_once() -> None:
    crowd = [build.person(f"reader {number}", email=f"reader-{number}@example.com") for number in range(120)]
    release = build.shipped("Calmer", build.ticket("The lamp flickers", *crowd))
    build.tell(release)

    hands = Hands()
    for _task in range(4):
        hands.add(deliver_all, 7)
    hands.run()

    assert sorted(Counter(letter.to[0] for letter in mail.outbox).items()) == sorted(
        (f"reader-{number}@example.com", 1) for number in range(120)
    )
    assert InboxItem.objects.count() == 120
    assert set(OutboundMessage.objects.values_list("decision", flat=True)) == {"sent"}
    expect_invariants()


def test_everyone_who_asks_is_told_once_while_people_join_merge_and_withdraw() -> None:
    crowd = [build.person(f"asker {number}", email=f"asker-{number}@example.com") for number in range(200)]
    late = [build.person(f"late {number}", email=f"late-{number}@example.com") for number in range(40)]
    ticket = build.ticket("The lamp flickers", *crowd)
    release = build.shipped("Calmer", ticket)
    at_work = threading.Semaphore(0)
    changes = 4

    def change(function: Callable[[int], Any], numbers: list[int]) -> None:
        try:
            for number in numbers:
                function(number)
        finally:
            at_work.release()

    def join(number: int) -> None:
        tickets.follow(ticket.pk, profile_id=late[number], role="asked", actor=build.AGENT, now=build.NOW)

    def merge(winner: int, loser: int) -> None:
        try:
            merges.merge(crowd[winner], crowd[loser], actor=build.AGENT, now=build.NOW)
        except Conflict as refusal:
            assert refusal.code == "same_person", refusal.code

    def withdraw(number: int) -> None:
        tickets.unfollow(ticket.pk, profile_id=crowd[number], actor=build.AGENT, now=build.NOW)

    def tell() -> None:
        while True:
            last = at_work.acquire(blocking=False)
            telling.tell_followers(release.pk, now=build.NOW, batch=9)
            if last:
                return

    shuffled = random.Random(7).sample(range(60), 60)
    hands = Hands()
    hands.add(change, join, list(range(40)))
    # Pairs (0, 1), (2, 3) … from both sides, and chains over them.
    hands.add(change, lambda number: merge(2 * number, 2 * number + 1), shuffled)
    hands.add(change, lambda number: merge(2 * number + 1, 2 * number), shuffled[::-1])
    hands.add(change, withdraw, list(range(150, 190)))
    for _task in range(changes // 2):
        hands.add(tell)
        hands.add(deliver_all, 11, 40)
    hands.run()
    while not telling.tell_followers(release.pk, now=build.NOW).is_done:
        pass
    deliver_all(50)

    asking = set(
        people.roots(
            TicketFollower.objects.filter(left_at=None).values_list("profile_id", flat=True)
        ).values()
    )
    root_of = people.roots(FixNotice.objects.values_list("profile_id", flat=True))
    told = Counter(
        root_of[profile_id] for profile_id in FixNotice.objects.values_list("profile_id", flat=True)
    )
    assert len(asking) == 200 + 40 - 60 - 40
    assert asking - set(told) == set()
    # Both of a pair may have been told before they turned out to be one; nobody else is told twice.
    assert {root for root, number in told.items() if number > 1} <= set(people.roots(crowd[:120]).values())
    assert max(told.values()) <= 2
    letters = Counter(letter.extra_headers["Message-ID"] for letter in mail.outbox)
    assert set(letters.values()) == {1}
    assert len(letters) == OutboundMessage.objects.filter(decision="sent").count()
    assert not OutboundMessage.objects.open().exists()
    expect_invariants()


def test_of_200_redemptions_at_once_exactly_those_succeed_that_the_balance_covers() -> None:
    person = build.person("collector")
    points.credit(person, amount=100, key="start", kind="granted", actor=build.AGENT, now=build.NOW)
    answers: list[str] = []

    def redeem(hand: int) -> None:
        for number in range(20):
            try:
                points.debit(
                    person, amount=10, key=f"spend:{hand}:{number}", actor=build.AGENT, now=build.NOW
                )
                answers.append("done")
            except Conflict as refusal:
                answers.append(refusal.code)

    hands = Hands()
    for hand in range(10):
        hands.add(redeem, hand)
    hands.run()

    assert Counter(answers) == {"done": 10, "insufficient_points": 190}
    account = PointsAccount.objects.get(profile_id=person)
    assert account.balance == 0
    assert account.entries.filter(amount=-10).count() == 10
    expect_invariants()


def test_one_key_used_a_hundred_times_at_once_has_one_effect() -> None:
    person = build.person("collector")
    points.credit(person, amount=100, key="start", kind="granted", actor=build.AGENT, now=build.NOW)
    entries: list[int] = []

    def redeem() -> None:
        for _time in range(10):
            entries.append(
                points.debit(person, amount=10, key="the one", actor=build.AGENT, now=build.NOW).pk
            )

    hands = Hands()
    for _hand in range(10):
        hands.add(redeem)
    hands.run()

    assert len(entries) == 100 and len(set(entries)) == 1
    assert PointsAccount.objects.get(profile_id=person).balance == 90


def deliver_all(limit: int, rounds: int = 0) -> None:
    """Send what is due until nothing is left (and at least so many rounds)."""
    while messages.deliver(now=build.NOW, limit=limit).claimed or rounds > 0:
        rounds -= 1


def expect_invariants() -> None:
    """All of them hold."""
    broken = [finding for finding in invariants.check(now=build.NOW) if not finding.holds]
    assert broken == []
