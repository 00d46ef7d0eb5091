"""Events on their way onto a timeline: what callers hand in, what they are told, and the check of each event that
needs no database.

This runs for every event of the organisation, so it is written to be cheap: one pass, no object per value, and
each time and text is formatted once for all statements that need it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import orjson

from crm.kernel import knobs
from crm.registry import check_payload
from crm.selectors import rules
from crm.selectors.rules import RuleInForce

LONGEST_KIND = 200
LONGEST_MESSAGE_ID = 255
LONGEST_IDENTIFIER = 255
BAD_VALUE = "properties are JSON: at most 250 deep, integers of at most 64 bits, no lone surrogates"


@dataclass(frozen=True, slots=True)
class SourceRef:
    """What the hot path knows of a source."""

    id: int
    trust: str
    name: str = ""


@dataclass(slots=True)
class Event:
    """One thing that happened. `identifiers` are (kind, raw value) pairs; give `profile_id` instead when the
    person is known. `occurred_at` None means now. `message_id` is the key of dedupe within its source; an empty one
    is never taken for a repetition, and leaves no receipt."""

    kind: str
    occurred_at: datetime | None
    message_id: str
    profile_id: int | None = None
    identifiers: Sequence[tuple[str, Any]] = ()
    traits: dict[str, Any] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)
    channel: str = ""
    stage: str = ""
    context: dict[str, Any] | None = None
    hints: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """An event that was not stored: its place in the batch and why."""

    index: int
    message_id: str
    code: str
    detail: str


@dataclass(slots=True)
class RecordResult:
    """`profile_ids` has one root id per event; None where the event was refused or already stored."""

    accepted: int = 0
    duplicates: int = 0
    rejected: list[Rejection] = field(default_factory=list)
    warnings: list[tuple[int, str, str]] = field(default_factory=list)
    profile_ids: list[int | None] = field(default_factory=list)


@dataclass(slots=True)
class Row:
    """An event that may be stored. `digest` is empty when it has no message id; `at` is `occurred_at` as text."""

    index: int
    event: Event
    digest: str
    occurred_at: datetime
    at: str
    identifiers: list[tuple[str, str]]
    properties: str
    context: str
    profile_id: int = 0
    root_id: int = 0


def prepare(
    events: Sequence[Event], *, source: SourceRef | None, now: datetime, result: RecordResult
) -> list[Row]:
    """Check each event without the database: identifiers, time, kind. Returns the rows worth storing, the first
    of each message id; what is refused or changed is noted in `result`."""
    earliest = _month(knobs.get("crm.first_month"))
    latest = now + timedelta(days=knobs.get("crm.future_days"))
    salt = (str(source.id) if source else "0").encode() + b"\0"
    in_force = rules.in_force()
    other = rules.rule("*")
    dumps = orjson.dumps
    now_text = now.isoformat()
    rows: list[Row] = []
    digests: set[str] = set()
    result.profile_ids = [None] * len(events)
    for index, event in enumerate(events):
        message_id = event.message_id
        if not event.kind or len(event.kind) > LONGEST_KIND:
            detail = f"the name of an event has 1 to {LONGEST_KIND} characters"
            result.rejected.append(Rejection(index, message_id, "invalid_event", detail))
            continue
        if len(message_id) > LONGEST_MESSAGE_ID:
            detail = f"messageId has at most {LONGEST_MESSAGE_ID} characters"
            result.rejected.append(Rejection(index, message_id[:80], "invalid_message_id", detail))
            continue
        if source is None:
            wrong = check_payload(event.kind, event.properties)
            if wrong:
                raise ValueError(wrong)
        identifiers: list[tuple[str, str]] = []
        if event.profile_id is None:
            identifiers = _identifiers(index, event, in_force, other, result)
            if not identifiers:
                continue
        moment = event.occurred_at
        if moment is None:
            moment, at = now, now_text
        elif earliest <= moment <= latest:
            if moment.tzinfo is not UTC:
                moment = moment.astimezone(UTC)
            at = moment.isoformat()
        else:
            result.warnings.append((index, "time_out_of_range", moment.isoformat()))
            moment, at = now, now_text
        digest = ""
        if message_id:
            digest = blake2b(salt + message_id.encode(), digest_size=16).hexdigest()
            if digest in digests:
                continue
        try:
            properties = dumps(event.properties).decode() if event.properties else "{}"
            context = dumps(event.context).decode() if event.context else ""
        except TypeError:
            result.rejected.append(Rejection(index, message_id, "invalid_event", BAD_VALUE))
            continue
        digests.add(digest)
        rows.append(Row(index, event, digest, moment, at, identifiers, properties, context))
    return rows


def _identifiers(
    index: int, event: Event, in_force: dict[str, RuleInForce], other: RuleInForce, result: RecordResult
) -> list[tuple[str, str]]:
    """The event's identifiers in their normal form, strongest first; none when nobody can be meant by them, which
    is then a rejection."""
    found: list[tuple[str, str]] = []
    illegal = ""
    for kind, raw in event.identifiers:
        rule = in_force.get(kind, other)
        value = raw.strip() if type(raw) is str else raw
        if (
            type(value) is str
            and kind != "email"
            and kind != "phone"
            and 0 < len(value) <= LONGEST_IDENTIFIER
        ):
            normal: str | None = value
        else:
            normal = rules.normalise(kind, value)
        if (
            normal is None
            or normal.casefold() in rule.blocked
            or (rule.pattern is not None and rule.pattern.fullmatch(normal))
        ):
            illegal = kind
            result.warnings.append((index, "illegal_identifier", kind))
        else:
            found.append((kind, normal))
    if len(found) > 1:
        return sorted(dict.fromkeys(found), key=lambda pair: in_force.get(pair[0], other).priority)
    if found:
        return found
    if illegal:
        # The refusal says it; no second line for the same thing.
        result.warnings = [warning for warning in result.warnings if warning[0] != index]
        detail = f"{illegal} has a value that identifies nobody"
        result.rejected.append(Rejection(index, event.message_id, "illegal_identifier", detail))
    else:
        detail = "an event needs userId, anonymousId or another identifier"
        result.rejected.append(Rejection(index, event.message_id, "no_identifier", detail))
    return []


@lru_cache(maxsize=8)
def _month(text: str) -> datetime:
    """The beginning of a month as the knob has it."""
    try:
        return datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        return datetime(1990, 1, 1, tzinfo=UTC)


def uuids(number: int, *, now: datetime) -> list[str]:
    """Fresh UUIDv7 texts."""
    stamp = f"{int(now.timestamp() * 1000):012x}"
    head = f"{stamp[:8]}-{stamp[8:]}-7"
    noise = os.urandom(10 * number).hex()
    return [
        f"{head}{noise[at : at + 3]}-{'89ab'[int(noise[at + 3], 16) & 3]}{noise[at + 4 : at + 7]}-"
        f"{noise[at + 7 : at + 19]}"
        for at in range(0, 20 * number, 20)
    ]
