"""Ways into journeys: whom a batch of facts takes in, once per person, journey and entry key.

Written for a busy shop, where most visits are facts that some journey begins with: a batch of thousands of facts is
six statements, whatever its size. People are locked in id order while it is decided, over all their ids, so
neither a merge nor another batch can let somebody in twice or beyond the cap.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
from django.db import transaction

from crm.kernel import actors, jobs
from crm.kernel.reactions import Fact
from crm.services import hotpath, profiles, touchpoints
from lifecycle.services import running
from lifecycle.states import Arm, EnrolmentEventKind

TASK: Final = "lifecycle.advance_journeys"
ACTOR: Final = actors.system("lifecycle.journeys")
Key = tuple[int, int, str]


@dataclass(slots=True)
class _Entry:
    """A row of Enrolment on its way in."""

    journey: running.Running
    profile_id: int
    entry_key: str
    fact: Fact
    entered_at: datetime
    run_at: datetime
    step: str
    id: int = 0


def enter(facts: Sequence[Fact], *, now: datetime) -> int:
    """Take in whom these facts concern, once per entry key. Returns the number of new enrolments."""
    wanted: dict[Key, _Entry] = {}
    journeys = running.all_running()
    for fact in sorted(facts, key=lambda fact: fact.occurred_at or now):
        for journey in journeys:
            plan = journey.definition
            if fact.kind != plan.trigger.kind or not plan.trigger.matches(fact.kind, fact.properties):
                continue
            occurred_at = fact.occurred_at or now
            key = plan.entry_key(fact.properties, occurred_at=occurred_at, fact_id=str(fact.id))
            if key and (fact.profile_id, journey.id, key) not in wanted:
                run_at = occurred_at + timedelta(minutes=journey.first_wait)
                wanted[fact.profile_id, journey.id, key] = _Entry(
                    journey, fact.profile_id, key, fact, occurred_at, run_at, journey.first_step
                )
    if not wanted:
        return 0
    with transaction.atomic():
        root_of = lock_live({entry.profile_id for entry in wanted.values()})
        fresh = _choose(wanted.values(), root_of)
        if fresh:
            _insert(fresh, now=now)
            _tell(fresh, now=now)
    return len(fresh)


def lock_live(ids: set[int]) -> dict[int, int]:
    """Each live person's given id with their root, locked in id order; erased people are left out.

    Facts come with the root of a moment ago, which nearly always still is one: then one statement does. Where
    somebody was merged meanwhile, the locks are given back and taken anew by whoever knows how.
    """
    savepoint = transaction.savepoint()
    locked = hotpath.fetch(
        "SELECT id, erased_at IS NOT NULL FROM crm_profile WHERE id = ANY(%s::bigint[]) AND merged_into_id IS NULL"
        " ORDER BY id FOR NO KEY UPDATE",
        [hotpath.array(sorted(ids))],
    )
    if len(locked) == len(ids):
        transaction.savepoint_commit(savepoint)
        return {root_id: root_id for root_id, is_erased in locked if not is_erased}
    transaction.savepoint_rollback(savepoint)
    roots = profiles.lock_roots(ids)
    return {profile_id: root.pk for profile_id, root in roots.items() if root.erased_at is None}


def _choose(wanted: Iterable[_Entry], root_of: dict[int, int]) -> list[_Entry]:
    """Those who have not entered under their key and are within the cap, in the order of time."""
    candidates = [entry for entry in wanted if entry.profile_id in root_of]
    if not candidates:
        return []
    longest = max(entry.journey.definition.cap_hours for entry in candidates)
    since = min(entry.entered_at for entry in candidates) - timedelta(hours=longest)
    taken, entries = _before(candidates, set(root_of.values()), since=since)
    fresh = []
    for entry in candidates:
        entry.profile_id = root_of[entry.profile_id]
        key = (entry.profile_id, entry.journey.id, entry.entry_key)
        if key in taken:
            continue
        plan = entry.journey.definition
        if plan.cap_entries:
            moments = entries[key[0], key[1]]
            start = (entry.entered_at - timedelta(hours=plan.cap_hours)).timestamp()
            if sum(1 for moment in moments if moment > start) >= plan.cap_entries:
                continue
            moments.append(entry.entered_at.timestamp())
        taken.add(key)
        fresh.append(entry)
    return fresh


def _before(
    candidates: list[_Entry], roots: set[int], *, since: datetime
) -> tuple[set[Key], dict[tuple[int, int], list[float]]]:
    """Which of the keys people, under any of their ids, have entered with, and when they entered since `since`."""
    root_of = {root_id: root_id for root_id in roots}
    for member, root_id in hotpath.fetch(
        "SELECT id, merged_into_id FROM crm_profile WHERE merged_into_id = ANY(%s::bigint[])",
        [hotpath.array(sorted(roots))],
    ):
        root_of[member] = root_id
    taken: set[Key] = set()
    entries: dict[tuple[int, int], list[float]] = defaultdict(list)
    start = since.timestamp()
    for profile_id, journey_id, key, moment in hotpath.fetch(
        """
        SELECT profile_id, journey_id, entry_key, extract(epoch FROM entered_at)::float8
          FROM lifecycle_enrolment
         WHERE profile_id = ANY(%s::bigint[]) AND journey_id = ANY(%s::bigint[])
           AND (entered_at > %s OR entry_key = ANY(%s::text[]))
        """,
        [
            hotpath.array(sorted(root_of)),
            hotpath.array(sorted({entry.journey.id for entry in candidates})),
            since,
            hotpath.array(sorted({entry.entry_key for entry in candidates})),
        ],
    ):
        root_id = root_of[profile_id]
        taken.add((root_id, journey_id, key))
        if moment > start:
            entries[root_id, journey_id].append(moment)
    return taken, entries


def _insert(fresh: list[_Entry], *, now: datetime) -> None:
    """The enrolments and the first line of each one's log, in one statement over arrays."""
    fresh.sort(key=lambda entry: (entry.profile_id, entry.journey.id, entry.entry_key))
    array = hotpath.array
    made = hotpath.fetch(
        """
        WITH made AS (
            INSERT INTO lifecycle_enrolment (journey_id, version_id, profile_id, entry_key, arm, status, exit_cause,
                                             step, context, entered_at, run_at, claims)
            SELECT journey_id, version_id, profile_id, entry_key, arm, 'waiting', '', step, context,
                   entered_at, run_at, 0
              FROM ROWS FROM (
                   unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[],
                          %s::timestamptz[], %s::timestamptz[]),
                   jsonb_array_elements(%s::jsonb))
                   AS e(journey_id, version_id, profile_id, entry_key, arm, step, entered_at, run_at, context)
            RETURNING id, profile_id, journey_id, entry_key, arm, step
        ), noted AS (
            INSERT INTO lifecycle_enrolmentevent (enrolment_id, kind, step, detail, occurred_at)
            SELECT id, %s, step, jsonb_build_object('arm', arm), %s FROM made
        )
        SELECT id, profile_id, journey_id, entry_key FROM made
        """,
        [
            array([entry.journey.id for entry in fresh]),
            array([entry.journey.version_id for entry in fresh]),
            array([entry.profile_id for entry in fresh]),
            array([entry.entry_key for entry in fresh]),
            array([_arm(entry) for entry in fresh]),
            array([entry.step for entry in fresh]),
            array([entry.entered_at for entry in fresh]),
            array([entry.run_at for entry in fresh]),
            orjson.dumps([_kept(entry) for entry in fresh]).decode(),
            EnrolmentEventKind.ENTERED.value,
            now,
        ],
    )
    ids = {(profile_id, journey_id, key): ident for ident, profile_id, journey_id, key in made}
    for entry in fresh:
        entry.id = ids[entry.profile_id, entry.journey.id, entry.entry_key]


def _arm(entry: _Entry) -> str:
    is_holdout = entry.journey.definition.in_holdout(entry.journey.id, entry.profile_id)
    return (Arm.HOLDOUT if is_holdout else Arm.TREATMENT).value


def _kept(entry: _Entry) -> dict[str, Any]:
    """The properties that later steps use; nothing else of the fact is kept."""
    properties = entry.fact.properties
    return {name: properties[name] for name in entry.journey.kept if name in properties}


def _tell(fresh: list[_Entry], *, now: datetime) -> None:
    """Each entry onto the person's timeline. The enrolment is unique, so its touchpoint needs no receipt."""
    touchpoints.record(
        [
            touchpoints.Event(
                kind="lifecycle.journey.entered",
                occurred_at=now,
                message_id="",
                profile_id=entry.profile_id,
                properties={"journey_id": entry.journey.id, "enrolment_id": entry.id},
            )
            for entry in fresh
        ],
        source=None,
        actor=ACTOR,
        now=now,
    )
    if any(entry.run_at <= now for entry in fresh):
        jobs.wake(TASK)
