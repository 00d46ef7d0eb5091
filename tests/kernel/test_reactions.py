"""Every fact reaches every receiver at least once; a poison fact holds nobody up."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from crm.kernel import actors, clock, knobs, reactions
from crm.kernel.errors import NotFound
from crm.kernel.models import PendingReaction

pytestmark = pytest.mark.django_db
STAFF = actors.Actor("staff", "1")
seen: list = []
poison: set = set()
deadly: set = set()


def one(fact):
    if fact.profile_id in deadly:
        raise SystemExit("killed")
    if fact.profile_id in poison:
        raise ValueError("the message must not be stored")
    seen.append(fact.profile_id)


def many(facts):
    if any(fact.profile_id in poison for fact in facts):
        raise ValueError
    seen.extend(fact.profile_id for fact in facts)


def published(fact):
    seen.append(fact.ids)


@pytest.fixture(autouse=True)
def receivers(monkeypatch):
    seen.clear(), poison.clear(), deadly.clear()
    monkeypatch.setattr(reactions, "_receivers", {})
    monkeypatch.setattr(reactions, "_by_kind", {})
    monkeypatch.setattr(
        reactions,
        "_load_touchpoints",
        lambda items: [
            reactions.Fact("k", profile_id=p, occurred_at=datetime.fromisoformat(at), id=UUID(ident))
            for p, at, ident, _kind in items
        ],
    )


def name(function):
    return f"{function.__module__}.{function.__qualname__}"


def record(*profile_ids, age=timedelta(0), kind="k"):
    now = clock.now()
    facts = [(kind, p, now - age, UUID(int=p)) for p in profile_ids]
    return reactions.enqueue(facts, now=now)


def expire_leases():
    PendingReaction.objects.update(lease_until=clock.now() - timedelta(seconds=1))


def make_due():
    PendingReaction.objects.update(run_at=clock.now() - timedelta(seconds=1))


def test_a_batch_is_one_row_and_a_finished_row_is_gone():
    reactions.subscribe("k")(one)
    assert record(1, 2, 3) == 1
    result = reactions.run(name(one), now=clock.now())
    assert (result.claimed, result.handled, result.failed) == (1, 3, 0)
    assert seen == [1, 2, 3]
    assert not PendingReaction.objects.exists()


def test_a_kind_nobody_listens_to_costs_nothing():
    reactions.subscribe("other")(one)
    assert record(1) == 0
    assert not PendingReaction.objects.exists()


def test_an_old_fact_triggers_nothing():
    reactions.subscribe("k", max_age=timedelta(hours=24))(one)
    assert record(1, age=timedelta(hours=25)) == 0
    reactions.subscribe("k", max_age=None)(many)
    assert record(1, age=timedelta(days=10_000)) == 1


@pytest.mark.parametrize("function", [one, many])
def test_a_poison_fact_is_split_off_and_its_neighbours_are_handled(function):
    reactions.subscribe("k", batch=function is many)(function)
    poison.add(2)
    record(1, 2, 3)
    result = reactions.run(name(function), now=clock.now())
    assert (result.handled, result.failed) == (2, 1)
    assert seen == [1, 3]
    row = PendingReaction.objects.get()
    assert (len(row.items), row.claims, row.parked_at) == (1, 1, None)
    assert row.last_error.startswith("ValueError at tests.kernel.test_reactions:")


def test_after_five_claims_it_is_parked_and_can_be_replayed():
    reactions.subscribe("k")(one)
    poison.add(2)
    record(2)
    for _attempt in range(5):
        make_due()
        reactions.run(name(one), now=clock.now())
    row = PendingReaction.objects.get()
    assert row.parked_at is not None
    assert row.claims == 5
    make_due()
    assert reactions.run(name(one), now=clock.now()).claimed == 0
    poison.clear()
    reactions.replay(row.pk, actor=STAFF, now=clock.now())
    reactions.run(name(one), now=clock.now())
    assert seen == [2]
    assert not PendingReaction.objects.exists()


def test_only_a_parked_reaction_is_replayed_or_discarded():
    reactions.subscribe("k")(one)
    record(1)
    row = PendingReaction.objects.get()
    with pytest.raises(NotFound):
        reactions.replay(row.pk, actor=STAFF, now=clock.now())
    with pytest.raises(NotFound):
        reactions.discard(row.pk, actor=STAFF, now=clock.now())
    assert PendingReaction.objects.count() == 1


def test_a_fact_that_kills_its_worker_is_isolated_and_parked():
    reactions.subscribe("k")(one)
    deadly.add(2)
    record(1, 2, 3)
    deaths = 0
    for _attempt in range(12):
        expire_leases()
        make_due()
        try:
            reactions.run(name(one), now=clock.now())
        except SystemExit:
            deaths += 1
    # The first death undid the batch, so fact 1 came again: at least once, and idempotent.
    assert sorted(set(seen)) == [1, 3]
    assert deaths == 5
    assert PendingReaction.objects.get().parked_at is not None


def test_a_leased_row_is_not_claimed_twice():
    reactions.subscribe("k")(one)
    record(1)
    first = reactions._claim(name(one), token=UUID(int=1), rows=10)
    assert len(first) == 1
    assert reactions.run(name(one), now=clock.now()).claimed == 0
    assert seen == []


def test_who_lost_the_lease_undoes_its_work():
    reactions.subscribe("k")(one)
    record(1)
    rows = reactions._claim(name(one), token=UUID(int=1), rows=10)
    PendingReaction.objects.update(claim_token=UUID(int=2))
    handled = reactions._handle(reactions._receivers[name(one)], rows, token=UUID(int=1), now=clock.now())
    assert handled == (0, 0)
    assert PendingReaction.objects.count() == 1


def test_rows_of_an_unknown_receiver_are_parked_not_lost():
    now = clock.now()
    PendingReaction.objects.create(receiver="gone.away", items=[1], kind="x", created_at=now, run_at=now)
    reactions.run("gone.away", now=now)
    assert PendingReaction.objects.get().parked_at == now


def test_a_published_fact_carries_its_ids():
    reactions.subscribe("release.shipped")(published)
    reactions.publish("release.shipped", [4, 5], now=clock.now())
    reactions.run(name(published), now=clock.now())
    assert seen == [(4, 5)]


def test_who_works_at_leisure_is_woken_by_the_sweep_alone(monkeypatch):
    woken = []
    monkeypatch.setattr(reactions.jobs, "wake_soon", lambda task, **ids: woken.append(ids["receiver"]))
    reactions.subscribe("k")(one)
    reactions.subscribe("k", at_leisure=True)(published)
    record(1)
    assert woken == [name(one)]
    swept = reactions.sweep(now=clock.now() + timedelta(seconds=1))
    assert sorted(swept) == sorted([name(one), name(published)])

    # One claim takes what was gathered; a task does not go round for what comes in meanwhile.
    def more(receiver, **result):
        given = reactions.RunResult(**{"claimed": 3, "handled": 3, "failed": 0, **result})
        return reactions.has_more(name(receiver), given, now=clock.now())

    assert not more(published)
    assert more(published, is_full=True)
    assert more(one)
    assert not more(one, claimed=0)


def test_a_full_claim_says_so(monkeypatch):
    monkeypatch.setattr(reactions, "FACTS_PER_CLAIM", 4)
    reactions.subscribe("k")(one)
    record(1, 2)
    result = reactions.run(name(one), now=clock.now())
    assert (result.claimed, result.is_full) == (1, False)
    assert result.due_since is not None
    for _row in range(3):
        record(1, 2)
    result = reactions.run(name(one), now=clock.now())
    assert (result.claimed, result.is_full) == (2, True)
    result = reactions.run(name(one), now=clock.now())
    assert (result.claimed, result.is_full) == (1, False)


def test_in_a_flood_young_facts_wait_and_old_ones_do_not(monkeypatch):
    reactions.subscribe("k")(one)
    now = clock.now()
    young = reactions.RunResult(3, 3, 0, True, now - timedelta(seconds=4))
    old = reactions.RunResult(3, 3, 0, True, now - timedelta(seconds=6))
    assert reactions.has_more(name(one), young, now=now)
    monkeypatch.setattr(reactions.jobs, "is_flooded", lambda: True)
    assert not reactions.has_more(name(one), young, now=now)
    assert reactions.has_more(name(one), old, now=now)
    knobs.set("kernel.flood_patience_seconds", 0, actor=actors.system("tests"), now=now)
    assert reactions.has_more(name(one), young, now=now)


def test_the_sweep_names_receivers_with_due_rows():
    reactions.subscribe("k")(one)
    record(1)
    assert reactions.sweep(now=clock.now() + timedelta(seconds=1)) == [name(one)]
