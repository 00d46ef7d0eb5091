"""What a merge would bring together: how much each side has, and what follows from joining them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from crm.kernel import clock
from crm.models import AccountMembership, ContactPoint, Identity, ProfileNote
from crm.selectors import consents, profiles, rules
from crm.states import Channel, IdentifierKind, Purpose

MOST_COUNTED = 1_000


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two. `touchpoints` counts to a thousand; `is_more` when there are more."""

    profile_id: int
    identities: list[Identity]
    contacts: list[ContactPoint]
    touchpoints: int
    is_more: bool
    notes: int
    accounts: int
    merged: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """Both sides and the consequences: consent that the most restrictive decides, limits that will be passed."""

    winner: Side
    loser: Side
    restricted: list[tuple[Any, Any]]
    over_limit: list[tuple[Any, int, int]]


def of(winner_id: int, loser_id: int) -> Outlook:
    """The outlook for two roots. A bounded number of reads, however long their histories."""
    sets = profiles.id_sets([winner_id, loser_id])
    ids = [pk for members in sets.values() for pk in members]
    identities = list(Identity.objects.filter(profile_id__in=ids).order_by("kind", "pk")[:200])
    contacts = list(ContactPoint.objects.filter(profile_id__in=ids).order_by("channel", "pk")[:200])
    notes = list(ProfileNote.objects.filter(profile_id__in=ids).values_list("profile_id", flat=True)[:1_000])
    accounts = list(
        AccountMembership.objects.filter(profile_id__in=ids, until=None).values_list("profile_id", flat=True)[
            :200
        ]
    )

    def side(root_id: int) -> Side:
        members = sets[root_id]
        number = _touchpoints(members, now=clock.now())
        return Side(
            profile_id=root_id,
            identities=[row for row in identities if row.profile_id in members],
            contacts=[row for row in contacts if row.profile_id in members],
            touchpoints=min(number, MOST_COUNTED),
            is_more=number > MOST_COUNTED,
            notes=sum(pk in members for pk in notes),
            accounts=sum(pk in members for pk in accounts),
            merged=len(members) - 1,
        )

    return Outlook(
        side(winner_id), side(loser_id), _restricted(sets, winner_id, loser_id), _over_limit(identities)
    )


def _touchpoints(ids: list[int], *, now: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM (SELECT 1 FROM crm_touchpoint WHERE profile_id = ANY(%s)"
            " AND occurred_at >= (SELECT min(LEAST(first_seen_at, created_at)) - interval '1 day'"
            "                       FROM crm_profile WHERE id = ANY(%s))"
            " AND occurred_at <= %s LIMIT %s) AS counted",
            [ids, ids, now + timedelta(days=31), MOST_COUNTED + 1],
        )
        return int(cursor.fetchone()[0])


def _restricted(sets: dict[int, list[int]], winner_id: int, loser_id: int) -> list[tuple[Any, Any]]:
    """Purposes and channels that one of them allows and the other withdrew: the merged person is not written to."""
    one, two = consents.current(sets[winner_id]), consents.current(sets[loser_id])
    found = []
    for key in sorted({*one, *two}):
        decisions = [decided[key][0] for decided in (one, two) if key in decided]
        if True in decisions and False in decisions:
            found.append((Purpose(key[0]).label, Channel(key[1]).label))
    return found


def _over_limit(identities: list[Identity]) -> list[tuple[Any, int, int]]:
    """Kinds of which the merged person would have more than the rule lets events join."""
    counts: dict[str, int] = {}
    for row in identities:
        counts[row.kind] = counts.get(row.kind, 0) + 1
    return [
        (
            IdentifierKind(kind).label if kind in IdentifierKind.values else kind,
            number,
            rules.rule(kind).limit,
        )
        for kind, number in sorted(counts.items())
        if number > rules.rule(kind).limit
    ]
