"""Knobs: defaults until turned, bounds kept, every turn logged."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from crm.kernel import actors, knobs
from crm.kernel.errors import Invalid, NotFound
from crm.kernel.models import ActionLog, Knob

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
STAFF = actors.Actor("staff", "1")

knobs.register("tests.cap", type=int, default=3, minimum=0, maximum=10, label="Cap")
knobs.register("tests.share", type=Decimal, default=Decimal("0.1"), minimum=0, maximum=1, label="Share")
knobs.register("tests.on", type=bool, default=False, label="On")
knobs.register("tests.mode", type=str, default="a", choices=("a", "b"), label="Mode")


@pytest.fixture(autouse=True)
def fresh(db):
    knobs.forget()
    yield
    knobs.forget()


def test_the_default_holds_until_staff_turn_the_knob():
    assert knobs.get("tests.cap") == 3
    knobs.set("tests.cap", "7", actor=STAFF, now=NOW)
    assert knobs.get("tests.cap") == 7
    assert ActionLog.objects.get().action == "kernel.knob.changed"
    knobs.reset("tests.cap", actor=STAFF, now=NOW)
    assert knobs.get("tests.cap") == 3


def test_types_survive_storage():
    knobs.set("tests.share", "0.25", actor=STAFF, now=NOW)
    knobs.set("tests.on", "true", actor=STAFF, now=NOW)
    assert knobs.get("tests.share") == Decimal("0.25")
    assert knobs.get("tests.on") is True


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tests.cap", 11),
        ("tests.cap", -1),
        ("tests.cap", "2.5"),
        ("tests.cap", True),
        ("tests.cap", None),
        ("tests.share", "NaN"),
        ("tests.share", "2"),
        ("tests.on", "perhaps"),
        ("tests.mode", "c"),
    ],
)
def test_a_bad_value_is_refused_and_nothing_is_written(name, value):
    with pytest.raises(Invalid) as refusal:
        knobs.set(name, value, actor=STAFF, now=NOW)
    assert refusal.value.code == "invalid_knob"
    assert refusal.value.allowed is not None
    assert not Knob.objects.exists()
    assert not ActionLog.objects.exists()


def test_an_unknown_knob_is_not_found():
    with pytest.raises(NotFound):
        knobs.set("tests.nothing", 1, actor=STAFF, now=NOW)
