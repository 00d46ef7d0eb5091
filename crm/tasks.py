"""Celery entry points of crm."""

import time
from datetime import timedelta

from celery import shared_task

from crm.kernel import actors, clock, jobs
from crm.services import (
    accounts,
    computing,
    erasure,
    exports,
    import_work,
    imports,
    kind_learning,
    opt_ins,
    partitions,
    passes,
    person_exports,
    reservations,
    retention,
    search_tokens,
    segment_passes,
    suggestions,
    tallies,
)


@shared_task(name="crm.fold_tallies")
def fold_tallies() -> None:
    """Fold the tally deltas of all batches into the day's tallies."""
    tallies.fold()


@shared_task(name=passes.TASK)
def compute() -> None:
    """Go on with passes of computed traits for a minute, then let others have the worker."""
    jobs.awake(passes.TASK)
    started = time.monotonic()
    passes.work(
        now=clock.now, until=lambda: jobs.is_stopping() or time.monotonic() - started > passes.WORK_SECONDS
    )


@shared_task(name="crm.compute_sweep")
def compute_sweep() -> None:
    """Wake a worker for passes that wait or were left behind, and compute again where a window moved."""
    now = clock.now()
    passes.sweep(now=now)
    computing.move_windows(now=now)


@shared_task(name="crm.renew_purchases")
def renew_purchases() -> None:
    """Once a day, early in the morning of UTC: cut points, scores, grid and cohorts."""
    now = clock.now()
    if jobs.claim_slot("crm.renew_purchases", now=now, every=timedelta(days=1)):
        passes.renew_purchases(now=now)


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


@shared_task(name=person_exports.TASK)
def prepare_exports() -> None:
    """Build the files that people and staff asked for, one after the other."""
    jobs.awake(person_exports.TASK)
    while person_exports.prepare(now=clock.now()):
        if jobs.is_stopping():
            return


@shared_task(name=erasure.TASK)
def work_erasures() -> None:
    """Erase whoever is due, and go on where a worker was killed."""
    jobs.awake(erasure.TASK)
    while erasure.work(now=clock.now()):
        if jobs.is_stopping():
            return


@shared_task(name="crm.tidy_privacy")
def tidy_privacy() -> None:
    """Give back forgotten reservations, close sign-ups nobody confirmed, delete files past their day."""
    now = clock.now()
    reservations.sweep(now=now)
    opt_ins.sweep(now=now)
    person_exports.tidy(now=now)


@shared_task(name="crm.look_for_late_arrivals")
def look_for_late_arrivals() -> None:
    """What arrived just after its person was erased goes too."""
    erasure.look_again(now=clock.now())


@shared_task(name="crm.retention")
def let_go() -> None:
    """At night, delete what is past its retention."""
    now = clock.now()
    if retention.is_night(now=now):
        retention.run(actor=actors.system("crm.retention"), now=now)


@shared_task(name=imports.TASK)
def work_import(run: int) -> None:
    """Work on one list for a while; a long one wakes the next worker, so that others get their turn."""
    jobs.awake(imports.TASK, run=run)
    if import_work.work(run, now=clock.now()):
        jobs.wake(imports.TASK, run=run)


@shared_task(name="crm.sweep_imports")
def sweep_imports() -> None:
    """Take up lists whose worker died."""
    import_work.sweep(now=clock.now())


@shared_task(name="crm.tidy_imports")
def tidy_imports() -> None:
    """Remove the files of lists that came in days ago."""
    import_work.tidy(now=clock.now())


@shared_task(name=segment_passes.TASK)
def work_segment_passes() -> None:
    """Go on with passes over everybody for a while, one after the other."""
    jobs.awake(segment_passes.TASK)
    started = time.monotonic()
    while segment_passes.work(now=clock.now()):
        if jobs.is_stopping() or time.monotonic() - started > segment_passes.WORK_SECONDS:
            jobs.wake(segment_passes.TASK)
            return


@shared_task(name="crm.segment_sweep")
def segment_sweep() -> None:
    """Wake a worker for passes that are due; at night, ask for a pass of every segment."""
    now = clock.now()
    segment_passes.nightly(now=now)
    if segment_passes.is_due():
        jobs.wake(segment_passes.TASK)


@shared_task(name="crm.suggest_merges")
def suggest_merges() -> None:
    """Pairs by addresses learnt in the last half hour; once a day, pairs among everybody."""
    now = clock.now()
    if jobs.claim_slot("crm.suggest_merges", now=now, every=timedelta(days=1)):
        suggestions.find(now=now)
    else:
        suggestions.find(now=now, recent=timedelta(minutes=30))


@shared_task(name="crm.roll_up_accounts")
def roll_up_accounts() -> None:
    """Accounts that something happened to; once a day, all of them."""
    now = clock.now()
    if jobs.claim_slot("crm.roll_up_accounts", now=now, every=timedelta(days=1)):
        accounts.roll_up_all(now=now)
    else:
        accounts.roll_up_stale(now=now)


@shared_task(name="crm.renew_search_tokens")
def renew_search_tokens() -> None:
    """Go on, for a minute, with search tokens that are older than the way names are read now."""
    started = time.monotonic()
    search_tokens.renew(now=clock.now(), until=lambda: jobs.is_stopping() or time.monotonic() - started > 60)


@shared_task(name=exports.TASK)
def write_exports() -> None:
    """Write the lists that staff asked for, part by part."""
    jobs.awake(exports.TASK)
    started = time.monotonic()
    while exports.work(now=clock.now()):
        if jobs.is_stopping() or time.monotonic() - started > segment_passes.WORK_SECONDS:
            jobs.wake(exports.TASK)
            return


@shared_task(name="crm.export_sweep")
def export_sweep() -> None:
    """Delete files whose day is over; wake a worker for those that wait."""
    exports.expire(now=clock.now())
    if exports.is_due():
        jobs.wake(exports.TASK)


@shared_task(name="crm.retention_now")
def let_go_now() -> None:
    """Staff pressed the button: by day, too."""
    jobs.awake("crm.retention_now")
    run = retention.run(actor=actors.system("crm.retention_now"), now=clock.now())
    if run is not None and run.finished_at is None and not jobs.is_stopping():
        jobs.wake("crm.retention_now")
