"""Statements of the hot path: server-side parameters and no ORM, on Django's own connection and transaction.

Errors come out as Django's database errors, and statements are prepared when the connection allows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
import psycopg
from django.conf import settings
from django.db import connection
from psycopg.rows import tuple_row


def array(values: Sequence[Any]) -> Any:
    """A list of texts, numbers, times or None as a parameter for `%s::type[]`.

    Written as an array literal by the JSON writer, which is many times faster than the driver's own list dumper;
    the two notations differ only in backslashes, so lists that need one take the slow road.
    """
    text = orjson.dumps(values).decode()
    return list(values) if "\\" in text else "{" + text[1:-1] + "}"


def fetch(sql: str, params: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run one statement and return its rows (an empty list when it has none)."""
    connection.ensure_connection()
    with connection.wrap_database_errors, _cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall() if cursor.description is not None else []


@contextmanager
def copy(sql: str) -> Iterator[psycopg.Copy]:
    """Open a COPY … FROM STDIN; rows are written with `write_row`."""
    connection.ensure_connection()
    with connection.wrap_database_errors, _cursor() as cursor, cursor.copy(sql) as opened:
        yield opened


def _cursor() -> psycopg.Cursor[tuple[Any, ...]]:
    raw = connection.connection
    if raw.prepare_threshold is None and getattr(settings, "PREPARE_STATEMENTS", True):
        # Only cursors with server-side parameters prepare, so this touches no statement of the ORM. Turn it off
        # behind a pooler that cannot follow prepared statements.
        raw.prepare_threshold = 3
    return psycopg.Cursor(raw, row_factory=tuple_row)
