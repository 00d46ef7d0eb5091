"""Telling: each follower once per fix, whatever was merged, rerun, killed or withdrawn meanwhile."""

from datetime import timedelta

import pytest
from django.db import connection

from crm.kernel.errors import Conflict, Invalid
from crm.models import Touchpoint
from crm.services import merges
from lifecycle.models import OutboundMessage
from tests.voc import build
from tests.voc.build import AGENT, NOW
from voc.models import FixNotice, Release, ReleaseEvent, Ticket
from voc.selectors import progress
from voc.services import releases, telling, ticket_merges, tickets

pytestmark = pytest.mark.django_db


def test_shipping_resolves_the_tickets_and_claims_each_follower() -> None:
    ann, bo = build.person("Ann", email="ann@example.com"), build.person("Bo", email="bo@example.com")
    row = build.ticket("Fixed", ann, bo)
    release = build.shipped("Spring", row)
    row.refresh_from_db()
    assert (row.status, row.closed_at, release.status) == ("resolved", NOW, "shipped")
    result = build.tell(release)
    assert (result.people, result.notices, result.is_done) == (2, 2, True)
    assert build.told() == [(row.pk, ann, 1), (row.pk, bo, 1)]
    release.refresh_from_db()
    assert release.told_at == NOW


def test_one_message_names_all_tickets_of_one_person() -> None:
    ann = build.person("Ann", email="ann@example.com")
    first, second = build.ticket("First", ann), build.ticket("Second", ann)
    release = build.shipped("Both", first, second)
    build.tell(release)
    message = OutboundMessage.objects.get()
    assert (message.kind, message.subject_key, message.profile_id) == (
        "voc.fix_told",
        f"release:{release.pk}",
        ann,
    )
    assert [one["title"] for one in message.context["tickets"]] == ["First", "Second"]
    assert set(FixNotice.objects.values_list("message_id", flat=True)) == {message.pk}


def test_running_again_tells_nobody_again() -> None:
    ann = build.person("Ann")
    release = build.shipped("Once", build.ticket("One", ann))
    build.tell(release)
    Release.objects.filter(pk=release.pk).update(told_at=None)
    assert build.tell(release).people == 0
    assert OutboundMessage.objects.count() == 1


def test_small_batches_reach_everyone_once() -> None:
    people = [build.person(f"P{number}") for number in range(7)]
    row = build.ticket("Many", *people)
    release = build.shipped("Batches", row)
    result = telling.tell_followers(release.pk, now=NOW, batch=2)
    assert (result.people, result.is_done) == (7, True)
    assert build.told() == [(row.pk, one, 1) for one in sorted(people)]


def test_a_run_killed_in_the_middle_is_finished_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    people = [build.person(f"P{number}") for number in range(6)]
    release = build.shipped("Killed", build.ticket("Many", *people))
    real, calls = telling._record, []

    def dies_on_the_second_batch(*args: object, **kwargs: object) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(*args, **kwargs)

    monkeypatch.setattr(telling, "_record", dies_on_the_second_batch)
    with pytest.raises(KeyboardInterrupt):
        telling.tell_followers(release.pk, now=NOW, batch=2)
    assert FixNotice.objects.count() == OutboundMessage.objects.count() == 2
    assert telling.sweep(now=NOW) == [release.pk]
    assert telling.tell_followers(release.pk, now=NOW, batch=2).people == 4
    assert FixNotice.objects.count() == OutboundMessage.objects.count() == 6
    assert Touchpoint.objects.filter(kind="voc.fix.told").count() == 6
    assert telling.sweep(now=NOW) == []


def test_a_backport_tells_only_those_who_were_not_told() -> None:
    ann, bo = build.person("Ann"), build.person("Bo")
    row, other = build.ticket("Fix", ann), build.ticket("Other", bo)
    build.tell(build.shipped("2.0", row))
    backport = build.shipped("1.9.1", row, other)
    assert build.tell(backport).people == 1
    assert build.told(backport) == [(other.pk, bo, 1)]


def test_a_refixed_ticket_is_a_new_round() -> None:
    ann = build.person("Ann")
    row = build.ticket("Again", ann)
    build.tell(build.shipped("1", row))
    tickets.move(row.pk, to="reopened", actor=AGENT, now=NOW)
    again = build.shipped("2", row)
    assert build.tell(again).people == 1
    assert build.told() == [(row.pk, ann, 1), (row.pk, ann, 2)]
    assert OutboundMessage.objects.count() == 2


def test_a_late_follower_is_told_and_alone() -> None:
    ann, bo = build.person("Ann"), build.person("Bo")
    row = build.ticket("Late", ann)
    release = build.shipped("1", row)
    build.tell(release)
    assert telling.sweep(now=NOW) == []
    tickets.follow(row.pk, profile_id=bo, role="asked", actor=AGENT, now=NOW)
    assert telling.sweep(now=NOW) == [release.pk]
    assert build.tell(release).people == 1
    assert build.told() == [(row.pk, ann, 1), (row.pk, bo, 1)]


def test_following_a_second_ticket_of_a_release_later_names_that_one() -> None:
    ann = build.person("Ann")
    first, second = build.ticket("First", ann), build.ticket("Second")
    release = build.shipped("1", first, second)
    build.tell(release)
    tickets.follow(second.pk, profile_id=ann, role="asked", actor=AGENT, now=NOW)
    build.tell(release)
    keys = OutboundMessage.objects.order_by("id").values_list("subject_key", flat=True)
    assert list(keys) == [f"release:{release.pk}", f"release:{release.pk}:{second.pk}-1"]
    assert [m["title"] for m in OutboundMessage.objects.order_by("id").last().context["tickets"]] == [
        "Second"
    ]


def test_somebody_who_left_is_not_told() -> None:
    ann = build.person("Ann")
    row = build.ticket("Left", ann)
    tickets.unfollow(row.pk, profile_id=ann, actor=AGENT, now=NOW)
    release = build.shipped("1", row)
    assert build.tell(release).people == 0


def test_merged_tickets_tell_their_common_follower_once() -> None:
    ann, bo = build.person("Ann"), build.person("Bo")
    kept, duplicate = build.ticket("Kept", ann), build.ticket("Duplicate", ann, bo)
    ticket_merges.merge(duplicate.pk, into=kept.pk, actor=AGENT, now=NOW)
    release = build.shipped("1", kept)
    build.tell(release)
    assert build.told() == [(kept.pk, ann, 1), (kept.pk, bo, 1)]


def test_a_merge_after_telling_respects_the_notices_of_both() -> None:
    ann, bo = build.person("Ann"), build.person("Bo")
    kept, duplicate = build.ticket("Kept", bo), build.ticket("Duplicate", ann)
    build.tell(build.shipped("1", duplicate))
    ticket_merges.merge(duplicate.pk, into=kept.pk, actor=AGENT, now=NOW)
    release = build.shipped("2", kept)
    build.tell(release)
    assert build.told(release) == [(kept.pk, bo, 1)]
    assert OutboundMessage.objects.count() == 2


def test_merging_into_a_shipped_ticket_tells_the_new_followers() -> None:
    ann, bo = build.person("Ann"), build.person("Bo")
    kept, duplicate = build.ticket("Kept", ann), build.ticket("Duplicate", bo)
    release = build.shipped("1", kept)
    build.tell(release)
    ticket_merges.merge(duplicate.pk, into=kept.pk, actor=AGENT, now=NOW)
    assert telling.sweep(now=NOW) == [release.pk]
    build.tell(release)
    assert build.told() == [(kept.pk, ann, 1), (kept.pk, bo, 1)]


def test_merged_people_are_told_once() -> None:
    ann, anna = build.person("Ann"), build.person("Anna")
    row = build.ticket("Fix", ann, anna)
    merges.merge(ann, anna, actor=AGENT, now=NOW)
    release = build.shipped("1", row)
    build.tell(release)
    assert build.told() == [(row.pk, ann, 1)]


def test_people_merged_after_telling_are_not_told_again() -> None:
    ann, anna = build.person("Ann"), build.person("Anna")
    row = build.ticket("Fix", anna)
    release = build.shipped("1", row)
    build.tell(release)
    merges.merge(ann, anna, actor=AGENT, now=NOW)
    tickets.follow(row.pk, profile_id=ann, role="asked", actor=AGENT, now=NOW)
    build.tell(release)
    assert build.told() == [(row.pk, anna, 1)]
    assert OutboundMessage.objects.count() == 1


def test_a_withdrawn_release_stops_telling_and_reopens() -> None:
    people = [build.person(f"P{number}") for number in range(4)]
    row = build.ticket("Broken", *people)
    release = build.shipped("1", row)
    telling._claim(release.pk, sorted(people)[:2], now=NOW)
    releases.withdraw(release.pk, reason="It broke something else", actor=AGENT, now=NOW)
    result = build.tell(release)
    assert (result.people, result.is_done) == (0, True)
    assert telling.sweep(now=NOW) == []
    row.refresh_from_db()
    assert (row.status, row.round) == ("reopened", 2)
    decisions = OutboundMessage.objects.values_list("decision", "reason")
    assert sorted(decisions) == [("dropped", "cancelled")] * 2
    build.tell(build.shipped("2", row))
    assert FixNotice.objects.filter(round=2).count() == 4


def test_withdrawing_keeps_what_another_release_fixed() -> None:
    row = build.ticket("Backported")
    build.shipped("2.0", row)
    second = build.shipped("1.9.1", row)
    releases.withdraw(second.pk, reason="wrong build", actor=AGENT, now=NOW)
    row.refresh_from_db()
    assert (row.status, row.round) == ("resolved", 1)


@pytest.mark.parametrize("status", ["declined", "duplicate"])
def test_a_ticket_closed_meanwhile_stops_the_shipping(status: str) -> None:
    row, other = build.ticket("Gone"), build.ticket("Other")
    release = releases.create(title="1", actor=AGENT, now=NOW)
    releases.add_items(release.pk, ticket_ids=[row.pk], actor=AGENT, now=NOW)
    if status == "declined":
        tickets.move(row.pk, to="declined", actor=AGENT, now=NOW)
        with pytest.raises(Conflict) as refused:
            releases.ship(release.pk, actor=AGENT, now=NOW)
        assert refused.value.code == "ticket_not_open"
        release.refresh_from_db()
        assert (release.status, ReleaseEvent.objects.filter(release=release).count()) == ("draft", 1)
    else:
        ticket_merges.merge(row.pk, into=other.pk, actor=AGENT, now=NOW)
        releases.ship(release.pk, actor=AGENT, now=NOW)
        assert Ticket.objects.get(pk=other.pk).status == "resolved"


def test_what_cannot_be_shipped_or_withdrawn_is_refused() -> None:
    empty = releases.create(title="Empty", actor=AGENT, now=NOW)
    with pytest.raises(Conflict) as refused:
        releases.ship(empty.pk, actor=AGENT, now=NOW)
    assert refused.value.code == "release_empty"
    with pytest.raises(Conflict):
        releases.withdraw(empty.pk, reason="why", actor=AGENT, now=NOW)
    done = build.shipped("Done", build.ticket("One"))
    with pytest.raises(Conflict):
        releases.ship(done.pk, actor=AGENT, now=NOW)
    with pytest.raises(Conflict):
        releases.add_items(done.pk, ticket_ids=[build.ticket("Two").pk], actor=AGENT, now=NOW)
    with pytest.raises(Invalid):
        releases.withdraw(done.pk, reason=" ", actor=AGENT, now=NOW)
    assert Release.objects.get(pk=done.pk).status == "shipped"


def test_the_numbers_say_who_was_told_and_why_not() -> None:
    ann = build.person("Ann", email="ann@example.com")
    bo = build.person("Bo", email="bo@example.com")
    row = build.ticket("Fix", ann, bo)
    release = build.shipped("1", row)
    before = progress.of_release(release.pk)
    assert (before.people, before.told, before.waiting) == (2, 0, 2)
    build.tell(release)
    OutboundMessage.objects.filter(profile_id=ann).update(decision="sent", decided_at=NOW)
    OutboundMessage.objects.filter(profile_id=bo).update(
        decision="dropped", reason="no_address", decided_at=NOW
    )
    after = progress.of_release(release.pk)
    assert (after.people, after.told, after.waiting, after.not_told) == (2, 1, 0, 1)
    assert [(code, number) for code, _label, number in after.reasons] == [("no_address", 1)]
    assert [(one.profile_id, one.reason) for one in progress.untold(release.pk)] == [(bo, "no_address")]
    assert progress.told_since(NOW - timedelta(days=1)) == (1, 2)


def test_the_facts_carry_what_members_need() -> None:
    ann = build.person("Ann")
    row = build.ticket("Fix", ann, role="reported")
    release = build.shipped("1", row)
    build.tell(release)
    fact = Touchpoint.objects.get(kind="voc.fix.told")
    assert fact.profile_id == ann
    assert fact.properties == {
        "ticket_id": row.pk,
        "ticket_number": row.pk,
        "release_id": release.pk,
        "role": "reported",
        "round": 1,
    }


def test_queries_do_not_grow_with_the_followers(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.test.utils import CaptureQueriesContext

    from crm.kernel import knobs
    from crm.selectors import computed, followed
    from lifecycle.services import running

    # A slow machine must not read them anew in the middle.
    for cached in (knobs, running, computed, followed):
        monkeypatch.setattr(cached, "CACHE_SECONDS", 1e9)
        cached.forget()
    counts = []
    for size in (2, 3, 30):
        row = build.ticket(f"Size {size}", *(build.person(f"S{size}-{number}") for number in range(size)))
        release = build.shipped(f"Size {size}", row)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            telling.tell_followers(release.pk, now=NOW)
        counts.append(len(queries))
    assert counts[1] == counts[2]
