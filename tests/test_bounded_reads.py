"""The watch over reads of touchpoints sees what it must see, and the product is watched."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.db import connection

from crm.selectors import timeline
from crm.services import hotpath
from tests.bounded_reads import Unbounded, is_bounded


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1 FROM crm_touchpoint WHERE profile_id = ANY(%s)",
        'SELECT 1 FROM "crm_touchpoint" WHERE "crm_touchpoint"."profile_id" IN (%s, %s)',
        "SELECT kind FROM crm_touchpoint t WHERE t.occurred_at >= %s AND t.kind = 'x'",
        "SELECT 1 FROM people p JOIN crm_touchpoint t ON p.id = t.profile_id",
        "SELECT 1 FROM crm_touchpointtally",
        "SELECT 1 FROM crm_profile",
        "INSERT INTO crm_touchpoint (profile_id) VALUES (1)",
    ],
)
def test_a_bounded_statement_passes(statement: str) -> None:
    assert is_bounded(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT count(*) FROM crm_touchpoint",
        "SELECT profile_id, occurred_at FROM crm_touchpoint WHERE kind = %s",
        'SELECT "crm_touchpoint"."profile_id" FROM "crm_touchpoint" ORDER BY occurred_at',
        "SELECT profile_id FROM ONLY crm_touchpoint GROUP BY profile_id",
        "SELECT 1 FROM crm_profile p JOIN crm_touchpoint t ON t.kind = p.kind",
    ],
)
def test_an_unbounded_statement_is_seen(statement: str) -> None:
    assert not is_bounded(statement)


@pytest.mark.django_db
def test_the_product_is_watched_through_both_of_its_roads() -> None:
    assert getattr(psycopg.Cursor.execute, "is_watched", False)
    with pytest.raises(Unbounded, match="neither people nor a time range"):
        hotpath.fetch("SELECT count(*) FROM crm_touchpoint", [])
    now = datetime.now(tz=UTC)
    assert timeline.has([1], "x", since=now - timedelta(days=1), until=now) is False
    # What a test asks is its own affair.
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM crm_touchpoint")
        assert cursor.fetchone() == (0,)
