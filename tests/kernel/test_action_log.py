"""The action log cannot be changed unseen."""

from datetime import UTC, datetime

import pytest
from django.db import IntegrityError, connection, transaction

from crm.kernel import actionlog, actors
from crm.kernel.models import ActionLog

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
STAFF = actors.Actor("staff", "1")


def write(count):
    for number in range(count):
        actionlog.write(STAFF, "tests.done", ("tests.thing", number), fields=("status",), now=NOW)


def test_rows_are_sealed_in_order_and_the_chain_is_whole():
    write(3)
    assert actionlog.seal() == 3
    write(2)
    result = actionlog.verify()
    assert (result.sealed, result.unsealed, result.first_bad_id) == (3, 2, None)
    assert actionlog.seal() == 2
    assert list(ActionLog.objects.order_by("id").values_list("position", flat=True)) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE kernel_actionlog SET actor = 'staff:2'",
        "UPDATE kernel_actionlog SET position = 9, seal = 'x', action = 'other'",
        "DELETE FROM kernel_actionlog",
    ],
)
def test_the_database_refuses_changes(statement):
    write(1)
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert ActionLog.objects.get().actor == "staff:1"


def test_a_change_behind_the_trigger_is_found_at_its_row():
    write(3)
    actionlog.seal()
    bad = ActionLog.objects.order_by("id")[1]
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE kernel_actionlog DISABLE TRIGGER kernel_actionlog_guard")
        cursor.execute("UPDATE kernel_actionlog SET actor = 'staff:9' WHERE id = %s", [bad.pk])
        cursor.execute("ALTER TABLE kernel_actionlog ENABLE TRIGGER kernel_actionlog_guard")
    assert actionlog.verify().first_bad_id == bad.pk
