"""Celery entry points of voc."""

from datetime import timedelta

from celery import shared_task

from crm.kernel import clock, jobs
from voc.services import submissions, telling

WORK = timedelta(seconds=120)


@shared_task(name=telling.TASK)
def tell_followers(release_id: int) -> None:
    """Claim everyone who is still to be told of a release."""
    jobs.awake(telling.TASK, release_id=release_id)
    telling.tell_followers(release_id, now=clock.now(), work=WORK)


@shared_task(name="voc.tell_sweep")
def tell_sweep() -> None:
    """Wake what a lost wake-up left undone."""
    now = clock.now()
    telling.sweep(now=now)
    if jobs.claim_slot("voc.forget_submissions", now=now, every=timedelta(hours=1)):
        submissions.forget_old(now=now)
