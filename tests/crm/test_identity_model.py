"""Identity against a model: whatever order events, batches, merges and undos come in, the people are those of a
plain forest of sets that obeys the same rules."""

from __future__ import annotations

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
from crm.services import merges, sources, touchpoints
from tests.crm.conftest import NOON, SYSTEM, ref

USERS = [("user_id", f"u{n}") for n in range(3)]
DEVICES = [("anonymous_id", f"a{n}") for n in range(4)]
claims = st.tuples(st.none() | st.sampled_from(USERS), st.none() | st.sampled_from(DEVICES)).filter(any)


class People(RuleBasedStateMachine):
    """The model: `holder` gives each identifier its profile, `edges` are the merges that stand."""

    def __init__(self) -> None:
        super().__init__()
        self.atomic = transaction.atomic()
        self.atomic.__enter__()
        self.holder: dict[tuple[str, str], int] = {}
        self.edges: dict[int, int] = {}
        self.written: dict[int, int] = defaultdict(int)

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
        user, device = claim
        message_id = uuid4().hex
        pairs = [pair for pair in (user, device) if pair is not None]
        result = touchpoints.record(
            [touchpoints.Event("page", NOON, message_id, identifiers=pairs, properties={"id": message_id})],
            source=self.source, actor=SYSTEM, now=NOON,
        )  # fmt: skip
        row = Touchpoint.objects.get(properties={"id": message_id})
        held = [self.holder.get(pair) for pair in pairs]
        kept, profile_id = list(pairs), row.profile_id
        if user is not None and device is not None and held[1] is not None:
            there = self.root(held[1])
            here = self.root(held[0]) if held[0] is not None else None
            users = self.users_of(there) | (self.users_of(here) if here is not None else set()) | {user}
            if here != there and len(users) > 1:
                kept = [user]
                assert [code for _index, code, _detail in result.warnings] == ["identity_limit"]
            elif here is not None and here != there:
                record = MergeRecord.objects.latest("pk")
                assert {record.winner_id, record.loser_id} == {here, there}
                assert self.users_of(record.winner_id) == {user}
                self.edges[record.loser_id] = record.winner_id
        known = next((self.holder[pair] for pair in kept if pair in self.holder), None)
        if known is None:
            assert profile_id not in self.holder.values()
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

    @rule(place=st.integers(0, 20))
    def undo(self, place: int) -> None:
        live = sorted(MergeRecord.objects.filter(undone_at=None).values_list("pk", "loser_id"))
        if live:
            record_id, loser = live[place % len(live)]
            merges.undo(record_id, actor=SYSTEM, now=NOON)
            del self.edges[loser]

    @invariant()
    def the_database_agrees(self) -> None:
        assert {
            (kind, value): pk
            for kind, value, pk in Identity.objects.values_list("kind", "value", "profile_id")
        } == (self.holder)
        pointers = dict(Profile.objects.values_list("pk", "merged_into_id"))
        assert pointers == {pk: self.root(pk) if pk in self.edges else None for pk in pointers}
        rows = Touchpoint.objects.filter(kind="page").values_list("profile_id", flat=True)
        counted: dict[int, int] = defaultdict(int)
        for profile_id in rows:
            counted[profile_id] += 1
        assert counted == self.written


@pytest.mark.django_db
def test_people_follow_the_model() -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        People,
        settings=settings(
            max_examples=15,
            stateful_step_count=15,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
