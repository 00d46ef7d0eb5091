"""The people search: everything staff may type finds its person, says why, and nothing else is found."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from crm import names
from crm.models import Profile
from crm.selectors import search
from crm.services import contacts, erasure, merges, profiles
from tests.crm.conftest import NOON, SYSTEM
from tests.crm.people.conftest import Maker

pytestmark = pytest.mark.django_db


def found(text: str, **more: int) -> list[int]:
    return [hit.profile_id for hit in search.people(text, **more)]


def why(text: str) -> list[list[str]]:
    return [hit.reasons for hit in search.people(text)]


@pytest.fixture
def crowd(identify: Maker) -> dict[str, int]:
    return {
        "zhang": identify("u-1", name="张伟", email="zhang.wei@acme.example", phone="13800138000"),
        "ouyang": identify("u-2", name="欧阳娜娜", email="nana@mail.example"),
        "qiu": identify("u-3", name="仇英"),
        "shan": identify("u-4", name="单小雨"),
        "ann": identify("u-5", name="Ann Example", email="ann@acme.example", phone="+44 20 7946 0958"),
        "li": identify("u-6", name="李"),
        "zhangli": identify("u-7", name="张丽", phone="13900138000"),
    }


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("张伟", ["zhang"]),
        ("张", ["zhangli", "zhang"]),
        ("伟", ["zhang"]),
        ("李", ["li"]),
        ("欧阳娜", ["ouyang"]),
        ("欧阳娜娜", ["ouyang"]),
        ("阳娜", ["ouyang"]),
        ("zhangwei", ["zhang"]),
        ("zhang wei", ["zhang"]),
        ("wei zhang", ["zhang"]),
        ("zw", ["zhang"]),
        ("zhang", ["zhangli", "zhang"]),
        ("Zhang", ["zhangli", "zhang"]),
        ("oynn", ["ouyang"]),
        ("ouyang", ["ouyang"]),
        ("qiu", ["qiu"]),
        ("chou", ["qiu"]),
        ("shan", ["shan"]),
        ("dan", ["shan"]),
        ("sxy", ["shan"]),
        ("张wei", ["zhang"]),
        ("ann", ["ann"]),
        ("ANN exa", ["ann"]),
        ("zhang.wei@acme.example", ["zhang"]),
        ("Zhang.Wei@ACME.example", ["zhang"]),
        ("zhang.wei", ["zhang"]),
        ("nana", ["ouyang"]),
        ("acme.example", ["ann", "zhang"]),
        ("@acme.example", ["ann", "zhang"]),
        ("acme", ["ann", "zhang"]),
        ("张 acme", ["zhang"]),
        ("acme ann", ["ann"]),
        ("13800138000", ["zhang"]),
        ("138 0013 8000", ["zhang"]),
        ("+8613800138000", ["zhang"]),
        ("8000", ["zhangli", "zhang"]),
        ("0138000", ["zhangli", "zhang"]),
        ("1380013", ["zhang"]),
        ("张 8000", ["zhangli", "zhang"]),
        ("伟 8000", ["zhang"]),
        ("0958", ["ann"]),
        ("u-5", ["ann"]),
        ("nobody", []),
        ("张 nobody", []),
        ("伟丽", []),
        ("", []),
        ("   ", []),
        ("%", []),
        ("'; DROP TABLE", []),
        ("000", []),
        ("张" * 200, []),
    ],
)
def test_what_staff_type_finds_its_person(crowd: dict[str, int], typed: str, expected: list[str]) -> None:
    names_of = {profile_id: name for name, profile_id in crowd.items()}
    assert [names_of[profile_id] for profile_id in found(typed)] == expected


def test_answers_say_why(crowd: dict[str, int]) -> None:
    assert why("张伟") == [["name"]]
    assert why("zw") == [["pinyin"]]
    assert why("zhang.wei@acme.example") == [["email"]]
    assert why("13800138000") == [["phone"]]
    assert why("u-5") == [["user_id"]]
    assert why("acme") == [["email_domain"], ["email_domain"]]
    assert why("张 acme") == [["name", "email_domain"]]
    public_id = str(Profile.objects.get(pk=crowd["ann"]).public_id)
    assert why(public_id) == [["public_id"]]
    assert why(f"#{crowd['ann']}") == [["number"]]
    assert str(search.reason_label("phone")) == "Phone"
    assert search.reason_label("loyalty_card") == "loyalty_card"


def test_the_whole_name_comes_before_a_part_of_one(identify: Maker) -> None:
    whole, longer = identify("a", name="王伟"), identify("b", name="王伟国")
    inside = identify("c", name="小王伟")
    assert found("王伟") == [whole, longer, inside]
    exact = identify("王伟", name="Somebody Else")
    assert found("王伟") == [exact, whole, longer, inside]


def test_identifiers_of_any_kind_are_found(db: None) -> None:
    person = profiles.resolve(
        [("wechat_unionid", "oUnion-77"), ("loyalty_card", "LC-0042")], trust="server", actor=SYSTEM, now=NOON
    )
    assert found("oUnion-77") == found("LC-0042") == [person]
    assert why("LC-0042") == [["loyalty_card"]]


def test_merged_people_are_found_by_what_either_had(identify: Maker) -> None:
    one, two = (
        identify("a", name="张伟", phone="13800138001"),
        identify("b", name="Will", email="w@acme.example"),
    )
    merges.merge(one, two, actor=SYSTEM, now=NOON)
    assert found("w@acme.example") == found("张 acme") == found("b") == [one]
    public_id = str(Profile.objects.get(pk=two).public_id)
    assert found(public_id) == [one]
    assert found("Will") == [], "the name that was not kept"


def test_the_erased_are_found_nowhere(identify: Maker) -> None:
    person = identify("a", name="张伟", email="zw@acme.example", phone="13800138001")
    number = f"#{person}"
    erasure.erase(person, actor=SYSTEM, now=NOON)
    for typed in ("张伟", "zw", "zw@acme.example", "13800138001", "8001", "a", number):
        assert found(typed) == []


def test_one_address_of_a_family_finds_them_all(identify: Maker) -> None:
    one, two = identify("a", name="Ann"), identify("b", name="Bob")
    for person in (one, two):
        contacts.add(
            person, channel="email", value="home@mail.example", origin="staff", actor=SYSTEM, now=NOON
        )
    assert found("home@mail.example") == [two, one]


def test_a_common_word_costs_what_a_rare_one_costs(identify: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "CAP", 5)
    people = [identify(f"u-{n}", name="李") for n in range(12)]
    rare = identify("rare", name="李 Rare")
    with CaptureQueriesContext(connection) as queries:
        hits = found("李")
    # The newest and who they are (3), the word (1 and its setting), who that is (2); savepoints apart.
    assert len([query for query in queries if "SAVEPOINT" not in query["sql"]]) <= 7
    assert people[-1] in hits, "the newest are among them"
    assert found("李 rare") == [rare]


def test_two_common_words_find_who_has_both(identify: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "CAP", 5)
    monkeypatch.setattr(search, "NEWEST", 3)
    both = identify("both", name="Li Wei")
    for n in range(8):
        identify(f"l-{n}", name="Li Other")
        identify(f"w-{n}", name="Wei Another")
    assert found("li wei") == [both]


def test_a_domain_that_most_people_have_is_not_listed(
    identify: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "CAP", 5)
    monkeypatch.setattr(search, "NEWEST", 20)
    rare = identify("rare", name="欧阳娜娜", email="nana@firm.example")
    many = [
        identify(f"u-{number}", name=f"王{number}", email=f"w{number}@firm.example") for number in range(30)
    ]
    with CaptureQueriesContext(connection) as queries:
        assert found("欧阳 firm.example") == [rare]
    probes = [query["sql"] for query in queries if "crm_identity WHERE value" in query["sql"]]
    assert probes and not any("crm_address_words" in sql and "@firm.example" in sql for sql in probes)
    assert found("王 firm.example")[:5] == many[:-6:-1], "the newest come first"


def test_people_follow_their_names(identify: Maker) -> None:
    person = identify("a", name="张伟")
    profiles.update(person, values={"display_name": "仇英"}, actor=SYSTEM, now=NOON)
    assert (found("张伟"), found("qiu")) == ([], [person])
    assert Profile.objects.get(pk=person).name_sort == "qiu ying"


def test_family_names_are_read_as_family_names() -> None:
    assert names.sort_key("单雄信") == "shan xiong xin"
    assert names.sort_key("曾国藩") == "zeng guo fan"
    assert names.sort_key("尉迟恭") == "yu chi gong"
    assert names.sort_key("简单") == "jian dan"
    assert names.sort_key("Ann Example") == "ann example"
    assert {"shanxiongxin", "sxx", "danxiongxin"} <= set(names.tokens("单雄信"))
    assert "李" in names.tokens("李") and "l" in names.tokens("李")
