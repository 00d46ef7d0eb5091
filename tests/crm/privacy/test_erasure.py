"""Who may have somebody erased, when it is in force, what stays, and how it goes on after a crash."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from crm import privacy_registry
from crm.kernel import actors, jobs
from crm.kernel.errors import Conflict, Gone, NotFound, Refused
from crm.kernel.models import ActionLog
from crm.models import ContactPoint, Erasure, Identity, Profile, Suppression, Touchpoint
from crm.selectors import privacy as reads
from crm.selectors import profiles as people
from crm.services import contacts, corrections, erasure, merges, profiles, touchpoints
from tests.crm.conftest import NOON, SYSTEM

pytestmark = pytest.mark.django_db
ANNA, BEN = actors.Actor("staff", "1"), actors.Actor("staff", "2")
Person = Callable[..., int]


def history(profile_id: int, number: int) -> None:
    events = [
        touchpoints.Event(
            kind="Product Viewed", occurred_at=NOON, message_id=f"{profile_id}-{n}", profile_id=profile_id,
            properties={"name": "Lamp"},
        )
        for n in range(number)
    ]  # fmt: skip
    touchpoints.record(events, source=None, actor=SYSTEM, now=NOON)


def test_two_people_are_needed(person: Person) -> None:
    one = person()
    row = erasure.request(one, actor=ANNA, needs_approval=True, now=NOON)
    assert (row.status, row.due_at) == ("requested", None)
    assert erasure.work(now=NOON + timedelta(days=90)) == 0
    with pytest.raises(Refused) as refused:
        erasure.approve(row.pk, actor=ANNA, now=NOON)
    assert refused.value.code == "four_eyes"
    assert Identity.objects.filter(profile_id=one).exists()
    erasure.approve(row.pk, actor=BEN, now=NOON)
    assert erasure.work(now=NOON) == 1
    row.refresh_from_db()
    assert (row.status, row.requested_by, row.approved_by) == ("done", "staff:1", "staff:2")
    with pytest.raises(Conflict):
        erasure.approve(row.pk, actor=BEN, now=NOON)
    with pytest.raises(Conflict):
        erasure.cancel(row.pk, actor=BEN, now=NOON)


def test_asking_twice_is_asking_once(person: Person) -> None:
    one, two = person(), person()
    first = erasure.request(one, actor=ANNA, needs_approval=True, now=NOON)
    merges.merge(two, one, actor=SYSTEM, now=NOON)
    assert erasure.request(two, actor=BEN, needs_approval=True, now=NOON) == first
    with pytest.raises(NotFound):
        erasure.request(987_654, actor=ANNA, needs_approval=True, now=NOON)


def test_it_is_in_force_at_once_and_goes_on_after_a_crash(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = person(name="Lin Xia")
    history(one, 7)
    monkeypatch.setattr(erasure, "BATCH", 3)
    row = erasure.start(one, actor=ANNA, now=NOON)
    assert row.status == "running"
    assert not Identity.objects.filter(profile_id=one).exists()
    assert not ContactPoint.objects.filter(profile_id=one).exists()
    assert Profile.objects.get(pk=one).display_name == ""
    monkeypatch.setattr(jobs, "is_stopping", lambda: True)
    erasure.finish(row.pk, now=NOON)
    row.refresh_from_db()
    assert row.status == "running" and 0 < row.steps["crm.touchpoints"] < 8
    monkeypatch.setattr(jobs, "is_stopping", lambda: False)
    assert erasure.work(now=NOON) == 1
    row.refresh_from_db()
    assert (row.status, row.steps["crm.touchpoints"]) == ("done", 7)
    assert set(Touchpoint.objects.filter(profile_id=one).values_list("kind", flat=True)) == {"Product Viewed"}
    assert erasure.finish(row.pk, now=NOON).certificate_hash == row.certificate_hash


def test_merged_people_go_wholly_and_cannot_come_apart_with_anything(person: Person) -> None:
    one, two = person(name="Lin Xia"), person(name="Xia Lin", email="two@example.com")
    merged = merges.merge(one, two, choices={"display_name": "loser"}, actor=SYSTEM, now=NOON)
    erasure.erase(two, actor=ANNA, now=NOON)
    merges.undo(merged.pk, actor=SYSTEM, now=NOON)
    for row in Profile.objects.filter(pk__in=[one, two]):
        assert (row.display_name, row.traits, row.erased_at) == ("", {}, NOON)
    assert Suppression.objects.filter(reason="erased").count() == 2
    with pytest.raises(Gone):
        corrections.correct(one, values={"region": "X"}, reason="document", actor=ANNA, now=NOON)


def test_a_family_with_one_address_keeps_its_others(person: Person) -> None:
    one, two = person(email="family@example.com"), person(email="family@example.com", name="Other Person")
    nobody = profiles.resolve([("anonymous_id", "form-1")], trust="browser", actor=SYSTEM, now=NOON)
    contacts.add(nobody, channel="email", value="family@example.com", origin="form", actor=SYSTEM, now=NOON)
    erasure.erase(one, actor=ANNA, now=NOON)
    assert Profile.objects.get(pk=two).display_name == "Other Person"
    assert Profile.objects.get(pk=nobody).erased_at == NOON
    assert Erasure.objects.get(profile_id=one).steps["crm.shadows"] == 1
    assert set(Erasure.objects.values_list("status", flat=True)) == {"done"}


def test_what_arrives_too_late_goes_too(person: Person) -> None:
    one = person()
    erasure.erase(one, actor=ANNA, now=NOON)
    history(one, 2)
    assert erasure.look_again(now=NOON + timedelta(hours=1)) == 2
    assert not Touchpoint.objects.filter(profile_id=one).exclude(properties={}).exists()
    assert erasure.look_again(now=NOON + timedelta(hours=2)) == 0


def test_the_preview_counts_and_changes_nothing(person: Person) -> None:
    one = person()
    history(one, 3)
    lines = {line.name: line.rows for line in reads.preview([one])}
    assert (lines["crm.touchpoints"], lines["contacts"], lines["identities"]) == (3, 1, 1)
    assert not Erasure.objects.exists() and Identity.objects.filter(profile_id=one).exists()


def test_what_stays_is_said_for_every_app() -> None:
    kept = privacy_registry.kept_things()
    assert {"crm.tombstone", "lifecycle.decisions", "voc.tickets", "members.ledger"} <= set(kept)


# -- corrections


def test_the_log_keeps_which_and_why_but_not_what(person: Person) -> None:
    one = person(name="Lin Xai")
    changed = corrections.correct(
        one, values={"display_name": "Lin Xia", "country": "CN"}, reason="typing_error", actor=ANNA, now=NOON
    )
    assert changed == {"display_name", "country"}
    entry = ActionLog.objects.get(action="crm.profile.corrected")
    assert entry.fields == ["country", "display_name", "reason:typing_error"]
    assert people.cards([one])[one].name == "Lin Xia"
    # A shop does not take it back, whatever it sends later.
    later = NOON + timedelta(days=1)
    profiles.update(one, values={"name": "Lin Xai"}, actor=SYSTEM, now=later, trust="server")
    assert people.cards([one])[one].name == "Lin Xia"
