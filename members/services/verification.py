"""Proving the ledgers: what must hold of every account, checked in SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.db import connection

_CHECKS: Final[dict[str, str]] = {
    "balance differs from the sum of the entries": """
        SELECT a.id FROM members_pointsaccount a
          LEFT JOIN (SELECT account_id, sum(amount) AS total FROM members_pointsentry GROUP BY 1) e
                 ON e.account_id = a.id
         WHERE a.balance <> COALESCE(e.total, 0)""",
    "balance below zero": "SELECT id FROM members_pointsaccount WHERE balance < 0",
    "a credit is spent beyond its amount": """
        SELECT DISTINCT e.account_id FROM members_pointsentry e
          JOIN (SELECT credit_id, sum(amount) AS spent FROM members_lotspend GROUP BY 1) s ON s.credit_id = e.id
         WHERE s.spent > e.amount""",
    "a debit is not covered by credits": """
        SELECT DISTINCT e.account_id FROM members_pointsentry e
          LEFT JOIN (SELECT debit_id, sum(amount) AS spent FROM members_lotspend GROUP BY 1) s ON s.debit_id = e.id
         WHERE e.amount < 0 AND COALESCE(s.spent, 0) <> -e.amount""",
    "a debit spends credits of another account": """
        SELECT DISTINCT d.account_id FROM members_lotspend l
          JOIN members_pointsentry c ON c.id = l.credit_id JOIN members_pointsentry d ON d.id = l.debit_id
         WHERE c.account_id <> d.account_id""",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """A rule that does not hold and the accounts concerned (the first hundred)."""

    rule: str
    account_ids: list[int]


def verify() -> list[Fault]:
    """Every rule that some account breaks; empty when all is well."""
    faults = []
    with connection.cursor() as cursor:
        for rule, sql in _CHECKS.items():
            cursor.execute(f"SELECT id FROM ({sql}) AS broken(id) ORDER BY id LIMIT 100")
            ids = [row[0] for row in cursor.fetchall()]
            if ids:
                faults.append(Fault(rule, ids))
    return faults
