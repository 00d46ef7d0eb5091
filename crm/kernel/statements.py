"""Statements that run often: prepared on the server and sent through libpq itself, on Django's own connection and in
its transaction.

A cursor of the driver costs several times as much as a small statement: it is made for results that are streamed,
adapted in both directions and waited for piece by piece. Here parameters go out as text with the type they have in
Python, the call waits in C without the interpreter's lock, and rows are read by the driver's own loaders. Parameters
of other types take the driver's road. Errors come out as Django's database errors.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg import adapt, errors
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, TransactionStatus
from psycopg.rows import tuple_row

# A statement is prepared when it comes for the third time; beyond so many, the others stay as they are.
PREPARE_FROM: Final = 3
MOST_PREPARED: Final = 200
_MARK: Final = re.compile(r"%(?:%|\((\w+)\)s|s)")
_GOOD: Final = frozenset((ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK))
_UNKNOWN, _BOOL, _INT8, _INT4, _FLOAT8, _DATE, _MOMENT, _UUID = 0, 16, 20, 23, 701, 1082, 1184, 2950
_INT4_END: Final = 2**31
_INT8_END: Final = 2**63
Params = Sequence[Any] | Mapping[str, Any]


class _Other(Exception):
    """A parameter that the driver knows how to send, and this module does not."""


class _Session:
    """What is kept of one connection to the server."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self.pgconn = raw.pgconn
        self.cursor = psycopg.Cursor(raw, row_factory=tuple_row)
        self.reader = adapt.Transformer(raw)
        # Turn it off behind a pooler that cannot follow prepared statements.
        self.may_prepare = bool(getattr(settings, "PREPARE_STATEMENTS", True))
        # The driver's own cursors must prepare nothing: it forgets all statements of the server after a rollback,
        # ours included. Django has it so unless it is told otherwise.
        raw.prepare_threshold = None
        self.names: dict[tuple[str, tuple[int, ...]], bytes] = {}
        self.times: dict[tuple[str, tuple[int, ...]], int] = {}


def session(connection: Any = None) -> _Session:
    """The session of this thread's connection to the server, which is opened if need be."""
    found: Any = connection or connections[DEFAULT_DB_ALIAS]
    if found.connection is None:
        found.ensure_connection()
    held: _Session | None = getattr(found, "_hot_session", None)
    if held is None or held.raw is not found.connection:
        held = found._hot_session = _Session(found.connection)
    return held


def fetch(sql: str, params: Params) -> list[tuple[Any, ...]]:
    """Run one statement and return its rows (an empty list when it has none)."""
    connection: Any = connections[DEFAULT_DB_ALIAS]
    held = session(connection)
    with connection.wrap_database_errors:
        try:
            return _run(held, sql, params)
        finally:
            connection._hot_used_at = time.monotonic()


def _run(held: _Session, sql: str, params: Params) -> list[tuple[Any, ...]]:
    try:
        text, order = _read(sql)
        named: Any = params
        values, types = _dump(named if order is None else [named[name] for name in order])
    except _Other:
        return _by_cursor(held, sql, params)
    pgconn = held.pgconn
    if pgconn.transaction_status == TransactionStatus.IDLE and not held.raw.autocommit:
        if held.raw.isolation_level is not None:
            return _by_cursor(held, sql, params)
        _check(held, pgconn.exec_(b"BEGIN"))
    key = (sql, types)
    name = held.names.get(key)
    if name is None and held.may_prepare and len(held.names) < MOST_PREPARED:
        times = held.times[key] = held.times.get(key, 0) + 1
        if times >= PREPARE_FROM:
            name = b"hot%d" % len(held.names)
            _check(held, pgconn.prepare(name, text, types))
            held.names[key] = name
            del held.times[key]
    if name is None:
        result = pgconn.exec_params(text, values, types)
    else:
        result = pgconn.exec_prepared(name, values)
    _check(held, result)
    count = result.ntuples
    if not count:
        return []
    held.reader.set_pgresult(result)
    return held.reader.load_rows(0, count, tuple)


def _by_cursor(held: _Session, sql: str, params: Params) -> list[tuple[Any, ...]]:
    cursor = held.cursor
    cursor.execute(sql, params)
    # Not `description`, which makes an object per column.
    answer = cursor.pgresult
    return cursor.fetchall() if answer is not None and answer.nfields else []


def _check(held: _Session, result: Any) -> None:
    """Raise the driver's error for a result that is none."""
    if result.status in _GOOD:
        return
    if held.pgconn.status != ConnStatus.OK or not result.error_field(DiagnosticField.SQLSTATE):
        raise errors.OperationalError(result.get_error_message("utf-8"), info=result, encoding="utf-8")
    raise errors.error_from_result(result, "utf-8")


_texts: dict[str, tuple[bytes, tuple[str, ...] | None]] = {}


def _read(sql: str) -> tuple[bytes, tuple[str, ...] | None]:
    """The statement with the server's marks, and the names of its parameters in their order, if they have any."""
    found = _texts.get(sql)
    if found is None:
        order: list[str] = []
        places = 0

        def mark(match: re.Match[str]) -> str:
            nonlocal places
            if match[0] == "%%":
                return "%"
            if match[1]:
                if match[1] not in order:
                    order.append(match[1])
                return f"${order.index(match[1]) + 1}"
            places += 1
            return f"${places}"

        found = (_MARK.sub(mark, sql).encode(), tuple(order) if order else None)
        if len(_texts) < 1000:
            _texts[sql] = found
    return found


def _text(value: str) -> bytes:
    data = value.encode()
    if b"\0" in data:
        raise errors.DataError("text of the database holds no NUL")
    return data


def _dump(params: Sequence[Any]) -> tuple[list[bytes | None], tuple[int, ...]]:
    """Values as the server reads them, and the types it is told."""
    values: list[bytes | None] = []
    types: list[int] = []
    for value in params:
        kind = type(value)
        if kind is str:
            values.append(_text(value))
            types.append(_UNKNOWN)
        elif value is None:
            values.append(None)
            types.append(_UNKNOWN)
        elif kind is int:
            if not -_INT8_END <= value < _INT8_END:
                raise _Other
            values.append(b"%d" % value)
            types.append(_INT4 if -_INT4_END <= value < _INT4_END else _INT8)
        elif kind is datetime:
            if value.tzinfo is None:
                raise _Other
            values.append(value.isoformat().encode())
            types.append(_MOMENT)
        else:
            found = _OTHERS.get(kind)
            if found is None:
                raise _Other
            types.append(found[0])
            values.append(found[1](value))
    return values, tuple(types)


_OTHERS: Final[dict[type, tuple[int, Callable[[Any], bytes]]]] = {
    bool: (_BOOL, lambda value: b"t" if value else b"f"),
    float: (_FLOAT8, lambda value: repr(value).encode()),
    date: (_DATE, lambda value: value.isoformat().encode()),
    UUID: (_UUID, lambda value: value.hex.encode()),
}
