"""Statements of the hot path: server-side parameters and no ORM, on Django's own connection and transaction.

Errors come out as Django's database errors, and statements are prepared when the connection allows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection
from psycopg.rows import tuple_row


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
    return psycopg.Cursor(connection.connection, row_factory=tuple_row)
