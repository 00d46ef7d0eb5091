"""Purchases: orders of each person summed up, scored for RFM, and counted in a grid and in cohorts.

Which touchpoints are orders, which property is the amount and in which currency are knobs; amounts in another
currency are not counted, because sums never mix them. Scores come from cut points that a nightly pass stores, so an
order moves its buyer's scores at once; equal values always have the same score.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db import connection, transaction

from crm import computed
from crm.conditions import compiler
from crm.conditions.fragments import Sql, put
from crm.kernel import knobs, reactions
from crm.models import PurchaseReport
from crm.selectors import computing
from crm.states import RFM_GRID

FRACTIONS: Final = (0.2, 0.4, 0.6, 0.8)
KEPT_REPORTS: Final = 400
_LOCK: Final = 0x52454E11


def order_kind() -> str:
    """The kind of touchpoint that is an order."""
    return str(knobs.get("crm.order_kind"))


def settings() -> dict[str, str]:
    """What the summaries depend on: kind, amount and currency."""
    return {
        "kind": order_kind(),
        "property": str(knobs.get("crm.order_amount")),
        "currency": str(knobs.get("crm.currency")).upper(),
    }


def write(scope: computing.Scope, *, now: datetime) -> int:
    """Sum up the orders of everybody in the scope, in the caller's transaction. Returns the number of changed rows."""
    query = _orders(scope, now=now)
    held = scope.covers("s.profile_id")
    cuts = _cuts()
    currency = settings()["currency"]
    sql = f"""
        WITH found AS MATERIALIZED ({query.text}),
        scored AS (
            SELECT found.*, {_score("found.last_order_at", "moment")} AS recency,
                   {_score("found.orders", "number")} AS frequency, {_score("found.spent", "number")} AS monetary
              FROM found
        ), gone AS (
            DELETE FROM crm_purchasesummary s WHERE {held.text}
               AND NOT EXISTS (SELECT 1 FROM found WHERE found.root = s.profile_id)
            RETURNING s.profile_id
        ), kept AS (
            INSERT INTO crm_purchasesummary AS s (profile_id, orders, spent, currency, first_order_at, second_order_at,
                   last_order_at, median_gap_days, recency, frequency, monetary, segment, computed_at)
            SELECT root, orders, spent, %s, first_order_at, second_order_at, last_order_at, median_gap_days,
                   recency, frequency, monetary, {_group("recency", "frequency")}, %s FROM scored ORDER BY root
            ON CONFLICT (profile_id) DO UPDATE
               SET orders = EXCLUDED.orders, spent = EXCLUDED.spent, currency = EXCLUDED.currency,
                   first_order_at = EXCLUDED.first_order_at, second_order_at = EXCLUDED.second_order_at,
                   last_order_at = EXCLUDED.last_order_at, median_gap_days = EXCLUDED.median_gap_days,
                   recency = EXCLUDED.recency, frequency = EXCLUDED.frequency, monetary = EXCLUDED.monetary,
                   segment = EXCLUDED.segment, computed_at = EXCLUDED.computed_at
             WHERE (s.orders, s.spent, s.currency, s.first_order_at, s.second_order_at, s.last_order_at,
                    s.median_gap_days, s.recency, s.frequency, s.monetary) IS DISTINCT FROM
                   (EXCLUDED.orders, EXCLUDED.spent, EXCLUDED.currency, EXCLUDED.first_order_at,
                    EXCLUDED.second_order_at, EXCLUDED.last_order_at, EXCLUDED.median_gap_days, EXCLUDED.recency,
                    EXCLUDED.frequency, EXCLUDED.monetary)
            RETURNING s.profile_id
        )
        SELECT profile_id FROM gone UNION ALL SELECT profile_id FROM kept
    """
    params = [
        *query.params, cuts["recency"], cuts["frequency"], cuts["monetary"], *held.params, currency, now,
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        changed = sorted(row[0] for row in cursor.fetchall())
    if changed:
        reactions.publish(computed.CHANGED, changed, now=now)
    return len(changed)


def _orders(scope: computing.Scope, *, now: datetime) -> Sql:
    """One row per buyer of the scope: orders, amount, first, second and last order, median of the days between."""
    said = settings()
    at = compiler.moment(now=now)
    amounts = []
    for name in [part.strip() for part in said["property"].split(",") if part.strip()]:
        wanted = computed.parse(
            {
                "kind": said["kind"],
                "function": "sum",
                "property": name,
                "type": "money",
                "currency": said["currency"],
            }
        )
        amounts.append(computing._typed(wanted, Sql("f.properties"), wanted.path, at))
    amount = put(
        "COALESCE({})", Sql(", ".join(a.text for a in amounts), tuple(p for a in amounts for p in a.params))
    )
    low, high = computing.bounds(wanted.window, at=at)
    rows = computing.touchpoints(scope, said["kind"], low=low, high=high)
    return put(
        "SELECT o.root, count(*)::int AS orders, sum(o.amount)::bigint AS spent,"
        " min(o.occurred_at) AS first_order_at, min(o.occurred_at) FILTER (WHERE o.place = 2) AS second_order_at,"
        " max(o.occurred_at) AS last_order_at,"
        " percentile_cont(0.5) WITHIN GROUP (ORDER BY o.gap) AS median_gap_days FROM ("
        "SELECT a.root, a.occurred_at, a.amount, row_number() OVER person AS place,"
        " extract(epoch FROM a.occurred_at - lag(a.occurred_at) OVER person)::float8 / 86400 AS gap"
        " FROM (SELECT f.root, f.occurred_at, f.id, {} AS amount FROM ({}) AS f) AS a WHERE a.amount IS NOT NULL"
        " WINDOW person AS (PARTITION BY a.root ORDER BY a.occurred_at, a.id)) AS o GROUP BY o.root",
        amount, rows,
    )  # fmt: skip


def _score(column: str, kind: str) -> str:
    """1 plus the number of cut points below the value; 0 while there are no cut points. The one parameter: the cuts."""
    cast = "timestamptz" if kind == "moment" else "numeric"
    return (
        f"(SELECT CASE WHEN count(*) = 0 THEN 0 ELSE 1 + count(*) FILTER (WHERE c.cut < {column}) END"
        f" FROM unnest(%s::{cast}[]) AS c(cut))"
    )


def _group(recency: str, frequency: str) -> str:
    cases = " ".join(
        f"WHEN {recency} = {r} AND {frequency} = {f} THEN '{group.value}'"
        for r, row in RFM_GRID.items()
        for f, group in enumerate(row, start=1)
    )
    return f"CASE {cases} ELSE '' END"


def _cuts() -> dict[str, list[Any]]:
    """The cut points in force: those of the newest report, when it is about the same currency and kind."""
    said = settings()
    report = PurchaseReport.objects.order_by("-computed_at").first()
    if report is None or (report.kind, report.currency) != (said["kind"], said["currency"]):
        return {"recency": [], "frequency": [], "monetary": []}
    return dict(report.cuts)


def score(*, now: datetime) -> PurchaseReport | None:
    """Find the cut points anew, score everybody by them, and write the report. Returns None when nobody bought."""
    said = settings()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        cursor.execute(
            """
            SELECT count(*), percentile_disc(%(at)s::float8[]) WITHIN GROUP (ORDER BY last_order_at),
                   percentile_disc(%(at)s::float8[]) WITHIN GROUP (ORDER BY orders),
                   percentile_disc(%(at)s::float8[]) WITHIN GROUP (ORDER BY spent)
              FROM crm_purchasesummary WHERE currency = %(currency)s
            """,
            {"at": list(FRACTIONS), "currency": said["currency"]},
        )
        people, recency, frequency, monetary = cursor.fetchone()
        if not people:
            return None
        cuts = {
            "recency": [moment.isoformat() for moment in recency],
            "frequency": [int(number) for number in frequency],
            "monetary": [int(number) for number in monetary],
        }
        cursor.execute(
            f"""
            UPDATE crm_purchasesummary s
               SET recency = n.recency, frequency = n.frequency, monetary = n.monetary,
                   segment = {_group("n.recency", "n.frequency")}
              FROM (SELECT b.profile_id, {_score("b.last_order_at", "moment")} AS recency,
                           {_score("b.orders", "number")} AS frequency, {_score("b.spent", "number")} AS monetary
                      FROM crm_purchasesummary b) AS n
             WHERE n.profile_id = s.profile_id
               AND (s.recency, s.frequency, s.monetary) IS DISTINCT FROM (n.recency, n.frequency, n.monetary)
            """,
            [cuts["recency"], cuts["frequency"], cuts["monetary"]],
        )
        report = PurchaseReport.objects.create(
            computed_at=now,
            kind=said["kind"],
            currency=said["currency"],
            people=people,
            cuts=cuts,
            cells=_cells(said["currency"]),
            cohorts=_cohorts(said["currency"], now=now),
        )
        old = PurchaseReport.objects.order_by("-computed_at").values("pk")[KEPT_REPORTS:]
        PurchaseReport.objects.filter(pk__in=list(old.values_list("pk", flat=True))).delete()
    return report


def _cells(currency: str) -> list[dict[str, int]]:
    """The grid: people and amount per (recency, frequency)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT recency, frequency, count(*), sum(spent)::bigint FROM crm_purchasesummary"
            " WHERE currency = %s GROUP BY 1, 2 ORDER BY 1, 2",
            [currency],
        )
        return [
            {"recency": r, "frequency": f, "people": people, "spent": int(spent)}
            for r, f, people, spent in cursor.fetchall()
        ]


def _cohorts(currency: str, *, now: datetime) -> list[dict[str, Any]]:
    """Per month of the first order: buyers, who bought again within 30, 90 and 180 days and ever, and the median of
    the days to the second order. Months are those of the organisation; the newest 36."""
    zone = ZoneInfo(knobs.get("crm.time_zone")).key
    within = ", ".join(
        f"count(*) FILTER (WHERE second_order_at <= first_order_at + interval '{days} days')"
        for days in (30, 90, 180)
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT to_char(first_order_at AT TIME ZONE %s, 'YYYY-MM') AS month, count(*), {within},
                   count(second_order_at),
                   percentile_cont(0.5) WITHIN GROUP
                       (ORDER BY extract(epoch FROM second_order_at - first_order_at)::float8 / 86400),
                   sum(orders)::bigint
              FROM crm_purchasesummary WHERE currency = %s GROUP BY 1 ORDER BY 1 DESC LIMIT 36
            """,
            [zone, currency],
        )
        names = ("month", "buyers", "within_30", "within_90", "within_180", "again", "median_days", "orders")
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
