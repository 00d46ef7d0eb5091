"""Many writers at once, with real connections: nothing lost, nobody twice, no deadlock that a caller sees."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from crm.kernel import actors, clock
from crm.kernel.errors import DomainError
from crm.models import Identity, MergeRecord, Profile, Source, Touchpoint
from crm.selectors import profiles as profile_selectors
from crm.services import erasure, merges, partitions, profiles, sources, tallies, touchpoints
from tests.crm.conftest import NOON, SYSTEM, ref

pytestmark = pytest.mark.django_db(transaction=True)


def together(*jobs: Callable[[], Any]) -> list[Any]:
    """Run the jobs at the same moment, each on a connection of its own."""
    barrier = Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> Any:
        try:
            barrier.wait(30)
            return job()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return [future.result() for future in [pool.submit(run, job) for job in jobs]]


@pytest.fixture
def source() -> Source:
    return sources.create("Shop", trust="server", actor=SYSTEM, now=clock.now())


def event(message_id: str, *identifiers: tuple[str, str], days: int = 0) -> touchpoints.Event:
    return touchpoints.Event("page", NOON - timedelta(days=days), message_id, identifiers=identifiers)


def record(source: Source, events: list[touchpoints.Event]) -> touchpoints.RecordResult:
    return touchpoints.record(events, source=ref(source), actor=actors.source(source.pk), now=NOON)


def one_person_per_identifier() -> None:
    root_of = profile_selectors.roots(Profile.objects.values_list("pk", flat=True))
    for root_id in set(root_of.values()):
        assert Profile.objects.get(pk=root_id).merged_into_id is None
    held = Identity.objects.filter(profile_id__in=root_of).count()
    assert held == Identity.objects.count()


def test_the_same_batch_from_eight_writers_is_stored_once(source: Source) -> None:
    events = [
        event(f"m-{n}", ("user_id", f"u-{n % 20}"), ("anonymous_id", f"a-{n % 35}")) for n in range(100)
    ]
    results = together(*[lambda: record(source, list(events)) for _ in range(8)])
    assert sum(result.accepted for result in results) == 100
    assert sum(result.duplicates for result in results) == 700
    assert Touchpoint.objects.filter(kind="page").count() == 100
    one_person_per_identifier()


def test_a_new_person_seen_by_eight_writers_at_once_is_made_once(source: Source) -> None:
    for round_number in range(5):
        together(
            *[
                lambda writer=writer, number=round_number: record(
                    source,
                    [
                        event(f"{number}-{writer}-{n}", ("user_id", f"p{number}-{n}"))
                        for n in random.sample(range(30), 30)
                    ],
                )
                for writer in range(8)
            ]
        )
    assert Profile.objects.count() == Identity.objects.count() == 150
    assert Touchpoint.objects.count() == 5 * 8 * 30


def test_visitors_who_become_known_while_others_write(source: Source) -> None:
    def write(writer: int) -> int:
        chance = random.Random(writer)
        accepted = 0
        for batch in range(10):
            events = []
            for n in range(20):
                person = chance.randrange(40)
                identifiers = chance.choice(
                    [
                        [("anonymous_id", f"a-{person}")],
                        [("user_id", f"u-{person}")],
                        [("user_id", f"u-{person}"), ("anonymous_id", f"a-{person}")],
                        [("email", f"{person}@example.com"), ("user_id", f"u-{person}")],
                    ]
                )
                events.append(event(f"{writer}-{batch}-{n}", *identifiers))
            accepted += record(source, events).accepted
        return accepted

    assert sum(together(*[lambda writer=writer: write(writer) for writer in range(6)])) == 6 * 10 * 20
    record(source, [event(f"end-{n}", ("user_id", f"u-{n}"), ("anonymous_id", f"a-{n}")) for n in range(40)])
    assert Profile.objects.roots().count() == 40
    assert Touchpoint.objects.filter(kind="page").count() == 6 * 10 * 20 + 40
    one_person_per_identifier()


def test_merging_both_ways_and_erasing_at_once(source: Source) -> None:
    people = [
        profiles.resolve([("email", f"{n}@example.com")], trust="server", actor=SYSTEM, now=NOON)
        for n in range(12)
    ]

    def shuffle(writer: int) -> list[str]:
        chance = random.Random(writer)
        answers = []
        for _ in range(12):
            one, two = chance.sample(people, 2)
            try:
                merges.merge(one, two, actor=SYSTEM, now=NOON)
                answers.append("merged")
            except DomainError as error:
                answers.append(error.code)
            live = list(MergeRecord.objects.filter(undone_at=None).values_list("pk", flat=True))
            if live and chance.random() < 0.5:
                try:
                    merges.undo(chance.choice(live), actor=SYSTEM, now=NOON)
                except DomainError as error:
                    answers.append(error.code)
            if chance.random() < 0.03:
                erasure.erase(chance.choice(people), actor=SYSTEM, now=NOON)
        return answers

    answers = {answer for found in together(*[lambda w=w: shuffle(w) for w in range(5)]) for answer in found}
    assert answers <= {"merged", "same_person", "erased", "already_undone"}
    parents = dict(MergeRecord.objects.filter(undone_at=None).values_list("loser_id", "winner_id"))
    for profile_id, merged_into in Profile.objects.values_list("pk", "merged_into_id"):
        root = profile_id
        while root in parents:
            root = parents[root]
        assert merged_into == (root if root != profile_id else None)


def test_months_are_made_once_by_many_writers(source: Source) -> None:
    partitions.forget()
    results = together(
        *[
            lambda writer=writer: record(
                source,
                [event(f"{writer}-{n}", ("user_id", "u"), days=40 * n + 4_000) for n in range(24)],
            )
            for writer in range(4)
        ]
    )
    assert sum(result.accepted for result in results) == 96


def test_tallies_lose_nothing_and_count_nothing_twice(source: Source) -> None:
    from crm.selectors import tallies as tally_selectors

    def write(writer: int) -> None:
        for n in range(10):
            record(source, [event(f"{writer}-{n}-{m}", ("user_id", f"u-{m}")) for m in range(7)])

    together(*[lambda w=w: write(w) for w in range(3)], *[lambda: [tallies.fold() for _ in range(10)]] * 2)
    assert tally_selectors.by_kind(since=NOON.date(), until=NOON.date()) == {"page": 210}
    tallies.fold()
    assert tally_selectors.by_kind(since=NOON.date(), until=NOON.date()) == {"page": 210}
