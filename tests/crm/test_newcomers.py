"""Many connections meet the same newcomers at once: everyone is stored, everyone is one person."""

import threading
from datetime import UTC, datetime

import pytest
from django.db import connection

from crm.kernel import actors
from crm.models import Identity, Profile
from crm.services import touchpoints

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CLIENTS, BATCHES, PEOPLE = 6, 12, 40


@pytest.mark.django_db(transaction=True)
def test_the_same_newcomers_from_many_connections_are_made_once():
    start, faults, accepted = threading.Barrier(CLIENTS), [], []

    def client(number):
        try:
            start.wait()
            for batch in range(BATCHES):
                # Every client meets the same forty new people, each in an order of its own.
                events = [
                    touchpoints.Event(
                        kind="Product Viewed",
                        occurred_at=NOW,
                        message_id=f"{number}-{batch}-{person}",
                        identifiers=[("user_id", f"new-{batch}-{(person * 7 + number) % PEOPLE}")],
                    )
                    for person in range(PEOPLE)
                ]
                done = touchpoints.record(events, source=None, actor=actors.system("tests"), now=NOW)
                accepted.append(done.accepted)
        except Exception as error:
            faults.append(repr(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert faults == []
    assert sum(accepted) == CLIENTS * BATCHES * PEOPLE
    assert Identity.objects.filter(kind="user_id").count() == BATCHES * PEOPLE
    assert Profile.objects.count() == BATCHES * PEOPLE
