"""Passes over everybody: a computed trait, or everybody's purchases, chunk by chunk in a worker.

The place of a pass is committed with the values of its chunk, so a killed worker loses none and repeats at most one.
One pass per trait is open at a time; it can be cancelled between two chunks.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Q, QuerySet

from crm.kernel import actionlog, jobs, knobs
from crm.kernel.actors import Actor
from crm.models import ComputedRun, ComputedTrait, ComputedValue, Profile
from crm.selectors import computed
from crm.selectors import computing as reads
from crm.services import computing, purchases
from crm.states import ComputedStatus, RunPurpose, RunStatus

TASK: Final = "crm.compute"
WORK_SECONDS: Final = 60
LEASE: Final = timedelta(seconds=330)
MOST_CLAIMS: Final = 5
OPEN: Final = (RunStatus.WAITING, RunStatus.RUNNING)


def start(
    trait: ComputedTrait | None, *, purpose: str, now: datetime, settings: dict[str, Any] | None = None
) -> ComputedRun:
    """Begin a pass over everybody, in the caller's transaction; one that is under way ends and this one replaces it."""
    ComputedRun.objects.filter(trait=trait, status__in=OPEN).update(
        status=RunStatus.CANCELLED, finished_at=now
    )
    newest = Profile.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    run = ComputedRun.objects.create(
        trait=trait,
        purpose=purpose,
        version=trait.version if trait else 1,
        upper=newest,
        settings=settings or {},
        created_at=now,
    )
    jobs.wake(TASK)
    return run


def cancel_run(run_id: int, *, now: datetime) -> bool:
    """End a pass where it is. Returns False when it was over already."""
    open_run = ComputedRun.objects.filter(pk=run_id, status__in=OPEN)
    return open_run.update(status=RunStatus.CANCELLED, finished_at=now) == 1


def work(*, now: Callable[[], datetime], until: Callable[[], bool]) -> int:
    """Claim passes and go on with them until none is left or `until()` says to stop. Returns the chunks done.

    Not to be called in a transaction. `now` is the clock: a pass may take longer than an instant.
    """
    chunks = 0
    while not until():
        claimed = _claim(now=now())
        if claimed is None:
            break
        run, token = claimed
        finished = False
        while not finished and not until():
            finished = _chunk(run, token, now=now())
            chunks += 1
        if not finished:
            ComputedRun.objects.filter(pk=run, claim_token=token).update(lease_until=None, claim_token=None)
            jobs.wake(TASK)
            break
    return chunks


def sweep(*, now: datetime) -> bool:
    """Wake a worker when a pass waits or was left behind. Returns whether one does."""
    due = _due(now).exists()
    if due:
        jobs.wake(TASK)
    return due


def _due(now: datetime) -> QuerySet[ComputedRun]:
    open_runs = ComputedRun.objects.filter(status__in=OPEN)
    return open_runs.filter(Q(lease_until__isnull=True) | Q(lease_until__lt=now)).order_by("pk")


def _claim(*, now: datetime) -> tuple[int, uuid.UUID] | None:
    token = uuid.uuid4()
    with transaction.atomic():
        run = _due(now).select_for_update(skip_locked=True, of=("self",)).first()
        if run is None:
            return None
        if run.claims >= MOST_CLAIMS:
            run.status, run.finished_at = RunStatus.FAILED, now
            run.save(update_fields=["status", "finished_at"])
            return None
        run.status, run.claims, run.claim_token = RunStatus.RUNNING, run.claims + 1, token
        run.started_at, run.lease_until = run.started_at or now, now + LEASE
        run.save(update_fields=["status", "claims", "claim_token", "started_at", "lease_until"])
    return run.pk, token


def _chunk(run_id: int, token: uuid.UUID, *, now: datetime) -> bool:
    """One chunk of people and the new place of the pass, in one transaction. Returns whether the pass is over for
    this worker: done, cancelled, or taken over."""
    with transaction.atomic():
        run = ComputedRun.objects.select_for_update().filter(pk=run_id, claim_token=token).first()
        if run is None or run.status != RunStatus.RUNNING:
            return True
        upto = _end_of_chunk(run)
        if run.cursor < run.upper:
            run.values_written += _do(run, upto, now=now)
        run.cursor, run.lease_until = upto, now + LEASE
        # A worker that gets somewhere is no reason to give up.
        run.claims = 1
        if run.cursor >= run.upper:
            run.status, run.finished_at, run.lease_until = RunStatus.DONE, now, None
            if run.trait_id is None:
                purchases.score(now=now)
        run.save(update_fields=["values_written", "cursor", "lease_until", "claims", "status", "finished_at"])
        return run.status == RunStatus.DONE


def _end_of_chunk(run: ComputedRun) -> int:
    """The id that ends the next chunk: so many people further, by the primary key."""
    size = knobs.get("crm.computed_chunk_people")
    ids = Profile.objects.filter(pk__gt=run.cursor, pk__lte=run.upper).order_by("pk")
    last = ids.values_list("pk", flat=True)[size - 1 : size].first()
    return last or run.upper


def _do(run: ComputedRun, upto: int, *, now: datetime) -> int:
    computing.take_turns(run.trait_id or 0, range(computing.SHARES))
    scope = reads.range_of(run.cursor, upto)
    if run.trait_id is None:
        return purchases.write(scope, now=now)
    if run.purpose == RunPurpose.CLEAR:
        held = ComputedValue.objects.filter(
            trait_id=run.trait_id, profile_id__gt=run.cursor, profile_id__lte=upto
        )
        return held.delete()[0]
    trait = computed.by_id(run.trait_id)
    if trait is None or trait.status not in (ComputedStatus.ACTIVE, ComputedStatus.PAUSED):
        return 0
    return computing.write(trait, scope, now=now)


def renew_purchases(*, now: datetime) -> str:
    """The nightly pass: score everybody; or, when what counts as an order was changed or nothing was ever counted,
    sum everything up again first. Returns `scored`, `started` or `running`."""
    said = purchases.settings()
    newest = ComputedRun.objects.filter(trait__isnull=True).order_by("-pk").first()
    if newest is not None and newest.status in OPEN:
        return "running"
    if newest is None or newest.status != RunStatus.DONE or newest.settings != said:
        with transaction.atomic():
            start(None, purpose=RunPurpose.COMPUTE, now=now, settings=said)
        return "started"
    purchases.score(now=now)
    return "scored"


def recompute_purchases(*, actor: Actor, now: datetime) -> ComputedRun:
    """Staff want every order counted again. Returns the pass."""
    with transaction.atomic():
        run = start(None, purpose=RunPurpose.COMPUTE, now=now, settings=purchases.settings())
        actionlog.write(actor, "crm.purchases.recomputed", run, now=now)
    return run
