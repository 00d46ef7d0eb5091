"""People on their way through journeys: out the moment the goal is met. How they get in is in `entries`.

Facts take people out (receivers); a poller moves on whoever is due. Everything a step decides
is read over all ids of the person under the lock of their root, so a merge can neither send twice nor forget a
purchase. All of it is database work: claims are counted and committed first, then a batch is one transaction.
"""

from __future__ import annotations

import logging
import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import orjson
from django.db import InterfaceError, OperationalError, transaction

from crm.kernel import actors, knobs
from crm.kernel.reactions import Fact
from crm.selectors import profiles as people
from crm.services import hotpath, profiles, touchpoints
from lifecycle.models import Enrolment, OutboundMessage
from lifecycle.services import deciding, entries, messages, running, walking
from lifecycle.states import (
    EnrolmentEventKind,
    EnrolmentStatus,
    ExitCause,
    Reason,
)

logger = logging.getLogger(__name__)

TASK: Final = "lifecycle.advance_journeys"
ACTOR: Final = actors.system("lifecycle.journeys")
BATCH: Final = 200
MAX_CLAIMS: Final = 5


@dataclass(frozen=True, slots=True)
class AdvanceResult:
    """What one call of `advance` did; `claimed` 0 means nobody was due."""

    claimed: int = 0
    messages: int = 0
    ended: int = 0


def leave(facts: Sequence[Fact], *, now: datetime) -> int:
    """Let go of whoever met a goal or an exit rule; what waits for them is cancelled. Returns how many."""
    facts = _of_travellers(facts)
    if not facts:
        return 0
    with transaction.atomic():
        roots = entries.lock_live({fact.profile_id for fact in facts})
        members = people.id_sets(set(roots.values()))
        by_root: dict[int, list[Fact]] = defaultdict(list)
        for fact in facts:
            if fact.profile_id in roots:
                by_root[roots[fact.profile_id]].append(fact)
        root_of = {member: root for root, ids in members.items() for member in ids}
        rows = (
            Enrolment.objects.select_for_update()
            .filter(
                profile_id__any=sorted(root_of),
                status__in=(EnrolmentStatus.WAITING, EnrolmentStatus.FINISHED),
            )
            .order_by("pk")
        )
        moves = []
        for row in rows:
            plan = running.definition_of(row.version_id)
            for fact in by_root[root_of[row.profile_id]]:
                move = walking.leaving_move(row, plan=plan, fact=fact)
                if move is not None:
                    moves.append(move)
                    break
        _write(moves, now=now)
        _cancel(moves, now=now)
    return len(moves)


def _of_travellers(facts: Sequence[Fact]) -> list[Fact]:
    """The facts of people who are on a way, or were: nobody else need be locked."""
    members = people.id_sets(set(people.roots({fact.profile_id for fact in facts}).values()))
    root_of = {member: root_id for root_id, ids in members.items() for member in ids}
    rows = hotpath.fetch(
        "SELECT DISTINCT profile_id FROM lifecycle_enrolment"
        " WHERE profile_id = ANY(%s::bigint[]) AND status IN ('waiting', 'finished')",
        [hotpath.array(sorted(root_of))],
    )
    travellers = {root_of[row[0]] for row in rows}
    return [fact for fact in facts if root_of.get(fact.profile_id) in travellers]


def advance(*, now: datetime, limit: int = BATCH) -> AdvanceResult:
    """Move on up to `limit` people whose next step is due. Must not be called inside a transaction."""
    token = uuid.uuid4()
    rows = _claim(token=token, now=now, limit=limit, fresh=True)
    # Claimed before and not moved: somebody may have died over it. It comes alone, after all others.
    rows = rows or _claim(token=token, now=now, limit=1, fresh=False)
    queued, ended = _try(rows, token=token, now=now) if rows else (0, 0)
    return AdvanceResult(claimed=len(rows), messages=queued, ended=ended)


def empty(journey_id: int, *, now: datetime) -> int:
    """Everybody still in an archived journey leaves; queued messages are cancelled. In the caller's transaction."""
    rows = Enrolment.objects.select_for_update().filter(journey_id=journey_id, status=EnrolmentStatus.WAITING)
    moves = [
        walking.Move(
            row,
            EnrolmentStatus.EXITED,
            ExitCause.ARCHIVED,
            row.step,
            events=[(EnrolmentEventKind.EXITED, row.step, {"cause": ExitCause.ARCHIVED.value})],
        )
        for row in rows.order_by("pk")
    ]
    _write(moves, now=now)
    prefix = walking.subject_key(journey_id, "")
    OutboundMessage.objects.open().filter(subject_key__gte=prefix, subject_key__lt=prefix[:-1] + ";").update(
        decision="dropped", reason=Reason.CANCELLED, decided_at=now
    )
    return len(moves)


def _claim(*, token: uuid.UUID, now: datetime, limit: int, fresh: bool) -> list[tuple[int, int, int]]:
    """Lease due enrolments of active journeys; (id, profile id, claims) of each."""
    return sorted(
        hotpath.fetch(
            """
            UPDATE lifecycle_enrolment AS e
               SET claims = claims + 1, claim_token = %s, lease_until = clock_timestamp() + %s
             WHERE e.id = ANY (ARRAY (
                   SELECT d.id FROM lifecycle_enrolment d JOIN lifecycle_journey j ON j.id = d.journey_id
                    WHERE d.status = 'waiting' AND d.run_at <= %s AND j.status = 'active'
                      AND (d.lease_until IS NULL OR d.lease_until < clock_timestamp()) AND (d.claims = 0) = %s
                    ORDER BY d.run_at, d.id LIMIT %s FOR UPDATE OF d SKIP LOCKED))
            RETURNING e.id, e.profile_id, e.claims
            """,
            [token, deciding.lease(), now, fresh, limit],
        )
    )


def _try(group: list[tuple[int, int, int]], *, token: uuid.UUID, now: datetime) -> tuple[int, int]:
    try:
        return _advance_group(group, token=token, now=now)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        logger.exception("%d enrolments could not be moved on", len(group))
        if len(group) == 1:
            if group[0][2] >= MAX_CLAIMS:
                _give_up(group[0][0], now=now)
            return 0, 0
    done = [_try([row], token=token, now=now) for row in group]
    return sum(one[0] for one in done), sum(one[1] for one in done)


def _give_up(enrolment_id: int, *, now: datetime) -> None:
    with transaction.atomic():
        row = (
            Enrolment.objects.select_for_update()
            .filter(pk=enrolment_id, status=EnrolmentStatus.WAITING)
            .first()
        )
        if row is not None:
            _write(
                [
                    walking.Move(
                        row,
                        EnrolmentStatus.FAILED,
                        "",
                        row.step,
                        events=[(EnrolmentEventKind.FAILED, row.step, {})],
                    )
                ],
                now=now,
            )


def _advance_group(group: list[tuple[int, int, int]], *, token: uuid.UUID, now: datetime) -> tuple[int, int]:
    with transaction.atomic():
        roots = profiles.lock_roots({row[1] for row in group})
        rows = list(
            Enrolment.objects.select_for_update()
            .filter(pk__in=[row[0] for row in group], claim_token=token, status=EnrolmentStatus.WAITING)
            .order_by("pk")
        )
        if not rows:
            return 0, 0
        members = people.id_sets({root.pk for root in roots.values()})
        answers = walking.Answers(rows, roots, members, now=now)
        twins = _twins(rows, members)
        stale = now - timedelta(hours=knobs.get("lifecycle.journey_stale_hours"))
        moves = []
        for row in rows:
            plan = running.definition_of(row.version_id)
            if roots[row.profile_id].erased_at is not None:
                moves.append(walking.exited(row, ExitCause.ERASED))
            elif row.pk in twins:
                moves.append(walking.exited(row, ExitCause.DUPLICATE))
            elif plan.goal is not None and answers.since_entry(row, plan.goal):
                moves.append(walking.converted(row))
            elif any(answers.since_entry(row, cue) for cue in plan.exits):
                moves.append(walking.exited(row, ExitCause.EXIT_RULE))
            elif row.run_at is not None and row.run_at < stale:
                moves.append(walking.exited(row, ExitCause.EXPIRED))
            else:
                moves.append(
                    walking.walk(row, plan=plan, answers=answers, root_id=roots[row.profile_id].pk, now=now)
                )
        _write(moves, now=now)
        _cancel(
            [move for move in moves if move.status in (EnrolmentStatus.CONVERTED, EnrolmentStatus.EXITED)],
            now=now,
        )
        items = [item for move in moves for item in move.items]
        if items:
            messages.queue(items, actor=ACTOR, now=now)
        ended = sum(1 for move in moves if move.status != EnrolmentStatus.WAITING)
    return len(items), ended


def _twins(rows: list[Enrolment], members: dict[int, list[int]]) -> set[int]:
    """Of two enrolments of one person with the same key, made before a merge, the younger one goes."""
    root_of = {member: root for root, ids in members.items() if len(ids) > 1 for member in ids}
    if not root_of:
        return set()
    others = Enrolment.objects.filter(
        profile_id__in=sorted(root_of), journey_id__in={row.journey_id for row in rows}
    ).exclude(status=EnrolmentStatus.EXITED)
    oldest: dict[tuple[int, int, str], int] = {}
    for pk, profile_id, journey_id, key in others.order_by("-pk").values_list(
        "pk", "profile_id", "journey_id", "entry_key"
    ):
        oldest[(root_of[profile_id], journey_id, key)] = pk
    return {
        row.pk
        for row in rows
        if row.profile_id in root_of
        and oldest[(root_of[row.profile_id], row.journey_id, row.entry_key)] != row.pk
    }


def _write(moves: list[walking.Move], *, now: datetime) -> None:
    """All moves in one statement, all events in another; journeys' goals become touchpoints."""
    if not moves:
        return
    ended = [move.status != EnrolmentStatus.WAITING for move in moves]
    array = hotpath.array
    hotpath.fetch(
        """
        UPDATE lifecycle_enrolment AS e
           SET status = v.status, exit_cause = v.exit_cause, step = v.step, run_at = v.run_at,
               ended_at = v.ended_at, claims = 0, claim_token = NULL, lease_until = NULL
          FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[])
               AS v(id, status, exit_cause, step, run_at, ended_at)
         WHERE e.id = v.id
        """,
        [
            array([move.enrolment.pk for move in moves]),
            array([str(move.status) for move in moves]),
            array([str(move.exit_cause) for move in moves]),
            array([move.step for move in moves]),
            array([move.run_at for move in moves]),
            array([now if over else None for over in ended]),
        ],
    )
    lines = [(move.enrolment.pk, *event) for move in moves for event in move.events]
    hotpath.fetch(
        """
        INSERT INTO lifecycle_enrolmentevent (enrolment_id, kind, step, detail, occurred_at)
        SELECT enrolment_id, kind, step, detail, %s
          FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::jsonb[]) AS v(enrolment_id, kind, step, detail)
        """,
        [
            now,
            array([line[0] for line in lines]),
            array([str(line[1]) for line in lines]),
            array([line[2] for line in lines]),
            hotpath.json_array([orjson.dumps(line[3]).decode() for line in lines]),
        ],
    )
    converted = [
        touchpoints.Event(
            kind="lifecycle.journey.converted",
            occurred_at=now,
            message_id=f"lifecycle.journey.converted:{move.enrolment.pk}",
            profile_id=move.enrolment.profile_id,
            properties={"journey_id": move.enrolment.journey_id, "arm": str(move.enrolment.arm)},
        )
        for move in moves
        if move.status == EnrolmentStatus.CONVERTED
    ]
    if converted:
        touchpoints.record(converted, source=None, actor=ACTOR, now=now)


def _cancel(moves: list[walking.Move], *, now: datetime) -> None:
    """What was queued for people who left does not go out any more."""
    keys = {
        (move.enrolment.profile_id, walking.subject_key(move.enrolment.journey_id, move.enrolment.entry_key))
        for move in moves
    }
    if not keys:
        return
    reasons = {
        walking.subject_key(move.enrolment.journey_id, move.enrolment.entry_key): (
            Reason.CONVERTED if move.status == EnrolmentStatus.CONVERTED else Reason.CANCELLED
        )
        for move in moves
    }
    waiting: dict[str, list[int]] = defaultdict(list)
    found = (
        OutboundMessage.objects.open()
        .filter(subject_key__in=list(reasons))
        .values_list("pk", "profile_id", "subject_key")
    )
    root_of = people.roots({profile_id for profile_id, _key in keys} | {row[1] for row in found})
    wanted = {(root_of.get(profile_id, profile_id), key) for profile_id, key in keys}
    for pk, profile_id, key in found:
        if (root_of.get(profile_id, profile_id), key) in wanted:
            waiting[reasons[key]].append(pk)
    for reason, ids in waiting.items():
        messages.cancel(ids, reason=reason, now=now)
