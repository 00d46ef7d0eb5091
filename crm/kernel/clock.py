"""The clock, read once at the edge and passed down as `now`."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime

from django.utils import timezone

_stopped_at: ContextVar[datetime | None] = ContextVar("stopped_at", default=None)


def now() -> datetime:
    """The current instant, aware, in UTC."""
    return _stopped_at.get() or timezone.now()


@contextmanager
def stopped(at: datetime) -> Iterator[None]:
    """Let every edge inside read `at`: for loading what happened earlier, and for tests."""
    token = _stopped_at.set(at)
    try:
        yield
    finally:
        _stopped_at.reset(token)
