"""The only place that enqueues.

The row in PostgreSQL is the record of what is to be done; a Celery message is a wake-up that carries ids. So
a wake-up is sent after commit, best effort: when the broker is away it is dropped, the caller goes on, and
the sweep finds the row. Wake-ups for the same (task, ids) are coalesced while one is outstanding.
"""

from __future__ import annotations

import logging
import mmap
import threading
import time
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import redis
from celery import current_app
from django.conf import settings
from django.db import connection, transaction
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)

OUTSTANDING_SECONDS = 15
SOON_SECONDS = 0.25
BROKER_REST_SECONDS = 3.0
_broker_rests_until = 0.0
# One byte that the processes of a worker share with their parent, because it was there before they were.
_stopping = mmap.mmap(-1, 1)


@cache
def _broker() -> redis.Redis:
    # No retries here: a page must not wait for a broker that is away.
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=1.0, socket_connect_timeout=0.5, retry=Retry(NoBackoff(), 0)
    )


def _mark(task_name: str, ids: dict[str, Any]) -> str:
    return f"renxin:wake:{task_name}:" + ",".join(f"{key}={ids[key]}" for key in sorted(ids))


def wake(task_name: str, **ids: Any) -> None:
    """Ask a worker to run `task_name(**ids)` once this transaction has committed."""
    transaction.on_commit(lambda: _send(task_name, ids), robust=True)


def wake_soon(task_name: str, **ids: Any) -> None:
    """Like `wake`, for what is asked many times a second: the first wake-up goes out at once, those that follow
    within SOON_SECONDS become one at their end. Should the process die before, the sweep finds the row."""
    transaction.on_commit(lambda: _gathered.add(task_name, ids), robust=True)


class _Gathered:
    """The wake-ups of this process that wait for their moment, and the thread that sends them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, tuple[str, dict[str, Any]]] = {}
        self._sent_at: dict[str, float] = {}
        self._sender: threading.Thread | None = None

    def add(self, task_name: str, ids: dict[str, Any]) -> None:
        mark = _mark(task_name, ids)
        now = time.monotonic()
        with self._lock:
            if now - self._sent_at.get(mark, float("-inf")) < SOON_SECONDS:
                self._waiting[mark] = (task_name, ids)
                # A thread does not survive a fork: asked each time, made when it is needed.
                if self._sender is None or not self._sender.is_alive():
                    self._sender = threading.Thread(target=self._flush, daemon=True, name="wake-ups")
                    self._sender.start()
                return
            self._sent_at[mark] = now
        _send(task_name, ids)

    def _flush(self) -> None:
        while True:
            time.sleep(SOON_SECONDS)
            with self._lock:
                waiting, self._waiting = self._waiting, {}
                if not waiting:
                    self._sender = None
                    return
                now = time.monotonic()
                self._sent_at.update(dict.fromkeys(waiting, now))
            for task_name, ids in waiting.values():
                _send(task_name, ids)


_gathered = _Gathered()


def _send(task_name: str, ids: dict[str, Any]) -> None:
    global _broker_rests_until
    if time.monotonic() < _broker_rests_until:
        return
    try:
        if not _broker().set(_mark(task_name, ids), 1, nx=True, ex=OUTSTANDING_SECONDS):
            return
        current_app.send_task(task_name, kwargs=ids, retry=False)
    except Exception as error:  # whatever the broker's client raises: the row stays, the sweep comes
        _broker_rests_until = time.monotonic() + BROKER_REST_SECONDS
        logger.warning("wake-up of %s not sent: %s", task_name, type(error).__name__)


def awake(task_name: str, **ids: Any) -> None:
    """Called by a task as it starts: from now on a new wake-up is worth sending."""
    try:
        _broker().delete(_mark(task_name, ids))
    except redis.RedisError as error:
        logger.warning("wake-up mark of %s not cleared: %s", task_name, type(error).__name__)


def stop() -> None:
    """Called in a worker that is asked to end: its tasks stop at their next safe place."""
    _stopping[0] = 1


def is_stopping() -> bool:
    """Whether this worker is ending: a task that works in a loop asks, finishes what it holds, and returns."""
    return _stopping[0] == 1


def claim_slot(job: str, *, now: datetime, every: timedelta) -> bool:
    """Whether this caller runs `job` for the slot `now` falls in (slots start at the epoch)."""
    seconds = every.total_seconds()
    start = datetime.fromtimestamp(now.timestamp() // seconds * seconds, tz=UTC)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO kernel_jobslot (job, slot_start, claimed_at) VALUES (%s, %s, %s) "
            "ON CONFLICT DO NOTHING",
            [job, start, now],
        )
        return cursor.rowcount == 1
