"""Group commit: single events that arrive at the same time share one transaction.

A commit costs the same for one event and for fifty, and so do most statements. Requests put their event into a
group; one of them leads, records the group with its own connection, and everybody is answered after the COMMIT. While
a leader works, the next group gathers by itself; a leader waits for company only when the last group had some, and
never longer than the knob says. Whoever is alone is not held up.

When a group fails for a reason that may lie in one event, each event is tried again alone, so nobody is refused for
a neighbour. When the database is away, all are told so. Nothing is acknowledged that was not committed: a process
that dies takes unanswered requests with it, and their senders send them again.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from datetime import datetime

from django.db import OperationalError

from crm.ingest import counters, recording
from crm.kernel import knobs
from crm.services.touchpoints import Event, RecordResult, Rejection, SourceRef

logger = logging.getLogger(__name__)

WAIT_SECONDS = 30.0


class Overdue(OperationalError):
    """The group did not come to an end in time. Whether the event was stored nobody knows yet."""


@dataclass(slots=True)
class _Ticket:
    """One event in a group. Its signal is a lock that is released when there is something to do or to tell."""

    event: Event
    now: datetime
    signal: threading.Lock = field(default_factory=threading.Lock)
    leads: bool = False
    result: RecordResult | None = None
    error: Exception | None = None

    def wait(self, seconds: float) -> bool:
        """Whether the signal came in time. The first caller of a ticket finds it taken, and so waits."""
        return self.signal.acquire(timeout=seconds)

    def tell(self) -> None:
        """Release the waiter; telling twice is telling once."""
        if self.signal.locked():
            self.signal.release()


class _Group:
    """The single events of one source, in one process."""

    def __init__(self, source: SourceRef) -> None:
        self.source = source
        self._lock = threading.Lock()
        self._waiting: list[_Ticket] = []
        self._has_leader = False
        self._gathering: _Ticket | None = None
        self._target = 1

    def record(self, event: Event, *, now: datetime) -> RecordResult:
        ticket = _Ticket(event, now)
        ticket.signal.acquire()
        with self._lock:
            self._waiting.append(ticket)
            ticket.leads = not self._has_leader
            self._has_leader = True
            if self._gathering is not None and len(self._waiting) >= self._target:
                self._gathering.tell()
        if not ticket.leads and not ticket.wait(WAIT_SECONDS):
            self._give_up(ticket)
        if ticket.leads:
            self._lead(ticket)
        if ticket.error is not None:
            raise ticket.error
        assert ticket.result is not None
        return ticket.result

    def _give_up(self, ticket: _Ticket) -> None:
        """Nobody came: leave the queue if the ticket is still in it. Raises Overdue, unless the lead has just been
        handed to this ticket or it was answered at the last moment."""
        with self._lock:
            if ticket.leads or ticket.result is not None or ticket.error is not None:
                return
            if ticket in self._waiting:
                self._waiting.remove(ticket)
        raise Overdue("the group took too long")

    def _lead(self, own: _Ticket) -> None:
        most = max(1, knobs.get("crm.group_most"))
        self._gather(own, most)
        with self._lock:
            tickets, self._waiting = self._waiting[:most], self._waiting[most:]
            self._target = min(most, len(tickets))
        counters.grouped(len(tickets))
        try:
            _settle(tickets, self.source)
        except Exception as error:
            _blame(tickets, error)
        except BaseException:
            # This thread is being ended; what became of the group nobody knows.
            _blame(tickets, Overdue("the leader of the group was stopped"))
            raise
        finally:
            self._hand_over()
            for ticket in tickets:
                if ticket is not own:
                    ticket.tell()

    def _gather(self, own: _Ticket, most: int) -> None:
        """Wait for as many as came last time, if anybody came beside the leader then."""
        wait = knobs.get("crm.group_wait_ms") / 1000
        with self._lock:
            if not wait or self._target < 2 or len(self._waiting) >= min(self._target, most):
                return
            self._gathering = own
        # The new leader's signal is taken: by its first acquire, or by the wait that made it leader.
        own.wait(wait)
        with self._lock:
            self._gathering = None

    def _hand_over(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting[0].leads = True
                self._waiting[0].tell()
            else:
                self._has_leader = False


def _settle(tickets: list[_Ticket], source: SourceRef) -> None:
    """Record the group, or, when it fails for a reason of its own, each event by itself."""
    if len(tickets) > 1:
        try:
            # The time of the group is that of its latest event: nothing is stored before it arrived.
            now = max(ticket.now for ticket in tickets)
            result = recording.record_together([ticket.event for ticket in tickets], source=source, now=now)
        except Exception as error:
            if recording.is_away(error):
                raise
            logger.warning("a group of %d failed (%s), going one by one", len(tickets), type(error).__name__)
        else:
            _share(result, tickets)
            return
    for ticket in tickets:
        try:
            ticket.result = recording.record([ticket.event], source=source, now=ticket.now, historical=False)
        except Exception as error:
            ticket.error = error


def _blame(tickets: list[_Ticket], error: Exception) -> None:
    for ticket in tickets:
        if ticket.result is None and ticket.error is None:
            ticket.error = error


def _share(result: RecordResult, tickets: list[_Ticket]) -> None:
    """Give everybody their part of what became of the group."""
    parts = [RecordResult(profile_ids=[profile_id]) for profile_id in result.profile_ids]
    for rejection in result.rejected:
        own = Rejection(0, rejection.message_id, rejection.code, rejection.detail)
        parts[rejection.index].rejected.append(own)
    for index, code, detail in result.warnings:
        parts[index].warnings.append((0, code, detail))
    for part, ticket in zip(parts, tickets, strict=True):
        part.accepted = int(part.profile_ids[0] is not None)
        part.duplicates = int(not part.accepted and not part.rejected)
        ticket.result = part


_groups: dict[tuple[int, str], _Group] = {}
_making = threading.Lock()


def record(event: Event, *, source: SourceRef, now: datetime) -> RecordResult:
    """Store one event, with others that come at the same time. It is committed when this returns. Raises what its
    own recording raised, and the database's errors when it is away."""
    key = (source.id, source.trust)
    group = _groups.get(key)
    if group is None:
        with _making:
            group = _groups.setdefault(key, _Group(source))
    return group.record(event, now=now)


def forget() -> None:
    """Begin anew, as a fresh process does."""
    with _making:
        _groups.clear()


def is_on() -> bool:
    """Whether events are grouped at all; the knob turns it off."""
    return bool(knobs.get("crm.group_most") > 1)
