"""A fact of a merged person is found again by any id of that person: a failed reaction must not lose it."""

from __future__ import annotations

import pytest

from crm.kernel import clock, reactions
from crm.kernel.models import PendingReaction
from crm.models import Touchpoint
from crm.selectors import timeline
from crm.services import merges, touchpoints
from tests.crm.conftest import SYSTEM
from tests.crm.test_merges import person

pytestmark = pytest.mark.django_db


def test_the_root_and_the_profile_it_was_written_to_both_find_it() -> None:
    winner, loser = person("keeps"), person("goes")
    now = clock.now()
    touchpoints.record(
        [touchpoints.Event(kind="Tea Poured", occurred_at=now, message_id="m1", profile_id=loser)],
        source=None, actor=SYSTEM, now=now,
    )  # fmt: skip
    merges.merge(winner, loser, actor=SYSTEM, now=now)
    row = Touchpoint.objects.get(kind="Tea Poured")
    assert row.profile_id == loser
    for ident in (winner, loser):
        (fact,) = timeline.load_facts([[ident, row.occurred_at.isoformat(), str(row.id)]])
        assert (fact.profile_id, fact.kind) == (winner, "Tea Poured")


def test_a_reaction_that_failed_once_gets_the_fact_of_a_merged_person_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reactions, "_receivers", {})
    monkeypatch.setattr(reactions, "_by_kind", {})
    seen: list[int] = []
    broken = [True]

    def pour(fact: reactions.Fact) -> None:
        if broken[0]:
            raise ValueError
        seen.append(fact.profile_id)

    pour.__qualname__ = "pour"  # the name of a receiver is kept in its rows
    winner, loser = person("keeps"), person("goes")
    reactions.subscribe("Tea Poured")(pour)
    now = clock.now()
    touchpoints.record(
        [touchpoints.Event(kind="Tea Poured", occurred_at=now, message_id="m1", profile_id=loser)],
        source=None, actor=SYSTEM, now=now,
    )  # fmt: skip
    merges.merge(winner, loser, actor=SYSTEM, now=now)
    (name,) = reactions.receiver_names()
    assert reactions.run(name, now=now).failed == 1
    broken[0] = False
    PendingReaction.objects.update(run_at=now)
    assert reactions.run(name, now=now).handled == 1
    assert seen == [winner]
    assert not PendingReaction.objects.exists()
