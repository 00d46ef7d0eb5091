"""Celery entry points of lifecycle."""

import time
from contextlib import ExitStack

from celery import shared_task

from crm.kernel import clock, jobs, knobs
from lifecycle.services import enrolments, messages
from lifecycle.services.mailer import Mailer

WORK_SECONDS = 60
FAST_SECONDS = 2.0
LARGEST_BATCH = 4 * messages.BATCH


@shared_task(name=messages.TASK)
def deliver(shard: int = 0) -> None:
    """Send what is due until nothing is left or a minute has passed. Shards are workers side by side."""
    jobs.awake(messages.TASK, shard=shard)
    started = time.monotonic()
    with ExitStack() as stack:
        connections = knobs.get("lifecycle.connections_per_task")
        mailers = [stack.enter_context(Mailer()) for _number in range(connections)]
        size = messages.BATCH
        while True:
            began = time.monotonic()
            done = messages.deliver(now=clock.now(), limit=size, mailers=mailers)
            if not done.claimed:
                return
            # Batches grow while they go out in a moment, so that what is asked once per batch is asked seldom; with a
            # slow server they stay small, because who is checked early must not wait long.
            is_fast = time.monotonic() - began < FAST_SECONDS
            size = min(2 * size, LARGEST_BATCH) if is_fast else messages.BATCH
            if jobs.is_stopping() or time.monotonic() - started > WORK_SECONDS:
                jobs.wake(messages.TASK, shard=shard)
                return


@shared_task(name=enrolments.TASK)
def advance_journeys() -> None:
    """Move everybody on whose next step is due."""
    jobs.awake(enrolments.TASK)
    started = time.monotonic()
    while enrolments.advance(now=clock.now()).claimed:
        if jobs.is_stopping() or time.monotonic() - started > WORK_SECONDS:
            jobs.wake(enrolments.TASK)
            return
