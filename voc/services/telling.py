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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models import F

from crm.kernel import actors, jobs
from crm.selectors import profiles as profile_reads
from crm.services import profiles, touchpoints
from lifecycle.services import messages
from voc.kinds import FIX_TOLD
from voc.models import FixNotice, Release, ReleaseItem, Ticket
from voc.selectors import due as due_reads
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
    """Claim one batch: notices, messages and touchpoints, or nothing. Returns (people, notices)."""
    with transaction.atomic():
        # Everywhere in voc: tickets first, then the release, then people.
        items = _lock_tickets(release_id)
        release = Release.objects.select_for_update(no_key=True).filter(pk=release_id).first()
        if release is None or release.status != ReleaseStatus.SHIPPED:
            return 0, 0
        roots = sorted({profile.pk for profile in profiles.lock_roots(people).values()})
        due = due_reads.notices(release_id, roots)
        FixNotice.objects.bulk_create(
            (
                FixNotice(
                    ticket_id=one.ticket_id,
                    profile_id=one.profile_id,
                    round=one.round,
                    release_id=release_id,
                    role=one.role,
                    created_at=now,
                )
                for one in due
            ),
            ignore_conflicts=True,
            batch_size=2000,
        )
        mine = _without_message(release_id, roots)
        _queue(release, items, mine, now=now)
        _record(release_id, mine, now=now)
    return len({notice.profile_id for notice in mine}), len(mine)


def _lock_tickets(release_id: int) -> dict[int, tuple[Ticket, str]]:
    """The release's tickets (roots) with the note of their item, held against merges until commit."""
    notes: dict[int, str] = {}
    for ticket_id, root_id, note in ReleaseItem.objects.filter(release_id=release_id).values_list(
        "ticket_id", "ticket__merged_into_id", "note"
    ):
        notes.setdefault(root_id or ticket_id, note)
    rows = Ticket.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=notes).order_by("pk")
    return {row.pk: (row, notes[row.pk]) for row in rows}


def _without_message(release_id: int, roots: list[int]) -> list[FixNotice]:
    """The notices just claimed: those of these people that no message carries."""
    return list(
        FixNotice.objects.filter(release_id=release_id, profile_id__any=roots, message=None).order_by(
            "profile_id", "ticket_id", "round"
        )
    )


def _queue(
    release: Release, tickets: dict[int, tuple[Ticket, str]], notices: list[FixNotice], *, now: datetime
) -> None:
    """One message per person for what was claimed now, and its id into the notices."""
    per_person: dict[int, list[FixNotice]] = defaultdict(list)
    for notice in notices:
        per_person[notice.profile_id].append(notice)
    if not per_person:
        return
    had_one = _people_with_message(release.pk, per_person)
    items, keys = [], {}
    for profile_id, claimed in per_person.items():
        key = f"release:{release.pk}"
        if profile_id in had_one:
            # Somebody who was told of this release and then followed another of its tickets.
            key += ":" + ".".join(f"{notice.ticket_id}-{notice.round}" for notice in claimed[:12])
        keys[profile_id] = key
        items.append(
            messages.Item(
                kind=FIX_TOLD,
                profile_id=profile_id,
                subject_key=key,
                context=_context(release, tickets, claimed),
            )
        )
    queued = messages.queue(items, actor=ACTOR, now=now)
    for notice in notices:
        notice.message_id = queued[(notice.profile_id, keys[notice.profile_id])]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE voc_fixnotice AS n SET message_id = q.message_id "
            "FROM unnest(%s::bigint[], %s::bigint[]) AS q(id, message_id) WHERE n.id = q.id",
            [[notice.pk for notice in notices], [notice.message_id for notice in notices]],
        )


def _people_with_message(release_id: int, roots: Iterable[int]) -> set[int]:
    """Of these people, those to whom a message about this release was queued before, under any profile."""
    ids = [ident for group in profile_reads.id_sets(roots).values() for ident in group]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT COALESCE(p.merged_into_id, p.id) FROM voc_fixnotice n"
            "  JOIN crm_profile p ON p.id = n.profile_id"
            " WHERE n.release_id = %s AND n.message_id IS NOT NULL AND n.profile_id = ANY(%s)",
            [release_id, ids],
        )
        return {row[0] for row in cursor.fetchall()}


def _context(
    release: Release, tickets: dict[int, tuple[Ticket, str]], claimed: list[FixNotice]
) -> dict[str, Any]:
    """What the message says, as of the claim: titles and links, no personal values."""
    return {
        "release": {"title": release.title, "url": f"{settings.BASE_URL}/changelog/#release-{release.pk}"},
        "tickets": [
            {
                "title": tickets[notice.ticket_id][0].title,
                "url": f"{settings.BASE_URL}/t/{tickets[notice.ticket_id][0].token}/",
                "note": tickets[notice.ticket_id][1],
            }
            for notice in claimed
        ],
    }


def _record(release_id: int, notices: list[FixNotice], *, now: datetime) -> None:
    """The fact on each person's timeline; its message id makes a repetition a duplicate."""
    if not notices:
        return
    touchpoints.record(
        [
            touchpoints.Event(
                kind="voc.fix.told",
                occurred_at=now,
                message_id=f"voc.fix.told:{notice.ticket_id}:{notice.profile_id}:{notice.round}",
                profile_id=notice.profile_id,
                properties={
                    "ticket_id": notice.ticket_id,
                    "ticket_number": notice.ticket_id,
                    "release_id": release_id,
                    "role": notice.role,
                    "round": notice.round,
                },
            )
            for notice in notices
        ],
        source=None,
        actor=ACTOR,
        now=now,
    )
