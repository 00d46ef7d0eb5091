"""Old touchpoints go: whole months, single kinds, never more than planned, and receipts after them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from crm.kernel import knobs
from crm.models import EventKind, EventReceipt, RetentionRun, Touchpoint
from crm.selectors import retention as reads
from crm.services import partitions, profiles, retention, touchpoints
from tests.crm.conftest import SYSTEM

NOW = datetime(2026, 11, 18, 4, tzinfo=UTC)


@pytest.fixture
def months(transactional_db: Any) -> Iterator[int]:
    """One person with events of two kinds in three old months, the only old ones; they are dropped afterwards."""
    drop_old_months()
    profile_id = profiles.resolve([("user_id", "old-timer")], trust="server", actor=SYSTEM, now=NOW)
    events = [
        touchpoints.Event(
            kind=kind, occurred_at=datetime(2001, month, 15, tzinfo=UTC), message_id=f"{kind}-{month}-{n}",
            profile_id=profile_id,
        )
        for month in (1, 2, 3)
        for kind in ("Order Completed", "Page Seen")
        for n in range(5)
    ]  # fmt: skip
    touchpoints.record(events, source=None, actor=SYSTEM, now=NOW, historical=True)
    yield profile_id
    drop_old_months()
    knobs.forget()


def drop_old_months() -> None:
    """Another test of this process may have left months of the last century: tables outlive what empties them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'crm_touchpoint'::regclass"
        )
        for (name,) in cursor.fetchall():
            if "crm_touchpoint_y" < name < "crm_touchpoint_y2010":
                cursor.execute(f"DROP TABLE {name}")
    partitions.forget()


def old_counts() -> dict[tuple[int, str], int]:
    found: dict[tuple[int, str], int] = {}
    for at, kind in Touchpoint.objects.filter(occurred_at__lt=datetime(2002, 1, 1, tzinfo=UTC)).values_list(
        "occurred_at", "kind"
    ):
        found[(at.month, kind)] = found.get((at.month, kind), 0) + 1
    return found


def old_plans(now: datetime = NOW) -> dict[str, tuple[str, dict[str, int]]]:
    return {
        f"{plan.month.start:%Y-%m}": (plan.action, dict(plan.kinds))
        for plan in reads.plan(now=now)
        if plan.month.start.year == 2001
    }


def days_since(year: int, month: int, day: int) -> int:
    return (NOW - datetime(year, month, day, tzinfo=UTC)).days


def test_by_default_nothing_ever_goes(months: int) -> None:
    assert list(old_plans().values()) == [("keep", {})] * 3
    assert retention.run(actor=SYSTEM, now=NOW) is None
    assert sum(old_counts().values()) == 30
    assert not RetentionRun.objects.exists()


def test_months_that_are_past_for_every_kind_are_dropped(months: int) -> None:
    knobs.set("crm.retention_days", days_since(2001, 3, 10), actor=SYSTEM, now=NOW)
    assert {month: plan[0] for month, plan in old_plans().items()} == {
        "2001-01": "drop", "2001-02": "drop", "2001-03": "keep",
    }  # fmt: skip
    assert sum(old_counts().values()) == 30
    run = retention.run(actor=SYSTEM, now=NOW)
    assert run is not None and run.finished_at == NOW
    assert run.months_dropped == ["2001-01", "2001-02"]
    assert old_counts() == {(3, "Order Completed"): 5, (3, "Page Seen"): 5}
    # Receipts stay as long as a touchpoint could: those of March are there, those before are gone.
    assert EventReceipt.objects.filter(occurred_at__lt=datetime(2002, 1, 1, tzinfo=UTC)).count() == 10
    assert run.receipts_deleted == 20


def test_a_kind_with_a_shorter_retention_goes_alone(months: int) -> None:
    EventKind.objects.update_or_create(name="Page Seen", defaults={"retention_days": days_since(2001, 3, 1)})
    assert old_plans() == {
        "2001-01": ("delete", {"Page Seen": 5}), "2001-02": ("delete", {"Page Seen": 5}), "2001-03": ("keep", {}),
    }  # fmt: skip
    run = retention.run(actor=SYSTEM, now=NOW)
    assert run is not None and run.rows_by_kind == {"Page Seen": 10}
    assert old_counts() == {
        (1, "Order Completed"): 5, (2, "Order Completed"): 5, (3, "Order Completed"): 5, (3, "Page Seen"): 5,
    }  # fmt: skip
    assert EventReceipt.objects.filter(occurred_at__lt=datetime(2002, 1, 1, tzinfo=UTC)).count() == 30


def test_a_kind_with_a_longer_retention_keeps_its_month(months: int) -> None:
    knobs.set("crm.retention_days", 30, actor=SYSTEM, now=NOW)
    EventKind.objects.update_or_create(name="Order Completed", defaults={"retention_days": 36000})
    retention.run(actor=SYSTEM, now=NOW)
    assert set(old_counts()) == {(month, "Order Completed") for month in (1, 2, 3)}


def test_out_of_time_it_stops_and_goes_on(months: int) -> None:
    knobs.set("crm.retention_days", 3650, actor=SYSTEM, now=NOW)
    first = retention.run(actor=SYSTEM, now=NOW, seconds=-1)
    assert first is not None and first.finished_at is None and sum(old_counts().values()) == 30
    second = retention.run(actor=SYSTEM, now=NOW + timedelta(minutes=10))
    assert second is not None and second.pk == first.pk and second.finished_at is not None
    assert old_counts() == {}


def test_an_old_event_after_its_month_was_dropped_is_stored_again(months: int) -> None:
    knobs.set("crm.retention_days", 3650, actor=SYSTEM, now=NOW)
    retention.run(actor=SYSTEM, now=NOW)
    # Another process, which still believes that the month is there.
    partitions._known.add((2001, 2))
    late = touchpoints.Event(
        kind="Order Completed",
        occurred_at=datetime(2001, 2, 1, tzinfo=UTC),
        message_id="late",
        profile_id=months,
    )
    touchpoints.record([late], source=None, actor=SYSTEM, now=NOW, historical=True)
    assert old_counts() == {(2, "Order Completed"): 1}


def test_the_command_shows_first_and_keeps_to_the_night(months: int) -> None:
    knobs.set("crm.retention_days", 3650, actor=SYSTEM, now=NOW)
    out = StringIO()
    call_command("retention", stdout=out)
    assert "2001-01 drop" in out.getvalue() and sum(old_counts().values()) == 30
    call_command("retention", "--run", "--any-time", stdout=out)
    assert old_counts() == {}


@pytest.mark.parametrize(("hour", "is_night"), [(0, False), (1, True), (5, True), (6, False), (12, False)])
def test_night_is_the_organisations(db: Any, hour: int, is_night: bool) -> None:
    # Asia/Shanghai is eight hours ahead.
    moment = datetime(2026, 11, 18, hour, 30, tzinfo=UTC) - timedelta(hours=8)
    assert retention.is_night(now=moment) is is_night
