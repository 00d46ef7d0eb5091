"""RFM and repurchase, against figures computed in plain Python; with the CDNOW customers when they are at hand."""

from __future__ import annotations

import itertools
import math
import os
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings

from crm.kernel import knobs
from crm.models import PurchaseReport, PurchaseSummary
from crm.services import computing, passes, purchases, touchpoints
from crm.states import RFM_GRID
from tests.crm.computed.conftest import happen, work
from tests.crm.computed.test_following import react
from tests.crm.conftest import NOON, SYSTEM

ORDER = "Order Completed"
CDNOW = (
    Path(os.environ.get("RENXIN_DATA") or settings.BASE_DIR.parent / "shared" / "data")
    / "cdnow"
    / "CDNOW_sample.txt"
)
SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.mark.django_db
def test_orders_are_summed_up_scored_and_follow_events() -> None:
    ann = happen("ann", ORDER, {"revenue": "10.50"}, days=30)
    happen("ann", ORDER, {"total": 4}, days=20)
    happen("ann", ORDER, {"revenue": 100, "currency": "USD"}, days=10)
    happen("ann", ORDER, {"revenue": 1}, days=14)
    bea = happen("bea", ORDER, {"revenue": 8}, days=3)
    assert passes.renew_purchases(now=NOON) == "started"
    work()
    row = PurchaseSummary.objects.get(pk=ann)
    assert (row.orders, row.spent, row.currency, row.median_gap_days) == (3, 1550, "CNY", 8.0)
    assert row.first_order_at == NOON - timedelta(days=30)
    assert row.second_order_at == NOON - timedelta(days=20)
    assert row.last_order_at == NOON - timedelta(days=14)
    report = PurchaseReport.objects.get()
    assert report.people == 2
    assert sum(cell["people"] for cell in report.cells) == 2
    other = PurchaseSummary.objects.get(pk=bea)
    assert (row.recency, row.frequency, row.monetary) == (1, 3, 3)
    assert (other.recency, other.frequency, other.monetary) == (3, 1, 1)
    assert (row.segment, other.segment) == ("at_risk", "sleepy")
    happen("bea", ORDER, {"revenue": 50}, days=1)
    react()
    other.refresh_from_db()
    assert (other.orders, other.spent, other.median_gap_days) == (2, 5800, 2.0)
    assert (other.recency, other.frequency, other.monetary) == (5, 3, 5)
    assert passes.renew_purchases(now=NOON + timedelta(days=1)) == "scored"
    knobs.set("crm.order_kind", "Shipped", actor=SYSTEM, now=NOON)
    assert passes.renew_purchases(now=NOON + timedelta(days=2)) == "started"
    work(NOON + timedelta(days=2))
    assert not PurchaseSummary.objects.exists()


@pytest.mark.django_db
def test_nobody_bought() -> None:
    assert passes.renew_purchases(now=NOON) == "started"
    work()
    assert purchases.score(now=NOON) is None
    assert not PurchaseReport.objects.exists()
    assert computing.refresh_purchases([1, 2], now=NOON) == 0


@pytest.mark.django_db
@pytest.mark.skipif(not CDNOW.exists(), reason="the CDNOW sample is not on this machine")
def test_the_cdnow_customers() -> None:
    """2,357 customers who first bought in early 1997: every figure again in Python."""
    orders: dict[str, list[tuple[datetime, int]]] = defaultdict(list)
    for line in CDNOW.read_text().splitlines():
        _old, customer, day, _number, amount = line.split()
        bought = date(int(day[:4]), int(day[4:6]), int(day[6:8]))
        orders[customer].append((datetime.combine(bought, time(12), tzinfo=UTC), int(Decimal(amount) * 100)))
    assert len(orders) == 2357
    events = [
        touchpoints.Event(
            ORDER, at, f"{customer}-{place}", identifiers=[("user_id", f"cdnow-{customer}")],
            properties={"revenue": minor / 100, "currency": "CNY"},
        )
        for customer, found in orders.items() for place, (at, minor) in enumerate(found)
    ]  # fmt: skip
    roots: dict[str, int] = {}
    for start in range(0, len(events), 2000):
        some = events[start : start + 2000]
        result = touchpoints.record(some, source=None, actor=SYSTEM, now=NOON, historical=True)
        for event, root in zip(some, result.profile_ids, strict=True):
            assert root is not None
            roots[event.message_id.split("-")[0]] = root
    assert passes.renew_purchases(now=NOON) == "started"
    work()
    rows = {row.pk: row for row in PurchaseSummary.objects.all()}
    assert set(rows) == set(roots.values())
    scores = {
        "recency": cut_points([max(at for at, _minor in found) for found in orders.values()]),
        "frequency": cut_points([len(found) for found in orders.values()]),
        "monetary": cut_points([sum(minor for _at, minor in found) for found in orders.values()]),
    }
    cells: Counter[tuple[int, int]] = Counter()
    cohorts: dict[str, list[list[datetime]]] = defaultdict(list)
    for customer, found in orders.items():
        days = sorted(at for at, _minor in found)
        spent = sum(minor for _at, minor in found)
        row = rows[roots[customer]]
        assert (row.orders, row.spent) == (len(found), spent)
        assert (row.first_order_at, row.last_order_at) == (days[0], days[-1])
        assert row.second_order_at == (days[1] if len(days) > 1 else None)
        gaps = [(later - earlier).days for earlier, later in itertools.pairwise(days)]
        assert row.median_gap_days == (median(gaps) if gaps else None)
        r = 1 + sum(cut < days[-1] for cut in scores["recency"])
        f = 1 + sum(cut < len(days) for cut in scores["frequency"])
        m = 1 + sum(cut < spent for cut in scores["monetary"])
        assert (row.recency, row.frequency, row.monetary) == (r, f, m)
        assert row.segment == RFM_GRID[r][f - 1]
        cells[r, f] += 1
        cohorts[days[0].astimezone(SHANGHAI).strftime("%Y-%m")].append(days)
    report = PurchaseReport.objects.get()
    assert {(cell["recency"], cell["frequency"]): cell["people"] for cell in report.cells} == dict(cells)
    assert report.people == 2357
    assert [cohort["month"] for cohort in report.cohorts] == sorted(cohorts, reverse=True)
    for cohort in report.cohorts:
        people = cohorts[cohort["month"]]
        again = [days[1] - days[0] for days in people if len(days) > 1]
        assert cohort["buyers"] == len(people)
        assert cohort["again"] == len(again)
        assert cohort["within_90"] == sum(gap <= timedelta(days=90) for gap in again)
        assert cohort["median_days"] == median(gap.days for gap in again)


def cut_points(values: list) -> list:
    """The smallest values that a fifth, two fifths… of all do not exceed."""
    ordered = sorted(values)
    return [ordered[math.ceil(len(ordered) * fifth / 5) - 1] for fifth in range(1, 5)]
