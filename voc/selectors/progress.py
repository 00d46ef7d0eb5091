"""How far the telling of a release is, and who was not told and why.

A person counts once per release. Told: one of their messages has the decision *sent*. Waiting: not claimed yet, or
a message that is queued or held. Everybody else was not told, for the reason in the decision record.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from lifecycle.states import Decision, Reason
from voc.models import Release
from voc.selectors import due


@dataclass(frozen=True, slots=True)
class Progress:
    """People of one release. `people` = told + waiting + not told; `reasons` counts the not told, most first."""

    people: int
    told: int
    waiting: int
    not_told: int
    reasons: list[tuple[str, Any, int]]


@dataclass(frozen=True, slots=True)
class Untold:
    """Somebody who was not told (yet): root profile id, the decision and its reason with their labels."""

    profile_id: int
    decision: str
    decision_label: Any
    reason: str
    reason_label: Any
    decided_at: datetime | None


# One row per person: the best decision among their messages of this release.
_PEOPLE_SQL = """
SELECT DISTINCT ON (person) COALESCE(p.merged_into_id, p.id) AS person,
       COALESCE(m.decision, 'queued') AS decision, COALESCE(m.reason, '') AS reason, m.decided_at
  FROM voc_fixnotice n
  JOIN crm_profile p ON p.id = n.profile_id
  LEFT JOIN lifecycle_outboundmessage m ON m.id = n.message_id
 WHERE n.release_id = %(release)s
 ORDER BY person, array_position(ARRAY['sent','queued','held','failed','dropped'], m.decision::text), m.id
"""


def of_release(release_id: int) -> Progress:
    """The numbers of a release, counted by the database."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT decision, reason, count(*) FROM ({_PEOPLE_SQL}) AS people GROUP BY 1, 2",
            {"release": release_id},
        )
        rows = cursor.fetchall()
    told = sum(number for decision, _reason, number in rows if decision == Decision.SENT)
    waiting = sum(
        number for decision, _reason, number in rows if decision in (Decision.QUEUED, Decision.HELD)
    )
    lost = sorted(
        (
            (reason, number)
            for decision, reason, number in rows
            if decision in (Decision.DROPPED, Decision.FAILED)
        ),
        key=lambda pair: (-pair[1], pair[0]),
    )
    # Only a release that is still telling can have people without a notice.
    unclaimed = len(due.people(release_id)) if Release.objects.telling().filter(pk=release_id).exists() else 0
    not_told = sum(number for _reason, number in lost)
    return Progress(
        people=told + waiting + unclaimed + not_told,
        told=told,
        waiting=waiting + unclaimed,
        not_told=not_told,
        reasons=[(reason, reason_label(reason), number) for reason, number in lost],
    )


def untold(release_id: int, *, after: int = 0, limit: int = 50) -> list[Untold]:
    """People of a release whose message was not sent, by profile id above `after`."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT person, decision, reason, decided_at FROM ({_PEOPLE_SQL}) AS people"
            " WHERE decision <> 'sent' AND person > %(after)s ORDER BY person LIMIT %(limit)s",
            {"release": release_id, "after": after, "limit": limit},
        )
        rows = cursor.fetchall()
    return [
        Untold(person, decision, Decision(decision).label, reason, reason_label(reason), decided_at)
        for person, decision, reason, decided_at in rows
    ]


def reason_label(reason: str) -> Any:
    """What staff read for a reason; one that is not known here is its own label."""
    return Reason(reason).label if reason in Reason.values else reason


def told_since(start: datetime) -> tuple[int, int]:
    """(told, claimed) messages about fixes for notices claimed since `start`; for the home page."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(DISTINCT m.id) FILTER (WHERE m.decision = 'sent'), count(DISTINCT m.id)"
            "  FROM voc_fixnotice n JOIN lifecycle_outboundmessage m ON m.id = n.message_id WHERE n.created_at >= %s",
            [start],
        )
        told, claimed = cursor.fetchone()
        return int(told), int(claimed)
