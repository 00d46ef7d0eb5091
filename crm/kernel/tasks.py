"""Celery entry points of the kernel."""

import time

from celery import shared_task

from crm.kernel import actionlog, clock, idempotency, jobs, reactions

WORK_SECONDS = 60


@shared_task(name=reactions.TASK)
def react(receiver: str) -> None:
    """Handle the due rows of one receiver until none is left or a minute has passed."""
    jobs.awake(reactions.TASK, receiver=receiver)
    started = time.monotonic()
    while reactions.has_more(receiver, reactions.run(receiver, now=clock.now()), now=clock.now()):
        if jobs.is_stopping() or time.monotonic() - started > WORK_SECONDS:
            jobs.wake(reactions.TASK, receiver=receiver)
            return


@shared_task(name="crm.kernel.sweep")
def sweep() -> None:
    """Wake every receiver with due rows."""
    reactions.sweep(now=clock.now())


@shared_task(name="crm.kernel.seal_action_log")
def seal_action_log() -> None:
    """Chain the newest rows of the action log."""
    while actionlog.seal():
        pass


@shared_task(name="crm.kernel.tidy")
def tidy() -> None:
    """Drop idempotency keys past their day."""
    idempotency.forget_old(now=clock.now())
