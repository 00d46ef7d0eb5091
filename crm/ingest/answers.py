"""What the door answers: a status, headers and JSON, made without a framework.

200 counts what was stored and lists what was refused; every other answer is a problem with a code and a sentence.
Nothing here is ever a redirect: two of the three SDKs count one as delivered.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson

from crm.services.touchpoints import RecordResult

MOST_LISTED = 10_000
RETRY_AFTER_SECONDS = 5
Header = tuple[str, str]

# Browsers on any site may send with a browser key; no cookie is ever read here.
_COMMON: tuple[Header, ...] = (
    ("Access-Control-Allow-Origin", "*"),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
)
_PREFLIGHT: tuple[Header, ...] = (
    *_COMMON,
    ("Access-Control-Allow-Methods", "POST, GET, OPTIONS"),
    ("Access-Control-Allow-Headers", "authorization, content-type, content-encoding, x-retry-count"),
    ("Access-Control-Max-Age", "7200"),
)
_JSON: tuple[Header, ...] = (("Content-Type", "application/json"), *_COMMON)
_PROBLEM: tuple[Header, ...] = (("Content-Type", "application/problem+json"), *_COMMON)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer but for its length."""

    status: int
    body: bytes
    headers: tuple[Header, ...]

    @property
    def status_line(self) -> str:
        """Status and phrase, as WSGI wants them."""
        return f"{self.status} {HTTPStatus(self.status).phrase}"


def stored(result: RecordResult) -> Answer:
    """200: what became of every event."""
    if not result.rejected and not result.warnings:
        text = '{"success":true,"accepted":%d,"duplicates":%d,"rejected":[]}'
        return Answer(200, (text % (result.accepted, result.duplicates)).encode(), _JSON)
    body: dict[str, Any] = {
        "success": True,
        "accepted": result.accepted,
        "duplicates": result.duplicates,
        "rejected": [
            {"index": r.index, "message_id": r.message_id, "code": r.code, "detail": r.detail}
            for r in result.rejected[:MOST_LISTED]
        ],
    }
    if len(result.rejected) > MOST_LISTED:
        body["rejected_total"] = len(result.rejected)
    if result.warnings:
        body["warnings"] = [
            {"index": index, "code": code, "detail": detail}
            for index, code, detail in result.warnings[:MOST_LISTED]
        ]
    return Answer(200, orjson.dumps(body), _JSON)


def document(body: dict[str, Any]) -> Answer:
    """200 with any JSON."""
    return Answer(200, orjson.dumps(body), _JSON)


def preflight() -> Answer:
    """204: what a page of another site may send."""
    return Answer(204, b"", _PREFLIGHT)


def problem(status: int, code: str, detail: str, *more: Header) -> Answer:
    """Anything else, with the code that clients compare and the sentence that people read."""
    body = {
        "success": False,
        "type": "about:blank",
        "title": code,
        "status": status,
        "code": code,
        "detail": detail,
    }
    return Answer(status, orjson.dumps(body), (*_PROBLEM, *more))


def wrong_method(*allowed: str) -> Answer:
    """405."""
    listed = ", ".join((*allowed, "OPTIONS"))
    return problem(405, "method_not_allowed", f"use {allowed[0]}", ("Allow", listed))


def unauthorised() -> Answer:
    """401: a key that is surely unknown. Never said in an outage, because SDKs throw the events away."""
    return problem(
        401,
        "invalid_write_key",
        "send a write key as the user name of Basic authorization",
        ("WWW-Authenticate", 'Basic realm="write key"'),
    )


def unavailable() -> Answer:
    """503: nothing was stored, or nobody knows; a retry with the same message ids stores each event once."""
    return problem(
        503,
        "unavailable",
        "the database is away; nothing was stored, send it again",
        ("Retry-After", str(RETRY_AFTER_SECONDS)),
    )


def too_many(retry_after: int) -> Answer:
    """429: this source sent more than its share; SDKs wait as long as they are told and lose nothing."""
    return problem(
        429,
        "too_many_requests",
        f"this source sends more than it may; wait {retry_after} seconds",
        ("Retry-After", str(retry_after)),
    )
