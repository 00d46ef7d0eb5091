"""Who is still to be told of a release, read over everything that was merged into its tickets and its people."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection

from voc.states import ROLE_RANK


@dataclass(frozen=True, slots=True)
class Due:
    """One person and one ticket to tell them of."""

    ticket_id: int
    profile_id: int
    role: str
    round: int


# Followers of the release's tickets, over merged tickets and merged people, whom no notice of this round covers.
# One row per (person, ticket): the strongest role that any of their profiles has.
_DUE_SQL = """
WITH item AS (
    -- A draft has no rounds yet: shipping would take those its tickets have now.
    SELECT DISTINCT ON (r.id) r.id AS root, COALESCE(i.round, r.round) AS round
      FROM voc_releaseitem i
      JOIN voc_ticket t ON t.id = i.ticket_id
      JOIN voc_ticket r ON r.id = COALESCE(t.merged_into_id, t.id)
     WHERE i.release_id = %(release)s
     ORDER BY r.id, COALESCE(i.round, r.round) DESC
), family AS (
    SELECT item.root, item.round, t.id AS ticket_id
      FROM item JOIN voc_ticket t ON t.id = item.root OR t.merged_into_id = item.root
), asked AS (
    SELECT family.root AS ticket_id, family.round, COALESCE(p.merged_into_id, p.id) AS profile_id,
           min(CASE f.role WHEN 'reported' THEN 0 WHEN 'voted' THEN 1 ELSE 2 END) AS rank
      FROM family
      JOIN voc_ticketfollower f ON f.ticket_id = family.ticket_id AND f.left_at IS NULL {of_followers}
      JOIN crm_profile p ON p.id = f.profile_id
     GROUP BY 1, 2, 3
), told AS (
    SELECT DISTINCT family.root AS ticket_id, COALESCE(p.merged_into_id, p.id) AS profile_id
      FROM family
      JOIN voc_fixnotice n ON n.ticket_id = family.ticket_id AND n.round >= family.round {of_notices}
      JOIN crm_profile p ON p.id = n.profile_id
)
"""
# EXCEPT is hashed or sorted, never a nested loop, however wrong the planner's idea of a fresh table is.
_PEOPLE_SQL = """
SELECT DISTINCT profile_id
  FROM (SELECT ticket_id, profile_id FROM asked EXCEPT SELECT ticket_id, profile_id FROM told) AS left_over
 ORDER BY 1
"""
_NOTICES_SQL = """
SELECT asked.ticket_id, asked.profile_id, asked.rank, asked.round FROM asked
 WHERE NOT EXISTS (SELECT 1 FROM told WHERE told.ticket_id = asked.ticket_id AND told.profile_id = asked.profile_id)
 ORDER BY asked.profile_id, asked.ticket_id
"""
_NARROWED_SQL = _DUE_SQL.format(
    of_followers="AND f.profile_id = ANY(%(ids)s)", of_notices="AND n.profile_id = ANY(%(ids)s)"
)


def people(release_id: int) -> list[int]:
    """Root profiles that are still to be claimed, sorted."""
    sql = _DUE_SQL.format(of_followers="", of_notices="") + _PEOPLE_SQL
    with connection.cursor() as cursor:
        cursor.execute(sql, {"release": release_id})
        return [row[0] for row in cursor.fetchall()]


def notices(release_id: int, ids: list[int]) -> list[Due]:
    """What is owed to the people with these ids, read under their locks.

    By every id they ever had, so that a batch reads its own rows and not the whole ticket.
    """
    names = {rank: str(role) for role, rank in ROLE_RANK.items()}
    with connection.cursor() as cursor:
        cursor.execute(_NARROWED_SQL + _NOTICES_SQL, {"release": release_id, "ids": ids})
        return [Due(row[0], row[1], names[row[2]], row[3]) for row in cursor.fetchall()]
