"""Rules may ask which account somebody belongs to."""

from __future__ import annotations

import pytest

from crm import facts
from crm.services import accounts
from tests.crm.conftest import NOON, SYSTEM
from tests.crm.people.conftest import Maker


@pytest.mark.django_db
def test_the_fact_account_names_the_group_of_a_person(identify: Maker) -> None:
    from django.db import connection

    one = identify("a")
    identify("b")
    account = accounts.save("acme", values={}, actor=SYSTEM, now=NOON)
    accounts.add_person(account.pk, profile_id=one, actor=SYSTEM, now=NOON)
    fact = facts.find("account")
    assert fact is not None and fact.rows is not None
    sql, params = fact.rows(NOON)
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        assert cursor.fetchall() == [(one, "acme")]
