"""Points react: thanks once per fix, and points follow people through merges and back."""

import pytest

from crm.kernel import reactions
from crm.services import merges
from members import selectors
from members.models import PointsAccount, PointsEntry
from members.services import points, verification
from tests.voc import build
from tests.voc.build import AGENT, NOW
from voc.services import tickets

pytestmark = pytest.mark.django_db


def react() -> None:
    """Handle everything that waits for a receiver of members."""
    for name in reactions.receiver_names():
        if name.startswith("members."):
            while reactions.run(name, now=NOW).claimed:
                pass


def credit(profile_id: int, amount: int, key: str) -> None:
    points.credit(profile_id, amount=amount, key=key, actor=AGENT, now=NOW)


def held(profile_id: int) -> int:
    return selectors.balance([profile_id])


def test_the_reporter_is_thanked_and_others_are_not() -> None:
    ann, bo = build.person("Ann"), build.person("Bo")
    row = build.ticket("Fix", bo)
    tickets.follow(row.pk, profile_id=ann, role="reported", actor=AGENT, now=NOW)
    build.tell(build.shipped("1", row))
    react()
    entry = PointsEntry.objects.get()
    assert (entry.account.profile_id, entry.amount, entry.kind) == (ann, 50, "thanks")
    assert entry.idempotency_key == f"thanks:{row.pk}:{ann}:1"
    react()
    assert PointsEntry.objects.count() == 1
    assert held(bo) == 0


def test_a_merge_between_two_runs_does_not_thank_twice() -> None:
    ann, anna = build.person("Ann"), build.person("Anna")
    row = build.ticket("Fix")
    tickets.follow(row.pk, profile_id=anna, role="reported", actor=AGENT, now=NOW)
    build.tell(build.shipped("1", row))
    react()
    merges.merge(ann, anna, actor=AGENT, now=NOW)
    fact = reactions.Fact(
        "voc.fix.told", anna, NOW, None, {"ticket_id": row.pk, "role": "reported", "round": 1}
    )
    from members.services import thanks

    assert thanks.thank_reporters([fact], actor=AGENT, now=NOW) == 0


def test_points_follow_a_merge_and_come_back() -> None:
    ann, anna = build.person("Ann"), build.person("Anna")
    credit(ann, 10, "a")
    credit(anna, 80, "b")
    record = merges.merge(ann, anna, actor=AGENT, now=NOW)
    assert selectors.balance([ann, anna]) == 90
    react()
    assert (held(ann), held(anna)) == (90, 0)
    merges.undo(record.pk, actor=AGENT, now=NOW)
    react()
    assert (held(ann), held(anna)) == (10, 80)
    assert selectors.shortfalls().count() == 0
    assert verification.verify() == []


def test_what_was_spent_meanwhile_is_a_visible_shortfall() -> None:
    ann, anna = build.person("Ann"), build.person("Anna")
    credit(anna, 80, "b")
    record = merges.merge(ann, anna, actor=AGENT, now=NOW)
    react()
    points.debit(ann, amount=30, key="spent", actor=AGENT, now=NOW)
    merges.undo(record.pk, actor=AGENT, now=NOW)
    react()
    assert (held(ann), held(anna)) == (0, 50)
    missing = selectors.shortfalls().get()
    assert (missing.missing, missing.amount, missing.account.profile_id) == (30, 0, anna)
    assert verification.verify() == []


def test_a_merge_undone_before_the_fold_moves_nothing() -> None:
    ann, anna = build.person("Ann"), build.person("Anna")
    credit(anna, 80, "b")
    record = merges.merge(ann, anna, actor=AGENT, now=NOW)
    merges.undo(record.pk, actor=AGENT, now=NOW)
    react()
    assert held(anna) == 80
    assert PointsAccount.objects.filter(profile_id=ann).count() == 0


def test_no_thanks_when_the_knob_is_zero() -> None:
    from crm.kernel import knobs

    row = build.ticket("Fix")
    tickets.follow(row.pk, profile_id=build.person("Ann"), role="reported", actor=AGENT, now=NOW)
    build.tell(build.shipped("1", row))
    knobs.set("members.thanks_points", 0, actor=AGENT, now=NOW)
    try:
        react()
    finally:
        knobs.reset("members.thanks_points", actor=AGENT, now=NOW)
    assert PointsEntry.objects.count() == 0
