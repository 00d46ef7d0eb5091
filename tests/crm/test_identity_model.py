"""Identity against a model: whatever order events, batches, merges and undos come in, the people are those of a
plain forest of sets that obeys the same rules."""

from __future__ import annotations

import os
from collections import defaultdict
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from crm.kernel.errors import DomainError
from crm.models import Identity, MergeRecord, Profile, Touchpoint
from crm.services import erasure, merges, sources, touchpoints
from tests.crm.conftest import NOON, SYSTEM, ref

USERS = [("user_id", f"u{n}") for n in range(3)]
DEVICES = [("anonymous_id", f"a{n}") for n in range(4)]
claims = st.tuples(st.none() | st.sampled_from(USERS), st.none() | st.sampled_from(DEVICES)).filter(any)


class People(RuleBasedStateMachine):
    """The model, a union-find that can be taken apart: `holder` gives each identifier its profile, `edges` are the
    merges that stand."""

    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.atomic = transaction.atomic()
        self.atomic.__enter__()
        self.holder: dict[tuple[str, str], int] = {}
        self.edges: dict[int, int] = {}
        self.written: dict[int, int] = defaultdict(int)
        self.erased: set[int] = set()

    @initialize()
    def connect(self) -> None:
        self.source = ref(sources.create(uuid4().hex, trust="server", actor=SYSTEM, now=NOON))

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.atomic.__exit__(None, None, None)

    def root(self, profile_id: int) -> int:
        while profile_id in self.edges:
            profile_id = self.edges[profile_id]
        return profile_id

    def users_of(self, root: int) -> set[tuple[str, str]]:
        return {
            pair for pair, held in self.holder.items() if pair[0] == "user_id" and self.root(held) == root
        }

    @rule(claim=claims)
    def one_event(self, claim: Any) -> None:
        """A user and a device: they join unless that would give one person two users."""
        self.one_event_of([pair for pair in claim if pair is not None])

    def one_event_of(self, pairs: list[Any], *, kind: str = "page") -> None:
        """Record an event of one or two identifiers, the stronger first, and do the same to the model."""
        message_id = uuid4().hex
        result = touchpoints.record(
            [touchpoints.Event(kind, NOON, message_id, identifiers=pairs, properties={"id": message_id})],
            source=self.source, actor=SYSTEM, now=NOON,
        )  # fmt: skip
        profile_id = Touchpoint.objects.get(properties={"id": message_id}).profile_id
        strong, kept = pairs[0], list(pairs)
        if len(pairs) == 2 and pairs[1] in self.holder:
            there = self.root(self.holder[pairs[1]])
            here = self.root(self.holder[strong]) if strong in self.holder else None
            users = self.users_of(there) | (self.users_of(here) if here is not None else set())
            users |= {strong} if strong[0] == "user_id" else set()
            asks_for_more = here is not None or strong[0] == "user_id"
            if here != there and asks_for_more and len(users) > 1:
                kept = [strong]
                assert [code for _index, code, _detail in result.warnings] == ["identity_limit"]
            elif here is not None and here != there:
                record = MergeRecord.objects.latest("pk")
                assert {record.winner_id, record.loser_id} == {here, there}
                # Whoever is known by name stays.
                assert self.users_of(record.winner_id) == users
                self.edges[record.loser_id] = record.winner_id
        known = next((self.holder[pair] for pair in kept if pair in self.holder), None)
        if known is None:
            assert profile_id not in self.written and profile_id not in self.erased
        else:
            assert profile_id == known
        for pair in kept:
            self.holder.setdefault(pair, profile_id)
        self.written[profile_id] += 1
        assert result.profile_ids == [self.root(profile_id)]

    @rule(first=st.integers(0, 20), second=st.integers(0, 20))
    def merge(self, first: int, second: int) -> None:
        """Staff join two people; the rules of events do not bind them."""
        if not self.holder:
            return
        profiles = sorted(set(self.holder.values()))
        one, two = (self.root(profiles[place % len(profiles)]) for place in (first, second))
        try:
            merges.merge(one, two, actor=SYSTEM, now=NOON)
        except DomainError as error:
            assert (error.code, one) == ("same_person", two)
        else:
            assert one != two
            self.edges[two] = one

    @rule(known=st.sampled_from(USERS + DEVICES), previous=st.sampled_from(DEVICES))
    def alias(self, known: Any, previous: Any) -> None:
        """An alias call is an event with both identifiers: the same rules."""
        if known != previous:
            self.one_event_of(
                [known, previous] if known in USERS else sorted([known, previous]), kind="alias"
            )

    @rule(place=st.integers(0, 20))
    def erase(self, place: int) -> None:
        """Everything of one person ends: identifiers are nobody's, and new events make somebody new."""
        profiles = sorted({*self.holder.values()} - self.erased)
        if not profiles:
            return
        root = self.root(profiles[place % len(profiles)])
        erasure.erase(profiles[place % len(profiles)], actor=SYSTEM, now=NOON)
        everybody = {*self.holder.values(), *self.edges, *self.edges.values(), root}
        members = {pk for pk in everybody if self.root(pk) == root}
        self.erased |= members
        self.holder = {pair: held for pair, held in self.holder.items() if held not in members}

    @rule(first=st.integers(0, 20), second=st.integers(0, 20))
    def merge_with_the_erased(self, first: int, second: int) -> None:
        """Refused, and nothing is written."""
        gone, here = sorted(self.erased), sorted({*self.holder.values()})
        if not gone or not here:
            return
        before = MergeRecord.objects.count()
        pair = here[first % len(here)], gone[second % len(gone)]
        for one, two in (pair, pair[::-1]):
            with pytest.raises(DomainError) as refusal:
                merges.merge(one, two, actor=SYSTEM, now=NOON)
            assert refusal.value.code == "erased"
        assert MergeRecord.objects.count() == before

    @rule(place=st.integers(0, 20))
    def undo(self, place: int) -> None:
        live = sorted(MergeRecord.objects.filter(undone_at=None).values_list("pk", "loser_id"))
        if live:
            record_id, loser = live[place % len(live)]
            merges.undo(record_id, actor=SYSTEM, now=NOON)
            del self.edges[loser]

    @invariant()
    def the_database_agrees(self) -> None:
        type(self).steps += 1
        assert {
            (kind, value): pk
            for kind, value, pk in Identity.objects.values_list("kind", "value", "profile_id")
        } == (self.holder)
        pointers = dict(Profile.objects.values_list("pk", "merged_into_id"))
        assert pointers == {pk: self.root(pk) if pk in self.edges else None for pk in pointers}
        rows = Touchpoint.objects.filter(kind__in=("page", "alias")).values_list("profile_id", flat=True)
        counted: dict[int, int] = defaultdict(int)
        for profile_id in rows:
            counted[profile_id] += 1
        assert counted == self.written


@pytest.mark.django_db
def test_people_follow_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    """RENXIN_MODEL_EXAMPLES and RENXIN_MODEL_STEPS make it a longer walk; it says how many steps were taken."""
    from hypothesis.stateful import run_state_machine_as_test

    People.steps = 0
    run_state_machine_as_test(
        People,
        settings=settings(
            max_examples=int(os.environ.get("RENXIN_MODEL_EXAMPLES", "15")),
            stateful_step_count=int(os.environ.get("RENXIN_MODEL_STEPS", "15")),
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    with capsys.disabled():
        print(f"\nidentity model: {People.steps} steps")
