"""One effect per Idempotency-Key.

The key's row is written in the transaction of the effect itself, so there is never one without the other. A
second request under the same key gets the stored answer; with another body it is refused; while the first one
is still running it is told to come back. Answers of refused requests are not stored: they had no effect.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext_lazy as _

from crm.kernel.actors import Actor
from crm.kernel.errors import Conflict, Invalid, Unprocessable
from crm.kernel.models import IdempotencyKey

KEPT = timedelta(hours=24)
MAX_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Answer:
    """A response as stored: status and JSON body; `replayed` when it is the stored one."""

    status: int
    body: Any
    replayed: bool = False


def run_once(
    handler: Callable[[], Answer], *, key: str, route: str, body: bytes, actor: Actor, now: datetime
) -> Answer:
    """Run `handler` unless this actor's key was answered before.

    Raises Unprocessable (another body under this key), Conflict (the first request is still running).
    """
    if not key or len(key) > MAX_LENGTH or not key.isprintable():
        raise Invalid(
            _("An Idempotency-Key is 1 to 255 printable characters."), code="invalid_idempotency_key"
        )
    body_hash = hashlib.sha256(body).hexdigest()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [f"{actor}\n{route}\n{key}"]
            )
            if not cursor.fetchone()[0]:
                raise Conflict(
                    _("A request with this Idempotency-Key is still running. Try again in a second."),
                    code="still_running",
                )
        stored = IdempotencyKey.objects.filter(actor=str(actor), route=route, key=key).first()
        if stored is not None and stored.created_at < now - KEPT:
            stored.delete()
            stored = None
        if stored is not None:
            if stored.body_hash != body_hash:
                raise Unprocessable(
                    _("This Idempotency-Key was used with another body."), code="idempotency_key_reused"
                )
            return Answer(stored.status, stored.body, replayed=True)
        answer = handler()
        if answer.status < 400:
            IdempotencyKey.objects.create(
                key=key,
                route=route,
                actor=str(actor),
                body_hash=body_hash,
                status=answer.status,
                body=answer.body,
                created_at=now,
            )
        return answer


def forget_old(*, now: datetime) -> int:
    """Delete keys past their day. Returns how many."""
    deleted, _per_model = IdempotencyKey.objects.filter(created_at__lt=now - KEPT).delete()
    return deleted
