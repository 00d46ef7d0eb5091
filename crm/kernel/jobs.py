"""The only place that enqueues.

The row in PostgreSQL is the record of what is to be done; a Celery message is a wake-up that carries ids. So
a wake-up is sent after commit, best effort: when the broker is away it is dropped, the caller goes on, and
the sweep finds the row. Wake-ups for the same (task, ids) are coalesced while one is outstanding.
"""

from __future__ import annotations

import contextlib
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

from crm.kernel import knobs

logger = logging.getLogger(__name__)

OUTSTANDING_SECONDS = 15
SOON_SECONDS = 0.25
BROKER_REST_SECONDS = 3.0
FLOOD_MARK = "renxin:flood"
FLOOD_MARK_MS = 1000
# A single client that sends one request after the other has one at work nearly all the time, and is no flood.
FLOOD_AT_WORK = 1.2
_broker_rests_until = 0.0
# Seconds of the door's requests so far, in this process. Additions that threads lose to each other do no harm.
_worked = 0.0
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
    within SOON_SECONDS become one at their end. While the door is flooded they wait longer, up to the knob's patience.
    Should the process die before, the sweep finds the row."""
    transaction.on_commit(lambda: _gathered.add(task_name, ids), robust=True)


class _Gathered:
    """The wake-ups of this process that wait for their moment, and the thread that sends them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, tuple[str, dict[str, Any], float]] = {}
        self._sent_at: dict[str, float] = {}
        self._sender: threading.Thread | None = None
        self._is_flooded = False
        self._patience = 0.0

    def add(self, task_name: str, ids: dict[str, Any]) -> None:
        mark = _mark(task_name, ids)
        patience = knobs.get("kernel.flood_patience_seconds")
        now = time.monotonic()
        with self._lock:
            self._patience = patience
            if self._is_flooded or now - self._sent_at.get(mark, float("-inf")) < SOON_SECONDS:
                self._waiting.setdefault(mark, (task_name, ids, now))
                self._watch()
                return
            self._sent_at[mark] = now
        _send(task_name, ids)

    def sent_at(self, task_name: str, ids: dict[str, Any]) -> float:
        """When this wake-up went out last, on the monotonic clock."""
        return self._sent_at[_mark(task_name, ids)]

    def release(self, *, now: float, is_flooded: bool) -> bool:
        """Send what need not wait any longer. Returns whether there is anything left to watch."""
        with self._lock:
            self._is_flooded = is_flooded and self._patience > 0
            latest = now - (self._patience if self._is_flooded else 0.0)
            due = {mark: found for mark, found in self._waiting.items() if found[2] <= latest}
            for mark in due:
                del self._waiting[mark]
                self._sent_at[mark] = now
            if not due and not self._waiting and not self._is_flooded:
                self._sender = None
                return False
        for task_name, ids, _since in due.values():
            _send(task_name, ids)
        return True

    def _watch(self) -> None:
        # A thread does not survive a fork: asked each time, made when it is needed.
        if self._sender is None or not self._sender.is_alive():
            self._sender = threading.Thread(target=self._flush, daemon=True, name="wake-ups")
            self._sender.start()

    def _flush(self) -> None:
        began, done = time.monotonic(), _worked
        while True:
            time.sleep(SOON_SECONDS)
            now = time.monotonic()
            is_flooded = note_work(at_work=(_worked - done) / (now - began))
            began, done = now, _worked
            if not self.release(now=now, is_flooded=is_flooded):
                return


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


def worked(seconds: float) -> None:
    """Told by the door after each request: how long it was at work."""
    global _worked
    _worked += seconds


def is_flooded() -> bool:
    """Whether the door of any process has had more than one request at work all the time, within the last second."""
    try:
        return bool(_broker().exists(FLOOD_MARK))
    except redis.RedisError:
        return False


def note_work(*, at_work: float) -> bool:
    """Whether there is a flood, by this process's mean of requests at work, or else by what another process says."""
    if at_work < FLOOD_AT_WORK:
        return is_flooded()
    with contextlib.suppress(redis.RedisError):
        _broker().set(FLOOD_MARK, 1, px=FLOOD_MARK_MS)
    return True


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
