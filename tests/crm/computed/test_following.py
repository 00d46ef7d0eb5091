"""Values follow events, history, merges, erasure, time and edits; passes survive kills and can be cancelled."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from crm.kernel import clock, knobs, reactions
from crm.kernel.errors import Conflict, Invalid
from crm.kernel.models import PendingReaction
from crm.models import ComputedRun, ComputedTrait, ComputedTraitVersion, ComputedValue, Profile
from crm.selectors import computed as reads
from crm.services import computed, computing, merges, partitions, passes
from crm.states import RunPurpose
from tests.crm.computed.conftest import happen, trait, values, work
from tests.crm.conftest import NOON, SYSTEM

ORDER = "Order Completed"


def react(now: Any = NOON) -> None:
    """Let the receivers of this part do everything that waits."""
    with clock.stopped(now):
        for name in reactions.receiver_names():
            if "compute_after" in name or "forget_values" in name:
                while reactions.run(name, now=now).claimed:
                    pass


@pytest.mark.django_db
def test_a_trait_is_computed_for_everybody_and_then_follows() -> None:
    ann, bea = happen("ann", ORDER), happen("bea", ORDER)
    happen("ann", ORDER, days=2)
    happen("cid", "page")
    row = trait()
    assert values(row) == {ann: 2, bea: 1}
    run = ComputedRun.objects.get(trait=row)
    assert (run.status, run.percent, run.values_written) == ("done", 100, 2)
    cid = happen("cid", ORDER)
    happen("ann", ORDER, days=0)
    react()
    assert values(row) == {ann: 3, bea: 1, cid: 1}
    happen("ann", "page")
    assert not PendingReaction.objects.filter(receiver__contains="compute_after").exists()


@pytest.mark.django_db
def test_history_and_old_events_count_too() -> None:
    row = trait()
    ann = happen("ann", ORDER, days=400)
    happen("ann", ORDER, days=900, historical=True)
    bea = happen("bea", ORDER, days=900, historical=True)
    react()
    assert values(row) == {ann: 2, bea: 1}
    happen("bea", "page", historical=True)
    assert not PendingReaction.objects.filter(receiver__contains="compute_after").exists()


@pytest.mark.django_db
def test_merge_and_undo_recompute_both() -> None:
    ann, bea = happen("ann", ORDER), happen("bea", ORDER)
    happen("bea", ORDER, days=3)
    row = trait()
    record = merges.merge(ann, bea, actor=SYSTEM, now=NOON)
    react()
    assert values(row) == {ann: 3}
    merges.undo(record.pk, actor=SYSTEM, now=NOON)
    react()
    assert values(row) == {ann: 1, bea: 2}


@pytest.mark.django_db
def test_nothing_stays_of_an_erased_person() -> None:
    ann, bea = happen("ann", ORDER), happen("bea", ORDER)
    row = trait()
    Profile.objects.filter(pk=ann).update(erased_at=NOON)
    reactions.publish("crm.profile.erased", [ann], now=NOON)
    react()
    assert values(row) == {bea: 1}
    happened = computing.refresh(reads.followed()[0], roots=[ann], now=NOON)
    assert (happened, values(row)) == (0, {bea: 1})


@pytest.mark.django_db
def test_a_window_moves_on_and_only_those_it_leaves_are_looked_at() -> None:
    ann, bea, cid = (
        happen("ann", ORDER, days=6.5),
        happen("bea", ORDER, days=2),
        happen("cid", ORDER, days=6.9),
    )
    happen("ann", ORDER, days=1)
    row = trait(within_days=7)
    assert values(row) == {ann: 2, bea: 1, cid: 1}
    assert computing.move_windows(now=NOON) == 0
    assert computing.move_windows(now=NOON + timedelta(days=1)) == 2
    assert values(row) == {ann: 1, bea: 1}
    assert computing.move_windows(now=NOON + timedelta(days=1)) == 0


@pytest.mark.django_db
def test_sums_never_mix_currencies() -> None:
    ann = happen("ann", ORDER, {"revenue": "10.005", "currency": "CNY"})
    happen("ann", ORDER, {"revenue": 90, "currency": "USD"})
    happen("ann", ORDER, {"revenue": 5})  # no currency: the organisation's
    happen("ann", ORDER, {"revenue": "a lot", "currency": "CNY"})
    yuan = trait("yuan", function="sum", property="revenue", type="money", currency="CNY")
    dollars = trait("dollars", function="sum", property="revenue", type="money", currency="USD")
    assert values(yuan) == {ann: 1501}
    assert values(dollars) == {ann: 9000}
    assert [value.shown for value in reads.values_of([ann])] == ["90.00 USD", "15.01 CNY"]


@pytest.mark.django_db
def test_an_edit_is_a_version_and_begins_a_pass() -> None:
    ann = happen("ann", ORDER, {"category": "tea"})
    happen("ann", ORDER, {"category": "cup"})
    row = trait()
    tea = {
        "kind": ORDER,
        "function": "count",
        "where": [{"property": "category", "op": "eq", "value": "tea"}],
    }
    row = computed.revise(row.pk, definition=tea, actor=SYSTEM, now=NOON)
    assert (row.version, ComputedTraitVersion.objects.filter(trait=row).count()) == (2, 2)
    assert values(row) == {ann: 2}
    work()
    assert values(row) == {ann: 1}
    same = computed.revise(row.pk, definition=tea, actor=SYSTEM, now=NOON)
    assert same.version == 2
    assert ComputedRun.objects.count() == 2


@pytest.mark.django_db
def test_pausing_keeps_values_and_archiving_removes_them() -> None:
    ann = happen("ann", ORDER)
    row = trait()
    computed.pause(row.pk, actor=SYSTEM, now=NOON)
    happen("ann", ORDER)
    react()
    assert values(row) == {ann: 1}
    computed.activate(row.pk, actor=SYSTEM, now=NOON)
    work()
    assert values(row) == {ann: 2}
    computed.archive(row.pk, actor=SYSTEM, now=NOON)
    assert ComputedRun.objects.filter(purpose=RunPurpose.CLEAR).count() == 1
    work()
    assert not ComputedValue.objects.exists()
    with pytest.raises(Conflict) as refusal:
        computed.activate(row.pk, actor=SYSTEM, now=NOON)
    assert refusal.value.code == "wrong_state"


@pytest.mark.django_db
def test_a_pass_is_cancelled_between_two_steps_and_the_trait_is_paused() -> None:
    for name in ("ann", "bea", "cid"):
        happen(name, ORDER)
    knobs.set("crm.computed_chunk_people", 1, actor=SYSTEM, now=NOON)
    row = trait(active=False)
    computed.activate(row.pk, actor=SYSTEM, now=NOON)
    steps = iter([False, False, True])
    assert passes.work(now=lambda: NOON, until=lambda: next(steps)) == 1
    assert len(values(row)) == 1
    stopped = computed.cancel(row.pk, actor=SYSTEM, now=NOON)
    assert (stopped.status, ComputedRun.objects.get().status) == ("paused", "cancelled")
    assert work() == 0
    assert len(values(row)) == 1
    with pytest.raises(Conflict):
        computed.cancel(row.pk, actor=SYSTEM, now=NOON)


@pytest.mark.django_db
def test_a_killed_worker_is_followed_by_another_that_goes_on_where_it_was() -> None:
    people = [happen(name, ORDER) for name in ("ann", "bea", "cid", "dan")]
    knobs.set("crm.computed_chunk_people", 1, actor=SYSTEM, now=NOON)
    row = trait(active=False)
    computed.activate(row.pk, actor=SYSTEM, now=NOON)
    claimed = passes._claim(now=NOON)
    assert claimed is not None
    assert passes._chunk(*claimed, now=NOON) is False
    # The worker dies here: its lease stands, then runs out.
    assert passes.sweep(now=NOON) is False
    assert work(NOON) == 0
    later = NOON + passes.LEASE + timedelta(seconds=1)
    assert passes.sweep(now=later) is True
    assert work(later) == 3
    assert values(row) == dict.fromkeys(people, 1)
    # The first one comes back to life: it holds nothing any more.
    assert passes._chunk(*claimed, now=later) is True


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("data", "place"),
    [
        ({"function": "count"}, "kind"),
        ({"kind": ORDER, "function": "median"}, "function"),
        ({"kind": ORDER, "function": "sum"}, "property"),
        ({"kind": ORDER, "function": "sum", "property": "revenue", "type": "text"}, "type"),
        ({"kind": ORDER, "function": "sum", "property": "revenue", "type": "money"}, "currency"),
        ({"kind": ORDER, "function": "sum", "property": "revenue", "currency": "CNY"}, "currency"),
        ({"kind": ORDER, "function": "count", "within_days": 0}, "within_days"),
        ({"kind": ORDER, "function": "count", "between": ["2026-02-01", "2026-01-01"]}, "between[1]"),
        (
            {"kind": ORDER, "function": "count", "where": [{"property": "a", "op": "like", "value": 1}]},
            "where[0].op",
        ),
        ({"kind": ORDER, "function": "unique_list", "property": "a", "type": "list", "limit": 1000}, "limit"),
        ({"kind": ORDER, "function": "count", "sql": "1"}, "sql"),
    ],
)
def test_a_wrong_definition_is_refused_at_its_place(data: dict[str, Any], place: str) -> None:
    with pytest.raises(Invalid) as refusal:
        computed.create(key="x", name="X", definition=data, actor=SYSTEM, now=NOON)
    assert refusal.value.field == place
    assert not ComputedTrait.objects.exists()


@pytest.mark.django_db
def test_keys_and_names_are_their_own() -> None:
    trait(active=False)
    good = {"kind": ORDER, "function": "count"}
    for key, name, code in (
        ("Tea", "Tea", "invalid_key"),
        ("tea_orders", "Other", "key_taken"),
        ("other", "tea  orders", "name_taken"),
        ("other", " ", "invalid_name"),
    ):
        with pytest.raises((Invalid, Conflict)) as refusal, transaction.atomic():
            computed.create(key=key, name=name, definition=good, actor=SYSTEM, now=NOON)
        assert refusal.value.code == code
    assert ComputedTrait.objects.count() == 1


@pytest.mark.django_db
def test_as_many_are_active_as_the_knob_says() -> None:
    knobs.set("crm.computed_most", 1, actor=SYSTEM, now=NOON)
    trait()
    second = trait("second", active=False)
    with pytest.raises(Conflict) as refusal:
        computed.activate(second.pk, actor=SYSTEM, now=NOON)
    assert refusal.value.code == "too_many"
    assert ComputedRun.objects.filter(trait=second).count() == 0


@pytest.mark.django_db(transaction=True)
def test_two_writers_of_one_value_take_turns() -> None:
    """The first one has read and not committed; an event comes; the second one waits, and then sees it."""
    partitions.ensure({(2026, 5), (2026, 6)})
    ann = happen("ann", ORDER)
    row = trait()
    one = reads.by_id(row.pk)
    assert one is not None
    ComputedValue.objects.all().delete()

    def second() -> int:
        try:
            return computing.refresh(one, roots=[ann], now=NOON)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            computing.refresh(one, roots=[ann], now=NOON)
            other = pool.submit(_record_elsewhere)
            other.result(30)
            waiting = pool.submit(second)
            _until_somebody_waits()
        assert waiting.result(30) == 1
    assert values(row) == {ann: 2}


def _record_elsewhere() -> None:
    try:
        happen("ann", ORDER, days=2)
    finally:
        connection.close()


def _until_somebody_waits() -> None:
    for _attempt in range(500):
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            if cursor.fetchone()[0]:
                return
            cursor.execute("SELECT pg_sleep(0.02)")
    raise AssertionError("nobody waits")


@pytest.mark.django_db(transaction=True)
def test_many_events_at_once_end_in_the_right_numbers() -> None:
    partitions.ensure({(2026, 5), (2026, 6)})
    people = [happen(name, ORDER) for name in ("ann", "bea", "cid")]
    row = trait()

    def writer(number: int) -> None:
        try:
            for round_number in range(5):
                happen(("ann", "bea", "cid")[(number + round_number) % 3], ORDER, days=3)
                react()
        finally:
            connection.close()

    jobs: list[Callable[[], None]] = [lambda n=n: writer(n) for n in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(job) for job in jobs]:
            future.result(60)
    react()
    found = values(row)
    assert sum(found.values()) == 3 + 20
    assert sorted(found) == sorted(people)
    one = reads.by_id(row.pk)
    assert one is not None
    assert found == {
        pk: int(held) for pk, held in reads.compute(one.definition, roots=people, now=NOON).items()
    }
