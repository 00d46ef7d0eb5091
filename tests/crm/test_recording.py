"""What recording promises beyond the door: receipts only where they mean something, texts of every kind unchanged,
and plans that do not depend on yesterday's size of a table."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import connection, transaction

from crm.kernel import clock, reactions
from crm.kernel.models import PendingReaction
from crm.models import EventReceipt, Touchpoint
from crm.services import storing, touchpoints
from crm.services.touchpoints import Event
from tests.crm.conftest import SYSTEM

ODD = {
    "quotes": "a \"b\" 'c'",
    "backslash": "a\\b\\\\c\\n",
    "lines": "one\ntwo\r\nthree\ttab\x0b\x0c\x08",
    "chinese": "茶 👩🏽‍🔧",
    "braces": "{a,b} NULL \\N \\. %s",
    "nested": {"list": [1, 2.5, None, True, "x\\"]},
}


def event(number: int, **more: Any) -> Event:
    values = {"message_id": f"m-{number}", "identifiers": [("user_id", f"u-{number}")], **more}
    return Event(kind=values.pop("kind", "Product Viewed"), occurred_at=None, **values)


def record(events: list[Event]) -> touchpoints.RecordResult:
    return touchpoints.record(events, source=None, actor=SYSTEM, now=clock.now())


@pytest.mark.django_db
@pytest.mark.parametrize("number", [1, storing.FEW, storing.FEW + 1], ids=["alone", "few", "copied"])
def test_every_text_is_stored_as_it_came(number: int) -> None:
    kind, channel = 'Odd "kind" \\ with\ttab', "a\\b\nc"
    events = [
        event(n, kind=kind, channel=channel, properties=ODD, context={"page": ODD} if n % 2 else None)
        for n in range(number)
    ]
    assert record(events).accepted == number
    rows = list(Touchpoint.objects.values_list("kind", "channel", "properties", "context"))
    assert sorted(row[3] is None for row in rows) == sorted(n % 2 == 0 for n in range(number))
    assert {(row[0], row[1]) for row in rows} == {(kind, channel)}
    assert all(row[2] == ODD and row[3] in (None, {"page": ODD}) for row in rows)
    with connection.cursor() as cursor:
        cursor.execute("SELECT kind, count FROM crm_touchpointtallydelta")
        assert cursor.fetchall() == [(kind, number)]


@pytest.mark.django_db
def test_an_event_without_a_message_id_is_never_a_repetition_and_has_no_receipt() -> None:
    result = record([event(1, message_id=""), event(1, message_id=""), event(2), event(2)])
    assert (result.accepted, result.duplicates) == (3, 1)
    assert Touchpoint.objects.count() == 3
    assert EventReceipt.objects.count() == 1
    assert record([event(1, message_id=""), event(2)]).duplicates == 1


@pytest.mark.django_db(transaction=True)
def test_plans_stay_with_indexes_inside_our_own_transaction_only(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    move = storing.touchpoints

    def ask(*args: Any, **kwargs: Any) -> Any:
        said.append(setting())
        return move(*args, **kwargs)

    def setting() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SHOW enable_seqscan")
            return cursor.fetchone()[0]

    monkeypatch.setattr(storing, "touchpoints", ask)
    record([event(1)])
    said.append(setting())
    with transaction.atomic():
        record([event(2)])
        said.append(setting())
    assert said == ["off", "on", "on", "on"]


@pytest.mark.django_db
def test_bare_facts_say_who_did_what_and_when_and_read_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reactions, "_receivers", {})
    monkeypatch.setattr(reactions, "_by_kind", {})
    monkeypatch.setattr(reactions, "_dynamic", [])
    monkeypatch.setattr(reactions, "_load_touchpoints", None)
    seen: list[reactions.Fact] = []

    def follow(facts: list[reactions.Fact]) -> None:
        seen.extend(facts)

    reactions.subscribe("Product Viewed", batch=True, bare=True)(follow)
    record([event(n) for n in range(3)])
    (name,) = reactions.receiver_names()
    assert PendingReaction.objects.count() == 1
    assert reactions.run(name, now=clock.now()).handled == 3
    stored = {(row.kind, row.profile_id, row.occurred_at, row.id) for row in Touchpoint.objects.all()}
    assert {(fact.kind, fact.profile_id, fact.occurred_at, fact.id) for fact in seen} == stored
    assert all(isinstance(fact.id, uuid.UUID) and fact.properties == {} for fact in seen)


@pytest.mark.django_db
def test_a_claim_takes_many_small_rows_but_not_too_many_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reactions, "_receivers", {})
    monkeypatch.setattr(reactions, "_by_kind", {})
    monkeypatch.setattr(reactions, "_dynamic", [])
    sizes: list[int] = []

    def follow(facts: list[reactions.Fact]) -> None:
        sizes.append(len(facts))

    reactions.subscribe("Product Viewed", batch=True, bare=True)(follow)
    monkeypatch.setattr(reactions, "FACTS_PER_CLAIM", 10)
    now = clock.now()
    for _row in range(6):
        facts = [("Product Viewed", 1, now, str(uuid.uuid4())) for _fact in range(4)]
        reactions.enqueue(facts, now=now)
    (name,) = reactions.receiver_names()
    while reactions.run(name, now=clock.now()).claimed:
        pass
    # A row is taken whole when the claim had room left before it.
    assert sizes == [12, 12]
