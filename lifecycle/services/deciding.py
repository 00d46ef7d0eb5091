"""The decision about each message: made once, under the locks of the people it concerns, with bulk queries.

A run first writes down which messages it is about to decide, so that one that kills its worker is noticed and comes
alone the next time. Then, in one transaction under `locks.people`: who the person is now, whether they may be
written to, at this hour and this often; the inbox copy and the touchpoint are written there and then. What is left
to do outside, handing over e-mail, is returned as parcels of the run (see services.sending).
"""

from __future__ import annotations

import logging
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import orjson
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F

from crm.kernel import actors, knobs
from crm.selectors import contacts
from crm.services import hotpath, locks, pressure, quiet_hours, touchpoints
from crm.states import Channel, MessageClass
from lifecycle import registry
from lifecycle.models import OutboundMessage
from lifecycle.registry import MessageKind
from lifecycle.services import gates as gates_read
from lifecycle.services import letters, mime, rendering
from lifecycle.services.mime import Envelope
from lifecycle.states import Decision, Reason

logger = logging.getLogger(__name__)

ACTOR: Final = actors.system("lifecycle.deliver")
MAX_CLAIMS: Final = 5
TURNS: Final = 0x52454E11  # the advisory lock of claims
STUCK_SHARE: Final = (
    6  # a run whose pointer stood still for a sixth of its lease is no longer counted as at work
)
TEMPLATE_RETRY: Final = timedelta(minutes=30)
CAPPED_CLASSES: Final = (MessageClass.MARKETING, MessageClass.CARE)


@dataclass(slots=True)
class Parcel:
    """One e-mail of a run, in the order it is handed over."""

    message_id: int
    kind: MessageKind
    contact_id: int
    envelope: Envelope
    delivery_id: int = 0
    attempts: int = 0
    first_try_at: datetime | None = None


@dataclass(slots=True)
class Batch:
    """What was claimed: how many, the decisions made, and the parcels of one run."""

    claimed: int = 0
    token: uuid.UUID | None = None
    counts: Counter[str] = field(default_factory=Counter)
    parcels: list[Parcel] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Message:
    """What deciding needs of an OutboundMessage."""

    pk: int
    kind: str
    profile_id: int
    subject_key: str
    context: dict[str, Any]
    context_text: str
    reason: str
    claims: int
    expires_at: datetime | None


@dataclass(slots=True)
class Verdict:
    """The decision about one message."""

    decision: str
    reason: str = ""
    run_at: datetime | None = None
    language: str = ""
    root_id: int = 0
    address: contacts.Address | None = None
    rendered: rendering.Rendered | None = None
    to_inbox: bool = False
    keep_claims: bool = False


def decide(*, now: datetime, limit: int) -> Batch:
    """Claim up to `limit` due messages and decide them; one that was claimed before and not decided comes alone,
    after all others: somebody may have died over it, and its neighbours must not pay for that."""
    token = uuid.uuid4()
    rows = _claim(token=token, now=now, limit=limit, fresh=True) or _claim(
        token=token, now=now, limit=1, fresh=False
    )
    batch = Batch(claimed=len(rows), token=token)
    if rows and not _try(rows, batch=batch, left=[], now=now):
        ids = [row[0] for row in rows]
        for place, row in enumerate(rows):
            left = ids[place + 1 :]
            if len(rows) == 1 or not _try([row], batch=batch, left=left, now=now):
                _set_aside(row[0], token=token, left=left, now=now)
    if rows and not batch.parcels:
        hotpath.fetch("DELETE FROM lifecycle_sendrun WHERE token = %s", [token])
    return batch


def lease() -> timedelta:
    """How long a claim lasts unless it is renewed. Short, so that what a killed worker held is taken up soon; every
    later write carries the token, so a worker that outlives its lease can do no harm."""
    return timedelta(seconds=knobs.get("lifecycle.lease_seconds"))


def _try(rows: Sequence[tuple[int, int]], *, batch: Batch, left: list[int], now: datetime) -> bool:
    try:
        _decide_group(rows, batch=batch, left=left, now=now)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        logger.exception("a batch of %d messages from %s on could not be decided", len(rows), rows[0][0])
        return False
    return True


def _claim(*, token: uuid.UUID, now: datetime, limit: int, fresh: bool) -> list[tuple[int, int]]:
    """Begin a run with due messages that no other run holds; (id, profile id) of each.

    Nothing is written into the messages: a run that dies says by its list which ones it was about to decide. Claims
    take turns, so no two runs ever list the same message, and while as many runs as there may be sending tasks are at
    work nothing is claimed: they will come for it. Lease clocks are the database's.
    """
    with transaction.atomic():
        hotpath.fetch("SELECT pg_advisory_xact_lock(%s)", [TURNS])
        return hotpath.fetch(
            """
            WITH due AS MATERIALIZED (
                SELECT id, profile_id FROM lifecycle_outboundmessage
                 WHERE decision IN ('queued', 'held') AND run_at <= %s AND (claims = 0) = %s
                   AND id <> ALL (ARRAY (SELECT unnest(undecided) FROM lifecycle_sendrun))
                   AND %s > (SELECT count(*) FROM lifecycle_sendrun WHERE lease_until > clock_timestamp() + %s)
                 ORDER BY run_at, id LIMIT %s
            ), run AS (
                INSERT INTO lifecycle_sendrun (token, undecided, position, in_flight, lease_until, started_at)
                SELECT %s, array_agg(id ORDER BY id), 0, false, clock_timestamp() + %s, clock_timestamp()
                  FROM due HAVING count(*) > 0
            )
            SELECT id, profile_id FROM due ORDER BY id
            """,
            [
                now,
                fresh,
                knobs.get("lifecycle.send_tasks"),
                lease() - lease() / STUCK_SHARE,
                limit,
                token,
                lease(),
            ],
        )


def _hold(token: uuid.UUID | None, *, left: list[int]) -> bool:
    """Lock the run, note what is left to be decided, and renew its lease; False when somebody has taken it over."""
    return bool(
        hotpath.fetch(
            "UPDATE lifecycle_sendrun SET undecided = %s::bigint[], lease_until = clock_timestamp() + %s"
            " WHERE token = %s RETURNING 1",
            [hotpath.array(left), lease(), token],
        )
    )


def _set_aside(message_id: int, *, token: uuid.UUID, left: list[int], now: datetime) -> None:
    """One that cannot be decided waits as long as a lease and counts a claim; its neighbours go on."""
    with transaction.atomic():
        _hold(token, left=left)
        OutboundMessage.objects.filter(pk=message_id).open().update(
            claims=F("claims") + 1, run_at=now + lease()
        )


def _decide_group(rows: Sequence[tuple[int, int]], *, batch: Batch, left: list[int], now: datetime) -> None:
    with transaction.atomic():
        # People first, then the run, then messages: whoever cancels messages takes the locks in the same order.
        roots = locks.people(row[1] for row in rows)
        messages = _lock([row[0] for row in rows]) if _hold(batch.token, left=left) else []
        if not messages:
            return
        asked = [(message.kind, message.profile_id, message.context) for message in messages]
        gates = gates_read.read(asked, roots=roots, now=now)
        verdicts = _verdicts(messages, gates=gates, now=now)
        _cap(messages, verdicts, now=now)
        _write(messages, verdicts, now=now)
        parcels = _write_deliveries(messages, verdicts, token=batch.token, offset=len(batch.parcels), now=now)
        _record(messages, verdicts, now=now)
    batch.parcels += parcels
    batch.counts.update(verdict.decision for verdict in verdicts)


def _lock(ids: list[int]) -> list[Message]:
    """The claimed messages that are still open, locked in the order of their ids."""
    return [
        Message(pk, kind, profile_id, subject_key, _context(text), text, reason, claims, expires_at)
        for pk, kind, profile_id, subject_key, text, reason, claims, expires_at in hotpath.fetch(
            """
            SELECT id, kind, profile_id, subject_key, context::text, reason, claims, expires_at
              FROM lifecycle_outboundmessage
             WHERE id = ANY(%s::bigint[]) AND decision IN ('queued', 'held') ORDER BY id FOR UPDATE
            """,
            [hotpath.array(ids)],
        )
    ]


@lru_cache(maxsize=64)
def _context(text: str) -> dict[str, Any]:
    """Many messages say the same: read it once. Nobody changes what is returned."""
    return orjson.loads(text)


def _verdicts(messages: list[Message], *, gates: gates_read.Gates, now: datetime) -> list[Verdict]:
    zones: dict[tuple[str, tuple[int, int] | None], datetime | None] = {}
    told = gates_read.told_before({message.subject_key for message in messages}, gates)
    verdicts = []
    for message in messages:
        verdict = _verdict(message, gates=gates, zones=zones, told=told, now=now)
        if verdict.decision == Decision.SENT:
            told.add((verdict.root_id, message.kind, message.subject_key))
        verdicts.append(verdict)
    return verdicts


def _verdict(
    message: Message,
    *,
    gates: gates_read.Gates,
    zones: dict[tuple[str, tuple[int, int] | None], datetime | None],
    told: set[tuple[int, str, str]],
    now: datetime,
) -> Verdict:
    root = gates.roots[message.profile_id]
    kind = registry.find(message.kind)
    if kind is None:
        return Verdict(Decision.FAILED, Reason.UNKNOWN_KIND, root_id=root.pk)
    if message.claims >= MAX_CLAIMS:
        reason = message.reason if message.reason == Reason.TEMPLATE_ERROR else Reason.TOO_MANY_CLAIMS
        return Verdict(Decision.FAILED, reason, root_id=root.pk)
    if root.erased_at is not None:
        return Verdict(Decision.DROPPED, Reason.ERASED, root_id=root.pk)
    if message.expires_at is not None and message.expires_at <= now:
        return Verdict(Decision.DROPPED, Reason.EXPIRED, root_id=root.pk)
    if (root.pk, message.kind, message.subject_key) in told:
        return Verdict(Decision.DROPPED, Reason.DUPLICATE, root_id=root.pk)
    address, refusal = None, ""
    if Channel.EMAIL in kind.channels:
        address, refusal = gates_read.address_for(gates, kind=kind, root_id=root.pk, context=message.context)
    elif root.pk in gates.paused and not kind.is_transactional:
        refusal = Reason.PAUSED
    # What we owe somebody can always be read in their inbox; an offer or a greeting goes by consent or not at all.
    to_inbox = Channel.IN_APP in kind.channels and (not refusal or kind.message_class not in CAPPED_CLASSES)
    if not refusal and waits_for_morning(kind):
        choice = gates.choices.get(root.pk)
        place = (root.time_zone, choice.quiet if choice is not None else None)
        if place not in zones:
            zones[place] = quiet_hours.next_allowed(place[0], now=now, own=place[1])
        morning = zones[place]
        if morning is not None:
            return Verdict(Decision.HELD, Reason.QUIET_HOURS, run_at=morning, root_id=root.pk)
    rendered = None
    if not refusal or to_inbox:
        try:
            rendered = letters.render_for(kind, root=root, context=message.context, key=message.context_text)
        except rendering.TemplateFault as fault:
            logger.warning("message %s cannot be rendered: %s", message.pk, fault)
            return Verdict(
                Decision.HELD,
                Reason.TEMPLATE_ERROR,
                run_at=now + TEMPLATE_RETRY,
                root_id=root.pk,
                keep_claims=True,
            )
    return Verdict(
        Decision.DROPPED if refusal else Decision.SENT,
        refusal,
        root_id=root.pk,
        address=address,
        rendered=rendered,
        language=rendered.language if rendered else "",
        to_inbox=to_inbox,
    )


def waits_for_morning(kind: MessageKind) -> bool:
    """Whether quiet hours hold this kind back."""
    if kind.message_class == MessageClass.SERVICE:
        return knobs.get("lifecycle.service_waits_for_morning")
    return not kind.is_transactional


def _cap(messages: list[Message], verdicts: list[Verdict], *, now: datetime) -> None:
    """Spend the contact-pressure budget for what would go out; over budget becomes a dropped message."""
    wanted = []
    for message, verdict in zip(messages, verdicts, strict=True):
        kind = registry.find(message.kind)
        if verdict.decision == Decision.SENT and kind is not None and not kind.is_transactional:
            wanted.append((verdict.root_id, kind.message_class, _cause(message)))
    if not wanted:
        return
    refused = pressure.reserve(wanted, now=now)
    for place, message in enumerate(messages):
        if _cause(message) in refused:
            verdicts[place] = Verdict(Decision.DROPPED, Reason.FREQUENCY_CAP, root_id=verdicts[place].root_id)


def _cause(message: Message) -> str:
    return f"lifecycle.message:{message.pk}"


def _write(messages: list[Message], verdicts: list[Verdict], *, now: datetime) -> None:
    """All decisions in one statement, all inbox copies in another."""
    held = [verdict.decision == Decision.HELD for verdict in verdicts]
    hotpath.fetch(
        """
        UPDATE lifecycle_outboundmessage AS m
           SET decision = v.decision, reason = v.reason, language = v.language,
               run_at = COALESCE(v.run_at, m.run_at), decided_at = v.decided_at,
               claims = CASE WHEN v.keep_claims THEN m.claims + 1 ELSE 0 END
          FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[],
                      %s::boolean[])
               AS v(id, decision, reason, language, run_at, decided_at, keep_claims)
         WHERE m.id = v.id
        """,
        [
            hotpath.array([message.pk for message in messages]),
            hotpath.array([str(verdict.decision) for verdict in verdicts]),
            hotpath.array([str(verdict.reason) for verdict in verdicts]),
            hotpath.array([verdict.language for verdict in verdicts]),
            hotpath.array([verdict.run_at for verdict in verdicts]),
            hotpath.array([None if waits else now for waits in held]),
            hotpath.array([verdict.keep_claims for verdict in verdicts]),
        ],
    )
    copies = [
        (message.pk, verdict.root_id, verdict.rendered.subject, verdict.rendered.body)
        for message, verdict in zip(messages, verdicts, strict=True)
        if verdict.to_inbox and verdict.rendered is not None
    ]
    if copies:
        hotpath.fetch(
            """
            INSERT INTO lifecycle_inboxitem (message_id, profile_id, subject, body, created_at)
            SELECT message_id, profile_id, subject, body, %s
              FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[])
                   AS c(message_id, profile_id, subject, body)
            """,
            [now, *(hotpath.array(column) for column in zip(*copies, strict=True))],
        )


def _write_deliveries(
    messages: list[Message],
    verdicts: list[Verdict],
    *,
    token: uuid.UUID | None,
    offset: int,
    now: datetime,
) -> list[Parcel]:
    """The e-mails as deliveries of this run, claimed from birth, and the run itself."""
    date = mime.http_date(now)
    parcels = []
    for message, verdict in zip(messages, verdicts, strict=True):
        if verdict.decision != Decision.SENT or verdict.address is None or verdict.rendered is None:
            continue
        kind = registry.get(message.kind)
        envelope = letters.envelope_for(
            message.pk,
            root_id=verdict.root_id,
            kind=kind,
            address=verdict.address,
            rendered=verdict.rendered,
            date=date,
        )
        parcels.append(
            Parcel(
                message_id=message.pk,
                kind=kind,
                contact_id=verdict.address.id,
                envelope=envelope,
                first_try_at=now,
            )
        )
    if not parcels:
        return parcels
    hashes = {
        message.pk: verdict.address.value_hash
        for message, verdict in zip(messages, verdicts, strict=True)
        if verdict.address is not None
    }
    made = dict(
        hotpath.fetch(
            """
            INSERT INTO lifecycle_delivery (message_id, channel, contact_id, address_hash, status, run, position,
                                            attempts, provider_ref, error, gaps, created_at, claimed_at)
            SELECT message_id, 'email', contact_id, address_hash, 'claimed', %s, position, 0, '', '', 0, %s, %s
              FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::int[])
                   AS d(message_id, contact_id, address_hash, position)
            RETURNING message_id, id
            """,
            [
                token,
                now,
                now,
                hotpath.array([parcel.message_id for parcel in parcels]),
                hotpath.array([parcel.contact_id for parcel in parcels]),
                hotpath.array([hashes[parcel.message_id] for parcel in parcels]),
                hotpath.array(list(range(offset + 1, offset + 1 + len(parcels)))),
            ],
        )
    )
    for parcel in parcels:
        parcel.delivery_id = made[parcel.message_id]
    return parcels


def _record(messages: list[Message], verdicts: list[Verdict], *, now: datetime) -> None:
    """One touchpoint per message that went out, in the transaction of its decision."""
    events = [
        touchpoints.Event(
            kind="lifecycle.message.sent",
            occurred_at=now,
            message_id="",  # once, because its decision is
            profile_id=verdict.root_id,
            channel=Channel.EMAIL.value if verdict.address is not None else Channel.IN_APP.value,
            properties={
                "message_id": message.pk,
                "message_kind": message.kind,
                "subject_key": message.subject_key,
            },
        )
        for message, verdict in zip(messages, verdicts, strict=True)
        if verdict.decision == Decision.SENT
    ]
    if events:
        touchpoints.record(events, source=None, actor=ACTOR, now=now)
