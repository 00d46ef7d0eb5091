"""Passes: what a rule said of everybody is worked off, and whatever happened since wins."""

from __future__ import annotations

import pytest

from crm.models import SegmentDifference, SegmentMembership, SegmentRun, Touchpoint
from crm.services import erasure, merges, segment_members, segment_passes, segments
from crm.states import RunStatus
from tests.crm.segments.conftest import ACTOR, DAY, NOON, happened, people, person, react, run_passes
from tests.crm.segments.test_follow import active, told

pytestmark = pytest.mark.django_db

CONTENT = {
    "all": [
        {"touchpoint": "Order Completed", "within_days": 90},
        {"not": {"touchpoint": "Order Refunded", "within_days": 90}},
    ]
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The people about whom a rule was asked again, one by one."""
    found: list[int] = []
    answer = segment_members.answer

    def remember(one: object, *, roots: list[int], **rest: object) -> set[int]:
        found.extend(roots)
        return answer(one, roots=roots, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(segment_members, "answer", remember)
    return found


def test_what_happens_during_a_pass_wins(asked: list[int]) -> None:
    plain, refunded, late, loser, winner, gone = (person() for _ in range(6))
    for buyer in (plain, refunded, loser, gone):
        happened(buyer, "Order Completed", NOON - DAY)
    row = segments.create("Content", rule=CONTENT, actor=ACTOR, now=NOON)
    segments.activate(row.pk, actor=ACTOR, now=NOON)
    SegmentRun.objects.update(run_at=NOON - DAY)
    assert segment_passes.work(now=NOON)
    assert set(SegmentDifference.objects.values_list("profile_id", flat=True)) == {
        *(plain, refunded, loser, gone)
    }

    happened(refunded, "Order Refunded")
    happened(late, "Order Completed")
    react()
    assert people(row) == {late}
    merges.merge(winner, loser, actor=ACTOR, now=NOON)
    erasure.start(gone, actor=ACTOR, now=NOON)
    asked.clear()
    run_passes()

    assert plain not in asked, "nobody has looked at them since the pass asked about everybody"
    assert refunded in asked
    assert people(row) == {plain, late, winner}
    react()
    assert people(row) == {plain, late, winner}
    assert not SegmentDifference.objects.exists(), "marks go with the pass"
    row.refresh_from_db()
    assert row.size == 3
    run = SegmentRun.objects.get()
    assert (run.status, run.total, run.done) == (RunStatus.DONE, 4, 4)


def test_whoever_left_by_time_is_told_and_those_who_ask_follow(asked: list[int]) -> None:
    one, other = person(), person()
    happened(one, "Order Completed", NOON - 80 * DAY)
    happened(other, "Order Completed", NOON - DAY)
    buyers = active("Buyers", {"touchpoint": "Order Completed", "within_days": 90})
    active("Their friends", {"segment": "buyers", "member": True})
    later = NOON + 30 * DAY
    assert segment_passes.request_all(now=later) == 2
    asked.clear()
    run_passes(later)
    assert people(buyers) == {other}
    assert asked == [one], "only the segment that asks about the other is asked, for those who left"
    assert SegmentMembership.objects.count() == 2
    assert told_later(one) == {("crm.segment.left", "buyers"), ("crm.segment.left", "their-friends")}
    assert told(other) == []


def told_later(profile_id: int) -> set[tuple[str, str]]:
    rows = Touchpoint.objects.filter(
        profile_id=profile_id, occurred_at__gte=NOON + DAY, kind__startswith="crm.segment."
    )
    return {(row.kind, row.properties["segment"]) for row in rows}


def test_a_second_pass_finds_nothing_to_do() -> None:
    buyer = person()
    happened(buyer, "Order Completed", NOON - DAY)
    row = active("Buyers", {"touchpoint": "Order Completed", "within_days": 90})
    segment_passes.ask(row.pk, actor=ACTOR, now=NOON)
    run_passes()
    newest = SegmentRun.objects.order_by("-pk").first()
    assert newest is not None
    assert (newest.status, newest.total, newest.entered, newest.left) == (RunStatus.DONE, 0, 0, 0)
    assert people(row) == {buyer}
