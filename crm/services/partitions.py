"""Month partitions of the touchpoint table, made before a batch needs them.

CREATE TABLE LIKE + ATTACH takes a lock that lets inserts go on (PARTITION OF would wait behind every open one).
An advisory lock keeps two processes from making the same month. Outside a transaction the months are made in a
short one of their own; inside one they belong to it, and are not remembered, because it may roll back.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from django.db import connection, transaction
from psycopg import errors

LOCK = 0x52454E02
_known: set[tuple[int, int]] = set()


def ensure(months: Iterable[tuple[int, int]]) -> None:
    """Make sure that a partition exists for each (year, month)."""
    wanted = set(months) - _known
    if not wanted:
        return
    outer = connection.in_atomic_block
    for month in sorted(wanted):
        if not _exists(month):
            with transaction.atomic():
                _make(month)
    if not outer:
        _known.update(wanted)


def ensure_ahead(*, now: datetime, months: int = 2) -> None:
    """Make this month and the next ones: run daily, so that no batch has to wait for its month."""
    first = now.astimezone(UTC)
    ordinal = first.year * 12 + first.month - 1
    months_wanted = [divmod(ordinal + step, 12) for step in range(months + 1)]
    ensure((year, zero_based + 1) for year, zero_based in months_wanted)


def forget() -> None:
    """Drop this process's memory of the months that exist."""
    _known.clear()


def is_lost(error: BaseException) -> bool:
    """Whether an insert failed because its month was dropped while this process still remembered it."""
    cause = error.__cause__
    return isinstance(cause, errors.CheckViolation) and "no partition of relation" in str(cause)


def name(month: tuple[int, int]) -> str:
    """The table of a month."""
    return f"crm_touchpoint_y{month[0]:04d}m{month[1]:02d}"


def _exists(month: tuple[int, int]) -> bool:
    # Read from the catalogue itself: to_regclass() may answer from a cache that a lock does not refresh.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = 'crm_touchpoint'::regclass AND c.relname = %s)",
            [name(month)],
        )
        return cursor.fetchone()[0]


def _make(month: tuple[int, int]) -> None:
    year, number = month
    start = f"{year:04d}-{number:02d}-01 00:00:00+00"
    end = f"{year + number // 12:04d}-{number % 12 + 1:02d}-01 00:00:00+00"
    table = name(month)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        # Somebody else may have made it while we waited for the lock.
        if _exists(month):
            return
        cursor.execute(f"CREATE TABLE {table} (LIKE crm_touchpoint INCLUDING ALL)")
        cursor.execute(
            f"ALTER TABLE crm_touchpoint ATTACH PARTITION {table} FOR VALUES FROM ('{start}') TO ('{end}')"
        )
