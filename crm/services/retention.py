"""Retention: what is past its time goes, whole months by dropping them, single kinds in bounded batches.

A month is detached CONCURRENTLY, so that nobody waits, and then dropped; an interrupted detach is finished by the next
run. Rows go page by page of one month, each batch in a transaction of its own. Receipts, which keep an event from
being stored twice, stay at least as long as any touchpoint that could be older. Runs at night, and stops when the
night, or its time, is over.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection, transaction
from django.db.transaction import TransactionManagementError

from crm.kernel import actionlog, jobs, knobs
from crm.kernel.actors import Actor
from crm.models import RetentionRun
from crm.selectors import retention as reads
from crm.services import partitions, quiet_hours

logger = logging.getLogger(__name__)

PAGES: Final = 256  # two megabytes of rows per transaction
RECEIPT_PARTITIONS: Final = 8
SECONDS: Final = 180.0
_LOCK: Final = 0x52454E0B


def is_night(*, now: datetime) -> bool:
    """Whether it is the time of day, where the organisation is, at which old touchpoints are deleted."""
    start, end = knobs.get("crm.retention_from_hour"), knobs.get("crm.retention_until_hour")
    hour = now.astimezone(quiet_hours.zone_of("")).hour
    return start == end or (start <= hour < end if start < end else hour >= start or hour < end)


def run(*, actor: Actor, now: datetime, seconds: float = SECONDS) -> RetentionRun | None:
    """Let go what is past its time. None when nothing may go or somebody else is at it. Not in a transaction.

    What is not done within `seconds` is done by the next run, which takes this run's row up again.
    """
    if connection.in_atomic_block:
        raise TransactionManagementError("months are detached outside a transaction")
    rules = reads.rules()
    if not rules.shortest:
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
        if not cursor.fetchone()[0]:
            return None
    try:
        return _run(rules, actor=actor, now=now, deadline=time.monotonic() + seconds)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


def _run(rules: reads.Rules, *, actor: Actor, now: datetime, deadline: float) -> RetentionRun:
    row = RetentionRun.objects.filter(finished_at=None).order_by("-pk").first()
    if row is None:
        row = RetentionRun.objects.create(started_at=now, actor=str(actor))
    is_done = True
    for plan in reads.plan(now=now):
        if _is_over(deadline):
            is_done = False
            break
        if plan.action == "drop":
            _drop(plan.month)
            row.months_dropped.append(f"{plan.month.start:%Y-%m}")
            row.rows_by_kind = _added(row.rows_by_kind, dict(plan.kinds) or {"*": plan.rows})
            row.save(update_fields=["months_dropped", "rows_by_kind"])
        elif plan.action == "delete":
            counts, is_done = _delete(plan.month, rules, now=now, deadline=deadline)
            row.rows_by_kind = _added(row.rows_by_kind, counts)
            row.save(update_fields=["rows_by_kind"])
    if is_done:
        row.receipts_deleted += _forget_receipts(rules, now=now, deadline=deadline)
        row.save(update_fields=["receipts_deleted"])
    if is_done and not _is_over(deadline):
        row.finished_at = now
        row.save(update_fields=["finished_at"])
        actionlog.write(actor, "crm.retention.finished", row, now=now)
    return row


def _drop(month: reads.Month) -> None:
    """Detach without holding anybody up, then drop. Each step can be repeated."""
    with connection.cursor() as cursor:
        if month.is_pending:
            cursor.execute(f"ALTER TABLE crm_touchpoint DETACH PARTITION {month.table} FINALIZE")
        else:
            cursor.execute(f"ALTER TABLE crm_touchpoint DETACH PARTITION {month.table} CONCURRENTLY")
        cursor.execute(f"DROP TABLE IF EXISTS {month.table}")
    partitions.forget()
    logger.info("dropped %s", month.table)


def _delete(
    month: reads.Month, rules: reads.Rules, *, now: datetime, deadline: float
) -> tuple[dict[str, int], bool]:
    """Rows of kinds that are past their time, page by page. Returns counts per kind, and whether it is done."""
    counts: Counter[str] = Counter()
    usual = now - timedelta(days=rules.usual) if rules.usual else None
    params: dict[str, Any] = {
        "kinds": list(rules.of_kind),
        "moments": [now - timedelta(days=days) for days in rules.of_kind.values()],
        "usual": usual,
        "start": month.start,
        "end": month.end,
    }
    for first in range(0, _pages(month.table), PAGES):
        if _is_over(deadline):
            return dict(counts), False
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                f"""
                WITH gone AS (
                    DELETE FROM {month.table} t
                     WHERE t.ctid >= '({first},0)'::tid AND t.ctid < '({first + PAGES},0)'::tid
                       AND t.occurred_at >= %(start)s AND t.occurred_at < %(end)s
                       AND t.occurred_at < COALESCE(
                           (SELECT k.cutoff FROM unnest(%(kinds)s::text[], %(moments)s::timestamptz[])
                                   AS k(kind, cutoff) WHERE k.kind = t.kind), %(usual)s)
                    RETURNING t.kind)
                SELECT kind, count(*) FROM gone GROUP BY kind
                """,
                params,
            )
            counts.update(dict(cursor.fetchall()))
    return dict(counts), True


def _forget_receipts(rules: reads.Rules, *, now: datetime, deadline: float) -> int:
    """Receipts older than every month that is left: no touchpoint of theirs can exist any more."""
    left = reads.months()
    if not left:
        return 0
    oldest = min(left[0].start, now - timedelta(days=rules.shortest))
    deleted = 0
    for number in range(RECEIPT_PARTITIONS):
        table = f"crm_eventreceipt_p{number}"
        for first in range(0, _pages(table), PAGES):
            if _is_over(deadline):
                return deleted
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(
                    f"DELETE FROM {table} WHERE ctid >= '({first},0)'::tid AND ctid < '({first + PAGES},0)'::tid"
                    " AND occurred_at < %s",
                    [oldest],
                )
                deleted += cursor.rowcount
    return deleted


def _pages(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_relation_size(%s::regclass) / current_setting('block_size')::int", [table])
        return int(cursor.fetchone()[0])


def _added(before: dict[str, int], counts: dict[str, int]) -> dict[str, int]:
    return dict(Counter(before) + Counter(counts))


def _is_over(deadline: float) -> bool:
    return jobs.is_stopping() or time.monotonic() > deadline
