"""Logs carry ids, not people, and nobody can write a line of his own."""

import logging

import pytest
import structlog
from django.db import IntegrityError
from django.test import Client

from config import logs


def _formatted(record: logging.LogRecord) -> str:
    factory = logs.LOGGING["formatters"]["line"]
    formatter = structlog.stdlib.ProcessorFormatter(
        **{name: value for name, value in factory.items() if name != "()"}
    )
    return formatter.format(record)


def _record(text: str, *arguments: object, error: Exception | None = None) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("lib", logging.INFO, __file__, 1, text, arguments, info)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("mail to ana.lima@example.com failed", "mail to [email] failed"),
        ("calling +86 138 0013 8000 now", "calling [number] now"),
        ("GET /u/abc?token=secret done", "GET /u/abc?[query] done"),
        ("key wk_0123456789abcdefghijklmnopqrstuvwxyzABCDEF", "key [token]"),
        ("ticket 1204 of release 17", "ticket 1204 of release 17"),
        ("duplicate key\nDETAIL:  Key (email)=(a@b.example) already exists.", "duplicate key"),
    ],
)
def test_texts_of_unknown_origin_are_redacted(text: str, kept: str) -> None:
    assert logs.redact(text) == kept


def test_line_breaks_are_escaped() -> None:
    line = _formatted(_record("one\r\n12:00:00 ERROR forged\x1b[31m"))
    assert "\n" not in line and "\r" not in line and "\x1b" not in line
    assert "one\\r\\n12:00:00 ERROR forged" in line


def test_an_exception_is_one_line_without_its_values() -> None:
    try:
        raise IntegrityError('duplicate "identity"\nDETAIL:  Key (value)=(ana@example.com) already exists.')
    except IntegrityError as error:
        line = _formatted(_record("failed", error=error))
    assert "\n" not in line
    assert "ana@example.com" not in line
    assert "error=IntegrityError" in line
    assert "test_logs.py" in line


@pytest.mark.django_db
def test_a_request_is_logged_by_its_route(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        client.get("/admin/login/?next=/secret-place/", HTTP_AUTHORIZATION="Bearer hidden")
        client.get("/no-such-page/with-token/")
    text = caplog.text
    assert "admin/login/" in text
    for word in ("secret-place", "hidden", "with-token"):
        assert word not in text
