"""Merge suggestions: what speaks for a pair, what does not, and that a dismissal lasts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from crm.models import MergeSuggestion, Source
from crm.services import contacts, merges, suggestions, touchpoints
from tests.crm.conftest import NOON, SYSTEM, ref
from tests.crm.people.conftest import Maker

pytestmark = pytest.mark.django_db


def find(**more: Any) -> int:
    return suggestions.find(now=NOON, **more)


def rows() -> list[tuple[Any, ...]]:
    found = MergeSuggestion.objects.order_by("pk")
    return [(r.first_id, r.second_id, r.status, sorted(e["code"] for e in r.evidence)) for r in found]


def address(person: int, value: str, channel: str = "email") -> None:
    contacts.add(person, channel=channel, value=value, origin="staff", actor=SYSTEM, now=NOON)


def test_the_same_phone_and_the_same_name(identify: Maker) -> None:
    one = identify("a", name="张伟", phone="13800138001")
    two = identify("b", name="张玮")
    address(two, "13800138001", "sms")
    assert find() == 1
    assert rows() == [(one, two, "open", ["same_name", "same_phone"])]
    assert MergeSuggestion.objects.get().score == 85
    assert find() == 0
    assert len(rows()) == 1


def test_evidence_holds_no_value_of_a_person(identify: Maker) -> None:
    one, two = identify("a", name="Ann Example", email="ann@acme.example"), identify("b", name="Ann Example")
    address(two, "ann@acme.example")
    find()
    evidence = str(MergeSuggestion.objects.get().evidence)
    assert (one, two) == rows()[0][:2]
    assert "acme" not in evidence and "ann" not in evidence.casefold()


def test_a_family_at_one_telephone_is_not_suggested(identify: Maker) -> None:
    for name, user in (("张伟", "a"), ("李娜", "b")):
        address(
            identify(user, name=name, birthday="1980-01-02" if user == "a" else "1982-03-04"),
            "13800138001",
            "sms",
        )
    assert find() == 0
    assert rows() == []


def test_an_address_of_many_people_speaks_for_nothing(identify: Maker) -> None:
    for number in range(7):
        address(identify(f"u-{number}", name="Ann Example"), "office@gmail.com")
    assert find() == 0


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        (
            ("Ann Example", "ann@acme.example"),
            ("Example Ann", "a.example@acme.example"),
            ["same_domain", "same_name"],
        ),
        (("张伟", "zw@acme.example"), ("张伟", "wei@acme.example"), ["same_domain", "same_name"]),
        (("张伟", "zw@acme.example"), ("张文", "wen@acme.example"), None),
        (("Ann Example", "ann@gmail.com"), ("Ann Example", "ann.e@gmail.com"), None),
        (("Ann Example", "ann@acme.example"), ("Ann Example", "ann@other.example"), None),
        (("Ann Example", "ann@acme.example"), ("Bob Other", "bob@acme.example"), None),
    ],
)
def test_names_within_one_company(identify: Maker, one: Any, two: Any, expected: list[str] | None) -> None:
    identify("a", name=one[0], email=one[1])
    identify("b", name=two[0], email=two[1])
    find()
    assert [row[3] for row in rows()] == ([expected] if expected else [])


def test_a_name_and_a_birthday(identify: Maker) -> None:
    one = identify("a", name="王芳", birthday="1990-02-28", region="浙江")
    two = identify("b", name="王芳", birthday="1990-02-28", region="浙江")
    identify("c", name="王芳", birthday="1991-02-28")
    assert find() == 1
    assert rows() == [(one, two, "open", ["same_birthday", "same_name", "same_region"])]


def test_a_dismissed_pair_stays_so_until_something_new_speaks_for_it(identify: Maker) -> None:
    one, two = identify("a", name="张伟", phone="13800138001"), identify("b", name="张伟")
    address(two, "13800138001", "sms")
    find()
    merges.decide_suggestion(MergeSuggestion.objects.get().pk, accept=False, actor=SYSTEM, now=NOON)
    assert MergeSuggestion.objects.get().decided_by == str(SYSTEM)
    assert find() == 0
    assert rows()[0][2] == "dismissed"
    address(one, "zw@acme.example")
    address(two, "zw@acme.example")
    assert find() == 1
    row = MergeSuggestion.objects.get()
    assert (row.status, row.decided_at, row.decided_by) == ("open", None, "")


def test_only_what_was_learnt_lately(identify: Maker) -> None:
    two = identify("b", name="张伟")
    identify("a", name="张伟", phone="13800138001")
    address(two, "13800138001", "sms")
    assert suggestions.find(now=NOON + timedelta(hours=2), recent=timedelta(hours=1)) == 0
    assert suggestions.find(now=NOON, recent=timedelta(hours=1)) == 1


def test_a_browser_claim_is_a_suggestion(identify: Maker, browser_source: Source) -> None:
    one, two = identify("a", email="a@mail.example"), identify("b", email="b@mail.example")
    event = touchpoints.Event("page", NOON, "", identifiers=[("user_id", "a"), ("email", "b@mail.example")])
    result = touchpoints.record([event], source=ref(browser_source), actor=SYSTEM, now=NOON)
    assert [code for _at, code, _detail in result.warnings] == ["merge_not_allowed"]
    assert rows() == [(one, two, "open", ["browser_claim"])]
    assert MergeSuggestion.objects.get().source_id == browser_source.pk


def test_merging_settles_the_suggestion_and_undo_dismisses_it(identify: Maker) -> None:
    one, two = identify("a", name="张伟", phone="13800138001"), identify("b", name="张伟")
    address(two, "13800138001", "sms")
    find()
    record = merges.merge(two, one, actor=SYSTEM, now=NOON)
    assert rows()[0][2] == "merged"
    assert find() == 0
    merges.undo(record.pk, actor=SYSTEM, now=NOON)
    assert rows()[0][2] == "dismissed"
    assert find() == 0


def test_several_are_dismissed_at_once(identify: Maker) -> None:
    for user in ("a", "b", "c"):
        address(identify(user, name="张伟"), "13800138001", "sms")
    assert find() == 3
    ids = list(MergeSuggestion.objects.values_list("pk", flat=True))
    assert suggestions.dismiss_many(ids, actor=SYSTEM, now=NOON) == 3
    assert suggestions.dismiss_many(ids, actor=SYSTEM, now=NOON) == 0


def test_the_likeliest_come_first_when_there_are_too_many(
    identify: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crm.kernel import knobs

    best = [identify(user, name="王芳", birthday="1990-02-28") for user in ("a", "b")]
    for person in best:
        address(person, "13800138002", "sms")
    for user in ("c", "d"):
        address(identify(user), "d@mail.example")
    monkeypatch.setattr(
        knobs, "get", lambda name, get=knobs.get: 1 if name == "crm.suggestions_per_pass" else get(name)
    )
    assert find() == 1
    assert rows()[0][:2] == tuple(best)
