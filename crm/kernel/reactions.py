"""Reactions: a recorded fact reaches every receiver that cares, at least once, in batches.

A receiver subscribes to kinds. Recording inserts one PendingReaction per (batch, receiver) in the
transaction of the fact itself, so neither can exist without the other. A task claims many rows at once under
a lease; each fact is handled in a savepoint of its own, so one poison fact never holds its neighbours up: it
is split into a row of its own, and after `MAX_CLAIMS` claims that row is parked for staff. Receivers must be
idempotent.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
from celery.exceptions import SoftTimeLimitExceeded
from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils.translation import gettext_lazy as _

from crm.kernel import actionlog, jobs, knobs, statements
from crm.kernel.actors import Actor
from crm.kernel.errors import NotFound
from crm.kernel.models import PendingReaction

logger = logging.getLogger(__name__)

MAX_CLAIMS = 5
ROWS_PER_CLAIM = 200
FACTS_PER_CLAIM = 2_000
ITEMS_PER_ROW = 500
TASK = "crm.kernel.react"
# Not the fact's fault: give the whole claim back instead of blaming one fact.
NOT_THE_FACT = (SoftTimeLimitExceeded, OperationalError, InterfaceError)


knobs.register(
    "kernel.reaction_lease_seconds",
    type=int,
    default=360,
    minimum=3,
    maximum=3600,
    unit=_("seconds"),
    label=_("Lease of a reaction"),
    help=_(
        "What a task that died was holding is taken up by another one after this long. Longer than the hard "
        "time limit of a task, so that nothing is worked on twice at once."
    ),
)


knobs.register(
    "kernel.flood_patience_seconds",
    type=int,
    default=5,
    minimum=0,
    maximum=60,
    unit=_("seconds"),
    label=_("Patience of reactions in a flood"),
    help=_(
        "While events arrive faster than this machine can take them, reactions wait up to this long, so that senders "
        "are answered first; then they are worked off together. 0: they never wait, which is right where workers "
        "have machines of their own."
    ),
)


@dataclass(frozen=True, slots=True)
class Fact:
    """What a receiver is given: a touchpoint, or a published fact that carries only `ids`.

    `profile_id` is the root of the person, `stored_id` the profile the touchpoint was written to. A bare fact has
    `profile_id` as it was written, and neither properties nor channel nor source: see `subscribe`.
    """

    kind: str
    profile_id: int = 0
    occurred_at: datetime | None = None
    id: uuid.UUID | None = None
    properties: dict[str, Any] = field(default_factory=dict)
    channel: str = ""
    source_id: int | None = None
    ids: tuple[Any, ...] = ()
    stored_id: int = 0


@dataclass(frozen=True, slots=True)
class Receiver:
    """A subscribed function."""

    name: str
    function: Callable[..., Any]
    kinds: frozenset[str]
    max_age: timedelta | None
    batch: bool
    interested: Callable[[str], bool] | None = None
    bare: bool = False
    at_leisure: bool = False


@dataclass(frozen=True, slots=True)
class RunResult:
    """How many rows were claimed, facts handled and facts that failed; whether the claim was a full one, and since
    when its oldest row had been due."""

    claimed: int
    handled: int
    failed: int
    is_full: bool = False
    due_since: datetime | None = None


_receivers: dict[str, Receiver] = {}
_dynamic: list[Receiver] = []
_by_kind: dict[str, tuple[Receiver, ...]] = {}
_load_touchpoints: Callable[[list[list[Any]]], list[Fact]] | None = None


def subscribe(
    *kinds: str,
    max_age: timedelta | None = timedelta(hours=24),
    batch: bool = False,
    bare: bool = False,
    at_leisure: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a receiver for `kinds`.

    `max_age`: older facts (a purchase of 1997, a phone's week-old queue) never reach it; None takes any age.
    `batch`: the function takes a list of facts, and is tried again one by one when the list fails.
    `bare`: for those who only ask who did what and when. Nothing is read from the timeline, so a fact costs next to
    nothing; its profile may have been merged or erased since, which the receiver finds out where it needs to.
    `at_leisure`: nobody is woken, the next sweep is soon enough (ten seconds); what comes in between is handled
    in one go, which costs a fraction for receivers whose work is per person and not per fact.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        name = f"{function.__module__}.{function.__qualname__}"
        _receivers[name] = Receiver(
            name, function, frozenset(kinds), max_age, batch, bare=bare, at_leisure=at_leisure
        )
        _by_kind.clear()
        return function

    return register


def subscribe_dynamic(
    interested: Callable[[str], bool],
    *,
    max_age: timedelta | None = timedelta(hours=24),
    batch: bool = False,
    bare: bool = False,
    at_leisure: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a receiver whose kinds are data (staff configure them): asked per kind, each time.

    `interested` runs in the hot path of recording, so it answers from a set in memory.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        name = f"{function.__module__}.{function.__qualname__}"
        receiver = Receiver(name, function, frozenset(), max_age, batch, interested, bare, at_leisure)
        _receivers[name] = receiver
        _dynamic[:] = [other for other in _dynamic if other.name != name] + [receiver]
        return function

    return register


def receivers_for(kind: str) -> tuple[Receiver, ...]:
    """The receivers that care about `kind`; empty for most kinds, which then cost nothing."""
    found = subscribers_of(kind)
    if _dynamic:
        found += tuple(r for r in _dynamic if r.interested is not None and r.interested(kind))
    return found


def subscribers_of(kind: str) -> tuple[Receiver, ...]:
    """Those of `receivers_for` that the code itself subscribes; asks no database."""
    found = _by_kind.get(kind)
    if found is None:
        found = tuple(r for r in _receivers.values() if kind in r.kinds)
        _by_kind[kind] = found
    return found


def receiver_names() -> list[str]:
    """All registered receivers, sorted."""
    return sorted(_receivers)


def set_touchpoint_loader(loader: Callable[[list[list[Any]]], list[Fact]]) -> None:
    """Tell how `[profile_id, occurred_at, id, kind]` items become facts. Called once, by the app that owns them."""
    global _load_touchpoints
    _load_touchpoints = loader


def enqueue(facts: Iterable[tuple[str, int, datetime, uuid.UUID | str]], *, now: datetime) -> int:
    """Insert the pending rows for recorded touchpoints `(kind, profile_id, occurred_at, id)`.

    Belongs in the transaction that records them. Returns the number of rows.
    """
    wanted: dict[str, list[tuple[int, datetime, uuid.UUID | str, str]]] = {}
    lists: dict[str, list[tuple[list[Any], timedelta | None]]] = {}
    for kind, profile_id, occurred_at, ident in facts:
        targets = lists.get(kind)
        if targets is None:
            found = receivers_for(kind)
            targets = lists[kind] = [(wanted.setdefault(r.name, []), r.max_age) for r in found]
        for items, max_age in targets:
            if max_age is None or now - occurred_at <= max_age:
                items.append((profile_id, occurred_at, ident, kind))
    rows = [
        (name, "", orjson.dumps(items[start : start + ITEMS_PER_ROW]).decode())
        for name, items in wanted.items()
        for start in range(0, len(items), ITEMS_PER_ROW)
    ]
    return _insert(rows, now=now)


def publish(kind: str, ids: Sequence[Any], *, now: datetime) -> int:
    """Tell the receivers of `kind` about a fact that is nobody's touchpoint, in the caller's transaction."""
    items = orjson.dumps(list(ids)).decode()
    return _insert([(receiver.name, kind, items) for receiver in receivers_for(kind)], now=now)


def _insert(rows: Sequence[tuple[str, str, str]], *, now: datetime) -> int:
    """Insert rows of (receiver, kind, items as JSON) and wake the receivers after the commit.

    Not bulk_create: quoting the items once more inside an array costs more than recording the events.
    """
    if not rows:
        return 0
    values = ", ".join(["(%s, %s, %s::jsonb, %s, %s, 0, '')"] * len(rows))
    statements.fetch(
        "INSERT INTO kernel_pendingreaction"
        f" (receiver, kind, items, created_at, run_at, claims, last_error) VALUES {values}",
        [value for row in rows for value in (*row, now, now)],
    )
    for name in {row[0] for row in rows}:
        if name not in _receivers or not _receivers[name].at_leisure:
            jobs.wake_soon(TASK, receiver=name)
    return len(rows)


def run(receiver_name: str, *, now: datetime, rows: int = ROWS_PER_CLAIM) -> RunResult:
    """Claim due rows of one receiver, up to `rows` and about FACTS_PER_CLAIM facts, and handle them. Not to be
    called in a transaction."""
    receiver = _receivers.get(receiver_name)
    token = uuid.uuid4()
    claimed = _claim(receiver_name, token=token, rows=rows)
    if receiver is None:
        for row in claimed:
            _park(row, now=now, error=f"no receiver named {receiver_name}")
        return RunResult(len(claimed), 0, len(claimed))
    if claimed and claimed[0].claims > 1:
        # A row claimed before was not finished: its worker died, or a fact failed. Such rows come one at a
        # time, so that what kills a worker takes no innocent row's claims along.
        suspect = claimed[0]
        if suspect.claims > MAX_CLAIMS:
            _park(suspect, now=now, error=suspect.last_error or "its worker died each time it was claimed")
            return RunResult(1, 0, 1)
        if not suspect.kind and len(suspect.items) > 1:
            _take_apart(suspect, token=token)
            return RunResult(1, 0, 0)
    handled, failed = _handle(receiver, claimed, token=token, now=now)
    is_full = len(claimed) >= rows or sum(len(row.items) for row in claimed) >= FACTS_PER_CLAIM
    due_since = min((row.run_at for row in claimed), default=None)
    return RunResult(len(claimed), handled, failed, is_full, due_since)


def has_more(receiver_name: str, result: RunResult, *, now: datetime) -> bool:
    """Whether another run is worth it after this one. Of those who work at leisure only after a full claim: what
    came in meanwhile waits for the next sweep, or there would be no leisure under load. While the door is flooded
    nobody goes on with what is younger than the knob's patience; wake-ups come when the flood is over."""
    receiver = _receivers.get(receiver_name)
    at_leisure = receiver is not None and receiver.at_leisure
    if not (result.is_full if at_leisure else result.claimed):
        return False
    patience = timedelta(seconds=knobs.get("kernel.flood_patience_seconds"))
    is_young = result.due_since is not None and now - result.due_since < patience
    return not (is_young and jobs.is_flooded())


def sweep(*, now: datetime) -> list[str]:
    """Wake every receiver that has due rows: the safety net under lost wake-ups. Returns their names."""
    names = list(PendingReaction.objects.due(now).order_by().values_list("receiver", flat=True).distinct())
    for name in names:
        jobs.wake(TASK, receiver=name)
    return names


def replay(pending_id: int, *, actor: Actor, now: datetime) -> None:
    """Give a parked reaction another five claims. Raises NotFound when it is not parked (any more)."""
    changed = (
        PendingReaction.objects.parked()
        .filter(pk=pending_id)
        .update(parked_at=None, claims=0, lease_until=None, claim_token=None, run_at=now)
    )
    if not changed:
        raise NotFound(_("This reaction is not parked."), code="not_parked")
    row = PendingReaction.objects.get(pk=pending_id)
    actionlog.write(actor, "kernel.reaction.replayed", ("kernel.pendingreaction", pending_id), now=now)
    jobs.wake(TASK, receiver=row.receiver)


def discard(pending_id: int, *, actor: Actor, now: datetime) -> None:
    """Throw a parked reaction away for good. Raises NotFound when it is not parked (any more)."""
    deleted, _per_model = PendingReaction.objects.parked().filter(pk=pending_id).delete()
    if not deleted:
        raise NotFound(_("This reaction is not parked."), code="not_parked")
    actionlog.write(actor, "kernel.reaction.discarded", ("kernel.pendingreaction", pending_id), now=now)


def lease() -> timedelta:
    """How long a claim lasts."""
    return timedelta(seconds=knobs.get("kernel.reaction_lease_seconds"))


def _claim(receiver_name: str, *, token: uuid.UUID, rows: int) -> list[PendingReaction]:
    """Lease rows to this run: many that were never claimed, or else one that was.

    Lease clocks are the database's, so two machines' clocks need not agree. The rows are picked in an array, which
    is computed once: under `IN (SELECT … LIMIT …)` a plan may select again for each row and claim too many. A
    backlog is worked off in large claims, because one statement for a thousand facts costs little more than one
    for ten.
    """
    for never_claimed, limit in ((True, rows), (False, 1)):
        with connection.cursor() as cursor:
            cursor.execute(
                """
                WITH due AS MATERIALIZED (
                    SELECT id, run_at, CASE kind WHEN '' THEN jsonb_array_length(items) ELSE 1 END AS size
                      FROM kernel_pendingreaction
                     WHERE receiver = %s AND parked_at IS NULL AND (claims = 0) = %s
                       AND run_at <= clock_timestamp() + interval '1 second'
                       AND (lease_until IS NULL OR lease_until < clock_timestamp())
                     ORDER BY run_at, id LIMIT %s FOR UPDATE SKIP LOCKED
                ), summed AS (
                    SELECT id, sum(size) OVER (ORDER BY run_at, id) - size AS before FROM due
                )
                UPDATE kernel_pendingreaction AS p
                   SET claims = claims + 1, claim_token = %s,
                       lease_until = clock_timestamp() + make_interval(secs => %s)
                 WHERE p.id = ANY (ARRAY (SELECT id FROM summed WHERE before < %s))
                RETURNING p.id
                """,
                [receiver_name, never_claimed, limit, token, lease().total_seconds(), FACTS_PER_CLAIM],
            )
            ids = [row[0] for row in cursor.fetchall()]
        if ids:
            return list(PendingReaction.objects.filter(pk__in=ids).order_by("id"))
    return []


def _take_apart(row: PendingReaction, *, token: uuid.UUID) -> None:
    """Turn a row of several touchpoints into rows of one, free to be claimed, with its claims so far."""
    with transaction.atomic():
        PendingReaction.objects.bulk_create(
            PendingReaction(
                receiver=row.receiver,
                items=[item],
                created_at=row.created_at,
                run_at=row.run_at,
                claims=row.claims - 1,
            )
            for item in row.items
        )
        if not PendingReaction.objects.filter(pk=row.pk, claim_token=token).delete()[0]:
            transaction.set_rollback(True)


def _handle(
    receiver: Receiver, rows: list[PendingReaction], *, token: uuid.UUID, now: datetime
) -> tuple[int, int]:
    """Handle claimed rows in one transaction and delete them; failed facts become rows of their own."""
    if not rows:
        return 0, 0
    with transaction.atomic():
        facts = _facts_of(receiver, rows)
        failures = _call(receiver, facts)
        leased = PendingReaction.objects.filter(pk__in=[row.pk for row in rows], claim_token=token)
        if leased.delete()[0] != len(rows):
            # The lease ran out and somebody else has the rows: undo, they will do the work.
            transaction.set_rollback(True)
            logger.warning("reactions of %s lost their lease", receiver.name)
            return 0, 0
        claims = max(row.claims for row in rows)
        for fact, error in failures:
            # A failed fact waits longer each time: 10 s, 20 s, 40 s, 80 s.
            PendingReaction.objects.create(
                receiver=receiver.name,
                kind=fact.kind if fact.ids else "",
                items=_item_of(fact),
                created_at=rows[0].created_at,
                run_at=now + timedelta(seconds=10 * 2 ** min(claims - 1, 6)),
                claims=claims,
                parked_at=now if claims >= MAX_CLAIMS else None,
                last_error=error,
            )
    return len(facts) - len(failures), len(failures)


def _call(receiver: Receiver, facts: list[Fact]) -> list[tuple[Fact, str]]:
    """Give the facts to the receiver, each in a savepoint of its own. Returns (fact, reason) of failures."""
    if receiver.batch and len(facts) > 1:
        try:
            with transaction.atomic():
                receiver.function(facts)
            return []
        except NOT_THE_FACT:
            raise
        except Exception:
            logger.warning("receiver %s failed on a batch of %d, going one by one", receiver.name, len(facts))
    failures = []
    for fact in facts:
        try:
            with transaction.atomic():
                receiver.function([fact] if receiver.batch else fact)
        except NOT_THE_FACT:
            raise
        except Exception as error:
            logger.exception("receiver %s failed on %s %s", receiver.name, fact.kind, fact.id or fact.ids)
            # The text of an error may quote a person's data; its type and place do not.
            failures.append((fact, _reason(error)))
    return failures


def _reason(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = ""
    if trace is not None:
        place = f" at {trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}"
    return f"{type(error).__name__}{place}"


def _facts_of(receiver: Receiver, rows: list[PendingReaction]) -> list[Fact]:
    """Published facts as they are, and all touchpoints of these rows: bare, or with one call of the loader."""
    facts = [Fact(kind=row.kind, ids=tuple(row.items)) for row in rows if row.kind]
    items = [item for row in rows if not row.kind for item in row.items]
    if items and receiver.bare:
        return facts + [_bare(item) for item in items]
    if items:
        if _load_touchpoints is None:
            raise LookupError("no touchpoint loader is registered")
        facts += _load_touchpoints(items)
    return facts


def _bare(item: list[Any]) -> Fact:
    return Fact(
        kind=item[3] if len(item) > 3 else "",
        profile_id=item[0],
        occurred_at=datetime.fromisoformat(item[1]),
        id=uuid.UUID(item[2]),
        stored_id=item[0],
    )


def _item_of(fact: Fact) -> list[Any]:
    """The items of a row that carries this fact alone, under the profile it was written to."""
    if fact.occurred_at is None:
        return list(fact.ids)
    return [[fact.stored_id or fact.profile_id, fact.occurred_at.isoformat(), str(fact.id), fact.kind]]


def _park(row: PendingReaction, *, now: datetime, error: str) -> None:
    PendingReaction.objects.filter(pk=row.pk).update(
        parked_at=now, lease_until=None, claim_token=None, last_error=error
    )
