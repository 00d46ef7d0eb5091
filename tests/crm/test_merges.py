"""Merging people and taking them apart again, exactly."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from crm.kernel.errors import Conflict, Invalid, NotFound
from crm.models import ContactPoint, Identity, MergeRecord, Profile, Suppression, Touchpoint
from crm.selectors import consents as consent_selectors
from crm.selectors import profiles as profile_selectors
from crm.selectors import timeline
from crm.services import consents, contacts, erasure, merges, profiles, sources, touchpoints
from tests.crm.conftest import NOON, SYSTEM, ref

pytestmark = pytest.mark.django_db


def person(user_id: str, **names: Any) -> int:
    return profiles.resolve(
        [("email", f"{user_id}@example.com")], trust="server", actor=SYSTEM, now=NOON, names=names
    )


def snapshot() -> list[tuple[Any, ...]]:
    """Everything a merge may touch, of every profile."""
    return list(
        Profile.objects.order_by("pk").values_list(
            "pk", "merged_into_id", "display_name", "language", "time_zone", "birthday", "traits", "value_sources",
            "name_sort", "search_tokens", "first_seen_at", "last_seen_at",
        )
    )  # fmt: skip


def merge(winner: int, loser: int, **more: Any) -> MergeRecord:
    return merges.merge(winner, loser, actor=SYSTEM, now=NOON, **more)


def undo(record: MergeRecord) -> None:
    merges.undo(record.pk, actor=SYSTEM, now=NOON)


def test_a_merge_moves_a_pointer_and_fills_blanks() -> None:
    one = person("one", name="Ann Example", plan="gold")
    two = person("two", name="Ann B.", language="zh", birthday="1990-02-28", plan="tin", shoe=38)
    record = merge(one, two)
    assert profile_selectors.roots([one, two]) == {one: one, two: one}
    row = Profile.objects.get(pk=one)
    assert (row.display_name, row.language, str(row.birthday)) == ("Ann Example", "zh-hans", "1990-02-28")
    assert row.traits == {"plan": "gold", "shoe": 38}
    assert set(record.changes) == {"language", "birthday", "traits.shoe", "seen"}
    assert Identity.objects.filter(profile_id=two).count() == 1
    told = Touchpoint.objects.get(kind="crm.profile.merged")
    assert (told.profile_id, told.properties) == (one, {"winner": one, "loser": two, "merge_id": record.pk})


def test_undo_is_exact() -> None:
    one, two = person("one", name="Ann"), person("two", language="en", shoe=38)
    before = snapshot()
    record = merge(one, two)
    assert snapshot() != before
    undo(record)
    assert snapshot() == before
    with pytest.raises(Conflict) as refusal:
        undo(record)
    assert refusal.value.code == "already_undone"
    assert snapshot() == before


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_undo_in_any_order(order: tuple[int, int]) -> None:
    one, two, three = person("one", language="en"), person("two", shoe=38), person("three", name="Cid")
    before = snapshot()
    records = [merge(two, one), merge(three, two)]
    assert profile_selectors.id_sets([three]) == {three: [one, two, three]}
    for place in order:
        undo(records[place])
    assert snapshot() == before


def test_undoing_the_lower_merge_leaves_the_upper_one() -> None:
    one, two, three = person("one", language="en"), person("two", shoe=38), person("three", name="Cid")
    lower = merge(two, one)
    merge(three, two)
    undo(lower)
    assert profile_selectors.roots([one, two, three]) == {one: one, two: three, three: three}
    row = Profile.objects.get(pk=three)
    assert (row.language, row.traits) == ("", {"shoe": 38})


def test_a_choice_takes_the_losers_value_and_undo_gives_it_back() -> None:
    one, two = person("one", name="Ann"), person("two", name="Ann Example")
    before = snapshot()
    record = merge(one, two, choices={"display_name": "loser"})
    assert Profile.objects.get(pk=one).display_name == "Ann Example"
    undo(record)
    assert snapshot() == before


def test_a_value_set_after_the_merge_survives_the_undo() -> None:
    one, two = person("one"), person("two", language="en")
    record = merge(one, two)
    profiles.update(one, values={"language": "zh-hans"}, actor=SYSTEM, now=NOON)
    undo(record)
    assert Profile.objects.get(pk=one).language == "zh-hans"


def test_a_trait_may_be_chosen_too() -> None:
    one, two = person("one", plan="gold", shoe=38), person("two", plan="tin", shoe=40)
    before = snapshot()
    record = merge(one, two, choices={"traits.plan": "loser", "traits.shoe": "winner"})
    assert Profile.objects.get(pk=one).traits == {"plan": "tin", "shoe": 38}
    undo(record)
    assert snapshot() == before


def test_each_takes_along_what_it_saw_since() -> None:
    one, two = person("one"), person("two")
    record = merge(one, two)
    source = sources.create("Shop", trust="server", actor=SYSTEM, now=NOON)
    later, latest = NOON + timedelta(hours=5), NOON + timedelta(hours=9)
    for user, moment in (("one", later), ("two", latest)):
        touchpoints.record(
            [touchpoints.Event("page", moment, user, identifiers=[("email", f"{user}@example.com")])],
            source=ref(source), actor=SYSTEM, now=latest,
        )  # fmt: skip
    assert Profile.objects.get(pk=one).last_seen_at == latest
    undo(record)
    assert dict(Profile.objects.values_list("pk", "last_seen_at")) == {one: later, two: latest}
    assert set(Profile.objects.values_list("first_seen_at", flat=True)) == {NOON}


def test_what_is_refused_writes_nothing() -> None:
    one, two, three = person("one"), person("two"), person("three")
    merge(one, two)
    erasure.erase(three, actor=SYSTEM, now=NOON)
    before, records = snapshot(), MergeRecord.objects.count()
    for winner, loser, error, code in (
        (one, one, Conflict, "same_person"),
        (one, two, Conflict, "same_person"),
        (two, one, Conflict, "same_person"),
        (one, three, Conflict, "erased"),
        (three, one, Conflict, "erased"),
        (one, 10**9, NotFound, "not_found"),
    ):
        with pytest.raises(error) as refusal:
            merge(winner, loser)
        assert refusal.value.code == code
    with pytest.raises(Invalid):
        merge(one, person("four"), choices={"traits": "loser"})
    assert MergeRecord.objects.count() == records
    assert snapshot()[: len(before)] == before


def test_preview_changes_nothing() -> None:
    one, two = person("one", name="Ann"), person("two", name="B", language="en")
    before = snapshot()
    choices = {row.name: row.choice for row in merges.preview(one, two)}
    assert (choices["display_name"], choices["language"], choices["region"]) == ("winner", "loser", "winner")
    assert snapshot() == before
    assert not MergeRecord.objects.exists()


def test_the_most_restrictive_consent_wins_and_comes_back_on_undo() -> None:
    one, two = person("one"), person("two")

    def decide(profile_id: int, *, granted: bool) -> None:
        consents.record(
            profile_id, purpose="marketing", channel="email", granted=granted, way="form", text_version="1",
            evidence={}, actor=SYSTEM, now=NOON,
        )  # fmt: skip

    def allowed(*ids: int) -> dict[int, bool]:
        return consent_selectors.allowed(ids, purpose="marketing", channel="email")

    decide(one, granted=True)
    assert allowed(one, two) == {one: True, two: False}
    decide(two, granted=False)
    record = merge(one, two)
    assert allowed(one) == {one: False}
    undo(record)
    assert allowed(one, two) == {one: True, two: False}


def test_one_timeline_over_all_ids() -> None:
    one, two = person("one"), person("two")
    merge(one, two)
    ids = profile_selectors.ids_of(two)
    assert ids == [one, two]
    assert [item.kind for item in timeline.page(ids, now=NOON)] == ["crm.profile.merged"]


def test_erasure_leaves_a_tombstone_and_silence() -> None:
    one = person("one", name="Ann", shoe=38)
    two = person("two", name="Bob")
    contacts.add(one, channel="sms", value="+8613800138000", origin="staff", actor=SYSTEM, now=NOON)
    merge(one, two)
    assert erasure.erase(two, actor=SYSTEM, now=NOON) == one
    rows = list(
        Profile.objects.order_by("pk").values_list("display_name", "traits", "search_tokens", "erased_at")
    )
    assert rows == [("", {}, [], NOON), ("", {}, [], NOON)]
    assert not Identity.objects.exists()
    assert not ContactPoint.objects.exists()
    assert not Touchpoint.objects.exclude(properties={}).exists()
    assert sorted(Suppression.objects.values_list("channel", "reason")) == [("email", "erased")] * 2 + [
        ("sms", "erased")
    ]
    # The address comes back with somebody new: they are not written to.
    again = person("one")
    contacts.add(again, channel="email", value="One@example.com", origin="server", actor=SYSTEM, now=NOON)
    assert again not in (one, two)
    assert consent_selectors.allowed([again], purpose="service", channel="email") == {again: False}
    assert erasure.erase(one, actor=SYSTEM, now=NOON) == one
