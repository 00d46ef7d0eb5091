"""The one road by which anything gets onto a timeline.

`record()` guarantees: an event is stored once per (source, message id), for ever; the batch, its people, its
tallies and the reactions it triggers are one transaction; what is refused is answered per event and kept as a
warning. A batch marked historical, and facts older than a receiver's max_age, trigger nothing.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any
from uuid import UUID

import orjson
from django.db import transaction

from crm.kernel import knobs, reactions
from crm.kernel.actors import Actor
from crm.registry import check_payload, register_kind, stage_of
from crm.selectors import computed, rules
from crm.services import hotpath, identity, partitions, retry, traits, warnings
from crm.states import Trust

__all__ = ["Event", "RecordResult", "Rejection", "SourceRef", "record", "register_kind"]

OPTIMISTIC_TRIES = 2
LONGEST_KIND = 200
LONGEST_MESSAGE_ID = 255


@dataclass(frozen=True, slots=True)
class SourceRef:
    """What the hot path knows of a source."""

    id: int
    trust: str
    name: str = ""


@dataclass(slots=True)
class Event:
    """One thing that happened. `identifiers` are (kind, raw value) pairs; give `profile_id` instead when the
    person is known. `occurred_at` None means now. `message_id` is the key of dedupe within its source."""

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
class _Row:
    """An event on its way into the table."""

    index: int
    event: Event
    digest: str
    occurred_at: datetime
    identifiers: list[tuple[str, str]]
    properties: str
    context: str | None
    profile_id: int = 0


def record(
    events: Sequence[Event],
    *,
    source: SourceRef | None,
    actor: Actor,
    now: datetime,
    historical: bool = False,
) -> RecordResult:
    """Store a batch of events. Called outside a transaction it commits before it returns and retries deadlocks;
    called inside one it is part of it. Raises nothing for a bad event: see `rejected` and `warnings`."""
    result = RecordResult()
    rows = _prepare(events, source=source, now=now, result=result)
    partitions.ensure({(row.occurred_at.year, row.occurred_at.month) for row in rows})
    noticed, refused = list(result.warnings), list(result.rejected)

    tries = 0

    @retry.on_conflict
    def write() -> None:
        nonlocal tries
        tries += 1
        result.warnings, result.rejected = list(noticed), list(refused)
        with transaction.atomic():
            if tries > OPTIMISTIC_TRIES:
                identity.take_turns()
            _store(rows, source=source, actor=actor, now=now, historical=historical, result=result)
            source_id = source.id if source else None
            warnings.keep(
                events, rejected=result.rejected, noticed=result.warnings, source_id=source_id, now=now
            )

    write()
    return result


def _prepare(
    events: Sequence[Event], *, source: SourceRef | None, now: datetime, result: RecordResult
) -> list[_Row]:
    """Check each event without the database: identifiers, time, kind. Returns the rows worth storing, the first
    of each message id."""
    earliest = _first_month()
    latest = now + timedelta(days=knobs.get("crm.future_days"))
    salt = (str(source.id) if source else "0").encode() + b"\0"
    in_force = rules.in_force()
    other = rules.rule("*")
    dumps = orjson.dumps
    rows: list[_Row] = []
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
            illegal = ""
            for kind, raw in event.identifiers:
                rule = in_force.get(kind, other)
                value = raw.strip() if type(raw) is str else raw
                plain = type(value) is str and kind != "email" and kind != "phone" and 0 < len(value) <= 255
                normal = value if plain else rules.normalise(kind, value)
                if (
                    normal is None
                    or normal.casefold() in rule.blocked
                    or (rule.pattern is not None and rule.pattern.fullmatch(normal))
                ):
                    illegal = kind
                    result.warnings.append((index, "illegal_identifier", kind))
                else:
                    identifiers.append((kind, normal))
            if not identifiers:
                if illegal:
                    # The refusal says it; no second line for the same thing.
                    result.warnings = [warning for warning in result.warnings if warning[0] != index]
                    detail = f"{illegal} has a value that identifies nobody"
                    result.rejected.append(Rejection(index, message_id, "illegal_identifier", detail))
                else:
                    detail = "an event needs userId, anonymousId or another identifier"
                    result.rejected.append(Rejection(index, message_id, "no_identifier", detail))
                continue
            if len(identifiers) > 1:
                identifiers = sorted(
                    dict.fromkeys(identifiers), key=lambda pair: in_force.get(pair[0], other).priority
                )
        occurred_at = event.occurred_at
        if occurred_at is None:
            occurred_at = now
        elif not earliest <= occurred_at <= latest:
            result.warnings.append((index, "time_out_of_range", occurred_at.isoformat()))
            occurred_at = now
        if message_id:
            digest = blake2b(salt + message_id.encode(), digest_size=16).hexdigest()
        else:
            digest = os.urandom(16).hex()
        if digest in digests:
            continue
        try:
            properties = dumps(event.properties).decode() if event.properties else "{}"
            context = dumps(event.context).decode() if event.context else None
        except TypeError:
            detail = "properties are JSON: at most 250 deep, integers of at most 64 bits, no lone surrogates"
            result.rejected.append(Rejection(index, message_id, "invalid_event", detail))
            continue
        digests.add(digest)
        rows.append(_Row(index, event, digest, occurred_at.astimezone(UTC), identifiers, properties, context))
    return rows


def _first_month() -> datetime:
    text = knobs.get("crm.first_month")
    try:
        return datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        return datetime(1990, 1, 1, tzinfo=UTC)


def _store(
    rows: list[_Row],
    *,
    source: SourceRef | None,
    actor: Actor,
    now: datetime,
    historical: bool,
    result: RecordResult,
) -> None:
    """Dedupe, resolve, write; everything in sorted key order, inside the caller's transaction."""
    fresh = _dedupe(rows)
    source_id = source.id if source else None
    trust = source.trust if source else Trust.SERVER.value
    named = [row for row in fresh if row.event.profile_id is None]
    seen: dict[int, list[float]] = {}
    roots: dict[int, int] = {}
    if named:
        resolution = identity.resolve(
            [identity.Claim(row.identifiers, row.occurred_at) for row in named],
            trust=trust,
            source_id=source_id,
            actor=actor,
            now=now,
        )
        for row, profile_id, root_id in zip(named, resolution.profile_ids, resolution.root_ids, strict=True):
            row.profile_id = profile_id
            roots[row.index] = root_id
            if root_id not in resolution.created:
                _note_seen(seen, root_id, row.occurred_at, resolution.seen[root_id])
        result.warnings.extend(
            (named[place].index, code, detail) for place, code, detail in resolution.warnings
        )
    for row in fresh:
        if row.event.profile_id is not None:
            row.profile_id = roots[row.index] = row.event.profile_id
        result.profile_ids[row.index] = roots[row.index]
    if fresh:
        idents = _copy(fresh, source_id=source_id, now=now)
        _tally(fresh, source_id=source_id, now=now, seen=seen)
        gifts = [
            traits.Gift(roots[row.index], row.occurred_at, row.event.traits, row.event.hints or {})
            for row in fresh
            if row.event.traits
        ]
        if gifts:
            traits.merge(gifts, trust=trust, actor=actor, now=now)
        if not historical:
            # Asking once per kind keeps those nobody listens to free of charge.
            heard = {kind for kind in {row.event.kind for row in fresh} if reactions.receivers_for(kind)}
            wanted = [
                (row.event.kind, row.profile_id, row.occurred_at, UUID(ident))
                for row, ident in zip(fresh, idents, strict=True)
                if row.event.kind in heard
            ]
            if wanted:
                reactions.enqueue(wanted, now=now)
        else:
            _tell_history(fresh, roots, now=now)
    result.accepted = len(fresh)
    # Stored before, or earlier in this very batch.
    result.duplicates = len(result.profile_ids) - len(fresh) - len(result.rejected)


def _tell_history(rows: list[_Row], roots: dict[int, int], *, now: datetime) -> None:
    """History triggers nothing, but what is computed from it must follow: people per kind that is computed from."""
    people: dict[str, set[int]] = {}
    for row in rows:
        people.setdefault(row.event.kind, set()).add(roots[row.index])
    for kind in sorted(kind for kind in people if computed.follows(kind)):
        reactions.publish("crm.history", [kind, *sorted(people[kind])], now=now)


def _dedupe(rows: list[_Row]) -> list[_Row]:
    """Write the receipts; what already had one is dropped. Sorted, so that two batches never deadlock."""
    if not rows:
        return []
    ordered = sorted(rows, key=lambda row: row.digest)
    found = hotpath.fetch(
        """
        WITH fresh AS (
            INSERT INTO crm_eventreceipt (digest, occurred_at)
            SELECT digest, occurred_at FROM unnest(%s::uuid[], %s::timestamptz[]) AS e(digest, occurred_at)
            ON CONFLICT DO NOTHING RETURNING digest
        )
        SELECT count(*), CASE WHEN count(*) < %s THEN array_agg(digest::text) END FROM fresh
        """,
        [
            hotpath.array([row.digest for row in ordered]),
            hotpath.array([row.occurred_at for row in ordered]),
            len(rows),
        ],
    )
    count, digests = found[0]
    if count == len(rows):
        return rows
    new = {text.replace("-", "") for text in digests or ()}
    return [row for row in rows if row.digest in new]


def _copy(rows: list[_Row], *, source_id: int | None, now: datetime) -> list[str]:
    """COPY the touchpoints. Returns their ids (UUIDv7 of the time of arrival), in the order of `rows`."""
    idents = _uuids(len(rows), now)
    with hotpath.copy(
        "COPY crm_touchpoint (profile_id, occurred_at, id, received_at, kind, channel, source_id, stage,"
        " properties, context) FROM STDIN"
    ) as copy:
        received = now.isoformat()
        for row, ident in zip(rows, idents, strict=True):
            event = row.event
            copy.write_row(
                (
                    row.profile_id,
                    row.occurred_at.isoformat(),
                    ident,
                    received,
                    event.kind,
                    event.channel,
                    source_id,
                    event.stage or stage_of(event.kind),
                    row.properties,
                    row.context,
                )
            )
    return idents


def _uuids(number: int, now: datetime) -> list[str]:
    """Fresh UUIDv7 texts."""
    stamp = f"{int(now.timestamp() * 1000):012x}"
    head = f"{stamp[:8]}-{stamp[8:]}-7"
    noise = os.urandom(10 * number).hex()
    return [
        f"{head}{noise[at : at + 3]}-{'89ab'[int(noise[at + 3], 16) & 3]}{noise[at + 4 : at + 7]}-"
        f"{noise[at + 7 : at + 19]}"
        for at in range(0, 20 * number, 20)
    ]


def _note_seen(
    seen: dict[int, list[float]],
    root_id: int,
    occurred_at: datetime,
    known: tuple[float | None, float | None],
) -> None:
    """Collect people whose first or last seen moves by an hour or more; less would make their rows hot."""
    first, last = known
    moment = occurred_at.timestamp()
    if first is None or first - moment >= 3600 or last is None or moment - last >= 3600:
        span = seen.setdefault(root_id, [moment, moment])
        span[0] = min(span[0], moment)
        span[1] = max(span[1], moment)


def _tally(rows: list[_Row], *, source_id: int | None, now: datetime, seen: dict[int, list[float]]) -> None:
    """Insert the batch's tally deltas, and move first and last seen where they moved."""
    counts = Counter(row.event.kind for row in rows)
    hotpath.fetch(
        "INSERT INTO crm_touchpointtallydelta (received_on, source_id, kind, count)"
        " SELECT %s, %s, kind, number FROM unnest(%s::text[], %s::int[]) AS t(kind, number)",
        [now.date(), source_id or 0, hotpath.array(list(counts)), hotpath.array(list(counts.values()))],
    )
    if seen:
        ids = sorted(seen)
        hotpath.fetch(
            """
            WITH moved AS MATERIALIZED (
                SELECT p.id, to_timestamp(s.first_at) AS first_at, to_timestamp(s.last_at) AS last_at
                  FROM crm_profile p
                  JOIN unnest(%s::bigint[], %s::float8[], %s::float8[]) AS s(id, first_at, last_at)
                    ON s.id = p.id
                 ORDER BY p.id FOR NO KEY UPDATE OF p
            )
            UPDATE crm_profile p
               SET first_seen_at = LEAST(p.first_seen_at, moved.first_at),
                   last_seen_at = GREATEST(p.last_seen_at, moved.last_at)
              FROM moved WHERE p.id = moved.id
            """,
            [
                hotpath.array(ids),
                hotpath.array([seen[ident][0] for ident in ids]),
                hotpath.array([seen[ident][1] for ident in ids]),
            ],
        )
