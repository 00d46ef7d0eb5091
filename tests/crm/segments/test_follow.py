"""Segments follow what happens: events, values, consent, merges, erasure, and each other."""

from __future__ import annotations

from datetime import timedelta

import pytest

from crm.models import Profile, Segment, SegmentMembership, SegmentSize, Touchpoint
from crm.services import consents, erasure, merges, profiles, segments, suppressions
from crm.states import SegmentStatus
from tests.crm.segments.conftest import ACTOR, DAY, NOON, happened, people, person, react, run_passes

pytestmark = pytest.mark.django_db

BUYERS = {"touchpoint": "Order Completed", "within_days": 90}


def active(name: str, rule: object, **options: object) -> Segment:
    row = segments.create(name, rule=rule, actor=ACTOR, now=NOON)  # type: ignore[arg-type]
    segments.activate(row.pk, actor=ACTOR, now=NOON, **options)  # type: ignore[arg-type]
    run_passes()
    row.refresh_from_db()
    return row


def told(profile_id: int) -> list[tuple[str, str]]:
    rows = Touchpoint.objects.filter(
        profile_id=profile_id, occurred_at__gte=NOON - DAY, kind__startswith="crm.segment."
    ).order_by("occurred_at", "id")
    return [(row.kind, row.properties["segment"]) for row in rows]


def test_activating_fills_without_a_word_and_events_are_followed() -> None:
    early, late = person(), person()
    happened(early, "Order Completed", NOON - 10 * DAY)
    row = active("Buyers", BUYERS)
    assert people(row) == {early}
    assert (row.size, row.status, row.last_verified_at) == (1, SegmentStatus.ACTIVE, NOON)
    assert told(early) == []
    assert SegmentMembership.objects.get(segment_id=row.pk).is_initial

    happened(late, "Order Completed")
    happened(late, "Product Viewed")
    assert react() == 1
    assert people(row) == {early, late}
    assert told(late) == [("crm.segment.entered", "buyers")]
    row.refresh_from_db()
    assert row.size == 2
    day = SegmentSize.objects.get(segment=row)
    assert (day.size, day.entered, day.left) == (2, 2, 0)


def test_announced_activation_tells_everybody() -> None:
    early = person()
    happened(early, "Order Completed", NOON - 10 * DAY)
    active("Buyers", BUYERS, announce=True)
    assert told(early) == [("crm.segment.entered", "buyers")]


def test_a_condition_that_no_longer_holds() -> None:
    someone = person()
    happened(someone, "Order Completed", NOON - DAY)
    row = active("Silent", {"all": [BUYERS, {"not": {"touchpoint": "Complaint"}}]})
    assert people(row) == {someone}
    happened(someone, "Complaint")
    react()
    assert people(row) == set()
    assert told(someone) == [("crm.segment.left", "silent")]


def test_values_of_the_profile_are_followed() -> None:
    row = active("In China", {"fact": "profile.country", "op": "eq", "value": "CN"})
    someone = profiles.resolve([("user_id", "u1")], trust="server", actor=ACTOR, now=NOON)
    react()
    assert people(row) == set()
    profiles.update(someone, values={"country": "CN"}, actor=ACTOR, now=NOON)
    react()
    assert people(row) == {someone}
    profiles.update(someone, values={"country": "SG"}, actor=ACTOR, now=NOON + timedelta(seconds=1))
    react()
    assert people(row) == set()


def test_newcomers_match_what_did_not_happen() -> None:
    row = active("Never bought", {"not": BUYERS})
    someone = profiles.resolve([("user_id", "u1")], trust="server", actor=ACTOR, now=NOON)
    react()
    assert people(row) == {someone}


def test_consent_and_suppression_are_followed() -> None:
    row = active("May be written to", {"consent": {"purpose": "marketing", "channel": "email"}})
    someone = profiles.resolve(
        [("email", "ann@example.com")],
        trust="server",
        actor=ACTOR,
        now=NOON,
        names={"email": "ann@example.com"},
    )
    consents.record(
        someone, purpose="marketing", channel="email", granted=True, way="form", text_version="1", evidence={},
        actor=ACTOR, now=NOON,
    )  # fmt: skip
    react()
    assert people(row) == {someone}
    suppressions.add("email", "ann@example.com", purpose="", reason="bounced", actor=ACTOR, now=NOON)
    react()
    assert people(row) == set()


def test_merges_carry_membership_to_the_root() -> None:
    winner, loser = person(), person()
    happened(loser, "Order Completed", NOON - DAY)
    row = active("Buyers", BUYERS)
    assert people(row) == {loser}
    record = merges.merge(winner, loser, actor=ACTOR, now=NOON)
    react()
    assert people(row) == {winner}
    assert told(winner) == []
    merges.undo(record.pk, actor=ACTOR, now=NOON + timedelta(minutes=1))
    react()
    assert people(row) == {loser}


def test_static_lists_follow_merges_and_erasure() -> None:
    winner, loser, gone = person(), person(), person()
    row = segments.create("Guests", actor=ACTOR, now=NOON)
    listed = segments.add_members(row.pk, profile_ids=[loser, gone, 10**9], actor=ACTOR, now=NOON)
    assert (listed.changed, listed.unchanged, listed.unmatched) == (2, 0, [str(10**9)])
    assert told(loser) == [("crm.segment.entered", "guests")]
    merges.merge(winner, loser, actor=ACTOR, now=NOON)
    erasure.erase(gone, actor=ACTOR, now=NOON)
    react()
    assert people(row) == {winner}
    row.refresh_from_db()
    assert row.size == 1


def test_segments_of_segments_follow_in_one_go() -> None:
    someone = person(country="CN")
    buyers = active("Buyers", BUYERS)
    active("Chinese buyers", {"all": [{"segment": "buyers"}, {"fact": "profile.country", "value": "CN"}]})
    outside = active("No buyers", {"segment": "buyers", "member": False})
    assert people(outside) == {someone}
    happened(someone, "Order Completed")
    react()
    assert people(buyers) == {someone}
    assert people(Segment.objects.get(key="chinese-buyers")) == {someone}
    assert people(outside) == set()
    assert sorted(told(someone)) == [
        ("crm.segment.entered", "buyers"),
        ("crm.segment.entered", "chinese-buyers"),
        ("crm.segment.left", "no-buyers"),
    ]


def test_time_alone_is_healed_by_the_nightly_pass() -> None:
    from crm.services import segment_passes

    someone = person()
    happened(someone, "Order Completed", NOON - 89 * DAY)
    row = active("Buyers", BUYERS)
    stranger = person()
    SegmentMembership.objects.create(segment_id=row.pk, profile_id=stranger, entered_at=NOON)
    later = NOON + 2 * DAY
    assert segment_passes.nightly(now=later) == 1
    assert segment_passes.nightly(now=later) == 0
    run_passes(later)
    assert people(row) == set()
    row.refresh_from_db()
    assert (row.size, row.last_verified_at) == (0, later)
    run = row.runs.order_by("-id").first()
    assert run is not None
    assert (run.status, run.total, run.done, run.entered, run.left) == ("done", 2, 2, 0, 2)
    assert Profile.objects.count() == 2
