"""Statements of the hot path: server-side parameters and no ORM, on Django's own connection and transaction (see
crm.kernel.statements); lists as parameters, and COPY. Errors come out as Django's database errors.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import orjson
import psycopg
from django.db import DEFAULT_DB_ALIAS, connections

from crm.kernel import statements
from crm.kernel.statements import fetch

__all__ = ["array", "copy", "fetch", "json_array", "trust_recent"]

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


@contextmanager
def copy(sql: str) -> Iterator[psycopg.Copy]:
    """Open a COPY … FROM STDIN; rows are written with `write_row`."""
    connection = connections[DEFAULT_DB_ALIAS]
    with connection.wrap_database_errors, statements.session(connection).cursor.copy(sql) as opened:
        yield opened


def trust_recent() -> None:
    """Save the health check of a connection that answered a moment ago: under load it would be every third
    statement. One that died since costs its next request a 503, which clients send again."""
    connection: Any = connections[DEFAULT_DB_ALIAS]
    used_at = getattr(connection, "_hot_used_at", None)
    if connection.connection is not None and used_at is not None:
        connection.health_check_done = time.monotonic() - used_at < TRUSTED_SECONDS
