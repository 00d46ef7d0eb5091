"""One budget over messages, surveys and pop-ups, whoever sends them; and what people choose about it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from crm.kernel import actors, knobs
from crm.kernel.errors import Conflict, Gone, Invalid, NotFound, Unprocessable
from crm.models import ContactChoice, PressureEntry, PressureReservation, Touchpoint
from crm.selectors import choices as choice_reads
from crm.selectors import pressure as reads
from crm.services import choices, erasure, merges, pressure, quiet_hours, reservations
from tests.crm.conftest import NOON, SYSTEM

pytestmark = pytest.mark.django_db
SHOP = actors.Actor("api_key", "7")
# Noon in UTC is eight in the evening in Shanghai: nobody's night.
EVENING = NOON
Person = Callable[..., int]


def ask(
    profile_id: int, pressure_class: str = "popup", *, now: datetime = EVENING, **more: Any
) -> reservations.Answer:
    return reservations.ask(
        profile_id,
        pressure_class=pressure_class,
        label=more.pop("label", "Banner"),
        actor=SHOP,
        now=now,
        **more,
    )


def test_everything_counts_together(person: Person) -> None:
    one = person()
    assert pressure.reserve([(one, "marketing", "m1"), (one, "care", "c1")], now=NOON) == set()
    granted = [ask(one, kind).granted for kind in ("survey", "popup", "popup", "popup", "popup")]
    # 4 + 1 + 3 + 2 + 2 of 12; two more points do not fit.
    assert granted == [True, True, True, False, False]
    assert pressure.left([one], now=NOON) == (0, 12)


def test_a_refusal_says_why_and_when_and_writes_nothing(person: Person) -> None:
    one = person()
    knobs.set("crm.pressure_budget", 4, actor=SYSTEM, now=NOON)
    assert ask(one, "survey").granted
    refused = ask(one, "popup", now=EVENING + timedelta(hours=1))
    assert (refused.granted, refused.reason) == (False, "budget")
    assert refused.retry_at == EVENING + timedelta(hours=24)
    assert (PressureReservation.objects.count(), PressureEntry.objects.count()) == (1, 1)
    assert ask(one, "popup", now=refused.retry_at).granted


def test_what_never_fits_has_no_next_time(person: Person) -> None:
    knobs.set("crm.pressure_budget", 2, actor=SYSTEM, now=NOON)
    refused = ask(person(), "survey")
    assert (refused.reason, refused.retry_at) == ("budget", None)


def test_shown_stays_counted_and_is_on_the_timeline(person: Person) -> None:
    one = person()
    row = ask(one, label="Spring sale").reservation
    assert row is not None
    for _time in range(2):
        assert reservations.settle(row.public_id, actor=SHOP, now=EVENING).status == "settled"
    [shown] = Touchpoint.objects.filter(profile_id=one, kind="crm.contact.shown")
    assert shown.properties == {"class": "popup", "label": "Spring sale"}
    with pytest.raises(Conflict):
        reservations.release(row.public_id, actor=SHOP, now=EVENING)
    assert pressure.left([one], now=EVENING) == (10, 12)


def test_given_back_is_free_again(person: Person) -> None:
    one = person()
    row = ask(one).reservation
    assert row is not None
    for _time in range(2):
        assert reservations.release(row.public_id, actor=SHOP, now=EVENING).status == "released"
    assert pressure.left([one], now=EVENING) == (12, 12)
    with pytest.raises(Conflict):
        reservations.settle(row.public_id, actor=SHOP, now=EVENING)


def test_what_is_forgotten_is_given_back(person: Person) -> None:
    one = person()
    ask(one)
    soon = EVENING + timedelta(minutes=knobs.get("crm.reservation_minutes"))
    assert reservations.sweep(now=soon - timedelta(seconds=1)) == 0
    assert reservations.sweep(now=soon) == 1
    assert (pressure.left([one], now=soon), reservations.sweep(now=soon)) == ((12, 12), 0)


def test_the_same_key_is_the_same_reservation(person: Person) -> None:
    one, two = person(), person()
    first, again = ask(one, key="banner-1"), ask(one, key="banner-1")
    assert first.reservation == again.reservation
    assert pressure.left([one], now=EVENING) == (10, 12)
    with pytest.raises(Unprocessable):
        ask(two, key="banner-1")
    with pytest.raises(Unprocessable):
        ask(one, "survey", key="banner-1")


def test_nobody_elses_reservation_can_be_touched(person: Person) -> None:
    row = ask(person()).reservation
    assert row is not None
    with pytest.raises(NotFound):
        reservations.release(row.public_id, actor=actors.Actor("api_key", "8"), now=EVENING)
    row.refresh_from_db()
    assert row.status == "reserved"


def test_consent_is_asked_for_when_a_purpose_is_named(person: Person) -> None:
    one = person(agrees=("marketing",))
    assert ask(one, "marketing", purpose="marketing", channel="email").granted
    assert ask(one, "survey", purpose="survey", channel="email").reason == "no_consent"
    with pytest.raises(Invalid):
        ask(one, "billboard")
    erasure.erase(one, actor=SYSTEM, now=EVENING)
    with pytest.raises(Gone):
        ask(one)


def test_a_night_is_a_night_but_not_for_pop_ups(person: Person) -> None:
    one = person(timezone="Asia/Kathmandu")
    midnight = datetime(2026, 6, 2, 0, 30, tzinfo=ZoneInfo("Asia/Kathmandu"))
    refused = ask(one, "survey", now=midnight)
    assert refused.reason == "quiet_hours"
    assert refused.retry_at == datetime(2026, 6, 2, 9, tzinfo=ZoneInfo("Asia/Kathmandu"))
    assert ask(one, "popup", now=midnight).granted


# -- choices


def test_fewer_halves_the_budget_and_least_ends_marketing(person: Person) -> None:
    one, two = person(), person()
    choices.set_frequency(one, frequency="fewer", actor=SYSTEM, now=NOON)
    choices.set_frequency(two, frequency="least", actor=SYSTEM, now=NOON)
    wanted = [(who, "marketing", f"m{n}-{who}") for who in (one, two) for n in range(3)]
    assert pressure.reserve(wanted, now=NOON) == {
        f"m1-{one}",
        f"m2-{one}",
        *(f"m{n}-{two}" for n in range(3)),
    }
    assert (reads.limits(choice_reads.of_person(one)), reads.limits(choice_reads.of_person(two))) == (
        (6, 1),
        (1, 0),
    )
    assert pressure.reserve([(two, "care", "c")], now=NOON) == set()


def test_a_pause_holds_everything_but_what_was_asked_for(person: Person) -> None:
    one = person()
    until = choices.pause(one, actor=SYSTEM, now=NOON)
    assert until == NOON + timedelta(days=30)
    refused = ask(one)
    assert (refused.reason, refused.retry_at) == ("paused", until)
    assert ask(one, "transactional").granted
    choices.resume(one, actor=SYSTEM, now=NOON)
    assert ask(one).granted


def test_own_quiet_hours_replace_those_of_the_house(person: Person) -> None:
    one = person(timezone="America/New_York")
    choices.set_quiet_hours(one, hours=(6, 20), actor=SYSTEM, now=NOON)
    choice = choice_reads.of_person(one)
    noon = datetime(2026, 6, 1, 12, tzinfo=ZoneInfo("America/New_York"))
    assert ask(one, "survey", now=noon).retry_at == noon.replace(hour=20)
    assert quiet_hours.next_allowed("America/New_York", now=noon.replace(hour=22), own=choice.quiet) is None
    with pytest.raises(Invalid):
        choices.set_quiet_hours(one, hours=(6, 24), actor=SYSTEM, now=NOON)
    choices.set_quiet_hours(one, hours=None, actor=SYSTEM, now=NOON)
    assert choice_reads.of_person(one).quiet is None


def test_the_strictest_choice_wins_on_merge_and_undo_restores_exactly(person: Person) -> None:
    one, two = person(), person()
    choices.set_frequency(one, frequency="fewer", actor=SYSTEM, now=NOON)
    until = choices.pause(two, actor=SYSTEM, now=NOON)
    choices.set_quiet_hours(two, hours=(1, 5), actor=SYSTEM, now=NOON)
    before = [choice_reads.of_person(ident) for ident in (one, two)]
    merged = merges.merge(one, two, actor=SYSTEM, now=NOON)
    assert choice_reads.of([one])[one] == choice_reads.Choice(until, "fewer", (1, 5))
    merges.undo(merged.pk, actor=SYSTEM, now=NOON)
    assert [choice_reads.of_person(ident) for ident in (one, two)] == before


def test_a_choice_after_a_merge_counts_at_once(person: Person) -> None:
    one, two = person(), person()
    choices.pause(two, actor=SYSTEM, now=NOON)
    merges.merge(one, two, actor=SYSTEM, now=NOON)
    choices.resume(one, actor=SYSTEM, now=NOON)
    assert choice_reads.of_person(one).pause(now=NOON) is None
    assert ContactChoice.objects.count() == 2


# -- standing


def test_the_account_tells_what_touched_and_when_more_is_free(person: Person) -> None:
    one = person()
    pressure.reserve([(one, "marketing", "elsewhere:1")], now=NOON - timedelta(hours=20))
    ask(one, label="Banner")
    found = reads.standing([one], now=NOON)
    assert (found.left, found.budget, found.marketing_left, found.window_hours) == (6, 12, 2, 24)
    assert [(str(t.label), t.pressure_class, t.weight) for t in found.touches] == [
        ("Banner", "popup", 2), ("elsewhere", "marketing", 4),
    ]  # fmt: skip
    assert found.free_at == ((NOON + timedelta(hours=4), 4), (NOON + timedelta(hours=24), 2))
