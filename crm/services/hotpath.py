"""Statements of the hot path: server-side parameters and no ORM, on Django's own connection and transaction.

Errors come out as Django's database errors. Statements are prepared when the connection allows it, and one cursor
per connection is used again and again: making one costs four times as much as a small statement.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import orjson
import psycopg
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg.rows import tuple_row

TRUSTED_SECONDS = 5.0
# A backslash of its own, or an escape of something other than a quote or white space.
_OTHER_ESCAPE: Final = re.compile(r"\\[^\"nrt]")


def array(values: Sequence[Any]) -> Any:
    """A list of texts, numbers, times or None as a parameter for `%s::type[]`.

    Written as an array literal by the JSON writer, which is many times faster than the driver's own list dumper. The
    two notations read an escaped quote alike and a line end as itself; lists with other escapes take the slow road.
    """
    text = orjson.dumps(values).decode()
    if "\\" in text:
        if _OTHER_ESCAPE.search(text):
            return list(values)
        text = text.replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t")
    return "{" + text[1:-1] + "}"


def json_array(texts: Sequence[str | None]) -> str:
    """A list of JSON texts, without control characters as the JSON writer makes them, for `%s::jsonb[]`: their
    quotes and backslashes are escaped alike in both notations."""
    return "{" + orjson.dumps(texts).decode()[1:-1] + "}"


def fetch(sql: str, params: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run one statement and return its rows (an empty list when it has none)."""
    connection: Any = connections[DEFAULT_DB_ALIAS]
    connection.ensure_connection()
    with connection.wrap_database_errors:
        cursor = _cursor(connection)
        cursor.execute(sql, params)
        connection._hot_used_at = time.monotonic()
        # Not `description`, which makes an object per column.
        answer = cursor.pgresult
        return cursor.fetchall() if answer is not None and answer.nfields else []


@contextmanager
def copy(sql: str) -> Iterator[psycopg.Copy]:
    """Open a COPY … FROM STDIN; rows are written with `write_row`."""
    connection = connections[DEFAULT_DB_ALIAS]
    connection.ensure_connection()
    with connection.wrap_database_errors, _cursor(connection).copy(sql) as opened:
        yield opened


def trust_recent() -> None:
    """Save the health check of a connection that answered a moment ago: under load it would be every third
    statement. One that died since costs its next request a 503, which clients send again."""
    connection: Any = connections[DEFAULT_DB_ALIAS]
    used_at = getattr(connection, "_hot_used_at", None)
    if connection.connection is not None and used_at is not None:
        connection.health_check_done = time.monotonic() - used_at < TRUSTED_SECONDS


def _cursor(connection: Any) -> psycopg.Cursor[tuple[Any, ...]]:
    raw = connection.connection
    held = getattr(connection, "_hot_cursor", None)
    if held is not None and held.connection is raw:
        return held
    if raw.prepare_threshold is None and getattr(settings, "PREPARE_STATEMENTS", True):
        # Only cursors with server-side parameters prepare, so this touches no statement of the ORM. Turn it off
        # behind a pooler that cannot follow prepared statements.
        raw.prepare_threshold = 3
    cursor = connection._hot_cursor = psycopg.Cursor(raw, row_factory=tuple_row)
    return cursor
