"""Passes over everybody: what a rule says of all people, set against the rows there are.

A pass asks the rule once, in one read-only statement, and keeps the difference as rows; then it works the difference
off in chunks under the lock of the segment. Whoever follows events while a pass is at work marks the people it looks
at; those, and merged people, are asked about again, so that what happened meanwhile wins. A pass that was killed goes
on where it stood; two passes of one segment at once are impossible, and one pass at a time runs in the whole
installation, so that the workers stay free for what is urgent.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final

from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import F
from django.db.models.functions import Greatest, Now
from django.utils.translation import gettext as _

from crm.conditions import compiler
from crm.conditions.fragments import Sql, put
from crm.kernel import actionlog, actors, jobs, knobs
from crm.kernel.actors import Actor
from crm.kernel.errors import Conflict, Invalid, NotFound
from crm.models import Segment, SegmentDifference, SegmentMembership, SegmentRun
from crm.selectors import followed
from crm.services import hotpath, segment_members
from crm.states import RunStatus, SegmentKind, SegmentRunCause, SegmentStatus

TASK: Final = "crm.segment_passes"
NIGHTLY_JOB: Final = "crm.segment_nightly"
OPEN: Final = (RunStatus.WAITING, RunStatus.RUNNING)
CHUNK: Final = 5000
# Of a pass that tells nobody, and of people who need not be asked about again.
QUIET_CHUNK: Final = 25_000
MOST_CLAIMS: Final = 5
LEASE_SECONDS: Final = 360
WORK_SECONDS: Final = 60
# Every process has heard of a new or changed segment by then; whatever comes later is followed.
SETTLING: Final = timedelta(seconds=followed.CACHE_SECONDS + 1)
_CLAIM_LOCK: Final = 0x5E66
ACTOR: Final = actors.system("segments")


@dataclass(frozen=True, slots=True)
class Claimed:
    """A pass that this worker holds."""

    run_id: int
    segment_id: int
    token: uuid.UUID


def request(
    segment_id: int, *, cause: str, now: datetime, quiet: bool = False, run_at: datetime | None = None
) -> SegmentRun:
    """Ask for a pass. One that is open already is returned as it is."""
    try:
        with transaction.atomic():
            run = SegmentRun.objects.create(
                segment_id=segment_id, cause=cause, is_quiet=quiet, run_at=run_at or now, created_at=now
            )
    except IntegrityError:
        return SegmentRun.objects.get(segment_id=segment_id, status__in=OPEN)
    jobs.wake(TASK)
    return run


def ask(segment_id: int, *, actor: Actor, now: datetime) -> SegmentRun:
    """A pass that staff want now. Raises NotFound, and Conflict `not_active`."""
    segment = Segment.objects.filter(pk=segment_id).first()
    if segment is None:
        raise NotFound(_("There is no such segment."))
    if segment.status != SegmentStatus.ACTIVE:
        raise Conflict(_("Only an active segment can be checked."), code="not_active")
    actionlog.write(actor, "crm.segment.checked", segment, now=now)
    return request(segment_id, cause=SegmentRunCause.ASKED, now=now)


def request_all(*, now: datetime, cause: str = SegmentRunCause.NIGHTLY, quiet: bool = False) -> int:
    """Ask for a pass of every segment that is kept up to date, each after those it asks about."""
    followed.forget()
    runs = [request(one.id, cause=cause, now=now, quiet=quiet) for one in followed.in_order()]
    return len(runs)


def nightly(*, now: datetime) -> int:
    """Once a day, from the hour that staff chose in the organisation's zone: a pass of every segment."""
    at = compiler.moment(now=now)
    local = now.astimezone(at.zone)
    if local.hour < knobs.get("crm.segment_pass_hour"):
        return 0
    noon = datetime.combine(local.date(), time(12), tzinfo=UTC)
    with transaction.atomic():
        if not jobs.claim_slot(NIGHTLY_JOB, now=noon, every=timedelta(days=1)):
            return 0
        return request_all(now=now)


def cancel(segment_id: int, *, actor: Actor, now: datetime) -> bool:
    """Stop the open pass of a segment, if there is one; what it did stays."""
    with transaction.atomic():
        stopped = list(SegmentRun.objects.select_for_update().filter(segment_id=segment_id, status__in=OPEN))
        for run in stopped:
            _finish(run.pk, RunStatus.CANCELLED, now=now)
            actionlog.write(actor, "crm.segment.pass_cancelled", run, now=now)
    return bool(stopped)


def work(*, now: datetime) -> bool:
    """Claim a due pass and take it one step on: its evaluation, or one chunk. False when nothing is due."""
    claimed = _claim()
    if claimed is None:
        return False
    run = SegmentRun.objects.select_related("segment").get(pk=claimed.run_id)
    if run.claims > MOST_CLAIMS:
        _fail(run, run.segment.last_error or _("Its worker died each time."), now=now)
        return True
    try:
        if run.evaluated_at is None:
            _evaluate(run, claimed, now=now)
        elif not _apply(run, claimed, now=now):
            _complete(run, claimed, now=now)
    except Invalid as error:
        _fail(run, str(error), now=now)
    except DatabaseError as error:
        _give_back(claimed)
        if connection.in_atomic_block:
            raise
        _note_error(run, type(error).__name__)
        raise
    else:
        _give_back(claimed)
    return True


def is_due() -> bool:
    """Whether a pass waits for a worker."""
    return SegmentRun.objects.filter(status__in=OPEN, run_at__lte=Now()).exists()


def _claim() -> Claimed | None:
    """Lease the first due pass, unless another one is at work. Lease clocks are the database's."""
    token = uuid.uuid4()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_CLAIM_LOCK])
        cursor.execute(
            """
            UPDATE crm_segmentrun AS r
               SET status = 'running', started_at = COALESCE(started_at, clock_timestamp()), claim_token = %s,
                   claims = claims + 1,
                   lease_until = clock_timestamp() + make_interval(secs => %s)
             WHERE r.id = (
                   SELECT id FROM crm_segmentrun
                    WHERE status IN ('waiting', 'running') AND run_at <= clock_timestamp()
                      AND (lease_until IS NULL OR lease_until < clock_timestamp())
                    ORDER BY status = 'running' DESC, run_at, id LIMIT 1)
               AND NOT EXISTS (SELECT 1 FROM crm_segmentrun o
                                WHERE o.status = 'running' AND o.lease_until >= clock_timestamp())
            RETURNING r.id, r.segment_id
            """,
            [token, LEASE_SECONDS],
        )
        row = cursor.fetchone()
    return Claimed(row[0], row[1], token) if row else None


def _give_back(claimed: Claimed) -> None:
    SegmentRun.objects.filter(pk=claimed.run_id, claim_token=claimed.token).update(
        lease_until=None, claim_token=None
    )


def _held(claimed: Claimed) -> bool:
    """Whether the pass is still ours and wanted; locks its row, so nobody cancels it in the middle of a chunk."""
    return (
        SegmentRun.objects.select_for_update()
        .filter(pk=claimed.run_id, claim_token=claimed.token, status=RunStatus.RUNNING)
        .exists()
    )


def statement(segment: Segment, *, now: datetime) -> Sql:
    """The people who belong to a segment, in one statement: by its rule, or the roots of those who are in."""
    if segment.kind == SegmentKind.DYNAMIC and segment.status == SegmentStatus.ACTIVE:
        rule = followed.read(segment).rule
        assert rule is not None
        return compiler.compile_rule(rule, at=compiler.moment(now=now))
    kept = segment.status != SegmentStatus.ARCHIVED
    return Sql(
        "SELECT DISTINCT r.id FROM crm_segmentmembership s JOIN crm_profile p ON p.id = s.profile_id"
        " JOIN crm_profile r ON r.id = COALESCE(p.merged_into_id, p.id)"
        " WHERE s.segment_id = %s AND r.erased_at IS NULL AND %s",
        (segment.pk, kept),
    )


def whole_population() -> None:
    """Settings of this transaction for a statement over everybody: sets are hashed, and there is room for it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('work_mem', %s, true), set_config('enable_nestloop', 'off', true),"
            " set_config('jit', 'off', true)",
            [f"{knobs.get('crm.segment_work_mem')}MB"],
        )


def _evaluate(run: SegmentRun, claimed: Claimed, *, now: datetime) -> None:
    """Find the difference between the rule and the rows, and keep it."""
    asked = statement(run.segment, now=now)
    with transaction.atomic():
        # Whoever holds the lock now has committed before the rule is asked; whoever gets it later sees this pass at
        # work and leaves a mark.
        segment_members.lock([run.segment_id])
    with transaction.atomic(), connection.cursor() as cursor:
        whole_population()
        cursor.execute("DROP TABLE IF EXISTS pg_temp.segment_pass")
        # A table of its own, for a statement that inserts may not run in parallel.
        made = put("CREATE TEMPORARY TABLE segment_pass ON COMMIT DROP AS {}", asked)
        cursor.execute(made.text, list(made.params))
        cursor.execute(
            "INSERT INTO crm_segmentdifference (run_id, profile_id)"
            " SELECT %s, COALESCE(n.id, s.profile_id) FROM segment_pass n FULL JOIN"
            " (SELECT profile_id FROM crm_segmentmembership WHERE segment_id = %s) s ON s.profile_id = n.id"
            " WHERE n.id IS NULL OR s.profile_id IS NULL",
            [run.pk, run.segment_id],
        )
        found = cursor.rowcount
        if not _held(claimed):
            transaction.set_rollback(True)
            return
        SegmentRun.objects.filter(pk=run.pk).update(evaluated_at=now, total=found, claims=0)


def _apply(run: SegmentRun, claimed: Claimed, *, now: datetime) -> bool:
    """Look at the next people of the difference. False when there is nobody left, or the pass is no longer ours."""
    ids = list(
        SegmentDifference.objects.filter(run_id=run.pk)
        .order_by("profile_id")
        .values_list("profile_id", flat=True)[: QUIET_CHUNK if run.is_quiet else CHUNK]
    )
    if not ids:
        return False
    followed.forget()
    with transaction.atomic():
        if not _held(claimed):
            return True
        if run.segment.status == SegmentStatus.ARCHIVED:
            entered, left = 0, _clear(run.segment_id, ids, now=now)
        else:
            ids, own = _work_off(run, ids, now=now)
            entered, left = len(own.entered), len(own.left)
        SegmentDifference.objects.filter(run_id=run.pk, profile_id__in=ids).delete()
        SegmentRun.objects.filter(pk=run.pk).update(
            claims=0, done=F("done") + len(ids), entered=F("entered") + entered, left=F("left") + left
        )
    return True


def _work_off(run: SegmentRun, ids: list[int], *, now: datetime) -> tuple[list[int], segment_members.Change]:
    """Make it true for these people, or as many of them as one transaction should ask about. Returns whom, and who
    entered and left."""
    at = compiler.moment(now=now)
    initial = run.cause == SegmentRunCause.ACTIVATED
    segment_members.lock_all(run.segment_id)
    known = segment_members.unmarked(run.pk, ids)
    asked = [profile_id for profile_id in ids if profile_id not in known][:CHUNK]
    own = segment_members.turn(run.segment_id, known, at=at, actor=ACTOR, quiet=run.is_quiet, initial=initial)
    changes = segment_members.settle(
        {run.segment_id: set(asked)}, at=at, actor=ACTOR, quiet=run.is_quiet, initial=initial
    )
    again = changes.get(run.segment_id, segment_members.Change())
    own.entered |= again.entered
    own.left |= again.left
    return [*known, *asked], own


def _clear(segment_id: int, ids: list[int], *, now: datetime) -> int:
    """An archived segment lets its people go without a word; how many there were stays in its history."""
    segment_members.lock([segment_id])
    number, _per_model = SegmentMembership.objects.filter(segment_id=segment_id, profile_id__in=ids).delete()
    Segment.objects.filter(pk=segment_id).update(size=Greatest(F("size") - number, 0))
    return number


def _complete(run: SegmentRun, claimed: Claimed, *, now: datetime) -> None:
    """Everybody was looked at: count the rows anew, and say when the segment was last right."""
    with transaction.atomic():
        if not _held(claimed):
            return
        segment_members.lock([run.segment_id])
        hotpath.fetch(
            "UPDATE crm_segment SET last_error = '', last_verified_at = %s,"
            " size = (SELECT count(*) FROM crm_segmentmembership WHERE segment_id = %s) WHERE id = %s",
            [run.evaluated_at, run.segment_id, run.segment_id],
        )
        if run.segment.status != SegmentStatus.ARCHIVED:
            segment_members.note_size(run.segment_id, now=now)
        _finish(run.pk, RunStatus.DONE, now=now)


def _finish(run_id: int, status: str, *, now: datetime, error: str = "") -> None:
    SegmentDifference.objects.filter(run_id__in=(run_id, -run_id)).delete()
    SegmentRun.objects.filter(pk=run_id, status__in=OPEN).update(
        status=status, finished_at=now, error=error[:300], lease_until=None, claim_token=None
    )


def _fail(run: SegmentRun, reason: str, *, now: datetime) -> None:
    with transaction.atomic():
        _finish(run.pk, RunStatus.FAILED, now=now, error=reason)
        _note_error(run, reason)


def _note_error(run: SegmentRun, reason: str) -> None:
    Segment.objects.filter(pk=run.segment_id).update(last_error=reason[:300])
