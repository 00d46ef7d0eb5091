"""Single events that arrive together share a transaction, and nobody pays for a neighbour."""

from __future__ import annotations

import io
import json
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import DataError, OperationalError, connection, connections

from crm.ingest import groups, recording, road
from crm.kernel import clock, knobs
from crm.models import EventReceipt, Source, Touchpoint
from crm.services import sources, touchpoints
from tests.crm.conftest import SYSTEM

pytestmark = pytest.mark.django_db(transaction=True)

Answers = list[tuple[int, dict[str, Any]]]


@pytest.fixture(autouse=True)
def fresh_groups() -> Iterator[None]:
    groups.forget()
    yield
    groups.forget()


@pytest.fixture
def source() -> Source:
    return sources.create("Shop", trust="server", actor=SYSTEM, now=clock.now())


def nothing_else(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    raise AssertionError("the short road must take it")


application = road.before(nothing_else)


def knock(key: str, event: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """One request on the short road, as a server would pass it on."""
    body = json.dumps(event).encode()
    said: list[Any] = []
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/v1/track",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_AUTHORIZATION": "Basic " + b64encode(f"{key}:".encode()).decode(),
        "wsgi.input": io.BytesIO(body),
    }
    answer = b"".join(application(environ, lambda status, headers: said.append((status, dict(headers)))))
    ((status, headers),) = said
    assert headers["Content-Length"] == str(len(answer))
    return int(status[:3]), json.loads(answer)


def view(number: int | str, **more: Any) -> dict[str, Any]:
    return {"event": "Product Viewed", "userId": f"u-{number}", "messageId": f"m-{number}", **more}


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """Run the calls in threads of their own. Returns their answers in order."""
    found: list[Any] = [None] * len(calls)

    def run(place: int) -> None:
        try:
            found[place] = calls[place]()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    return found


class Gate:
    """Holds the first recording until everybody else has queued behind it, and notes the size of each group."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, waiting: int) -> None:
        self.sizes: list[int] = []
        self.entered = threading.Event()
        self.waiting = waiting
        self._record = touchpoints.record
        monkeypatch.setattr(touchpoints, "record", self.record)

    def record(self, events: Any, **arguments: Any) -> Any:
        self.sizes.append(len(events))
        if len(self.sizes) == 1:
            self.entered.set()
            (group,) = groups._groups.values()
            while len(group._waiting) < self.waiting:
                self.entered.wait(0.001)
        return self._record(events, **arguments)


def together(source: Source, gate: Gate, events: list[dict[str, Any]]) -> Answers:
    """The first event goes ahead; all others arrive while it is being recorded, in their order."""

    def others(place: int) -> Callable[[], Any]:
        def run() -> Any:
            gate.entered.wait(30)
            (group,) = groups._groups.values()
            while len(group._waiting) < place:
                gate.entered.wait(0.001)
                threading.Event().wait(0.001)
            return knock(source.write_key, events[place + 1])

        return run

    first = [lambda: knock(source.write_key, events[0])]
    return at_once([*first, *(others(place) for place in range(len(events) - 1))])


def stored() -> list[str]:
    return sorted(row["n"] for row in Touchpoint.objects.values_list("properties", flat=True))


def test_events_that_arrive_together_are_one_transaction(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, waiting=7)
    answers = together(source, gate, [view(n, properties={"n": str(n)}) for n in range(8)])
    taken = {"success": True, "accepted": 1, "duplicates": 0, "rejected": []}
    assert answers == [(200, taken)] * 8
    assert gate.sizes == [1, 7]
    assert stored() == [str(n) for n in range(8)]
    # One tally line for each of the two groups.
    with connection.cursor() as cursor:
        cursor.execute("SELECT count FROM crm_touchpointtallydelta ORDER BY id")
        assert [row[0] for row in cursor.fetchall()] == [1, 7]


def test_nobody_is_answered_before_the_commit(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch, waiting=3)
    seen: list[tuple[str, int]] = []
    share = groups._share

    def look(result: Any, tickets: Any) -> None:
        # Another connection sees the rows before anybody is told of them.
        seen.append(("share", Touchpoint.objects.using("default").count()))
        assert connection.in_atomic_block is False
        share(result, tickets)

    monkeypatch.setattr(groups, "_share", look)
    answers = together(source, gate, [view(n) for n in range(4)])
    assert [status for status, _body in answers] == [200] * 4
    assert seen == [("share", 4)]


def test_the_same_message_twice_in_one_group_is_stored_once(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, waiting=3)
    events = [view("first"), view("same"), view("same"), view("other")]
    answers = together(source, gate, events)
    assert gate.sizes == [1, 3]
    counts = sorted((body["accepted"], body["duplicates"]) for _status, body in answers)
    assert counts == [(0, 1), (1, 0), (1, 0), (1, 0)]
    assert Touchpoint.objects.count() == EventReceipt.objects.count() == 3


def test_a_refused_event_has_its_own_answer(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch, waiting=3)
    events = [
        view("first"),
        view("a"),
        {"event": "Product Viewed", "userId": "guest", "messageId": "x"},
        view("b"),
    ]
    answers = together(source, gate, events)
    assert [body["accepted"] for _status, body in answers] == [1, 1, 0, 1]
    (refused,) = [body["rejected"] for _status, body in answers if body["rejected"]]
    assert [(item["index"], item["message_id"], item["code"]) for item in refused] == [
        (0, "x", "illegal_identifier")
    ]
    assert Touchpoint.objects.count() == 3


@pytest.mark.parametrize("fault", [DataError("out of range"), ZeroDivisionError("a bug of ours")])
def test_a_poison_event_hurts_nobody_else(
    source: Source, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    gate = Gate(monkeypatch, waiting=4)
    inner = gate._record

    def poisoned(events: Any, **arguments: Any) -> Any:
        if any(event.properties.get("poison") for event in events):
            raise fault
        return inner(events, **arguments)

    gate._record = poisoned
    events = [view(n) for n in range(5)]
    events[2]["properties"] = {"poison": True}
    answers = together(source, gate, events)
    assert gate.sizes == [1, 4, 1, 1, 1, 1]
    assert [(status, body.get("accepted")) for status, body in answers if body.get("accepted") == 1] == [
        (200, 1)
    ] * 4
    (status, body) = next(answer for answer in answers if answer[1].get("accepted") != 1)
    if isinstance(fault, DataError):
        assert (status, body["rejected"][0]["code"]) == (200, "invalid_event")
    else:
        assert (status, body["code"]) == (500, "internal_error")
    assert Touchpoint.objects.count() == 4


def test_the_database_away_is_503_for_all_and_503_only(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, waiting=3)
    inner, calls = gate._record, []

    def away(events: Any, **arguments: Any) -> Any:
        calls.append(len(events))
        if len(calls) > 1:
            connection.close()
            raise OperationalError("server closed the connection unexpectedly")
        return inner(events, **arguments)

    gate._record = away
    answers = together(source, gate, [view(n) for n in range(4)])
    assert calls == [1, 3]  # nobody is tried alone: it is no event's fault
    assert sorted(status for status, _body in answers) == [200, 503, 503, 503]
    assert Touchpoint.objects.count() == 1
    monkeypatch.undo()
    assert knock(source.write_key, view(1))[0] == 200  # and the door is open again


def test_whoever_is_alone_does_not_wait(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    wait = groups._Ticket.wait
    monkeypatch.setattr(groups._Ticket, "wait", lambda self, s: waited.append(s) or wait(self, s))
    for number in range(3):
        assert knock(source.write_key, view(number))[0] == 200
    assert waited == []


def test_a_leader_waits_for_company_no_longer_than_the_knob_says(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, waiting=3)
    together(source, gate, [view(n) for n in range(4)])
    waited: list[float] = []
    wait = groups._Ticket.wait
    monkeypatch.setattr(groups._Ticket, "wait", lambda self, s: waited.append(s) or wait(self, s))
    assert knock(source.write_key, view("later"))[0] == 200
    assert knock(source.write_key, view("again"))[0] == 200
    assert waited == [knobs.get("crm.group_wait_ms") / 1000]  # once, and then nobody is expected


def test_the_knob_turns_grouping_off(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    knobs.set("crm.group_most", 1, actor=SYSTEM, now=clock.now())
    calls: list[int] = []
    record = recording.record
    monkeypatch.setattr(
        recording, "record", lambda events, **more: calls.append(len(events)) or record(events, **more)
    )
    answers = at_once([lambda n=n: knock(source.write_key, view(n)) for n in range(4)])
    assert [status for status, _body in answers] == [200] * 4
    assert calls == [1] * 4 and groups._groups == {}


def test_nobody_comes_within_the_time_limit(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "WAIT_SECONDS", 0.05)
    gate = Gate(monkeypatch, waiting=1)
    hold = threading.Event()
    inner = gate._record

    def slow(events: Any, **arguments: Any) -> Any:
        hold.wait(30)
        return inner(events, **arguments)

    gate._record = slow

    def second() -> Any:
        gate.entered.wait(30)
        answer = knock(source.write_key, view("b"))
        hold.set()
        return answer

    first, late = at_once([lambda: knock(source.write_key, view("a")), second])
    assert (first[0], late[0], late[1]["code"]) == (200, 503, "unavailable")
    assert Touchpoint.objects.count() == 1  # it had left the queue, so its retry is the only one stored
    assert knock(source.write_key, view("b"))[1]["accepted"] == 1
