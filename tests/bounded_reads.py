"""Every statement of the product that reads touchpoints names people or a time range.

That is what lets the table be distributed by profile_id and its months be detached (docs/scaling.md). The watch is
on for the whole suite: it looks at each statement the driver is given, however it was composed, and raises in the
caller when one reads `crm_touchpoint` without a condition on `profile_id` or `occurred_at`. What tests themselves
ask of the table is their own affair.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

import psycopg

from crm.kernel import statements

BASE_DIR = Path(__file__).resolve().parent.parent
PRODUCT = tuple(str(BASE_DIR / app) for app in ("config", "crm", "lifecycle", "voc", "members"))
TESTS = str(BASE_DIR / "tests")
READS = re.compile(r'\b(?:FROM|JOIN|UPDATE)\s+(?:ONLY\s+)?"?crm_touchpoint"?(?![\w"])', re.IGNORECASE)
OPERATOR = r"\s*\)?\s*(?:=|<|>|\bIN\b|\bBETWEEN\b)"
BOUND = re.compile(rf'"?\b(?:profile_id|occurred_at)\b"?{OPERATOR}', re.IGNORECASE)
RIGHT_SIDE = re.compile(r'(?:=|<|>)\s*(?:"?\w+"?\.)?"?(?:profile_id|occurred_at)\b', re.IGNORECASE)


class Unbounded(AssertionError):
    """A read of the touchpoint table that would touch every person and every month."""


@cache
def is_bounded(statement: str) -> bool:
    """Whether the statement either does not read touchpoints or names people or a time range."""
    if not READS.search(statement):
        return True
    return bool(BOUND.search(statement) or RIGHT_SIDE.search(statement))


def watch() -> None:
    """Look at every statement from now on. Idempotent."""
    if getattr(psycopg.Cursor.execute, "is_watched", False):
        return
    original = psycopg.Cursor.execute

    def execute(self: Any, query: Any, *arguments: Any, **keywords: Any) -> Any:
        text = query if isinstance(query, str) else _text(query, self)
        if "crm_touchpoint" in text and not is_bounded(text) and _asked_by_product():
            raise Unbounded(f"names neither people nor a time range:\n{text}")
        return original(self, query, *arguments, **keywords)

    run = statements._run

    def watched_run(held: Any, sql: str, params: Any) -> Any:
        if "crm_touchpoint" in sql and not is_bounded(sql) and _asked_by_product():
            raise Unbounded(f"names neither people nor a time range:\n{sql}")
        return run(held, sql, params)

    statements._run = watched_run
    execute.is_watched = True  # type: ignore[attr-defined]
    psycopg.Cursor.execute = execute  # type: ignore[method-assign]


def _text(query: Any, cursor: Any) -> str:
    return query.decode() if isinstance(query, bytes) else query.as_string(cursor)


def _asked_by_product() -> bool:
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(TESTS):
            return False
        if name.startswith(PRODUCT):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False
