"""Statements through libpq itself: what goes in comes out, and errors are those of Django."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import DataError, IntegrityError, OperationalError, ProgrammingError, connection, transaction

from crm.kernel import statements
from crm.kernel.models import JobSlot
from crm.states import Trust

pytestmark = pytest.mark.django_db
MOMENT = datetime(2026, 3, 1, 12, 0, 7, 5, tzinfo=UTC)


def prepared() -> set[str]:
    return {row[0] for row in statements.fetch("SELECT statement FROM pg_prepared_statements", [])}


@pytest.mark.parametrize(
    ("value", "type_name"),
    [
        ("", "text"), ("it's 50 % of \\ \" {a,b} 客户\n", "text"), (None, "text"), (None, "int"),
        (0, "int"), (-(2**31), "int"), (2**31, "bigint"), (-(2**63), "bigint"), (True, "boolean"),
        (False, "boolean"), (0.1, "float8"), (float("inf"), "float8"), (MOMENT, "timestamptz"),
        (date(2026, 3, 1), "date"), (UUID(int=7), "uuid"), (timedelta(days=1, seconds=3), "interval"),
        ([1, 2], "bigint[]"), (["a", None], "text[]"), (Decimal("1.50"), "numeric"), (2**70, "numeric"),
    ],
)  # fmt: skip
def test_values_come_back_as_they_went(value, type_name):
    # The third time it is a prepared statement.
    for _time in range(4):
        assert statements.fetch(f"SELECT %s::{type_name}", [value]) == [(value,)]


def test_a_time_of_another_zone_and_a_name_of_a_choice():
    there = MOMENT.astimezone(timezone(timedelta(hours=8)))
    sql = "SELECT %(a)s::timestamptz, %(b)s::text, %(a)s::timestamptz"
    assert statements.fetch(sql, {"a": there, "b": Trust.SERVER}) == [(MOMENT, "server", MOMENT)]


def test_a_percent_sign_is_written_twice():
    assert statements.fetch("SELECT 7 %% 4, %s::text LIKE '5%%'", ["50"]) == [(3, True)]


@pytest.mark.django_db(transaction=True)
def test_the_third_time_a_statement_is_prepared(settings):
    connection.close()
    sql = "SELECT %s::int + 1"
    for number, known in ((1, False), (2, False), (3, True), (4, True)):
        assert statements.fetch(sql, [number]) == [(number + 1,)]
        assert ("SELECT $1::int + 1" in prepared()) is known
    # What is prepared stays when a transaction is undone.
    with transaction.atomic():
        for number in range(5):
            assert statements.fetch("SELECT %s::int + 2", [number]) == [(number + 2,)]
        transaction.set_rollback(True)
    assert {"SELECT $1::int + 1", "SELECT $1::int + 2"} <= prepared()
    assert statements.fetch("SELECT %s::int + 2", [4]) == [(6,)]
    connection.close()
    assert statements.fetch(sql, [1]) == [(2,)]
    assert "SELECT $1::int + 1" not in prepared()
    settings.PREPARE_STATEMENTS = False
    connection.close()
    for _time in range(4):
        assert statements.fetch(sql, [1]) == [(2,)]
    assert prepared() == set()


def test_it_belongs_to_the_transaction():
    insert = "INSERT INTO kernel_jobslot (job, slot_start, claimed_at) VALUES (%s, %s, %s)"
    with transaction.atomic():
        assert statements.fetch(insert, ["a", MOMENT, MOMENT]) == []
        transaction.set_rollback(True)
    assert not JobSlot.objects.exists()
    with transaction.atomic():
        statements.fetch(insert, ["a", MOMENT, MOMENT])
        with pytest.raises(IntegrityError), transaction.atomic():
            statements.fetch(insert, ["a", MOMENT, MOMENT])
        statements.fetch(insert, ["b", MOMENT, MOMENT])
    assert sorted(JobSlot.objects.values_list("job", flat=True)) == ["a", "b"]


def test_errors_are_those_of_django():
    with pytest.raises(ProgrammingError), transaction.atomic():
        statements.fetch("SELECT nothing FROM nowhere", [])
    with pytest.raises(DataError), transaction.atomic():
        statements.fetch("SELECT %s::int", ["four"])
    with pytest.raises(DataError, match="NUL"):
        statements.fetch("SELECT %s::text", ["a\0b"])
    assert statements.fetch("SELECT 1", []) == [(1,)]


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_died_is_an_operational_error_and_the_next_one_works():
    pid = statements.fetch("SELECT pg_backend_pid()", [])[0][0]
    with connection.copy().cursor() as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        other.db.close()
    for _time in range(2):
        with pytest.raises(OperationalError):
            statements.fetch("SELECT 1", [])
    assert connection.connection.closed
    connection.close()
    assert statements.fetch("SELECT 1", []) == [(1,)]
