"""Telling: everyone who asked for a fix is told of it once.

What "told" means: a FixNotice (ticket, person, round) is *claimed* in the same transaction as the message that
carries it and the touchpoint `voc.fix.told`; so that touchpoint says that the promise to tell was taken up.
Whether the message then went out is lifecycle's decision record, and "told 41 of 43" counts the people whose
message has the decision *sent*.

Why once: before a notice is claimed the release, its tickets and the people's root profiles are locked, and notices
are looked up over everything that was ever merged into either. So backports, merges, reruns and two runs at once
find the notice. Why everyone: a release keeps `told_at` empty until a run has seen nobody left at the current
count of `telling`; followers who come late raise that count. Any run may be killed at any line.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import OperationalError, transaction
from django.db.models import F

from crm.kernel import actors, jobs
from crm.selectors import profiles as profile_reads
from crm.services import hotpath, locks, touchpoints
from lifecycle.services import messages
from voc.kinds import FIX_TOLD
from voc.models import FixNotice, Release, ReleaseItem, Ticket
from voc.selectors import due as due_reads
from voc.selectors.due import Due
from voc.states import ReleaseStatus

TASK: Final = "voc.tell_followers"
BATCH: Final = 500
ACTOR: Final = actors.system("voc.tell_followers")
DEADLOCK_TRIES: Final = 5
MAX_PASSES: Final = 100


@dataclass(frozen=True, slots=True)
class TellResult:
    """`people` were claimed with `notices` between them; `is_done` when nobody was left."""

    people: int
    notices: int
    is_done: bool


def tell_followers(
    release_id: int, *, now: datetime, batch: int = BATCH, work: timedelta | None = None
) -> TellResult:
    """Claim everyone still to be told of a shipped release, `batch` people per transaction.

    Must not be called inside a transaction that holds more than this. A release that is not shipped (any more) tells
    nobody. With `work`, stops after about that long and asks to be woken again.
    """
    started = time.monotonic()
    people = notices = 0
    for _pass in range(MAX_PASSES):
        release = Release.objects.shipped().filter(pk=release_id).first()
        if release is None:
            return TellResult(people, notices, is_done=True)
        waiting = due_reads.people(release_id)
        if not waiting:
            if Release.objects.shipped().filter(pk=release_id, telling=release.telling).update(told_at=now):
                return TellResult(people, notices, is_done=True)
            continue
        for start in range(0, len(waiting), batch):
            claimed, written = _claim_with_retries(release_id, waiting[start : start + batch], now=now)
            people, notices = people + claimed, notices + written
            if work is not None and time.monotonic() - started > work.total_seconds():
                jobs.wake(TASK, release_id=release_id)
                return TellResult(people, notices, is_done=False)
    # People keep coming in, or two runs keep meeting: the sweep goes on.
    return TellResult(people, notices, is_done=False)


def sweep(*, now: datetime) -> list[int]:
    """Wake the telling of each release that may not have told everyone. Returns their ids."""
    ids = list(Release.objects.telling().order_by("pk").values_list("pk", flat=True)[:1000])
    for ident in ids:
        jobs.wake(TASK, release_id=ident)
    return ids


def ask_again(ticket_ids: Sequence[int]) -> None:
    """Somebody may have to be told of tickets that have shipped: let their releases tell again.

    Belongs in the transaction that added the follower or moved the pointer.
    """
    family = [
        ident
        for group in Ticket.objects.filter(pk__in=ticket_ids).values_list("pk", "merged_into_id")
        for ident in group
        if ident is not None
    ]
    family += list(Ticket.objects.filter(merged_into_id__in=family).values_list("pk", flat=True))
    ids = list(
        Release.objects.shipped()
        .filter(pk__in=ReleaseItem.objects.filter(ticket_id__in=family).values("release_id"))
        .order_by("pk")
        .values_list("pk", flat=True)
    )
    for ident in ids:
        Release.objects.filter(pk=ident).update(telling=F("telling") + 1, told_at=None)
        jobs.wake(TASK, release_id=ident)


def cancel(release_id: int, *, now: datetime) -> int:
    """Drop the messages of a withdrawn release that have not gone out. Returns how many."""
    ids = list(
        FixNotice.objects.filter(release_id=release_id, message__decision__in=("queued", "held"))
        .values_list("message_id", flat=True)
        .distinct()
    )
    dropped = 0
    for start in range(0, len(ids), BATCH):
        dropped += messages.cancel(ids[start : start + BATCH], reason="cancelled", now=now)
    return dropped


def _claim_with_retries(release_id: int, people: list[int], *, now: datetime) -> tuple[int, int]:
    for attempt in range(1, DEADLOCK_TRIES + 1):
        try:
            return _claim(release_id, people, now=now)
        except OperationalError as error:
            # A merge of people may lock them in the way of this batch; the loser simply starts again.
            if attempt == DEADLOCK_TRIES or getattr(error.__cause__, "sqlstate", "") not in (
                "40P01",
                "40001",
            ):
                raise
    raise AssertionError("unreachable")


def _claim(release_id: int, people: list[int], *, now: datetime) -> tuple[int, int]:
    """Claim one batch: messages, notices and touchpoints, or nothing. Returns (people, notices).

    What is due is read under the locks, so no notice of it can exist; should one all the same, the constraint undoes
    the whole batch.
    """
    with transaction.atomic():
        # Everywhere in voc: tickets first, then the release, then people.
        items = _lock_tickets(release_id)
        release = Release.objects.select_for_update(no_key=True).filter(pk=release_id).first()
        if release is None or release.status != ReleaseStatus.SHIPPED:
            return 0, 0
        roots = {person.pk for person in locks.people(people).values()}
        ids = [ident for group in profile_reads.id_sets(roots).values() for ident in group]
        due = due_reads.notices(release_id, ids)
        if due:
            messages_of = _queue(release, items, due, had_one=_people_with_message(release_id, ids), now=now)
            _write(release_id, due, messages_of, now=now)
            _record(release_id, due, now=now)
    return len({one.profile_id for one in due}), len(due)


def _lock_tickets(release_id: int) -> dict[int, tuple[Ticket, str]]:
    """The release's tickets (roots) with the note of their item, held against merges until commit."""
    notes: dict[int, str] = {}
    for ticket_id, root_id, note in ReleaseItem.objects.filter(release_id=release_id).values_list(
        "ticket_id", "ticket__merged_into_id", "note"
    ):
        notes.setdefault(root_id or ticket_id, note)
    rows = Ticket.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=notes).order_by("pk")
    return {row.pk: (row, notes[row.pk]) for row in rows}


def _queue(
    release: Release,
    tickets: dict[int, tuple[Ticket, str]],
    due: list[Due],
    *,
    had_one: set[int],
    now: datetime,
) -> dict[int, int]:
    """One message per person for what is claimed now. Returns its id per person."""
    per_person: dict[int, list[Due]] = defaultdict(list)
    for one in due:
        per_person[one.profile_id].append(one)
    # Nearly everybody waits for the same tickets: their message says the same, and is written down once.
    contexts: dict[tuple[int, ...], dict[str, Any]] = {}
    items = []
    for profile_id, claimed in per_person.items():
        fixed = tuple(one.ticket_id for one in claimed)
        if fixed not in contexts:
            contexts[fixed] = _context(release, tickets, fixed)
        key = f"release:{release.pk}"
        if profile_id in had_one:
            # Somebody who was told of this release and then followed another of its tickets.
            key += ":" + ".".join(f"{one.ticket_id}-{one.round}" for one in claimed[:12])
        items.append(
            messages.Item(kind=FIX_TOLD, profile_id=profile_id, subject_key=key, context=contexts[fixed])
        )
    queued = messages.queue(items, actor=ACTOR, now=now)
    return {item.profile_id: queued[(item.profile_id, item.subject_key)] for item in items}


def _write(release_id: int, due: list[Due], messages_of: dict[int, int], *, now: datetime) -> None:
    """The notices, each with the message that carries it: one statement."""
    hotpath.fetch(
        """
        INSERT INTO voc_fixnotice (ticket_id, profile_id, round, role, message_id, release_id, created_at)
        SELECT ticket_id, profile_id, round, role, message_id, %s, %s
          FROM unnest(%s::bigint[], %s::bigint[], %s::int[], %s::text[], %s::bigint[])
               AS n(ticket_id, profile_id, round, role, message_id)
        """,
        [
            release_id,
            now,
            hotpath.array([one.ticket_id for one in due]),
            hotpath.array([one.profile_id for one in due]),
            hotpath.array([one.round for one in due]),
            hotpath.array([one.role for one in due]),
            hotpath.array([messages_of[one.profile_id] for one in due]),
        ],
    )


def _people_with_message(release_id: int, ids: list[int]) -> set[int]:
    """Of the people with these ids, those to whom a message about this release was queued before."""
    rows = hotpath.fetch(
        "SELECT DISTINCT COALESCE(p.merged_into_id, p.id) FROM voc_fixnotice n"
        "  JOIN crm_profile p ON p.id = n.profile_id"
        " WHERE n.release_id = %s AND n.message_id IS NOT NULL AND n.profile_id = ANY(%s::bigint[])",
        [release_id, hotpath.array(ids)],
    )
    return {row[0] for row in rows}


def _context(
    release: Release, tickets: dict[int, tuple[Ticket, str]], fixed: Sequence[int]
) -> dict[str, Any]:
    """What the message says, as of the claim: titles and links, no personal values."""
    return {
        "release": {"title": release.title, "url": f"{settings.BASE_URL}/changelog/#release-{release.pk}"},
        "tickets": [
            {
                "title": tickets[ticket_id][0].title,
                "url": f"{settings.BASE_URL}/t/{tickets[ticket_id][0].token}/",
                "note": tickets[ticket_id][1],
            }
            for ticket_id in fixed
        ],
    }


def _record(release_id: int, due: list[Due], *, now: datetime) -> None:
    """The fact on each person's timeline; once, because its notice is."""
    touchpoints.record(
        [
            touchpoints.Event(
                kind="voc.fix.told",
                occurred_at=now,
                message_id="",
                profile_id=one.profile_id,
                properties={
                    "ticket_id": one.ticket_id,
                    "ticket_number": one.ticket_id,
                    "release_id": release_id,
                    "role": one.role,
                    "round": one.round,
                },
            )
            for one in due
        ],
        source=None,
        actor=ACTOR,
        now=now,
    )
