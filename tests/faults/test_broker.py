"""The broker is killed and its data wiped in the middle of 500 fix notices: nothing is lost, no page fails, and
sending goes on by itself when it is back."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
import redis

from tests.faults.house import House, kill

pytestmark = [
    pytest.mark.faults,
    pytest.mark.long,
    pytest.mark.timeout(600),
]
PEOPLE = 500


class Visitor(threading.Thread):
    """Somebody who reads a page, an SDK that sends an event, and an API client, over and over."""

    def __init__(self, house: House) -> None:
        super().__init__(daemon=True)
        self.house = house
        self.done = threading.Event()
        self.answers: Counter[tuple[str, int]] = Counter()

    def run(self) -> None:
        number = 0
        key = f"Api-Key {self.house.api_key}"
        while not self.done.is_set():
            number += 1
            event = {"userId": "visitor", "event": "Product Viewed", "messageId": f"visit-{number}"}
            self.answers["/", self.house.call("GET", "/")[0]] += 1
            self.answers["/v1/track", self.house.knock("/v1/track", event)[0]] += 1
            self.answers[
                "/api/v1/tickets/", self.house.call("GET", "/api/v1/tickets/", authorization=key)[0]
            ] += 1
            self.done.wait(0.1)

    def stop(self) -> None:
        self.done.set()
        self.join(60)


def test_kill_9_of_the_broker_with_its_data_loses_nothing_and_no_page_fails(house: House) -> None:
    release = house.prepare_release("kettle", PEOPLE)
    before = sum(house.mails().values())
    visitor = Visitor(house)
    visitor.start()
    try:
        house.ship(release)
        for threshold in (80, 300):
            house.wait(
                lambda at=before + threshold: sum(house.mails().values()) >= at, f"{threshold} e-mails"
            )
            lost = house.stack.pids["valkey"]
            with redis.Redis.from_url(house.stack.redis_url) as client:
                client.flushall()
            kill(lost)
            house.wait_replaced("valkey", lost)
        house.wait_settled(release, PEOPLE)
    finally:
        visitor.stop()

    messages = house.messages_of(release)
    accepted = {ident: number for ident, number in house.mails().items() if ident in messages}
    requests = sum(visitor.answers.values())
    print(
        f"\nbroker lost twice; told {len(messages)}, doubled 0; {requests} requests: {dict(visitor.answers)}"
    )
    assert {status for _path, status in visitor.answers} == {200}, visitor.answers
    # No worker was killed: not even a gap excuses a double.
    assert accepted == dict.fromkeys(messages, 1)
    assert len(messages) == PEOPLE
    assert house.rows(
        "SELECT count(*), count(DISTINCT message_id) FROM lifecycle_inboxitem WHERE message_id = ANY(%s)",
        list(messages),
    ) == [(PEOPLE, PEOPLE)]
    assert house.told_and_thanked(release) == (PEOPLE, PEOPLE, 167, 167)
    visits = visitor.answers["/v1/track", 200]
    assert house.rows("SELECT count(*) FROM crm_touchpoint WHERE kind = 'Product Viewed'") == [(visits,)]
    house.verify()
