"""Identity resolution: from identifiers to the profile an event is written to.

Guarantees: an identifier has one profile; no limit of the rules is ever exceeded; an untrusted source never joins
two people who are known, nor hangs a stronger identifier on one. When a claim would break a rule its weakest
identifier is left out and the rest is tried again; the strongest always counts. Every such refusal is returned as
a warning. Must run inside a transaction; retry.Raced asks the caller to start again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction

from crm.kernel.actors import Actor
from crm.selectors import rules
from crm.services import hotpath, retry, suggestions
from crm.states import Trust

MAKING_LOCK = 0x52454E03
MOST_ROUNDS = 50  # of looking and locking anew, before the whole batch starts again
Identifier = tuple[str, str]


@dataclass(slots=True)
class Claim:
    """What one event says about its person: normalised identifiers, and when."""

    identifiers: list[Identifier]
    occurred_at: datetime


@dataclass(slots=True)
class Person:
    """A root during one resolution: a live profile, or (id 0) one to be made. Seen in seconds of the epoch."""

    id: int
    counts: dict[str, int]
    known: bool
    first_seen: float | None = None
    last_seen: float | None = None
    absorbed_by: Person | None = None

    def root(self) -> Person:
        found = self
        while found.absorbed_by is not None:
            found = found.absorbed_by
        return found


@dataclass(slots=True)
class Holder:
    """Who holds an identifier: the profile it was given to (id 0 while new) and its person."""

    profile_id: int
    person: Person


@dataclass(slots=True)
class Resolution:
    """The answer: per claim the profile to write to and its root, and what happened on the way."""

    profile_ids: list[int] = field(default_factory=list)
    root_ids: list[int] = field(default_factory=list)
    seen: dict[int, tuple[float | None, float | None]] = field(default_factory=dict)
    created: set[int] = field(default_factory=set)
    merges: list[tuple[int, int]] = field(default_factory=list)
    warnings: list[tuple[int, str, str]] = field(default_factory=list)


@dataclass(slots=True)
class _Plan:
    holders: list[Holder]
    attached: dict[Identifier, Holder]
    merges: list[tuple[Person, Person]]
    warnings: list[tuple[int, str, str]]
    suggestions: dict[tuple[int, int], str]
    needs: set[int]
    beside_others: bool = False  # the lock of those who make people is held


def resolve(
    claims: Sequence[Claim], *, trust: str, source_id: int | None, actor: Actor, now: datetime
) -> Resolution:
    """Find, make and join profiles for the claims, in their order."""
    wanted = sorted({identifier for claim in claims for identifier in claim.identifiers})
    state = _look_up(wanted)
    plan = _simulate(claims, state, trust=trust, locked=frozenset())
    needed: set[int] = set()
    if plan.needs:
        _make_beside_others()  # before any person: whoever takes turns holds this lock and then asks for people
    rounds = 0
    while plan.needs:
        rounds += 1
        if rounds > MOST_ROUNDS:
            raise retry.Raced
        # Something beyond reading is to be done to live people: lock them, in id order, and look again. Whoever must
        # be locked in addition then is locked from the start, with the others, never on top of them. So is everybody
        # else of the batch: those whose span moves are locked anyway, after their identifiers were written.
        needed |= plan.needs
        savepoint = transaction.savepoint()
        locked = _lock(sorted(needed | {holder.person.id for holder in state.values() if holder.person.id}))
        state = _look_up(wanted)
        _count(state, needed)
        plan = _simulate(claims, state, trust=trust, locked=locked & needed)
        if plan.needs:
            transaction.savepoint_rollback(savepoint)
        else:
            transaction.savepoint_commit(savepoint)
            plan.beside_others = True
    return _apply(claims, plan, source_id=source_id, actor=actor, now=now)


def _look_up(wanted: list[Identifier]) -> dict[Identifier, Holder]:
    """Who holds each identifier now; one statement."""
    rows = hotpath.fetch(
        """
        SELECT i.kind, i.value, p.id, r.id,
               extract(epoch FROM r.first_seen_at)::float8, extract(epoch FROM r.last_seen_at)::float8
          FROM unnest(%s::text[], %s::text[]) AS k(kind, value)
          JOIN crm_identity i ON i.kind = k.kind AND i.value = k.value
          JOIN crm_profile p ON p.id = i.profile_id
          JOIN crm_profile r ON r.id = COALESCE(p.merged_into_id, p.id)
        """,
        [
            hotpath.array([kind for kind, _value in wanted]),
            hotpath.array([value for _kind, value in wanted]),
        ],
    )
    people: dict[int, Person] = {}
    state: dict[Identifier, Holder] = {}
    for kind, value, profile_id, root_id, first_seen, last_seen in rows:
        person = people.get(root_id)
        if person is None:
            person = people[root_id] = Person(root_id, {}, False, first_seen, last_seen)
        state[kind, value] = Holder(profile_id, person)
    return state


def _lock(ids: list[int]) -> frozenset[int]:
    """Lock those who are still roots; returns them. A merge that holds the root writes to who was merged into it, so
    nobody may hold one of those and ask for the root."""
    rows = hotpath.fetch(
        "SELECT id FROM crm_profile WHERE id = ANY(%s) AND merged_into_id IS NULL ORDER BY id FOR NO KEY UPDATE",
        [ids],
    )
    return frozenset(row[0] for row in rows)


def _count(state: dict[Identifier, Holder], roots: set[int]) -> None:
    """How many identifiers of each kind the locked people have."""
    people = {holder.person.id: holder.person for holder in state.values()}
    rows = hotpath.fetch(
        """
        SELECT COALESCE(p.merged_into_id, p.id), i.kind, count(*)
          FROM crm_profile p JOIN crm_identity i ON i.profile_id = p.id
         WHERE p.id = ANY(%(ids)s) OR p.merged_into_id = ANY(%(ids)s)
         GROUP BY 1, 2
        """,
        {"ids": sorted(roots)},
    )
    for root_id, kind, count in rows:
        if root_id in people:
            person = people[root_id]
            person.counts[kind] = count
            person.known = person.known or rules.rule(kind).names_person


def _simulate(
    claims: Sequence[Claim], state: dict[Identifier, Holder], *, trust: str, locked: frozenset[int]
) -> _Plan:
    """Decide every claim against the state. People outside `locked` may be read, but not changed: they are
    reported in `needs`."""
    plan = _Plan([], {}, [], [], {}, set())
    for index, claim in enumerate(claims):
        identifiers = claim.identifiers
        first = state.get(identifiers[0])
        # The usual case: everything this event says is known, and of one person.
        if first is not None:
            root = first.person.root()
            for identifier in identifiers[1:]:
                holder = state.get(identifier)
                if holder is None or holder.person.root() is not root:
                    break
            else:
                plan.holders.append(first)
                _seen(root, claim.occurred_at)
                continue
        elif len(identifiers) == 1:
            # Nobody's yet, and nothing beside it: a new person.
            kind = identifiers[0][0]
            person = Person(0, {kind: 1}, rules.rule(kind).names_person)
            holder = state[identifiers[0]] = plan.attached[identifiers[0]] = Holder(0, person)
            _seen(person, claim.occurred_at)
            plan.holders.append(holder)
            continue
        plan.holders.append(_decide(index, claim, state, plan, trust=trust, locked=locked))
    return plan


def _decide(
    index: int,
    claim: Claim,
    state: dict[Identifier, Holder],
    plan: _Plan,
    *,
    trust: str,
    locked: frozenset[int],
) -> Holder:
    identifiers = sorted(set(claim.identifiers), key=lambda pair: (rules.rule(pair[0]).priority, pair))
    while True:
        roots = _roots(identifiers, state)
        needs = {person.id for person in roots if person.id and person.id not in locked}
        missing = [pair for pair in identifiers if pair not in state]
        if needs and (missing or len(roots) > 1):
            plan.needs |= needs
            return state[next(pair for pair in identifiers if pair in state)]
        code = _refusal(identifiers, missing, roots, state, trust=trust)
        if not code:
            return _join(claim, identifiers, missing, roots, state, plan)
        if code == "merge_not_allowed":
            _suggest(roots, identifiers, plan)
        dropped = _weakest(identifiers, state, trust=trust)
        plan.warnings.append((index, code, dropped[0]))
        identifiers.remove(dropped)


def _roots(identifiers: list[Identifier], state: dict[Identifier, Holder]) -> list[Person]:
    """The people these identifiers belong to, strongest identifier first."""
    roots: list[Person] = []
    for pair in identifiers:
        holder = state.get(pair)
        if holder is not None:
            person = holder.person.root()
            if not any(person is other for other in roots):
                roots.append(person)
    return roots


def _refusal(
    identifiers: list[Identifier],
    missing: list[Identifier],
    roots: list[Person],
    state: dict[Identifier, Holder],
    *,
    trust: str,
) -> str:
    """Why these identifiers may not be joined as they are; empty when they may."""
    if len(identifiers) == 1 or not (missing or len(roots) > 1):
        return ""
    if trust != Trust.SERVER and roots:
        if sum(person.known for person in roots) > 1:
            return "merge_not_allowed"
        if any(person.known for person in roots):
            # A public key may add weaker identifiers to a known person, and never a stronger one.
            matched = min(
                rules.rule(kind).priority
                for kind, value in identifiers
                if (kind, value) in state and state[kind, value].person.root().known
            )
            for kind, _value in missing:
                found = rules.rule(kind)
                if found.names_person and found.priority <= matched:
                    return "merge_not_allowed"
    total: Counter[str] = Counter(kind for kind, _value in missing)
    for person in roots:
        total.update(person.counts)
    touched = {kind for kind, _value in missing} if len(roots) < 2 else set(total)
    if any(total[kind] > rules.rule(kind).limit for kind in touched):
        return "identity_limit"
    return ""


def _weakest(identifiers: list[Identifier], state: dict[Identifier, Holder], *, trust: str) -> Identifier:
    """The identifier to leave out: the weakest one that mends the claim alone, else simply the weakest."""
    for candidate in reversed(identifiers[1:]):
        rest = [pair for pair in identifiers if pair != candidate]
        missing = [pair for pair in rest if pair not in state]
        if not _refusal(rest, missing, _roots(rest, state), state, trust=trust):
            return candidate
    return identifiers[-1]


def _join(
    claim: Claim,
    identifiers: list[Identifier],
    missing: list[Identifier],
    roots: list[Person],
    state: dict[Identifier, Holder],
    plan: _Plan,
) -> Holder:
    """Attach what is missing and merge what is apart. Returns the holder of the strongest identifier."""
    target = next((state[pair] for pair in identifiers if pair in state), None)
    if target is None:
        target = Holder(0, Person(0, {}, False))
    root = target.person.root()
    if len(roots) > 1:
        # A live person is kept before one still to be made, a known one before an anonymous one, and among known
        # ones the holder of the strongest identifier, among anonymous ones the oldest.
        root = min(roots, key=lambda p: (p.id == 0, not p.known, 0 if p.known else p.id))
        for other in roots:
            if other is not root:
                other.absorbed_by = root
                for kind, number in other.counts.items():
                    root.counts[kind] = root.counts.get(kind, 0) + number
                root.known = root.known or other.known
                if other.id:
                    plan.merges.append((root, other))
    for pair in missing:
        state[pair] = plan.attached[pair] = target
        root.counts[pair[0]] = root.counts.get(pair[0], 0) + 1
        root.known = root.known or rules.rule(pair[0]).names_person
    _seen(root, claim.occurred_at)
    return target


def _seen(person: Person, occurred_at: datetime) -> None:
    """Remember the span for people to be made; live ones are moved by the caller."""
    if person.id == 0:
        moment = occurred_at.timestamp()
        if person.first_seen is None or moment < person.first_seen:
            person.first_seen = moment
        if person.last_seen is None or moment > person.last_seen:
            person.last_seen = moment


def _suggest(roots: list[Person], identifiers: list[Identifier], plan: _Plan) -> None:
    known = sorted({person.id for person in roots if person.known and person.id})
    for second in known[1:]:
        plan.suggestions[known[0], second] = "+".join(kind for kind, _value in identifiers)[:80]


def _apply(
    claims: Sequence[Claim], plan: _Plan, *, source_id: int | None, actor: Actor, now: datetime
) -> Resolution:
    """Write the plan: new profiles and identities in one statement, then merges and suggestions."""
    result = Resolution(warnings=plan.warnings)
    if plan.attached:
        _write(plan, source_id=source_id, now=now, result=result)
    for winner, loser in plan.merges:
        result.merges.append((winner.root().id, loser.id))
    if result.merges:
        from crm.services import merges

        merges.join_automatically(result.merges, actor=actor, now=now)
    if plan.suggestions:
        suggestions.claim(plan.suggestions, source_id=source_id, now=now)
    for holder in plan.holders:
        root = holder.person.root()
        result.profile_ids.append(holder.profile_id)
        result.root_ids.append(root.id)
        result.seen[root.id] = (root.first_seen, root.last_seen)
    return result


def take_turns() -> None:
    """Make people alone until this transaction ends: for a batch that lost the race for new identifiers twice.

    Everyone who makes people holds this lock shared; the optimistic way is right until many connections meet the same
    newcomers at once. Call it before anything else in the transaction.
    """
    hotpath.fetch("SELECT pg_advisory_xact_lock(%s)", [MAKING_LOCK])


def _make_beside_others() -> None:
    hotpath.fetch("SELECT pg_advisory_xact_lock_shared(%s)", [MAKING_LOCK])


def _write(plan: _Plan, *, source_id: int | None, now: datetime, result: Resolution) -> None:
    if not plan.beside_others:
        _make_beside_others()
    new: list[Person] = []
    position: dict[int, int] = {}
    pairs = sorted(plan.attached)
    positions: list[int | None] = []
    owners: list[int | None] = []
    for pair in pairs:
        holder = plan.attached[pair]
        if holder.profile_id:
            positions.append(None)
            owners.append(holder.profile_id)
            continue
        root = holder.person.root()
        if root.id:
            # Found to be a live person later in the same batch: never made, its identifiers go there.
            positions.append(None)
            owners.append(root.id)
            continue
        if id(root) not in position:
            position[id(root)] = len(new) + 1
            new.append(root)
        positions.append(position[id(root)])
        owners.append(None)
    rows = hotpath.fetch(
        """
        WITH made AS MATERIALIZED (
            SELECT s.place, nextval('crm_profile_id_seq') AS id,
                   to_timestamp(s.first_at) AS first_at, to_timestamp(s.last_at) AS last_at
              FROM unnest(%(first)s::float8[], %(last)s::float8[])
                   WITH ORDINALITY AS s(first_at, last_at, place)
        ), profiles AS (
            INSERT INTO crm_profile (id, first_seen_at, last_seen_at, created_at)
            SELECT id, first_at, last_at, %(now)s FROM made
        ), identities AS (
            INSERT INTO crm_identity (kind, value, profile_id, source_id, created_at)
            SELECT k.kind, k.value, COALESCE(made.id, k.owner), %(source)s, %(now)s
              FROM unnest(%(kinds)s::text[], %(values)s::text[], %(positions)s::bigint[], %(owners)s::bigint[])
                   AS k(kind, value, place, owner)
              LEFT JOIN made ON made.place = k.place
             ORDER BY k.kind, k.value
            ON CONFLICT (kind, value) DO NOTHING
            RETURNING 1
        )
        SELECT 0::bigint, count(*) FROM identities UNION ALL SELECT place, id FROM made
        """,
        {
            "first": hotpath.array([person.first_seen for person in new]),
            "last": hotpath.array([person.last_seen for person in new]),
            "now": now,
            "source": source_id,
            "kinds": hotpath.array([kind for kind, _value in pairs]),
            "values": hotpath.array([value for _kind, value in pairs]),
            "positions": hotpath.array(positions),
            "owners": hotpath.array(owners),
        },
    )
    for place, number in rows:
        if place == 0:
            if number != len(pairs):
                raise retry.Raced
        else:
            new[place - 1].id = number
            result.created.add(number)
    for holder in plan.attached.values():
        if not holder.profile_id:
            holder.profile_id = holder.person.root().id
