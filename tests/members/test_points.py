"""The points ledger: once per cause, never below zero, every debit paired with credits."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, close_old_connections, connection, transaction

from crm.kernel.errors import Conflict, Gone, Invalid, NotFound, Unprocessable
from crm.models import Profile, Touchpoint
from members.models import LotSpend, PointsAccount, PointsEntry
from members.services import points, verification
from tests.voc import build
from tests.voc.build import AGENT, NOW

pytestmark = pytest.mark.django_db


def credit(profile_id: int, amount: Any, key: str, **values: Any) -> PointsEntry:
    return points.credit(profile_id, amount=amount, key=key, actor=AGENT, now=NOW, **values)


def debit(profile_id: int, amount: Any, key: str, **values: Any) -> PointsEntry:
    return points.debit(profile_id, amount=amount, key=key, actor=AGENT, now=NOW, **values)


def balance(profile_id: int) -> int:
    return PointsAccount.objects.get(profile_id=profile_id).balance


def test_credit_and_debit_move_the_balance_and_tell_the_timeline() -> None:
    ann = build.person("Ann")
    assert credit(ann, 100, "a").balance_after == 100
    assert debit(ann, 30, "b").balance_after == 70
    assert balance(ann) == 70
    kinds = Touchpoint.objects.filter(profile_id=ann, kind__startswith="members.").values_list(
        "kind", flat=True
    )
    assert sorted(kinds) == ["members.points.earned", "members.points.spent"]
    assert verification.verify() == []


def test_the_same_key_moves_once_and_another_request_under_it_is_refused() -> None:
    ann, bo = build.person("Ann"), build.person("Bo")
    first = credit(ann, 100, "order-1")
    assert credit(ann, 100, "order-1").pk == first.pk
    for change in (lambda: credit(ann, 99, "order-1"), lambda: credit(bo, 100, "order-1")):
        with pytest.raises(Unprocessable) as refused:
            change()
        assert refused.value.code == "idempotency_key_reused"
    assert (balance(ann), PointsEntry.objects.count()) == (100, 1)


@pytest.mark.parametrize("amount", [0, -1, 0.5, 10**18, True, "10", None])
def test_an_amount_is_a_positive_whole_number(amount: Any) -> None:
    ann = build.person("Ann")
    credit(ann, 10, "a")
    for service in (credit, debit):
        with pytest.raises(Invalid) as refused:
            service(ann, amount, "k")
        assert refused.value.code == "invalid_amount"
    assert (balance(ann), PointsEntry.objects.count()) == (10, 1)


def test_a_debit_beyond_the_balance_changes_nothing() -> None:
    ann = build.person("Ann")
    credit(ann, 10, "a")
    with pytest.raises(Conflict) as refused:
        debit(ann, 11, "b")
    assert (refused.value.code, refused.value.allowed) == ("insufficient_points", {"maximum": 10})
    assert (balance(ann), PointsEntry.objects.count(), LotSpend.objects.count()) == (10, 1, 0)


def test_debits_spend_what_expires_first() -> None:
    ann = build.person("Ann")
    forever = credit(ann, 50, "forever")
    soon = credit(ann, 30, "soon", expires_at=NOW + timedelta(days=1))
    spent = debit(ann, 40, "spend")
    assert sorted(LotSpend.objects.filter(debit=spent).values_list("credit_id", "amount")) == sorted(
        [(soon.pk, 30), (forever.pk, 10)]
    )
    assert points.open_lots(spent.account_id) == [(forever.pk, 40, None)]


def test_unknown_and_erased_people_get_nothing() -> None:
    ann = build.person("Ann")
    with pytest.raises(NotFound):
        credit(10**12, 5, "a")
    Profile.objects.filter(pk=ann).update(erased_at=NOW)
    with pytest.raises(Gone):
        credit(ann, 5, "b")
    assert PointsEntry.objects.count() == 0


@pytest.mark.parametrize("table", ["members_pointsentry", "members_lotspend"])
@pytest.mark.parametrize("verb", ["UPDATE {} SET amount = 1", "DELETE FROM {}"])
def test_the_ledger_cannot_be_changed(table: str, verb: str) -> None:
    ann = build.person("Ann")
    credit(ann, 10, "a")
    debit(ann, 4, "b")
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(verb.format(table))


def test_the_database_refuses_a_negative_balance() -> None:
    ann = build.person("Ann")
    credit(ann, 10, "a")
    with pytest.raises(DatabaseError), transaction.atomic():
        PointsAccount.objects.update(balance=-1)


def test_verify_ledgers_names_what_is_broken(capsys: pytest.CaptureFixture[str]) -> None:
    ann = build.person("Ann")
    credit(ann, 10, "a")
    call_command("verify_ledgers")
    assert capsys.readouterr().out == "1 accounts, 1 entries: every balance is the sum of its entries\n"
    PointsAccount.objects.update(balance=11)
    with pytest.raises(CommandError, match="balance differs from the sum of the entries"):
        call_command("verify_ledgers")


def test_many_credits_cost_the_same_number_of_queries() -> None:
    from django.test.utils import CaptureQueriesContext

    credit(build.person("Warm"), 1, "warm")  # the month's partition is made once
    counts = []
    for size in (2, 40):
        people = [build.person(f"m{size}-{number}") for number in range(size)]
        batch = [points.Credit(ident, 5, f"b:{size}:{ident}") for ident in people]
        with CaptureQueriesContext(connection) as queries:
            assert points.credit_many(batch, kind="thanks", actor=AGENT, now=NOW) == size
        counts.append(len(queries))
        assert points.credit_many(batch, kind="thanks", actor=AGENT, now=NOW) == 0
    assert counts[0] == counts[1]
    assert verification.verify() == []


@pytest.mark.django_db(transaction=True)
def test_of_200_parallel_debits_exactly_ten_succeed() -> None:
    ann = build.person("Ann")
    credit(ann, 100, "a")
    done: list[str] = []
    gate = threading.Barrier(8)

    def spend(worker: int) -> None:
        gate.wait()
        try:
            for number in range(25):
                try:
                    debit(ann, 10, f"spend:{worker}:{number}")
                    done.append("ok")
                except Conflict:
                    done.append("refused")
        finally:
            connection.close()
            close_old_connections()

    threads = [threading.Thread(target=spend, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (done.count("ok"), done.count("refused")) == (10, 190)
    assert balance(ann) == 0
    assert verification.verify() == []
