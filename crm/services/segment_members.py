"""Who is in a segment: rows and touchpoints of a change, written together.

Every change happens under the advisory lock of its segment, and the rule is asked after the lock is held: so whoever
comes last sees what all others committed, and no older answer ever replaces a newer one. Segments that ask about a
changed one are settled in the same transaction, for the same people.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Greatest

from crm.conditions import compiler
from crm.conditions.predicates import Moment
from crm.kernel import actors
from crm.kernel.actors import Actor
from crm.kernel.reactions import Fact
from crm.models import Profile, Segment, SegmentMembership, SegmentSize
from crm.selectors import followed, profiles
from crm.selectors.followed import ENTERED, LEFT, Followed
from crm.services import hotpath, touchpoints

_LOCK_CLASS: Final = 0x5E65
ACTOR: Final = actors.reaction("crm.segments")


@dataclass(slots=True)
class Change:
    """What became of some people in one segment; `moved` are rows that went to the root of a merged person."""

    entered: set[int] = field(default_factory=set)
    left: set[int] = field(default_factory=set)
    moved: set[int] = field(default_factory=set)

    @property
    def people(self) -> set[int]:
        """Everybody whose membership is another one now."""
        return self.entered | self.left | self.moved


def lock(segment_ids: Iterable[int]) -> None:
    """Hold the locks of these segments until the transaction ends; in order, so that nobody deadlocks."""
    with connection.cursor() as cursor:
        for segment_id in sorted(set(segment_ids)):
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCK_CLASS, segment_id % 2**31])


def settle(
    asked: dict[int, set[int]], *, at: Moment, actor: Actor, quiet: bool = False, initial: bool = False
) -> dict[int, Change]:
    """Bring people up to date: `asked` says per segment which profile ids to look at.

    Segments that ask about a changed one are looked at too. Belongs in a transaction; takes the locks itself.
    `quiet`: no touchpoints. `initial`: rows say that they were there from the beginning.
    """
    order = followed.in_order()
    by_id = {one.id: one for one in order}
    concerned = _with_dependents({segment_id for segment_id in asked if segment_id in by_id}, order)
    lock(concerned)
    passes = _running(concerned)
    waiting = {segment_id: set(ids) for segment_id, ids in asked.items()}
    people = _People()
    changes: dict[int, Change] = {}
    for one in order:
        ids = waiting.get(one.id)
        if one.id not in concerned or not ids:
            continue
        people.load(ids)
        sets = people.sets_of(ids)
        if one.id in passes:
            _mark(passes[one.id], sets)
        changes[one.id] = change = _settle_one(one, sets, people.live, at=at, initial=initial)
        if not quiet:
            announce(one.id, key=one.key, change=change, actor=actor, now=at.now)
        for other in order:
            if one.key in other.asks and change.people:
                waiting.setdefault(other.id, set()).update(change.people)
    return changes


def lock_all(segment_id: int) -> None:
    """Hold the locks of a segment and of those that ask about it."""
    lock(_with_dependents({segment_id}, followed.in_order()))


def turn(
    segment_id: int, ids: set[int], *, at: Moment, actor: Actor, quiet: bool = False, initial: bool = False
) -> Change:
    """Turn the membership of these people round without asking the rule: a pass has asked it, and nobody has looked
    at them since. In a transaction that holds the locks; dependents are settled."""
    order = followed.in_order()
    one = next((one for one in order if one.id == segment_id), None)
    change = Change()
    if one is None or not ids:
        return change
    change.left = set(_held(segment_id, list(ids)))
    change.entered = ids - change.left
    if change.left:
        SegmentMembership.objects.filter(segment_id=segment_id, profile_id__in=change.left).delete()
    insert(segment_id, dict.fromkeys(change.entered, at.now), initial=initial)
    _tell(one, change, order, rows=len(change.entered) - len(change.left), at=at, actor=actor, quiet=quiet)
    return change


def unmarked(run_id: int, ids: Iterable[int]) -> set[int]:
    """Those whom nobody has looked at since a pass asked about them, and who are one living profile alone. Under the
    lock of the segment."""
    rows = hotpath.fetch(
        "SELECT p.id FROM crm_profile p WHERE p.id = ANY(%s::bigint[])"
        " AND p.merged_into_id IS NULL AND p.erased_at IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM crm_profile m WHERE m.merged_into_id = p.id)"
        " AND NOT EXISTS (SELECT 1 FROM crm_segmentdifference d WHERE d.run_id = %s AND d.profile_id = p.id)",
        [list(ids), -run_id],
    )
    return {profile_id for (profile_id,) in rows}


def _running(segment_ids: Iterable[int]) -> dict[int, int]:
    """The passes at work on these segments."""
    rows = hotpath.fetch(
        "SELECT segment_id, id FROM crm_segmentrun WHERE segment_id = ANY(%s::bigint[]) AND status = 'running'",
        [list(segment_ids)],
    )
    return dict(rows)


def _mark(run_id: int, roots: Iterable[int]) -> None:
    """Somebody looks at these people while a pass is at work: what it found of them before counts no more. Marks are
    rows under the negative number of the pass, so that they never wait for those that the pass itself writes."""
    hotpath.fetch(
        "INSERT INTO crm_segmentdifference (run_id, profile_id) SELECT %s, unnest(%s::bigint[])"
        " ON CONFLICT DO NOTHING RETURNING 1",
        [-run_id, sorted(roots)],
    )


class _People:
    """The roots and id sets of everybody concerned, read once, after the locks are held."""

    def __init__(self) -> None:
        self.root_of: dict[int, int] = {}
        self.sets: dict[int, list[int]] = {}
        self.live: set[int] = set()

    def load(self, ids: set[int]) -> None:
        """Read those that are not known yet; ids of nobody stay out."""
        missing = {ident for ident in ids if ident not in self.root_of}
        if not missing:
            return
        found = profiles.roots(missing)
        new = profiles.id_sets(set(found.values()) - set(self.sets))
        self.sets |= new
        self.root_of |= found | {member: root for root, members in new.items() for member in members}
        self.live |= set(Profile.objects.roots().filter(pk__any=list(new)).values_list("pk", flat=True))

    def sets_of(self, ids: set[int]) -> dict[int, list[int]]:
        """The id sets of the people behind these ids."""
        roots = {self.root_of[ident] for ident in ids if ident in self.root_of}
        return {root: self.sets[root] for root in sorted(roots)}


def _with_dependents(ids: set[int], order: Sequence[Followed]) -> set[int]:
    found = set(ids)
    keys = {one.key for one in order if one.id in found}
    for one in order:
        if one.asks & keys:
            found.add(one.id)
            keys.add(one.key)
    return found


def _settle_one(
    one: Followed, sets: dict[int, list[int]], everybody_live: set[int], *, at: Moment, initial: bool
) -> Change:
    every = {member: root for root, members in sets.items() for member in members}
    held = _held(one.id, list(every))
    live = everybody_live & set(sets)
    if one.rule is None:
        belongs = {every[member] for member in held} & live
    else:
        belongs = answer(one, roots=sorted(live), members=sorted(every), at=at)
    change = Change()
    for root in sets:
        rows = [member for member in sets[root] if member in held]
        stale = [member for member in rows if member != root]
        if root in belongs and root not in held:
            (change.moved if stale else change.entered).add(root)
        elif root not in belongs and rows and root in live:
            change.left.add(root)
    gone = [member for member in held if every[member] not in belongs or member != every[member]]
    _write(one.id, change, gone=gone, held=held, every=every, initial=initial, now=at.now)
    grown = len(change.entered) + len(change.moved) - len(gone)
    _count(one.id, entered=len(change.entered), left=len(change.left), rows=grown, now=at.now)
    return change


def answer(one: Followed, *, roots: Sequence[int], members: Sequence[int], at: Moment) -> set[int]:
    """Those of the given roots for whom the rule holds now."""
    assert one.rule is not None
    if not roots:
        return set()
    statement = compiler.compile_rule(one.rule, at=at, roots=roots, members=members)
    with connection.cursor() as cursor:
        cursor.execute(statement.text, list(statement.params))
        return {row[0] for row in cursor.fetchall()}


def _held(segment_id: int, ids: Sequence[int]) -> dict[int, datetime]:
    rows = hotpath.fetch(
        "SELECT profile_id, entered_at FROM crm_segmentmembership"
        " WHERE segment_id = %s AND profile_id = ANY(%s::bigint[])",
        [segment_id, list(ids)],
    )
    return dict(rows)


def _write(
    segment_id: int,
    change: Change,
    *,
    gone: Sequence[int],
    held: dict[int, datetime],
    every: dict[int, int],
    initial: bool,
    now: datetime,
) -> None:
    if gone:
        SegmentMembership.objects.filter(segment_id=segment_id, profile_id__in=gone).delete()
    since = dict.fromkeys(change.entered, now)
    for member, entered_at in held.items():
        root = every[member]
        if root in change.moved:
            since[root] = min(since.get(root, entered_at), entered_at)
    insert(segment_id, since, initial=initial)


def insert(segment_id: int, since: dict[int, datetime], *, initial: bool) -> int:
    """Insert rows, sorted. Returns how many were new."""
    if not since:
        return 0
    ids = sorted(since)
    rows = hotpath.fetch(
        "INSERT INTO crm_segmentmembership (segment_id, profile_id, entered_at, is_initial)"
        " SELECT %s, id, at, %s FROM unnest(%s::bigint[], %s::timestamptz[]) AS t(id, at)"
        " ON CONFLICT DO NOTHING RETURNING profile_id",
        [segment_id, initial, ids, [since[ident] for ident in ids]],
    )
    return len(rows)


def _count(segment_id: int, *, entered: int, left: int, rows: int, now: datetime) -> None:
    """Keep the size of the segment and of the day. Somebody may have tampered with rows: the next pass counts anew."""
    if not (entered or left or rows):
        return
    Segment.objects.filter(pk=segment_id).update(size=Greatest(F("size") + rows, 0))
    note_size(segment_id, entered=entered, left=left, now=now)


def note_size(segment_id: int, *, entered: int = 0, left: int = 0, now: datetime) -> None:
    """Write the size of today, with who came and went."""
    hotpath.fetch(
        f'INSERT INTO {SegmentSize._meta.db_table} AS s (segment_id, day, size, entered, "left")'
        " SELECT id, %s, size, %s, %s FROM crm_segment WHERE id = %s"
        " ON CONFLICT (segment_id, day) DO UPDATE SET size = EXCLUDED.size,"
        ' entered = s.entered + EXCLUDED.entered, "left" = s."left" + EXCLUDED."left"',
        [now.date(), entered, left, segment_id],
    )


def announce(segment_id: int, *, key: str, change: Change, actor: Actor, now: datetime) -> None:
    """Put entering and leaving on the timelines, in the transaction of the change."""
    events = [
        touchpoints.Event(
            kind=kind,
            occurred_at=now,
            message_id="",
            profile_id=profile_id,
            properties={"segment": key, "segment_id": segment_id},
        )
        for kind, ids in ((ENTERED, change.entered), (LEFT, change.left))
        for profile_id in sorted(ids)
    ]
    if events:
        touchpoints.record(events, source=None, actor=actor, now=now)


def follow_facts(facts: Sequence[Fact], *, now: datetime) -> None:
    """Bring people up to date after touchpoints and published facts, as reactions bring them."""
    about = [
        (
            fact.kind,
            [int(fact.properties[side]) for side in ("winner", "loser")]
            if fact.kind in followed.MERGE_KINDS
            else list(fact.ids) or [fact.profile_id],
        )
        for fact in facts
    ]
    follow(about, at=compiler.moment(now=now), actor=ACTOR)


def follow(facts: Sequence[tuple[str, Sequence[int]]], *, at: Moment, actor: Actor) -> dict[int, Change]:
    """Bring everybody up to date whom these facts (kind, profile ids) are about."""
    asked: dict[int, set[int]] = {}
    order = followed.in_order()
    by_kind: dict[str, list[int]] = {}
    for kind, ids in facts:
        if kind not in by_kind:
            by_kind[kind] = [one.id for one in order if one.cares(kind)]
        for segment_id in by_kind[kind]:
            asked.setdefault(segment_id, set()).update(ids)
    if not asked:
        return {}
    with transaction.atomic():
        return settle(asked, at=at, actor=actor)


def add_by_hand(
    segment_id: int, ids: Iterable[int], *, at: Moment, actor: Actor, quiet: bool = False
) -> Change:  # fmt: skip
    """Put people onto a static list, as the living roots they are. In a transaction; dependents are settled."""
    return _by_hand(segment_id, set(ids), adding=True, at=at, actor=actor, quiet=quiet)


def remove_by_hand(
    segment_id: int, ids: Iterable[int], *, at: Moment, actor: Actor, quiet: bool = False
) -> Change:  # fmt: skip
    """Take people off a static list. In a transaction; dependents are settled."""
    return _by_hand(segment_id, set(ids), adding=False, at=at, actor=actor, quiet=quiet)


def _by_hand(
    segment_id: int, ids: set[int], *, adding: bool, at: Moment, actor: Actor, quiet: bool
) -> Change:
    followed.forget()
    order = followed.in_order()
    one = next(one for one in order if one.id == segment_id)
    lock(_with_dependents({segment_id}, order))
    people = _People()
    people.load(ids)
    sets = people.sets_of(ids)
    held = _held(segment_id, [member for members in sets.values() for member in members])
    change = Change()
    if adding:
        change.entered = {
            root for root, members in sets.items() if root in people.live and not held.keys() & set(members)
        }
        insert(segment_id, dict.fromkeys(change.entered, at.now), initial=False)
        rows = len(change.entered)
    else:
        gone = sorted(held)
        change.left = {root for root, members in sets.items() if held.keys() & set(members)}
        SegmentMembership.objects.filter(segment_id=segment_id, profile_id__in=gone).delete()
        rows = -len(gone)
    _tell(one, change, order, rows=rows, at=at, actor=actor, quiet=quiet)
    return change


def _tell(
    one: Followed, change: Change, order: Sequence[Followed], *, rows: int, at: Moment, actor: Actor, quiet: bool
) -> None:  # fmt: skip
    """What follows a change: the size, the touchpoints, and the segments that ask about this one."""
    _count(one.id, entered=len(change.entered), left=len(change.left), rows=rows, now=at.now)
    if not quiet:
        announce(one.id, key=one.key, change=change, actor=actor, now=at.now)
    dependents = {other.id: set(change.people) for other in order if one.key in other.asks and change.people}
    if dependents:
        settle(dependents, at=at, actor=actor, quiet=quiet)


def forget(profile_ids: Sequence[int], *, now: datetime) -> int:
    """Erased people are in no segment any more, whatever its state; without a touchpoint. Returns the rows removed."""
    ids = list(profile_ids)
    held = hotpath.fetch(
        "SELECT DISTINCT segment_id FROM crm_segmentmembership WHERE profile_id = ANY(%s::bigint[])", [ids]
    )
    lock(segment_id for (segment_id,) in held)
    removed = 0
    for (segment_id,) in sorted(held):
        rows = SegmentMembership.objects.filter(segment_id=segment_id, profile_id__in=ids).delete()[0]
        _count(segment_id, entered=0, left=rows, rows=-rows, now=now)
        removed += rows
    return removed
