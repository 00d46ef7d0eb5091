"""The log of actions: inserted with the change it tells of, sealed into a chain a little later.

It names the actor, the action, the row and the changed field names, never a personal value, so it may be kept
when a person is erased. Writers do not wait for each other: rows go in unchained, and the sealer chains them
in order every few seconds. `verify` names the first row that does not fit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Model

from crm.kernel.actors import Actor
from crm.kernel.models import ActionLog

_SEALER_LOCK = 0x52454E01
GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class Verification:
    """`first_bad_id` is None when the chain is whole; `unsealed` rows wait for the sealer."""

    sealed: int
    unsealed: int
    first_bad_id: int | None


def write(
    actor: Actor, action: str, obj: Model | tuple[str, Any], *, now: datetime, fields: Iterable[str] = ()
) -> None:
    """Log one action in the caller's transaction; `obj` is a row or a pair (kind, id)."""
    write_many(actor, action, [obj], now=now, fields=fields)


def write_many(
    actor: Actor,
    action: str,
    objects: Iterable[Model | tuple[str, Any]],
    *,
    now: datetime,
    fields: Iterable[str] = (),
) -> None:
    """Log the same action on many rows."""
    names = list(fields)
    rows = []
    for obj in objects:
        kind, ident = (obj._meta.label_lower, obj.pk) if isinstance(obj, Model) else obj
        rows.append(
            ActionLog(
                actor=str(actor), action=action, object_kind=kind, object_id=str(ident), fields=names, at=now
            )
        )
    ActionLog.objects.bulk_create(rows, batch_size=1000)


def seal(*, limit: int = 5000) -> int:
    """Chain up to `limit` unsealed rows. Returns how many; 0 when another sealer is at work."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_SEALER_LOCK])
        if not cursor.fetchone()[0]:
            return 0
        last = (
            ActionLog.objects.exclude(position=None).order_by("-position").values("position", "seal").first()
        )
        position, previous = (last["position"] or 0, last["seal"]) if last else (0, GENESIS)
        sealed = []
        for row in ActionLog.objects.filter(position=None).order_by("id")[:limit]:
            position += 1
            previous = _digest(row, position, previous)
            sealed.append((row.pk, position, previous))
        if sealed:
            ids, positions, seals = (list(column) for column in zip(*sealed, strict=True))
            cursor.execute(
                "UPDATE kernel_actionlog AS a SET position = s.position, seal = s.seal "
                "FROM unnest(%s::bigint[], %s::bigint[], %s::text[]) AS s(id, position, seal) "
                "WHERE a.id = s.id",
                [ids, positions, seals],
            )
        return len(sealed)


def verify() -> Verification:
    """Walk the chain. Reads every sealed row once."""
    previous, expected = GENESIS, 0
    for row in ActionLog.objects.exclude(position=None).order_by("position").iterator(chunk_size=5000):
        expected += 1
        if row.position != expected or row.seal != _digest(row, row.position, previous):
            return Verification(expected - 1, _unsealed(), row.pk)
        previous = row.seal
    return Verification(expected, _unsealed(), None)


def _unsealed() -> int:
    return ActionLog.objects.filter(position=None).count()


def _digest(row: ActionLog, position: int, previous: str) -> str:
    content = [
        previous,
        position,
        row.pk,
        row.actor,
        row.action,
        row.object_kind,
        row.object_id,
        row.fields,
        row.at.isoformat(),
    ]
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()
