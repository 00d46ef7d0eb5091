"""The database is killed under ingest: what was acknowledged is there, what was not is sent again by the client,
and the door says 503 with Retry-After, never that the key or the event is wrong."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest

from tests.faults.house import House, kill

pytestmark = [
    pytest.mark.faults,
    pytest.mark.long,
    pytest.mark.timeout(600),
]
CLIENTS, KILLS = 4, 2
EVENTS_BETWEEN_KILLS = 80


class Client(threading.Thread):
    """Sends one event after the other as an SDK does: again, with the same messageId, until it is acknowledged."""

    def __init__(self, house: House, name: str) -> None:
        super().__init__(daemon=True)
        self.house = house
        self.name = name
        self.done = threading.Event()
        self.acknowledged: set[str] = set()
        self.answers: Counter[int] = Counter()
        self.without_retry_after = 0
        self.given_up = 0

    def run(self) -> None:
        number = 0
        while not self.done.is_set():
            number += 1
            message_id = f"{self.name}-{number}"
            event = {"userId": f"{self.name}-{number % 7}", "event": "Lamp Lit", "messageId": message_id}
            deadline = time.monotonic() + 90
            while True:
                status, answer, headers = self.house.knock("/v1/track", event)
                self.answers[status] += 1
                if status == 200 and answer["accepted"] + answer["duplicates"] == 1:
                    self.acknowledged.add(message_id)
                    break
                self.without_retry_after += status == 503 and "Retry-After" not in headers
                if time.monotonic() > deadline:
                    self.given_up += 1
                    break
                time.sleep(0.2)


def test_kill_9_of_the_database_under_ingest_loses_no_acknowledged_event(house: House) -> None:
    clients = [Client(house, f"client-{number}") for number in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        for _kill in range(KILLS):
            count = acknowledged(clients)
            house.wait(lambda at=count + EVENTS_BETWEEN_KILLS: acknowledged(clients) >= at, "events come in")
            lost = house.stack.pids["postgres"]
            kill(lost)
            house.wait_replaced("postgres", lost)
        count = acknowledged(clients)
        house.wait(lambda: acknowledged(clients) >= count + EVENTS_BETWEEN_KILLS, "events come in again")
    finally:
        for client in clients:
            client.done.set()
        for client in clients:
            client.join(120)
    house.stack.wait_ready()

    answers: Counter[int] = sum((client.answers for client in clients), Counter())
    sent = set().union(*(client.acknowledged for client in clients))
    stored = house.rows("SELECT count(*), count(DISTINCT id) FROM crm_touchpoint WHERE kind = 'Lamp Lit'")
    print(
        f"\ndatabase killed {KILLS} times; {len(sent)} events acknowledged, answers {dict(answers)}, stored {stored}"
    )
    assert set(answers) <= {200, 503}, answers
    assert answers[503] > 0
    assert sum(client.without_retry_after for client in clients) == 0
    assert sum(client.given_up for client in clients) == 0
    assert stored == [(len(sent), len(sent))]
    house.stack.wait_worker()
    house.verify()


def acknowledged(clients: list[Client]) -> int:
    """How many events were acknowledged by now."""
    return sum(len(client.acknowledged) for client in clients)
