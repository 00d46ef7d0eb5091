"""Locking many people at once, for batches that need little of each: one statement when everybody is a root.

As `profiles.lock_roots`, of which it is the fast road: each id with its live root, locked in id order.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final, NamedTuple

from django.db import connection, transaction

from crm.services import hotpath, profiles


class Person(NamedTuple):
    """What a batch needs to know of a root."""

    pk: int
    display_name: str
    family_name: str
    given_name: str
    language: str
    time_zone: str
    erased_at: datetime | None


_LOCK: Final = """
SELECT merged_into_id, id, display_name, family_name, given_name, language, time_zone, erased_at
  FROM crm_profile WHERE id = ANY(%s::bigint[]) ORDER BY id FOR NO KEY UPDATE
"""


def people(ids: Iterable[int]) -> dict[int, Person]:
    """Each given id with its live root, row-locked in id order. Call inside a transaction; unknown ids are left out."""
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("locks are held only inside a transaction")
    wanted = sorted(set(ids))
    with transaction.atomic():
        rows = hotpath.fetch(_LOCK, [hotpath.array(wanted)])
        all_roots = all(row[0] is None for row in rows)
        if not all_roots:
            transaction.set_rollback(
                True
            )  # gives the locks back: holding some while asking for more may deadlock
    if all_roots:
        return {row[1]: Person(*row[1:]) for row in rows}
    return {
        ident: Person(*(getattr(root, name) for name in Person._fields))
        for ident, root in profiles.lock_roots(wanted).items()
    }
