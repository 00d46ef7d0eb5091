"""A worker may die at any line: nothing is lost, the inbox has one copy, a doubled e-mail stands in a logged gap."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from django.db import connection, transaction

from crm.kernel import clock, knobs
from lifecycle.models import Delivery, InboxItem, OutboundMessage, SendRun
from lifecycle.services import deciding, letters, messages, sending
from lifecycle.services.mailer import Answer, Mailer, Outcome
from tests.lifecycle.conftest import ACTOR, NOON, MailServer

pytestmark = pytest.mark.django_db(transaction=True)
TICKET = {"ticket": {"number": 7, "title": "Lamp flickers"}}


class Killed(BaseException):
    """Stands for kill -9: no `except Exception` sees it."""


def queue(readers: list[int], kind: str = "tests.service", context: Any = TICKET) -> None:
    messages.queue(
        [messages.Item(kind, reader, "ticket:7", context) for reader in readers], actor=ACTOR, now=NOON
    )


def lapse() -> None:
    """All leases have run out."""
    SendRun.objects.update(lease_until=NOON)


def drain() -> None:
    while messages.deliver(now=NOON).claimed:
        pass


def die_at(monkeypatch: pytest.MonkeyPatch, place: int, *, after: bool) -> None:
    """Kill the run at its n-th e-mail, before or after the server took it."""
    honest, count = Mailer.send, [0]

    def send(self: Mailer, envelope: Any, **rest: Any) -> Outcome:
        count[0] += 1
        if count[0] == place and not after:
            raise Killed
        outcome = honest(self, envelope, **rest)
        if count[0] == place:
            raise Killed
        return outcome

    monkeypatch.setattr(Mailer, "send", send)


def test_killed_between_claim_and_decision(
    person: Callable[..., int], mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue([person() for _number in range(3)])
    with monkeypatch.context() as patch:
        patch.setattr(deciding, "_record", lambda *a, **k: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            messages.deliver(now=NOON)
    assert set(OutboundMessage.objects.values_list("decision", "claims")) == {("queued", 0)}
    assert sorted(SendRun.objects.get().undecided) == sorted(
        OutboundMessage.objects.values_list("pk", flat=True)
    )
    assert (InboxItem.objects.count(), len(mail_server.raw)) == (0, 0)
    assert messages.deliver(now=NOON).claimed == 0  # under lease
    lapse()
    drain()
    assert (InboxItem.objects.count(), len(mail_server.raw)) == (3, 3)


@pytest.mark.parametrize(("after", "letters"), [(False, 5), (True, 6)])
def test_killed_in_the_gap_resends_service_mail_once_and_logs_it(
    person: Callable[..., int],
    mail_server: MailServer,
    monkeypatch: pytest.MonkeyPatch,
    after: bool,
    letters: int,
) -> None:
    queue([person() for _number in range(5)])
    with monkeypatch.context() as patch:
        die_at(patch, 3, after=after)
        with pytest.raises(Killed):
            messages.deliver(now=NOON)
    assert len(mail_server.raw) == (3 if after else 2)
    assert messages.deliver(now=NOON).claimed == 0  # under lease
    lapse()
    drain()
    assert len(mail_server.raw) == letters
    assert len(set(mail_server.recipients)) == 5
    gaps = list(Delivery.objects.filter(gaps__gt=0).values_list("gaps", "status"))
    assert gaps == [(1, "sent")]
    assert InboxItem.objects.count() == 5
    assert SendRun.objects.count() == 0
    assert len({message["Message-ID"] for message in mail_server.messages}) == 5


def test_killed_in_the_gap_never_resends_marketing(
    person: Callable[..., int], mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(
        [person(agrees=("marketing",)) for _number in range(4)],
        kind="tests.marketing",
        context={"percent": 5},
    )
    with monkeypatch.context() as patch:
        die_at(patch, 2, after=False)
        with pytest.raises(Killed):
            messages.deliver(now=NOON)
    lapse()
    drain()
    assert len(mail_server.raw) == 3
    unknown = Delivery.objects.get(status="unknown")
    assert (unknown.gaps, unknown.message.decision, unknown.message.reason) == (1, "sent", "unknown_fate")


def test_killed_before_the_last_settlement_sends_nothing_twice(
    person: Callable[..., int], mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue([person() for _number in range(3)])
    with monkeypatch.context() as patch:
        patch.setattr(sending, "_finish", lambda *a, **k: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            messages.deliver(now=NOON)
    lapse()
    drain()
    # the last one stands in the gap: the pointer was on it
    assert len(mail_server.raw) == 4
    assert list(Delivery.objects.filter(gaps=1).values_list("status", flat=True)) == ["sent"]


def side_by_side(count: int) -> list[Mailer]:
    return [Mailer() for _number in range(count)]


def test_several_connections_share_the_e_mails_of_a_run(
    person: Callable[..., int], mail_server: MailServer
) -> None:
    queue([person() for _number in range(8)])
    mailers = side_by_side(3)
    done = messages.deliver(now=NOON, mailers=mailers)
    for mailer in mailers:
        mailer.close()
    assert (done.claimed, done.emails_sent, done.emails_waiting) == (8, 8, 0)
    assert len(mail_server.raw) == len(set(mail_server.recipients)) == 8
    assert mail_server.connections == 3
    assert Delivery.objects.filter(status="sent", gaps=0, attempts=1).count() == 8
    assert SendRun.objects.count() == 0


@pytest.mark.parametrize(("finished", "fewest", "most"), [(0, 7, 7), (1, 8, 10), (3, 10, 10)])
def test_killed_with_several_connections_each_has_one_e_mail_in_doubt(
    person: Callable[..., int],
    mail_server: MailServer,
    monkeypatch: pytest.MonkeyPatch,
    finished: int,
    fewest: int,
    most: int,
) -> None:
    """Two rounds of three and a rest of one; killed in the second round after so many answers of it."""
    queue([person() for _number in range(7)])
    honest, counts = (Mailer.begin, Mailer.finish), [0, 0]

    def begin(self: Mailer, envelope: Any, **rest: Any) -> Outcome | None:
        counts[0] += 1
        if counts[0] == 4 and not finished:
            raise Killed
        return honest[0](self, envelope, **rest)

    def finish(self: Mailer) -> Outcome:
        outcome = honest[1](self)
        counts[1] += 1
        if finished and counts[1] == 3 + finished:
            raise Killed
        return outcome

    with monkeypatch.context() as patch:
        patch.setattr(Mailer, "begin", begin)
        patch.setattr(Mailer, "finish", finish)
        mailers = side_by_side(3)
        with pytest.raises(Killed):
            messages.deliver(now=NOON, mailers=mailers)
        for mailer in mailers:
            with suppress(OSError):
                mailer._backend.connection.sock.close()  # a killed process says no goodbye
    assert messages.deliver(now=NOON).claimed == 0  # under lease
    lapse()
    drain()
    gaps = list(Delivery.objects.filter(gaps__gt=0).values_list("position", "gaps", "status"))
    assert sorted(gaps) == [(1, 1, "sent"), (2, 1, "sent"), (3, 1, "sent")]  # the positions of the second run
    assert fewest <= len(mail_server.raw) <= most
    assert len(set(mail_server.recipients)) == 7
    assert Delivery.objects.filter(status="sent").count() == InboxItem.objects.count() == 7


def test_with_several_connections_a_refusal_concerns_its_own_e_mail(
    person: Callable[..., int], mail_server: MailServer
) -> None:
    mail_server.refuse["gone@example.com"] = "550 5.1.1 nobody"
    queue([person(), person(email="gone@example.com"), person(), person()])
    mailers = side_by_side(2)
    messages.deliver(now=NOON, mailers=mailers)
    for mailer in mailers:
        mailer.close()
    assert len(mail_server.raw) == 3
    assert sorted(Delivery.objects.values_list("status", flat=True)) == ["failed", "sent", "sent", "sent"]
    assert SendRun.objects.count() == 0


def test_no_more_runs_at_once_than_there_may_be_sending_tasks(
    person: Callable[..., int], mail_server: MailServer
) -> None:
    queue([person(), person()])
    most = knobs.get("lifecycle.send_tasks")
    SendRun.objects.bulk_create(
        SendRun(lease_until=clock.now() + deciding.lease()) for _number in range(most)
    )
    assert messages.deliver(now=NOON).claimed == 0
    assert set(OutboundMessage.objects.values_list("decision", flat=True)) == {"queued"}
    # One of them stands still for so long that it must have died: its lease still holds, its place is free.
    stuck = clock.now() + deciding.lease() - deciding.lease() / deciding.STUCK_SHARE
    SendRun.objects.filter(pk=SendRun.objects.first().pk).update(lease_until=stuck)
    assert messages.deliver(now=NOON).claimed == 2
    assert SendRun.objects.count() == most


def test_a_run_that_lost_its_lease_stops(
    person: Callable[..., int], mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue([person() for _number in range(4)])
    honest, count = Mailer.send, [0]

    def slow(self: Mailer, envelope: Any, **rest: Any) -> Outcome:
        count[0] += 1
        outcome = honest(self, envelope, **rest)
        if count[0] == 2:
            lapse()
            assert sending.recover(now=NOON) == 1
        return outcome

    monkeypatch.setattr(Mailer, "send", slow)
    messages.deliver(now=NOON)
    assert count[0] == 2
    drain()
    assert len(set(mail_server.recipients)) == 4
    assert len(mail_server.raw) == 5
    assert Delivery.objects.filter(status="sent").count() == 4


def test_the_connection_breaking_after_the_content_is_a_gap(
    person: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    queue([person()])
    with monkeypatch.context() as patch:
        patch.setattr(Mailer, "send", lambda *a, **k: Outcome(Answer.UNKNOWN, "SMTPServerDisconnected"))
        messages.deliver(now=NOON)
        assert Delivery.objects.values_list("gaps", "status").get() == (1, "queued")
        messages.deliver(now=NOON)
    assert Delivery.objects.values_list("gaps", "status").get() == (2, "unknown")


def test_a_message_that_kills_five_workers_fails_and_its_neighbours_go(
    person: Callable[..., int], mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = [person() for _number in range(3)]
    queue(readers)
    honest = letters.render_for

    def poison(kind: Any, *, root: Any, **rest: Any) -> Any:
        if root.pk == readers[1]:
            raise Killed
        return honest(kind, root=root, **rest)

    monkeypatch.setattr(letters, "render_for", poison)
    kills = 0
    for _attempt in range(20):
        try:
            messages.deliver(now=NOON)
        except Killed:
            kills += 1
        lapse()
    assert kills == 5
    failed = OutboundMessage.objects.get(profile_id=readers[1])
    assert (failed.decision, failed.reason) == ("failed", "too_many_claims")
    assert OutboundMessage.objects.filter(decision="sent").count() == 2
    assert len(mail_server.raw) == 2


def test_two_workers_at_once_send_each_message_once(
    person: Callable[..., int], mail_server: MailServer
) -> None:
    knobs.set("lifecycle.send_tasks", 2, actor=ACTOR, now=NOON)
    queue([person() for _number in range(60)])
    start, results, faults = threading.Barrier(2), [], []

    def work() -> None:
        try:
            start.wait()
            while True:
                done = messages.deliver(now=NOON, limit=7)
                results.append(done.claimed)
                if not done.claimed:
                    return
        except BaseException as error:
            faults.append(error)
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _number in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert faults == []
    drain()
    assert len(mail_server.raw) == len(set(mail_server.recipients)) == 60
    assert InboxItem.objects.count() == 60
    assert Delivery.objects.filter(status="sent", gaps=0).count() == 60


def test_two_askers_queue_the_same_messages_at_once(person: Callable[..., int]) -> None:
    readers = [person() for _number in range(30)]
    start, faults = threading.Barrier(2), []

    def ask(order: list[int]) -> None:
        try:
            start.wait()
            with transaction.atomic():
                queue(order)
        except BaseException as error:
            faults.append(error)
        finally:
            connection.close()

    workers = [threading.Thread(target=ask, args=(order,)) for order in (readers, readers[::-1])]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert faults == []
    assert OutboundMessage.objects.count() == 30
