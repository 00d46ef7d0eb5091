"""The one road by which anything gets onto a timeline.

`record()` guarantees: an event is stored once per (source, message id), for ever; the batch, its people, its
tallies and the reactions it triggers are one transaction; what is refused is answered per event and kept as a
warning. A batch marked historical, and facts older than a receiver's max_age, trigger nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import IntegrityError, connection, transaction

from crm.kernel import reactions
from crm.kernel.actors import Actor
from crm.registry import register_kind
from crm.selectors import computed
from crm.services import accounts, changes, identity, partitions, retry, storing, traits, warnings
from crm.services.events import (
    LONGEST_KIND,
    LONGEST_MESSAGE_ID,
    Event,
    RecordResult,
    Rejection,
    Row,
    SourceRef,
    prepare,
)
from crm.states import Trust

__all__ = [
    "LONGEST_KIND",
    "LONGEST_MESSAGE_ID",
    "Event",
    "RecordResult",
    "Rejection",
    "SourceRef",
    "record",
    "register_kind",
]

OPTIMISTIC_TRIES = 2


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
    rows = prepare(events, source=source, now=now, result=result)
    months = {(row.occurred_at.year, row.occurred_at.month) for row in rows}
    partitions.ensure(months)
    noticed, refused = list(result.warnings), list(result.rejected)

    own_transaction = not connection.in_atomic_block
    tries = 0

    @retry.on_conflict
    def write() -> None:
        nonlocal tries
        tries += 1
        result.warnings, result.rejected = list(noticed), list(refused)
        with transaction.atomic():
            if tries > OPTIMISTIC_TRIES:
                identity.take_turns()
            _store(
                rows,
                source=source,
                actor=actor,
                now=now,
                historical=historical,
                own_transaction=own_transaction,
                result=result,
            )
            source_id = source.id if source else None
            warnings.keep(
                events, rejected=result.rejected, noticed=result.warnings, source_id=source_id, now=now
            )

    try:
        write()
    except IntegrityError as error:
        # Retention dropped a month that this process still remembered.
        if not own_transaction or not partitions.is_lost(error):
            raise
        partitions.forget()
        partitions.ensure(months)
        write()
    return result


def _store(
    rows: list[Row],
    *,
    source: SourceRef | None,
    actor: Actor,
    now: datetime,
    historical: bool,
    own_transaction: bool,
    result: RecordResult,
) -> None:
    """Dedupe, resolve, write; everything in sorted key order, inside the caller's transaction."""
    fresh = storing.receipts(rows, own_transaction=own_transaction)
    source_id = source.id if source else None
    trust = source.trust if source else Trust.SERVER.value
    named = [row for row in fresh if row.event.profile_id is None]
    seen: dict[int, list[float]] = {}
    if named:
        resolution = identity.resolve(
            [identity.Claim(row.identifiers, row.occurred_at) for row in named],
            trust=trust,
            source_id=source_id,
            actor=actor,
            now=now,
        )
        for row, profile_id, root_id in zip(named, resolution.profile_ids, resolution.root_ids, strict=True):
            row.profile_id, row.root_id = profile_id, root_id
            if root_id not in resolution.created:
                storing.note_seen(seen, root_id, occurred_at=row.occurred_at, known=resolution.seen[root_id])
        if resolution.created and not historical:
            changes.tell(resolution.created, now=now)
        result.warnings.extend(
            (named[place].index, code, detail) for place, code, detail in resolution.warnings
        )
    for row in fresh:
        if row.event.profile_id is not None:
            row.profile_id = row.root_id = row.event.profile_id
        result.profile_ids[row.index] = row.root_id
    if fresh:
        idents = storing.touchpoints(fresh, source_id=source_id, now=now)
        if seen:
            storing.move_seen(seen)
            if not historical:
                changes.tell(seen, kind=changes.PROFILE_SEEN, now=now)
        gifts = [
            traits.Gift(row.root_id, row.occurred_at, row.event.traits, row.event.hints or {})
            for row in fresh
            if row.event.traits
        ]
        if gifts:
            traits.merge(gifts, trust=trust, actor=actor, now=now, quiet=historical)
        groups = [row for row in fresh if row.event.kind == "group" and "groupId" in row.event.properties]
        if groups:
            _join_accounts(groups, trust=trust, actor=actor, now=now, result=result)
        if not historical:
            reactions.enqueue(
                (
                    (row.event.kind, row.profile_id, row.occurred_at, ident)
                    for row, ident in zip(fresh, idents, strict=True)
                ),
                now=now,
            )
        else:
            _tell_history(fresh, now=now)
    result.accepted = len(fresh)
    # Stored before, or earlier in this very batch.
    result.duplicates = len(result.profile_ids) - len(fresh) - len(result.rejected)


def _join_accounts(rows: list[Row], *, trust: str, actor: Actor, now: datetime, result: RecordResult) -> None:
    """Group calls: who belongs to which account, and what is known of it."""
    joins = []
    for row in rows:
        properties = row.event.properties
        told = properties.get("traits")
        joins.append(
            accounts.Join(
                row.profile_id, properties["groupId"], row.occurred_at, told if isinstance(told, dict) else {}
            )
        )
    noticed = accounts.join(joins, trust=trust, actor=actor, now=now)
    result.warnings.extend((rows[place].index, code, detail) for place, code, detail in noticed)


def _tell_history(rows: list[Row], *, now: datetime) -> None:
    """History triggers nothing, but what is computed from it must follow: people per kind that is computed from."""
    people: dict[str, set[int]] = {}
    for row in rows:
        people.setdefault(row.event.kind, set()).add(row.root_id)
    for kind in sorted(kind for kind in people if computed.follows(kind)):
        reactions.publish("crm.history", [kind, *sorted(people[kind])], now=now)
