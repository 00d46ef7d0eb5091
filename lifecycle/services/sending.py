"""Handing over e-mail, outside every transaction, so that a crash leaves at most one in doubt per connection.

A run holds a lease over its deliveries and points at those in flight: as many as it has connections, one on each.
Before they go the pointer moves on and is committed: one tiny write that settles the previous ones and marks the
next. After a crash, whoever finds the lease expired reads the pointer: what is behind it went out, what is ahead of
it did not, and what is under it are gaps: logged, counted, and then up to the policy of their kind (again, or never).
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import F, Func
from psycopg.pq import DiagnosticField, TransactionStatus

from crm.kernel import jobs, knobs, statements
from crm.services import contacts, hotpath, locks, quiet_hours
from lifecycle import registry
from lifecycle.models import Delivery, OutboundMessage, SendRun
from lifecycle.services import deciding, letters, mime, rendering
from lifecycle.services import gates as gates_read
from lifecycle.services.deciding import Batch, Parcel
from lifecycle.services.mailer import Answer, Mailer, Outcome
from lifecycle.states import Decision, DeliveryStatus, Reason

logger = logging.getLogger(__name__)

# A batch that a slow server drags out is given back, so that its rest is checked again before it goes.
RUN_SECONDS: Final = 20.0
FIRST_BACKOFF: Final = timedelta(minutes=1)
LONGEST_BACKOFF: Final = timedelta(hours=4)
UNREACHABLE_PAUSE: Final = timedelta(seconds=60)
# A server that takes the content and hangs up is tried once more; when we died ourselves, as often as any claim.
BROKEN_TRIES: Final = 1
CRASH_TRIES: Final = 5


@dataclass(slots=True)
class SendResult:
    """What happened to the parcels of one run."""

    sent: int = 0
    failed: int = 0
    waiting: int = 0
    unreachable: bool = False


class LeaseLost(Exception):
    """Somebody else has taken the run over: stop, and write nothing more."""


def send(batch: Batch, *, mailers: Sequence[Mailer], now: datetime) -> SendResult:
    """Hand over the parcels of a batch, one per mailer at a time, and settle them."""
    result = SendResult()
    parcels, token = batch.parcels, batch.token
    if not parcels or token is None:
        return result
    deadline = time.monotonic() + RUN_SECONDS
    pointer = _Pointer(token)
    position, is_last = 0, jobs.is_stopping()
    try:
        while position < len(parcels) and not is_last and not result.unreachable:
            group = parcels[position : position + len(mailers)]
            pointer.start(position + 1, abreast=len(group))
            try:
                for mailer, parcel in zip(mailers, group, strict=False):
                    mailer.prepare(parcel.envelope)
            finally:
                pointer.arrive()
            position += len(group)
            is_last = position == len(parcels) or jobs.is_stopping() or time.monotonic() > deadline
            following = [] if is_last else parcels[position : position + len(mailers)]
            outcomes = _hand_over(mailers, group, following)
            for parcel, outcome in zip(group, outcomes, strict=True):
                if outcome.answer is Answer.SENT:
                    result.sent += 1
                    continue
                _settle_other(parcel, outcome, token=token, now=now, result=result)
                if outcome.answer is Answer.UNREACHABLE:
                    result.unreachable = True
        _finish(
            token, upto=position, pause=UNREACHABLE_PAUSE if result.unreachable else timedelta(0), now=now
        )
        result.waiting += len(parcels) - position
    except LeaseLost:
        logger.warning("run %s lost its lease at position %s", token, position)
    return result


def _hand_over(mailers: Sequence[Mailer], group: list[Parcel], following: list[Parcel]) -> list[Outcome]:
    """One parcel per mailer: all of them are put on their way before the first answer is waited for."""
    if len(group) == 1:
        return [mailers[0].send(group[0].envelope, then=following[0].envelope if following else None)]
    begun: list[Outcome | None] = []
    for place, parcel in enumerate(group):
        away = next((one for one in begun if one is not None and one.answer is Answer.UNREACHABLE), None)
        if away is not None:
            begun.append(away)  # the others would wait for the same server in vain
            continue
        then = following[place].envelope if place < len(following) else None
        begun.append(mailers[place].begin(parcel.envelope, then=then))
    return [mailers[place].finish() if outcome is None else outcome for place, outcome in enumerate(begun)]


def recover(*, now: datetime) -> int:
    """Take over runs whose lease has expired. Returns the number of gaps found."""
    if not hotpath.fetch("SELECT 1 FROM lifecycle_sendrun WHERE lease_until < clock_timestamp() LIMIT 1", []):
        return 0
    gaps = 0
    with transaction.atomic():
        for token, undecided, position, in_flight, abreast in hotpath.fetch(
            """
            DELETE FROM lifecycle_sendrun WHERE token = ANY (ARRAY (
                   SELECT token FROM lifecycle_sendrun WHERE lease_until < clock_timestamp()
                    ORDER BY token FOR UPDATE SKIP LOCKED))
            RETURNING token, undecided, position, in_flight, abreast
            """,
            [],
        ):
            if undecided:
                _count_claim(undecided)
            claimed = Delivery.objects.filter(run=token, status=DeliveryStatus.CLAIMED)
            behind = (
                claimed.filter(position__lt=position) if in_flight else claimed.filter(position__lte=position)
            )
            _settle_sent(behind)
            if in_flight:
                doubtful = claimed.filter(position__gte=position, position__lt=position + abreast)
                for delivery in doubtful.select_related("message").order_by("position"):
                    gaps += 1
                    _open_gap(delivery, tries=CRASH_TRIES, now=now)
            Delivery.objects.filter(run=token, status=DeliveryStatus.CLAIMED).update(
                status=DeliveryStatus.QUEUED, run=None, next_attempt_at=now
            )
    return gaps


def _count_claim(message_ids: list[int]) -> None:
    """Their run died before it decided them: each of them may be the reason, so they come alone from now on."""
    hotpath.fetch(
        """
        UPDATE lifecycle_outboundmessage SET claims = claims + 1 WHERE id = ANY (ARRAY (
               SELECT id FROM lifecycle_outboundmessage
                WHERE id = ANY(%s::bigint[]) AND decision IN ('queued', 'held') ORDER BY id FOR UPDATE))
        """,
        [hotpath.array(sorted(message_ids))],
    )


def claim_retries(*, now: datetime, limit: int) -> Batch:
    """Claim deliveries that are due for another try, after checking again who may be written to."""
    batch = Batch()
    due = "SELECT 1 FROM lifecycle_delivery WHERE status = 'queued' AND next_attempt_at <= %s LIMIT 1"
    if not hotpath.fetch(due, [now]):
        return batch
    with transaction.atomic():
        rows = hotpath.fetch(
            """
            SELECT m.profile_id, d.id FROM lifecycle_delivery d JOIN lifecycle_outboundmessage m ON m.id = d.message_id
             WHERE d.status = 'queued' AND d.next_attempt_at <= %s ORDER BY d.next_attempt_at, d.id LIMIT %s
            """,
            [now, limit],
        )
        roots = locks.people(profile_id for profile_id, _ident in rows)
        deliveries = list(
            Delivery.objects.select_for_update(of=("self",), skip_locked=True)
            .select_related("message")
            .filter(pk__in=[ident for _profile, ident in rows], status=DeliveryStatus.QUEUED)
            .order_by("pk")
        )
        if not deliveries:
            return batch
        batch.claimed, batch.token = len(deliveries), uuid.uuid4()
        asked = [(row.message.kind, row.message.profile_id, row.message.context) for row in deliveries]
        gates = gates_read.read(asked, roots=roots, now=now)
        date = mime.http_date(now)
        for delivery in deliveries:
            _claim_retry(delivery, batch=batch, gates=gates, date=date, now=now)
        if batch.parcels:
            SendRun.objects.create(token=batch.token, lease_until=now)
            hotpath.fetch(
                "UPDATE lifecycle_sendrun SET lease_until = clock_timestamp() + %s WHERE token = %s",
                [deciding.lease(), batch.token],
            )
    return batch


def _claim_retry(
    delivery: Delivery, *, batch: Batch, gates: gates_read.Gates, date: str, now: datetime
) -> None:
    message, kind = delivery.message, registry.find(delivery.message.kind)
    root = gates.roots[message.profile_id]
    if kind is None:
        return _fail(delivery, Reason.UNKNOWN_KIND, now=now)
    if root.erased_at is not None:
        return _fail(delivery, Reason.ERASED, now=now)
    if now - delivery.created_at > timedelta(hours=knobs.get("lifecycle.give_up_hours")):
        return _fail(delivery, Reason.GAVE_UP, now=now)
    address, refusal = gates_read.address_for(gates, kind=kind, root_id=root.pk, context=message.context)
    if address is None:
        return _fail(delivery, refusal, now=now)
    if deciding.waits_for_morning(kind):
        choice = gates.choices.get(root.pk)
        own = choice.quiet if choice is not None else None
        morning = quiet_hours.next_allowed(root.time_zone, now=now, own=own)
        if morning is not None:
            Delivery.objects.filter(pk=delivery.pk).update(next_attempt_at=morning)
            return None
    try:
        rendered = letters.render_for(kind, root=root, context=message.context)
    except rendering.TemplateFault:
        Delivery.objects.filter(pk=delivery.pk).update(next_attempt_at=now + deciding.TEMPLATE_RETRY)
        return None
    envelope = letters.envelope_for(
        message.pk, root_id=root.pk, kind=kind, address=address, rendered=rendered, date=date
    )
    batch.parcels.append(
        Parcel(
            message_id=message.pk,
            kind=kind,
            contact_id=address.id,
            envelope=envelope,
            delivery_id=delivery.pk,
            attempts=delivery.attempts,
            first_try_at=delivery.created_at,
        )
    )
    Delivery.objects.filter(pk=delivery.pk).update(
        status=DeliveryStatus.CLAIMED,
        run=batch.token,
        position=len(batch.parcels),
        contact_id=address.id,
        address_hash=address.value_hash,
        claimed_at=now,
        next_attempt_at=None,
    )
    return None


_POINT: Final = (
    b"UPDATE lifecycle_sendrun"
    b" SET position = $2, abreast = $3, in_flight = true, lease_until = clock_timestamp() + $4::interval"
    b" WHERE token = $1 AND position < $2"
)
_POINT_NAME: Final = b"lifecycle_point"


class _Pointer:
    """The pointer of a run. Moving it settles the previous deliveries and marks the next, durably: the one write
    while e-mail goes out.

    Straight through libpq: this statement runs all the time, and the layers above it would cost more than the
    statement. Outside a transaction it is its own commit. Between `start` and `arrive` the caller may work, but not
    with the database.
    """

    def __init__(self, token: uuid.UUID) -> None:
        connection.ensure_connection()
        self._raw = connection.connection
        self._may_prepare = statements.session().may_prepare
        self._token = str(token).encode()
        self._lease = b"%d s" % deciding.lease().total_seconds()

    def start(self, position: int, *, abreast: int) -> None:
        """Send it on its way."""
        self._values = [self._token, b"%d" % position, b"%d" % abreast, self._lease]
        libpq = self._raw.pgconn
        self._prepared = self._may_prepare and libpq.transaction_status == TransactionStatus.IDLE
        if self._prepared:
            libpq.send_query_prepared(_POINT_NAME, self._values)
        else:
            libpq.send_query_params(_POINT, self._values)

    def arrive(self) -> None:
        """Wait until it is written to the disk. Raises LeaseLost."""
        libpq = self._raw.pgconn
        result = last = libpq.get_result()
        while last is not None:
            last = libpq.get_result()
        if (
            self._prepared and result and result.error_field(DiagnosticField.SQLSTATE) == b"26000"
        ):  # a new connection, or DEALLOCATE ALL
            libpq.prepare(_POINT_NAME, _POINT)
            result = libpq.exec_prepared(_POINT_NAME, self._values)
        if result is None or result.error_message:
            raise LeaseLost("" if result is None else result.error_message.decode(errors="replace"))
        if result.command_tuples != 1:
            raise LeaseLost


def _finish(token: uuid.UUID, *, upto: int, pause: timedelta, now: datetime) -> None:
    """Settle what went out, give back what was not touched, and let go of the run."""
    with transaction.atomic():
        if not hotpath.fetch("DELETE FROM lifecycle_sendrun WHERE token = %s RETURNING 1", [token]):
            raise LeaseLost
        claimed = Delivery.objects.filter(run=token, status=DeliveryStatus.CLAIMED)
        _settle_sent(claimed.filter(position__lte=upto))
        claimed.filter(position__gt=upto).update(
            status=DeliveryStatus.QUEUED, run=None, next_attempt_at=now + pause
        )


class _DatabaseClock(Func):
    """When it really was: a run may last longer than the moment it was given as `now`."""

    function = "clock_timestamp"


def _settle_sent(deliveries: Any) -> None:
    # Touches no column of an index (the run stays as it is), so the new version stays on the row's own page.
    deliveries.update(
        status=DeliveryStatus.SENT,
        settled_at=_DatabaseClock(),
        attempts=F("attempts") + 1,
        error="",
    )


def _settle_other(
    parcel: Parcel, outcome: Outcome, *, token: uuid.UUID, now: datetime, result: SendResult
) -> None:
    """Everything but success, in a transaction of its own that still carries the claim."""
    with transaction.atomic():
        delivery = (
            Delivery.objects.select_for_update(of=("self",))
            .select_related("message")
            .filter(pk=parcel.delivery_id, run=token, status=DeliveryStatus.CLAIMED)
            .first()
        )
        if delivery is None:
            raise LeaseLost
        if outcome.answer is Answer.UNKNOWN:
            _open_gap(delivery, tries=BROKEN_TRIES, now=now)
            result.waiting += 1
        elif outcome.answer is Answer.UNREACHABLE:
            # not this message's fault: the attempt does not count
            _wait(delivery, until=now + UNREACHABLE_PAUSE, error=outcome.detail)
            result.waiting += 1
        elif outcome.answer is Answer.TEMPORARY:
            attempts = delivery.attempts + 1
            backoff = min(FIRST_BACKOFF * 4 ** (attempts - 1), LONGEST_BACKOFF)
            _wait(delivery, until=now + backoff, error=outcome.detail, attempts=attempts)
            result.waiting += 1
        else:
            no_address = outcome.answer is Answer.NO_SUCH_ADDRESS
            _fail(
                delivery, Reason.BOUNCED if no_address else Reason.REFUSED, error=outcome.detail, now=now,
                attempts=delivery.attempts + 1,
            )  # fmt: skip
            if no_address:
                contacts.mark_bounced(parcel.contact_id, actor=deciding.ACTOR, now=now)
            result.failed += 1


def _wait(delivery: Delivery, *, until: datetime, error: str, attempts: int | None = None) -> None:
    Delivery.objects.filter(pk=delivery.pk).update(
        status=DeliveryStatus.QUEUED,
        run=None,
        next_attempt_at=until,
        error=error[:200],
        attempts=delivery.attempts if attempts is None else attempts,
    )


def _fail(
    delivery: Delivery, reason: str, *, now: datetime, error: str = "", attempts: int | None = None
) -> None:
    """The e-mail will not go: so says the decision record too."""
    Delivery.objects.filter(pk=delivery.pk).update(
        status=DeliveryStatus.FAILED,
        run=None,
        next_attempt_at=None,
        settled_at=now,
        error=(error or str(reason))[:200],
        attempts=delivery.attempts if attempts is None else attempts,
    )
    OutboundMessage.objects.filter(pk=delivery.message_id, decision=Decision.SENT).update(
        decision=Decision.FAILED, reason=reason, decided_at=now
    )


def _open_gap(delivery: Delivery, *, tries: int, now: datetime) -> None:
    """It may have been handed over. Say so, count it, and follow the policy of its kind."""
    kind = registry.find(delivery.message.kind)
    gaps = delivery.gaps + 1
    again = kind is not None and kind.resend_unknown and gaps <= tries
    logger.warning(
        "delivery %s of message %s: fate unknown (gap %s), %s",
        delivery.pk, delivery.message_id, gaps, "sent once more" if again else "not sent again",
    )  # fmt: skip
    Delivery.objects.filter(pk=delivery.pk).update(
        status=DeliveryStatus.QUEUED if again else DeliveryStatus.UNKNOWN,
        run=None,
        gaps=gaps,
        gap_at=now,
        attempts=delivery.attempts + 1,
        next_attempt_at=now if again else None,
        settled_at=None if again else now,
    )
    if not again:
        OutboundMessage.objects.filter(pk=delivery.message_id).update(reason=Reason.UNKNOWN_FATE)
