"""Whether, when and how often a person may be written to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import DatabaseError, transaction

from crm.kernel import knobs
from crm.kernel.errors import Gone, Invalid
from crm.models import ConsentRecord, PressureEntry, Touchpoint
from crm.selectors import consents as consent_selectors
from crm.selectors import contacts as contact_selectors
from crm.services import consents, contacts, erasure, merges, pressure, profiles, quiet_hours, suppressions
from tests.crm.conftest import NOON, SYSTEM

pytestmark = pytest.mark.django_db


def person(name: str) -> int:
    return profiles.resolve([("user_id", name)], trust="server", actor=SYSTEM, now=NOON)


def decide(profile_id: int, purpose: str, *, granted: bool, minutes: int = 0) -> ConsentRecord:
    return consents.record(
        profile_id, purpose=purpose, channel="email", granted=granted, way="form", text_version="1", evidence={},
        actor=SYSTEM, now=NOON + timedelta(minutes=minutes),
    )  # fmt: skip


def allowed(profile_id: int, purpose: str) -> bool:
    return consent_selectors.allowed([profile_id], purpose=purpose, channel="email")[profile_id]


# -- consent


def test_opt_in_purposes_need_a_yes_and_the_others_a_no() -> None:
    one = person("a1")
    assert {purpose: allowed(one, purpose) for purpose in ("marketing", "survey", "service", "care")} == {
        "marketing": False, "survey": False, "service": True, "care": True,
    }  # fmt: skip
    decide(one, "marketing", granted=True)
    decide(one, "care", granted=False)
    assert (allowed(one, "marketing"), allowed(one, "care")) == (True, False)
    decide(one, "marketing", granted=False, minutes=1)
    decide(one, "care", granted=True, minutes=1)
    assert (allowed(one, "marketing"), allowed(one, "care")) == (False, True)
    assert (
        sorted(Touchpoint.objects.values_list("kind", flat=True))
        == ["crm.consent.given"] * 2 + ["crm.consent.withdrawn"] * 2
    )


def test_consent_records_are_append_only_in_the_database() -> None:
    row = decide(person("a1"), "marketing", granted=True)
    with pytest.raises(DatabaseError), transaction.atomic():
        ConsentRecord.objects.filter(pk=row.pk).update(granted=False)
    with pytest.raises(DatabaseError), transaction.atomic():
        row.delete()
    assert ConsentRecord.objects.get().granted is True


def test_consent_refuses_unknown_words_and_erased_people() -> None:
    one = person("a1")
    with pytest.raises(Invalid):
        decide(one, "nonsense", granted=True)
    erasure.erase(one, actor=SYSTEM, now=NOON)
    with pytest.raises(Gone):
        decide(one, "marketing", granted=True)
    assert not ConsentRecord.objects.exists()


def test_a_suppressed_address_binds_everybody_who_has_it() -> None:
    one, two = person("a1"), person("a2")
    for profile_id in (one, two):
        contacts.add(
            profile_id, channel="email", value="family@example.com", origin="server", actor=SYSTEM, now=NOON
        )
        decide(profile_id, "marketing", granted=True)
    suppressions.add(
        "email", "Family@Example.com", purpose="marketing", reason="unsubscribed", actor=SYSTEM, now=NOON
    )
    suppressions.add(
        "email", "family@example.com", purpose="marketing", reason="unsubscribed", actor=SYSTEM, now=NOON
    )
    assert [allowed(one, "marketing"), allowed(two, "marketing")] == [False, False]
    assert [allowed(one, "service"), allowed(two, "service")] == [True, True]
    assert suppressions.remove("email", "family@example.com", purpose="marketing", actor=SYSTEM, now=NOON)
    assert allowed(one, "marketing") is True


# -- addresses


def address(profile_id: int) -> str | None:
    found = contact_selectors.deliverable([profile_id], "email").get(profile_id)
    return found.value if found else None


def test_only_confirmed_or_trusted_addresses_are_deliverable() -> None:
    one = person("a1")

    def add(value: str, origin: str) -> Any:
        return contacts.add(one, channel="email", value=value, origin=origin, actor=SYSTEM, now=NOON)

    form = add("Form@example.com", "form")
    assert (form.value, form.is_primary, address(one)) == ("form@example.com", True, None)
    contacts.verify(form.pk, actor=SYSTEM, now=NOON)
    assert address(one) == "form@example.com"
    contacts.mark_bounced(form.pk, actor=SYSTEM, now=NOON)
    assert address(one) is None
    add("server@example.com", "server")
    assert address(one) == "server@example.com"
    assert add("form@example.com", "form").pk == form.pk
    with pytest.raises(Invalid):
        add("nonsense", "form")


def test_deliverable_reads_over_all_ids_of_a_person() -> None:
    one, two = (
        person("a1"),
        profiles.resolve([("anonymous_id", "d-1")], trust="server", actor=SYSTEM, now=NOON),
    )
    contacts.add(two, channel="email", value="two@example.com", origin="staff", actor=SYSTEM, now=NOON)
    assert address(one) is None
    merges.merge(one, two, actor=SYSTEM, now=NOON)
    assert address(one) == "two@example.com"


# -- contact pressure


def reserve(*items: tuple[int, str, str], minutes: int = 0) -> set[str]:
    profiles.lock_roots([item[0] for item in items])
    return pressure.reserve(list(items), now=NOON + timedelta(minutes=minutes))


def test_the_cap_of_marketing_messages() -> None:
    one, two = person("a1"), person("a2")
    assert reserve(*[(one, "marketing", f"m{n}") for n in range(5)], (two, "marketing", "x")) == {"m3", "m4"}
    assert reserve((one, "marketing", "m5"), minutes=60) == {"m5"}
    assert (
        reserve((one, "marketing", "m0"), (one, "service", "s"), (one, "transactional", "t"), minutes=60)
        == set()
    )
    assert reserve((one, "marketing", "m6"), minutes=24 * 60 + 1) == set()
    assert PressureEntry.objects.filter(profile_id=one).count() == 5


def test_all_classes_share_one_budget() -> None:
    one = person("a1")
    assert reserve(*[(one, "care", f"c{n}") for n in range(9)]) == set()
    assert reserve((one, "marketing", "m")) == {"m"}
    assert reserve(*[(one, "care", f"d{n}") for n in range(4)]) == {"d3"}
    assert pressure.left([one], now=NOON) == (0, 12)


def test_the_window_is_counted_over_all_ids() -> None:
    one, two = (
        person("a1"),
        profiles.resolve([("email", "b@example.com")], trust="server", actor=SYSTEM, now=NOON),
    )
    reserve(*[(two, "marketing", f"m{n}") for n in range(3)])
    merges.merge(one, two, actor=SYSTEM, now=NOON)
    assert reserve((one, "marketing", "n")) == {"n"}


def test_the_numbers_are_knobs() -> None:
    one = person("a1")
    knobs.set("crm.pressure_marketing_cap", 1, actor=SYSTEM, now=NOON)
    assert reserve((one, "marketing", "m0"), (one, "marketing", "m1")) == {"m1"}
    with pytest.raises(Invalid):
        knobs.set("crm.pressure_marketing_cap", -1, actor=SYSTEM, now=NOON)


# -- quiet hours


def local(zone: str, *parts: int, fold: int = 0) -> datetime:
    return datetime(*parts, tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "zone", ["Asia/Shanghai", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]
)
@pytest.mark.parametrize(
    ("hour", "minute", "expected"),
    [(9, 0, None), (20, 59, None), (21, 0, (6, 2)), (23, 59, (6, 2)), (0, 0, (6, 1)), (8, 59, (6, 1))],
)
def test_quiet_hours_on_the_persons_clock(zone: str, hour: int, minute: int, expected: Any) -> None:
    found = quiet_hours.next_allowed(zone, now=local(zone, 2026, 6, 1, hour, minute))
    assert found == (None if expected is None else local(zone, 2026, *expected, 9))


def test_quiet_hours_over_the_change_of_clocks() -> None:
    # New York springs forward on 8 March 2026 and falls back on 1 November: nights of 11 and 13 hours.
    for day, hours in ((datetime(2026, 3, 7), 11), (datetime(2026, 10, 31), 13)):
        evening = local("America/New_York", day.year, day.month, day.day, 21)
        found = quiet_hours.next_allowed("America/New_York", now=evening)
        assert found == evening + timedelta(hours=hours)
    # Lord Howe moves by half an hour.
    evening = local("Australia/Lord_Howe", 2026, 10, 3, 21)
    assert quiet_hours.next_allowed("Australia/Lord_Howe", now=evening) == evening + timedelta(hours=11.5)


def test_every_hour_of_a_year_is_either_allowed_or_ends_at_nine() -> None:
    for zone in ("Asia/Shanghai", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"):
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        while moment.year == 2026:
            found = quiet_hours.next_allowed(zone, now=moment)
            if found is None:
                assert 9 <= moment.astimezone(ZoneInfo(zone)).hour < 21
            else:
                clock = found.astimezone(ZoneInfo(zone))
                assert (clock.hour, clock.minute) == (9, 0)
                assert moment < found <= moment + timedelta(hours=13.5)
                assert quiet_hours.next_allowed(zone, now=found) is None
            moment += timedelta(hours=1)


def test_an_end_that_the_clocks_skip_is_the_first_moment_after_it() -> None:
    for name, value in (("crm.quiet_hours_start", 22), ("crm.quiet_hours_end", 2)):
        knobs.set(name, value, actor=SYSTEM, now=NOON)
    found = quiet_hours.next_allowed("America/New_York", now=local("America/New_York", 2026, 3, 8, 1, 59))
    assert found == local("America/New_York", 2026, 3, 8, 3)


def test_an_unknown_zone_is_the_organisations() -> None:
    evening = local("Asia/Shanghai", 2026, 6, 1, 22)
    assert quiet_hours.next_allowed("", now=evening) == local("Asia/Shanghai", 2026, 6, 2, 9)
    assert quiet_hours.next_allowed("Mars/Olympus", now=evening) == local("Asia/Shanghai", 2026, 6, 2, 9)
