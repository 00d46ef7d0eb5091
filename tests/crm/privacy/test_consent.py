"""A yes has words, a way and proof; the strictest decision of a person wins; undoing a merge restores exactly."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from crm.kernel import actors, knobs
from crm.kernel.errors import Conflict, Gone, Invalid, NotFound
from crm.kernel.models import PendingReaction
from crm.models import ConsentRecord, ConsentRequest, ConsentText, ContactPoint, Suppression
from crm.selectors import consent_texts as text_reads
from crm.selectors import consents as reads
from crm.services import consent_texts, consents, erasure, merges, opt_ins, suppressions
from tests.crm.conftest import NOON, SYSTEM

pytestmark = pytest.mark.django_db
STAFF = actors.Actor("staff", "1")
Person = Callable[..., int]


def allowed(profile_id: int, purpose: str = "marketing") -> bool:
    return reads.allowed([profile_id], purpose=purpose, channel="email")[profile_id]


def contact_of(profile_id: int) -> ContactPoint:
    return ContactPoint.objects.get(profile_id=profile_id)


def ask(profile_id: int, *purposes: str, now: Any = NOON, **more: Any) -> ConsentRequest | None:
    return opt_ins.request(
        profile_id, contact_id=contact_of(profile_id).pk, purposes=purposes or ("marketing",), way="form",
        language="en", actor=SYSTEM, now=now, **more,
    )  # fmt: skip


# -- texts


def test_a_change_of_words_is_a_new_version() -> None:
    first = text_reads.in_force(now=NOON + timedelta(days=400))["marketing"]
    assert first.code == "marketing-1"
    row = consent_texts.write(
        "marketing", text_en="New words", text_zh_hans="新的说法", actor=STAFF, now=NOON + timedelta(days=400)
    )
    assert (row.code, row.in_language("zh-hans"), row.in_language("en")) == (
        "marketing-2",
        "新的说法",
        "New words",
    )
    after = text_reads.in_force(now=NOON + timedelta(days=401))["marketing"]
    assert after.code == "marketing-2"
    assert text_reads.by_code("marketing-1").text_en == first.text_en  # type: ignore[union-attr]


def test_a_version_is_never_altered() -> None:
    row = consent_texts.write("care", text_en="Words", text_zh_hans="说法", actor=STAFF, now=NOON)
    with pytest.raises(DatabaseError), transaction.atomic():
        ConsentText.objects.filter(pk=row.pk).update(text_en="Other words")
    with pytest.raises(DatabaseError), transaction.atomic():
        row.delete()
    assert ConsentText.objects.get(pk=row.pk).text_en == "Words"


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"text_en": "", "text_zh_hans": "说法"}, "invalid_text"),
        ({"text_en": "W", "text_zh_hans": "x" * 2001}, "invalid_text"),
        ({"text_en": "W", "text_zh_hans": "说", "valid_from": NOON - timedelta(days=1)}, "in_the_past"),
    ],
)
def test_bad_texts_are_refused(values: dict[str, Any], code: str) -> None:
    before = ConsentText.objects.count()
    with pytest.raises(Invalid) as refused:
        consent_texts.write("care", actor=STAFF, now=NOON, **values)
    assert (refused.value.code, ConsentText.objects.count()) == (code, before)


def test_the_same_words_are_no_new_version() -> None:
    later = NOON + timedelta(days=400)
    held = text_reads.in_force(now=later)["survey"]
    with pytest.raises(Conflict):
        consent_texts.write(
            "survey", text_en=held.text_en, text_zh_hans=held.text_zh_hans, actor=STAFF, now=later
        )


# -- double opt-in


def test_a_yes_counts_when_the_owner_confirmed_it(person: Person) -> None:
    one = person(origin="form")
    row = ask(one, "marketing", "care")
    assert row is not None and not allowed(one)
    assert PendingReaction.objects.filter(kind="crm.consent.requested", items=[row.pk]).exists()
    opt_ins.confirm(row.pk, now=NOON + timedelta(hours=1), evidence={"link": "x"})
    assert allowed(one) and contact_of(one).verified_at == NOON + timedelta(hours=1)
    record = ConsentRecord.objects.get(profile_id=one, purpose="marketing")
    assert (record.way, record.language, record.text_version) == ("double_opt_in", "en", "marketing-1")
    assert record.evidence == {
        "request": row.pk, "asked_at": NOON.isoformat(), "asked_by": "form",
        "confirmed_at": (NOON + timedelta(hours=1)).isoformat(), "link": "x",
    }  # fmt: skip
    # Care is allowed by default; an explicit yes is proven all the same.
    assert ConsentRecord.objects.filter(profile_id=one, purpose="care", granted=True).count() == 1
    opt_ins.confirm(row.pk, now=NOON + timedelta(hours=2), evidence={})
    assert ConsentRecord.objects.filter(profile_id=one).count() == 2


def test_a_request_runs_out(person: Person) -> None:
    one = person(origin="form")
    row = ask(one)
    assert row is not None
    late = NOON + timedelta(hours=knobs.get("crm.opt_in_hours"))
    with pytest.raises(Gone):
        opt_ins.confirm(row.pk, now=late, evidence={})
    assert opt_ins.sweep(now=late) == 1
    row.refresh_from_db()
    assert (row.status, allowed(one), contact_of(one).verified_at) == ("expired", False, None)


def test_an_address_is_asked_once_a_day_and_three_times_a_month(person: Person) -> None:
    one, two = (
        person(email="same@example.com", origin="form"),
        person(email="same@example.com", origin="form"),
    )
    asked = [ask((one, two)[day % 2], now=NOON + timedelta(hours=13 * day)) for day in range(12)]
    assert sum(row is not None for row in asked) == 3


def test_a_barred_address_is_not_asked(person: Person) -> None:
    one = person(email="gone@example.com", origin="form")
    suppressions.add("email", "gone@example.com", purpose="", reason="complained", actor=SYSTEM, now=NOON)
    assert ask(one) is None
    assert not ConsentRequest.objects.exists()


def test_confirming_lifts_an_unsubscription_and_nothing_else(person: Person) -> None:
    one = person(email="back@example.com", origin="form")
    for purpose, reason in (("marketing", "unsubscribed"), ("survey", "complained")):
        suppressions.add("email", "back@example.com", purpose=purpose, reason=reason, actor=SYSTEM, now=NOON)
    row = ask(one, "marketing", "survey")
    assert row is not None
    opt_ins.confirm(row.pk, now=NOON, evidence={})
    assert (allowed(one, "marketing"), allowed(one, "survey")) == (True, False)
    assert list(Suppression.objects.values_list("purpose", flat=True)) == ["survey"]


def test_what_a_sign_up_refuses(person: Person) -> None:
    one, two = person(), person()
    with pytest.raises(Invalid):
        opt_ins.request(
            one, contact_id=contact_of(one).pk, purposes=["nonsense"], way="form", actor=SYSTEM, now=NOON
        )
    with pytest.raises(NotFound):
        opt_ins.request(
            one, contact_id=contact_of(two).pk, purposes=["care"], way="form", actor=SYSTEM, now=NOON
        )
    row = ask(one)
    assert row is not None
    erasure.erase(one, actor=SYSTEM, now=NOON)
    with pytest.raises(Gone):
        opt_ins.confirm(row.pk, now=NOON, evidence={})
    assert ConsentRecord.objects.count() == 0


# -- decisions


def test_the_grid_shows_what_is_in_force_and_how(person: Person) -> None:
    one = person(email="grid@example.com", agrees=("marketing",))
    suppressions.add(
        "email", "grid@example.com", purpose="care", reason="unsubscribed", actor=SYSTEM, now=NOON
    )
    grid = reads.grid([one])
    assert len(grid) == 16
    yes, barred, never = grid[("marketing", "email")], grid[("care", "email")], grid[("survey", "sms")]
    assert (yes.is_allowed, yes.way, yes.text_version, yes.at) == (True, "form", "1", NOON)
    assert (barred.is_allowed, barred.is_suppressed, barred.at) == (False, True, None)
    assert (never.is_allowed, grid[("service", "wechat")].is_allowed) == (False, True)


def test_choosing_writes_only_what_changes(person: Person) -> None:
    one = person(agrees=("marketing",))
    choices = {("marketing", "email"): True, ("service", "email"): True, ("care", "sms"): False}
    changed = consents.choose(
        one, choices=choices, way="preferences", text_versions={"care": "care-1"}, language="zh-hans",
        evidence={}, actor=SYSTEM, now=NOON,
    )  # fmt: skip
    assert changed == 1
    record = ConsentRecord.objects.get(purpose="care")
    assert (record.granted, record.language, record.text_version) == (False, "zh-hans", "care-1")
    with pytest.raises(Invalid):
        consents.choose(
            one, choices={("nonsense", "email"): True}, way="preferences", text_versions={}, language="",
            evidence={}, actor=SYSTEM, now=NOON,
        )  # fmt: skip


def test_evidence_is_bounded(person: Person) -> None:
    one = person()
    with pytest.raises(Invalid) as refused:
        consents.record(
            one, purpose="marketing", channel="email", granted=True, way="api", text_version="",
            evidence={"scan": "x" * 5000}, actor=SYSTEM, now=NOON,
        )  # fmt: skip
    assert (refused.value.code, ConsentRecord.objects.count()) == ("too_large", 0)


def test_the_strictest_wins_on_merge_and_undo_restores_exactly(person: Person) -> None:
    one, two = person(agrees=("marketing", "survey")), person(agrees=("marketing",))
    consents.record(
        two, purpose="marketing", channel="email", granted=False, way="api", text_version="", evidence={},
        actor=SYSTEM, now=NOON + timedelta(minutes=1),
    )  # fmt: skip
    before = {ident: reads.grid([ident]) for ident in (one, two)}
    merged = merges.merge(one, two, actor=SYSTEM, now=NOON + timedelta(minutes=2))
    assert (allowed(one, "marketing"), allowed(one, "survey")) == (False, True)
    assert reads.grid([one, two])[("marketing", "email")].is_allowed is False
    merges.undo(merged.pk, actor=SYSTEM, now=NOON + timedelta(minutes=3))
    assert {ident: reads.grid([ident]) for ident in (one, two)} == before
    assert (allowed(one), allowed(two)) == (True, False)


def test_evidence_may_be_emptied_by_an_erasure_alone(person: Person) -> None:
    one = person()
    row = consents.record(
        one, purpose="marketing", channel="email", granted=True, way="api", text_version="v7",
        evidence={"ip": "203.0.113.9"}, actor=SYSTEM, now=NOON,
    )  # fmt: skip
    with pytest.raises(DatabaseError), transaction.atomic():
        ConsentRecord.objects.filter(pk=row.pk).update(evidence={})
    erasure.erase(one, actor=SYSTEM, now=NOON)
    row.refresh_from_db()
    assert (row.evidence, row.granted, row.text_version) == ({}, True, "v7")
    with pytest.raises(DatabaseError), transaction.atomic():
        ConsentRecord.objects.filter(pk=row.pk).update(granted=False, evidence={})
