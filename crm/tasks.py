"""Celery entry points of crm."""

from celery import shared_task

from crm.kernel import clock
from crm.services import kind_learning, partitions, tallies


@shared_task(name="crm.fold_tallies")
def fold_tallies() -> None:
    """Fold the tally deltas of all batches into the day's tallies."""
    tallies.fold()


@shared_task(name="crm.make_partitions")
def make_partitions() -> None:
    """Make the touchpoint partitions of this month and the next two."""
    partitions.ensure_ahead(now=clock.now())


@shared_task(name="crm.learn_kinds")
def learn_kinds() -> None:
    """Let the catalogue follow what arrives, and drop minutes of sources that nobody looks at any more."""
    now = clock.now()
    kind_learning.learn_due(now=now)
    tallies.forget_minutes(now=now)
