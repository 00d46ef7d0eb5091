"""Who may come in now: a place among the requests at work, taken as soon as the source is known, and a charge for the
events once they are counted. Whoever is sent away is told when to come again and is counted as a warning, which
staff see on the page of the source.
"""

from __future__ import annotations

import logging
import threading
import time

from django.db import DatabaseError, InterfaceError

from crm.ingest import shares
from crm.ingest.shares import OverShare
from crm.kernel import clock
from crm.services import warnings
from crm.services.touchpoints import SourceRef

__all__ = ["OverShare", "admit", "enter", "forget", "leave", "sent_away"]

logger = logging.getLogger(__name__)

CODE = "rate_limited"
WRITE_EVERY_SECONDS = 1.0
_lock = threading.Lock()
# Requests sent away and not written down yet: source id -> how many.
_sent_away: dict[int, int] = {}
_written_at = float("-inf")


def enter(source: SourceRef) -> None:
    """Take a place. Raises OverShare; whoever entered must leave."""
    shares.enter(source.id)


def leave(source: SourceRef) -> None:
    """Give the place back, and write down who was sent away meanwhile."""
    shares.leave(source.id)
    if _sent_away:
        _write_when_due()


def admit(source: SourceRef, *, count: int, size: int) -> None:
    """Let `count` events in `size` bytes in and charge the source for them. Raises OverShare."""
    shares.spend(source.id, max(1, count))


def sent_away(source: SourceRef) -> None:
    """Remember one request that has to come again. A flood of them is one write per second, not one each."""
    with _lock:
        _sent_away[source.id] = _sent_away.get(source.id, 0) + 1
    _write_when_due()


def forget() -> None:
    """Start anew, as a fresh process does."""
    global _written_at
    shares.forget()
    with _lock:
        _sent_away.clear()
        _written_at = float("-inf")


def _write_when_due() -> None:
    global _written_at
    with _lock:
        now = time.monotonic()
        if not _sent_away or now - _written_at < WRITE_EVERY_SECONDS:
            return
        _written_at = now
        counts = dict(_sent_away)
        _sent_away.clear()
    for source_id, count in sorted(counts.items()):
        sample = {"kind": "", "detail": "answered 429 with Retry-After", "stored": False}
        try:
            warnings.write([(CODE, count, sample)], source_id=source_id, now=clock.now())
        except (DatabaseError, InterfaceError) as error:
            logger.warning("requests sent away are written down later: %s", type(error).__name__)
            with _lock:
                _sent_away[source_id] = _sent_away.get(source_id, 0) + count
