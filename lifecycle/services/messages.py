"""The outbox as others see it: queue a message, deliver what is due, cancel, try again.

A message goes at most once per (kind, person, subject key), whoever asks and however often: that is the unique
constraint of its decision record. Queuing belongs in the transaction of its cause; nothing is decided then.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.utils.translation import gettext as _

from crm.kernel import actionlog, jobs, knobs
from crm.kernel.actors import Actor
from crm.kernel.errors import Conflict, Invalid
from crm.services import hotpath
from lifecycle import registry
from lifecycle.models import Delivery, OutboundMessage
from lifecycle.services import deciding, sending
from lifecycle.services.mailer import Mailer
from lifecycle.states import Decision, DeliveryStatus, Reason

TASK: Final = "lifecycle.deliver"
BATCH: Final = 250
MESSAGES_PER_TASK: Final = 100  # worth another task
MAX_SUBJECT_KEY: Final = 200


@dataclass(frozen=True, slots=True)
class Item:
    """One message to queue. `withheld` is the reason of a decision that is made already (a holdout)."""

    kind: str
    profile_id: int
    subject_key: str
    context: dict[str, Any] = field(default_factory=dict)
    run_at: datetime | None = None
    expires_at: datetime | None = None
    withheld: str = ""


@dataclass(frozen=True, slots=True)
class DeliverResult:
    """What one call of `deliver` did. `claimed` 0 means there was nothing due."""

    claimed: int = 0
    sent: int = 0
    held: int = 0
    dropped: int = 0
    failed: int = 0
    emails_sent: int = 0
    emails_failed: int = 0
    emails_waiting: int = 0
    gaps: int = 0
    unreachable: bool = False


def queue(items: Sequence[Item], *, actor: Actor, now: datetime) -> dict[tuple[int, str], int]:
    """Write the decision records, one statement for all. Returns the id per (profile id, subject key).

    A message that exists already is left as it is and its id returned. Raises NotFound for an unknown kind.
    """
    if not items:
        return {}
    kinds = {item.kind for item in items}
    for kind in kinds:
        registry.get(kind)
    rows: dict[tuple[int, str, str], Item] = {}
    for item in items:
        if not 0 < len(item.subject_key) <= MAX_SUBJECT_KEY:
            raise Invalid(
                _("A subject key has 1 to %(n)d characters.") % {"n": MAX_SUBJECT_KEY},
                code="invalid_subject_key",
                field="subject_key",
            )
        rows.setdefault((item.profile_id, item.kind, item.subject_key), item)
    # sorted: two batches that overlap take their locks in the same order
    ordered = [rows[key] for key in sorted(rows)]
    contexts, places = _dumped(ordered)
    columns: list[list[Any]] = [
        [item.profile_id for item in ordered],
        [item.kind for item in ordered],
        [item.subject_key for item in ordered],
        places,
        [item.withheld for item in ordered],
        [item.run_at or now for item in ordered],
        [item.expires_at for item in ordered],
    ]
    with transaction.atomic():
        written = hotpath.fetch(
            """
            INSERT INTO lifecycle_outboundmessage
                   (profile_id, kind, subject_key, context, language, decision, reason, run_at, expires_at, claims,
                    created_at, decided_at)
            SELECT profile_id, kind, subject_key, (%s::jsonb[])[context], '',
                   CASE WHEN reason = '' THEN 'queued' ELSE 'dropped' END, reason, run_at, expires_at, 0,
                   %s, CASE WHEN reason = '' THEN NULL ELSE %s::timestamptz END
              FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::int[], %s::text[], %s::timestamptz[],
                          %s::timestamptz[])
                   AS t(profile_id, kind, subject_key, context, reason, run_at, expires_at)
            ON CONFLICT DO NOTHING
            RETURNING profile_id, kind, subject_key, id
            """,
            [contexts, now, now, *map(hotpath.array, columns)],
        )
        found = {(profile_id, kind, key): ident for profile_id, kind, key, ident in written}
        if len(found) < len(rows):
            missing = [key for key in sorted(rows) if key not in found]
            for profile_id, kind, key, ident in hotpath.fetch(
                """
                SELECT m.profile_id, m.kind, m.subject_key, m.id
                  FROM lifecycle_outboundmessage m
                  JOIN unnest(%s::bigint[], %s::text[], %s::text[]) AS t(profile_id, kind, subject_key)
                    ON m.profile_id = t.profile_id AND m.kind = t.kind AND m.subject_key = t.subject_key
                """,
                [list(column) for column in zip(*missing, strict=True)],
            ):
                found[(profile_id, kind, key)] = ident
        if written:
            wake(len(written))
    return {(profile_id, key): ident for (profile_id, _kind, key), ident in found.items()}


def wake(number: int) -> None:
    """Ask for as many sending tasks as so many messages are worth."""
    for shard in range(min(knobs.get("lifecycle.send_tasks"), 1 + number // MESSAGES_PER_TASK)):
        jobs.wake(TASK, shard=shard)


def deliver(*, now: datetime, limit: int = BATCH, mailers: Sequence[Mailer] = ()) -> DeliverResult:
    """Recover what crashed, then send one batch of what is due: second tries first, then new messages.

    Must not be called inside a transaction: claims, decisions and the fate of each e-mail are committed one by
    one. A caller that loops passes its `mailers`, so that their connections are kept; with several, as many e-mails
    are on their way at once. Without any there is one, for this call.
    """
    if knobs.get("lifecycle.sending_paused"):
        return DeliverResult()
    gaps = sending.recover(now=now)
    batch = sending.claim_retries(now=now, limit=limit)
    if not batch.claimed:
        batch = deciding.decide(now=now, limit=limit)
    with ExitStack() as own:
        sent = sending.send(batch, mailers=mailers or [own.enter_context(Mailer())], now=now)
    counts = batch.counts
    return DeliverResult(
        claimed=batch.claimed,
        sent=counts[Decision.SENT],
        held=counts[Decision.HELD],
        dropped=counts[Decision.DROPPED],
        failed=counts[Decision.FAILED],
        emails_sent=sent.sent,
        emails_failed=sent.failed,
        emails_waiting=sent.waiting,
        gaps=gaps,
        unreachable=sent.unreachable,
    )


def cancel(message_ids: Sequence[int], *, reason: str, now: datetime) -> int:
    """Drop messages that are not decided yet, with the reason. Returns how many; the others are left alone."""
    return (
        OutboundMessage.objects.filter(pk__in=sorted(message_ids))
        .open()
        .update(
            decision=Decision.DROPPED,
            reason=Reason(reason),
            decided_at=now,
        )
    )


def withdraw(message_id: int, *, actor: Actor, now: datetime) -> None:
    """Staff cancel one message. Raises Conflict when it is decided."""
    with transaction.atomic():
        if not cancel([message_id], reason=Reason.CANCELLED, now=now):
            raise Conflict(_("This message is decided already."), code="already_decided")
        actionlog.write(
            actor,
            "lifecycle.message.cancelled",
            ("lifecycle.outboundmessage", message_id),
            fields=("decision",),
            now=now,
        )


def retry(message_id: int, *, actor: Actor, now: datetime) -> None:
    """Give a failed or held message another try; all checks are made again. Raises Conflict otherwise.

    An e-mail whose fate is unknown is not tried again: it may have arrived.
    """
    with transaction.atomic():
        message = (
            OutboundMessage.objects.select_for_update()
            .filter(pk=message_id, decision__in=(Decision.FAILED, Decision.HELD))
            .first()
        )
        if message is None:
            raise Conflict(_("Only a failed or held message can be tried again."), code="not_failed")
        delivery = Delivery.objects.filter(message=message).first()
        if delivery is not None:
            if delivery.status != DeliveryStatus.FAILED:
                raise Conflict(_("This e-mail may have arrived; it is not sent again."), code="unknown_fate")
            Delivery.objects.filter(pk=delivery.pk).update(
                status=DeliveryStatus.QUEUED, next_attempt_at=now, settled_at=None, created_at=now, error=""
            )
            OutboundMessage.objects.filter(pk=message_id).update(
                decision=Decision.SENT, reason="", decided_at=now
            )
        else:
            OutboundMessage.objects.filter(pk=message_id).update(
                decision=Decision.QUEUED, reason="", decided_at=None, run_at=now, claims=0
            )  # fmt: skip
        actionlog.write(actor, "lifecycle.message.retried", message, fields=("decision",), now=now)
        wake(1)


def _dumped(items: Sequence[Item]) -> tuple[list[str], list[int]]:
    """The contexts as JSON, one that many items share once, and for each item which one (from 1) is its own."""
    texts: list[str] = []
    place_of: dict[int, int] = {}
    for item in items:
        if id(item.context) not in place_of:
            texts.append(_dump(item.context))
            place_of[id(item.context)] = len(texts)
    return texts, [place_of[id(item.context)] for item in items]


def _dump(context: dict[str, Any]) -> str:
    text = json.dumps(context, ensure_ascii=False, default=str, separators=(",", ":"))
    return text.replace("\\u0000", "") if "\\u0000" in text else text
