"""Journeys: in once per entry key, out the moment the goal is met, and nobody in the comparison group is written to."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import DatabaseError, connection, transaction

from crm.kernel import reactions
from crm.kernel.errors import Conflict, Invalid
from crm.models import Profile
from crm.services import touchpoints
from lifecycle import definition, shipped
from lifecycle.models import Enrolment, EnrolmentEvent, Journey, OutboundMessage
from lifecycle.services import enrolments, journeys, messages
from tests.lifecycle.conftest import ACTOR, NOON

pytestmark = pytest.mark.django_db
RECEIVERS = ("lifecycle.receivers.leave_journeys", "lifecycle.receivers.enter_journeys")
HALF_HOUR = timedelta(minutes=30)


def browsed(**changes: Any) -> dict[str, Any]:
    data = copy.deepcopy(shipped.TEMPLATES["browsed_not_bought"].definition)
    data["holdout_percent"] = 0
    data.update(changes)
    return data


def start(data: dict[str, Any] | None = None, name: str = "Browsed") -> Journey:
    journey = journeys.create(name=name, definition_data=data or browsed(), actor=ACTOR, now=NOON)
    return journeys.activate(journey.pk, actor=ACTOR, now=NOON)


def happened(
    profile_id: int,
    kind: str,
    *,
    at: Any = NOON,
    now: Any = None,
    historical: bool = False,
    **properties: Any,
) -> None:
    touchpoints.record(
        [
            touchpoints.Event(
                kind,
                at,
                f"{kind}:{profile_id}:{at.isoformat()}:{properties}",
                profile_id,
                properties=properties,
            )
        ],
        source=None,
        actor=ACTOR,
        now=now or at,
        historical=historical,
    )


def react(now: Any = NOON) -> None:
    for receiver in RECEIVERS:
        while reactions.run(receiver, now=now).claimed:
            pass


def go_on(now: Any) -> None:
    while enrolments.advance(now=now).claimed:
        pass
    while messages.deliver(now=now).claimed:
        pass


def test_browsed_and_not_bought_gets_the_coupon_of_that_product(person: Callable[..., int]) -> None:
    journey = start()
    reader = person(agrees=("marketing",), language="zh-hans", name="林夏")
    happened(reader, "Product Viewed", product_id="p1", name="胡桃木台灯")
    react()
    row = Enrolment.objects.get()
    assert (row.status, row.entry_key, row.run_at) == ("waiting", "p1", NOON + HALF_HOUR)
    go_on(NOON + HALF_HOUR - timedelta(seconds=1))
    assert mail.outbox == []
    go_on(NOON + HALF_HOUR)
    [sent] = mail.outbox
    assert sent.subject == "“胡桃木台灯”，给您留了 10% 的优惠"
    assert "COMEBACK10" in sent.body
    message = OutboundMessage.objects.get()
    assert (message.subject_key, message.decision) == (f"journey:{journey.pk}:p1", "sent")
    assert list(EnrolmentEvent.objects.values_list("kind", flat=True)) == [
        "entered",
        "branched",
        "messaged",
        "finished",
    ]


def test_one_entry_per_product(person: Callable[..., int]) -> None:
    start()
    reader = person(agrees=("marketing",))
    for minute in range(3):
        happened(reader, "Product Viewed", at=NOON + timedelta(minutes=minute), product_id="p1")
    happened(reader, "Product Viewed", product_id="p2")
    react()
    happened(reader, "Product Viewed", at=NOON + timedelta(minutes=9), product_id="p1")
    react()
    assert sorted(Enrolment.objects.values_list("entry_key", flat=True)) == ["p1", "p2"]


def test_no_entry_without_the_property_or_the_kind(person: Callable[..., int]) -> None:
    start()
    reader = person()
    happened(reader, "Product Viewed", name="no id")
    happened(reader, "Product Listed", product_id="p1")
    react()
    assert Enrolment.objects.count() == 0


def test_a_purchase_takes_the_person_out_at_once(person: Callable[..., int]) -> None:
    start()
    reader = person(agrees=("marketing",))
    happened(reader, "Product Viewed", product_id="p1")
    react()
    happened(reader, "Order Completed", at=NOON + timedelta(minutes=5), order_id="o1")
    react(NOON + timedelta(minutes=5))
    row = Enrolment.objects.get()
    assert (row.status, row.run_at) == ("converted", None)
    go_on(NOON + HALF_HOUR)
    assert (mail.outbox, OutboundMessage.objects.count()) == ([], 0)


def test_a_purchase_cancels_what_waits_for_the_morning(person: Callable[..., int]) -> None:
    start()
    evening = NOON.replace(hour=12, minute=50)  # 20:50 in Shanghai
    reader = person(agrees=("marketing",))
    happened(reader, "Product Viewed", at=evening, product_id="p1")
    react(evening)
    go_on(evening + HALF_HOUR)
    assert OutboundMessage.objects.get().reason == "quiet_hours"
    happened(reader, "Order Completed", at=evening + timedelta(hours=1))
    react(evening + timedelta(hours=1))
    message = OutboundMessage.objects.get()
    assert (message.decision, message.reason) == ("dropped", "converted")
    go_on(evening + timedelta(hours=20))
    assert mail.outbox == []


def test_the_goal_is_checked_at_every_wake_even_without_a_reaction(person: Callable[..., int]) -> None:
    start()
    reader = person(agrees=("marketing",))
    happened(reader, "Product Viewed", product_id="p1")
    react()
    happened(reader, "Order Completed", at=NOON + timedelta(minutes=5), historical=True)
    go_on(NOON + HALF_HOUR)
    assert Enrolment.objects.get().status == "converted"
    assert mail.outbox == []


def test_old_and_historical_facts_start_nothing(person: Callable[..., int]) -> None:
    start()
    reader = person(agrees=("marketing",))
    happened(reader, "Product Viewed", at=NOON - timedelta(hours=25), now=NOON, product_id="p1")
    happened(reader, "Product Viewed", product_id="p2", historical=True)
    react()
    assert Enrolment.objects.count() == 0


def test_the_comparison_group_has_a_record_and_no_message(person: Callable[..., int]) -> None:
    journey = start(browsed(holdout_percent=50))
    readers = [person(agrees=("marketing",)) for _number in range(20)]
    for reader in readers:
        happened(reader, "Product Viewed", product_id="p1")
    react()
    go_on(NOON + HALF_HOUR)
    plan = definition.parse(browsed(holdout_percent=50))
    held_out = {reader for reader in readers if plan.in_holdout(journey.pk, reader)}
    assert 0 < len(held_out) < 20
    assert set(Enrolment.objects.filter(arm="holdout").values_list("profile_id", flat=True)) == held_out
    assert (
        set(OutboundMessage.objects.filter(reason="holdout").values_list("profile_id", flat=True)) == held_out
    )
    assert len(mail.outbox) == 20 - len(held_out)


def test_a_person_enters_at_most_as_often_as_the_cap_says(person: Callable[..., int]) -> None:
    start(browsed(cap={"entries": 2, "hours": 24}))
    reader = person()
    for number in range(5):
        happened(reader, "Product Viewed", at=NOON + timedelta(minutes=number), product_id=f"p{number}")
    react(NOON + timedelta(minutes=5))
    assert sorted(Enrolment.objects.values_list("entry_key", flat=True)) == ["p0", "p1"]


def test_two_profiles_with_the_same_key_are_one_person_after_a_merge(person: Callable[..., int]) -> None:
    start()
    first, second = person(agrees=("marketing",)), person(agrees=("marketing",))
    for reader in (first, second):
        happened(reader, "Product Viewed", product_id="p1")
    react()
    Profile.objects.filter(pk=second).update(merged_into=first)
    go_on(NOON + HALF_HOUR)
    assert sorted(Enrolment.objects.values_list("status", "exit_cause")) == [
        ("exited", "duplicate"),
        ("finished", ""),
    ]
    assert len(mail.outbox) == 1


def test_a_purchase_under_the_other_id_counts(person: Callable[..., int]) -> None:
    start()
    visitor, customer = person(agrees=("marketing",)), person(agrees=("marketing",))
    happened(visitor, "Product Viewed", product_id="p1")
    react()
    happened(customer, "Order Completed", at=NOON + timedelta(minutes=1))
    react(NOON + timedelta(minutes=1))
    assert Enrolment.objects.get().status == "waiting"
    Profile.objects.filter(pk=visitor).update(merged_into=customer)
    go_on(NOON + HALF_HOUR)
    assert Enrolment.objects.get().status == "converted"
    assert mail.outbox == []


def test_an_erased_person_leaves(person: Callable[..., int]) -> None:
    start()
    reader = person()
    happened(reader, "Product Viewed", product_id="p1")
    react()
    Profile.objects.filter(pk=reader).update(erased_at=NOON)
    go_on(NOON + HALF_HOUR)
    assert Enrolment.objects.values_list("status", "exit_cause").get() == ("exited", "erased")


def test_a_paused_journey_takes_nobody_in_and_moves_nobody_on(person: Callable[..., int]) -> None:
    journey = start()
    reader = person(agrees=("marketing",))
    happened(reader, "Product Viewed", product_id="p1")
    react()
    journeys.pause(journey.pk, actor=ACTOR, now=NOON)
    happened(reader, "Product Viewed", product_id="p2")
    react()
    go_on(NOON + HALF_HOUR)
    assert Enrolment.objects.values_list("entry_key", "status").get() == ("p1", "waiting")
    journeys.activate(journey.pk, actor=ACTOR, now=NOON)
    go_on(NOON + timedelta(hours=26))
    assert Enrolment.objects.values_list("status", "exit_cause").get() == ("exited", "expired")
    assert mail.outbox == []


def test_archiving_lets_everybody_go_and_cancels_what_is_queued(person: Callable[..., int]) -> None:
    journey = start()
    first, second = person(agrees=("marketing",)), person(agrees=("marketing",))
    happened(first, "Product Viewed", product_id="p1")
    react()
    enrolments.advance(now=NOON + HALF_HOUR)
    happened(second, "Product Viewed", product_id="p1")
    react()
    journeys.archive(journey.pk, actor=ACTOR, now=NOON)
    assert sorted(Enrolment.objects.values_list("status", "exit_cause")) == [
        ("exited", "archived"),
        ("finished", ""),
    ]
    assert OutboundMessage.objects.values_list("decision", "reason").get() == ("dropped", "cancelled")
    with pytest.raises(Conflict):
        journeys.activate(journey.pk, actor=ACTOR, now=NOON)


def test_people_finish_the_version_they_entered(person: Callable[..., int]) -> None:
    journey = start()
    early, late = person(agrees=("marketing",)), person(agrees=("marketing",))
    happened(early, "Product Viewed", product_id="p1")
    react()
    data = browsed()
    data["steps"][0]["minutes"] = 600
    journeys.revise(journey.pk, definition_data=data, actor=ACTOR, now=NOON)
    happened(late, "Product Viewed", product_id="p1")
    react()
    go_on(NOON + HALF_HOUR)
    assert dict(Enrolment.objects.values_list("profile_id", "status")) == {early: "finished", late: "waiting"}
    assert Journey.objects.get().version == 2


def test_the_log_of_an_enrolment_cannot_be_rewritten(person: Callable[..., int]) -> None:
    start()
    happened(person(), "Product Viewed", product_id="p1")
    react()
    with pytest.raises(DatabaseError), transaction.atomic():
        EnrolmentEvent.objects.update(kind="finished")
    with pytest.raises(DatabaseError), transaction.atomic():
        EnrolmentEvent.objects.all().delete()


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"holdout_percent": 91}, "holdout_percent"),
        ({"holdout_percent": True}, "holdout_percent"),
        ({"surprise": 1}, "definition"),
        ({"steps": []}, "steps"),
        ({"steps": [{"id": "a", "type": "jump"}]}, "steps[0].type"),
        ({"steps": [{"id": "a", "type": "wait", "minutes": -1}]}, "steps[0].minutes"),
        ({"steps": [{"id": "a", "type": "end"}, {"id": "a", "type": "end"}]}, "steps"),
        ({"steps": [{"id": "a b", "type": "end"}]}, "steps[0].id"),
        ({"steps": [{"id": "a", "type": "message", "kind": "nobody.knows"}]}, "steps[0].kind"),
        (
            {"steps": [{"id": "a", "type": "message", "kind": "tests.marketing", "values": {}}]},
            "steps[0].values",
        ),
        ({"steps": [{"id": "a", "type": "condition", "if": {}, "then": "a"}]}, "steps[0].if"),
        (
            {
                "steps": [
                    {"id": "a", "type": "end"},
                    {"id": "b", "type": "condition", "if": {"where": []}, "then": "a"},
                ]
            },
            "steps[1].then",
        ),
        ({"trigger": {"kind": ""}}, "trigger.kind"),
        (
            {"trigger": {"kind": "x", "where": [{"property": "p", "op": "like", "value": 1}]}},
            "trigger.where[0].op",
        ),
        ({"entry_key": {"per": "year"}}, "entry_key.per"),
        ({"entry_key": {}}, "entry_key"),
        ({"cap": {"entries": 0, "hours": 1}}, "cap.entries"),
    ],
)
def test_a_definition_that_cannot_work_is_refused_with_its_place(change: dict[str, Any], place: str) -> None:
    with pytest.raises(Invalid) as refusal:
        journeys.create(name="Broken", definition_data=browsed(**change), actor=ACTOR, now=NOON)
    assert (refusal.value.code, refusal.value.field) == ("invalid_definition", place)
    assert Journey.objects.count() == 0


def test_rules_compare_as_people_expect() -> None:
    rule = definition.Rule
    assert rule("price", "greater", 10).matches({"price": "12.5"})
    assert not rule("price", "greater", 10).matches({"price": "cheap"})
    assert rule("sku", "equals", 7).matches({"sku": "7"})
    assert not rule("gift", "equals", 1).matches({"gift": True})
    assert rule("brand", "in", ["A", "B"]).matches({"brand": "B"})
    assert rule("tags", "contains", "new").matches({"tags": ["new"]})
    assert rule("coupon", "missing").matches({"coupon": ""})
    assert rule("coupon", "not_equals", "X").matches({})


@pytest.mark.django_db(transaction=True)
def test_two_pollers_move_each_person_on_once(person: Callable[..., int]) -> None:
    start()
    for _number in range(20):
        happened(person(agrees=("marketing",)), "Product Viewed", product_id="p1")
    react()
    barrier, faults = threading.Barrier(2), []

    def work() -> None:
        try:
            barrier.wait()
            while enrolments.advance(now=NOON + HALF_HOUR, limit=3).claimed:
                pass
        except BaseException as error:
            faults.append(error)
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _number in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert faults == []
    assert EnrolmentEvent.objects.filter(kind="messaged").count() == 20
    assert OutboundMessage.objects.count() == 20
