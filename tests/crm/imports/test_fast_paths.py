"""The short ways of imports answer what the libraries answer."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pypinyin import Style, lazy_pinyin

from crm import names
from crm.addresses import address_hash
from crm.imports import values
from crm.selectors import rules
from crm.services import traits
from crm.services.import_contacts import hash_of

LOCAL = st.text("abcXYZ019._+-", min_size=1, max_size=20)
LABEL = st.text("abcXYZ019-", min_size=1, max_size=12)


@given(
    LOCAL, st.lists(LABEL, min_size=1, max_size=3), st.sampled_from(["com", "CN", "c", "x1", "museum", "a-b"])
)
@settings(max_examples=600, deadline=None)
def test_plain_addresses_are_read_as_the_library_reads_them(local: str, labels: list[str], top: str) -> None:
    text = f"{local}@{'.'.join(labels)}.{top}"
    library = rules.email.__wrapped__(text)
    if values._EMAIL.fullmatch(text.lower()):
        assert library == text.lower() == values.email(text)
    else:
        try:
            assert values.email(text) == library
        except values.Bad:
            assert library is None


@given(st.text("0123456789+- ", min_size=1, max_size=18), st.sampled_from(["CN", "US", ""]))
@settings(max_examples=600, deadline=None)
def test_numbers_are_read_as_the_library_reads_them(text: str, region: str) -> None:
    text = text.strip()
    assume(text)
    library = rules.phone.__wrapped__(text, region=region)
    try:
        assert values.phone(text, region=region) == library
    except values.Bad:
        assert library is None


def read(text: str) -> str | None:
    try:
        return values.phone(text, region="CN")
    except values.Bad:
        return None


@pytest.mark.parametrize("country", ["", "+86"])
def test_every_range_of_mainland_mobiles_is_read_as_the_library_reads_it(country: str) -> None:
    """All of 13000 to 19999, so no range waits for a lucky draw: 17900 to 17999 belong to carriers."""
    for start in range(13000, 20000):
        text = f"{country}{start}{start * 37 % 1000000:06}"
        assert read(text) == rules.phone.__wrapped__(text, region="CN"), text


@given(st.from_regex(r"\A(\+86)?1[3-9][0-9]{9}\Z"))
@settings(max_examples=400, deadline=None)
def test_mainland_mobiles_are_read_as_the_library_reads_them(text: str) -> None:
    assert read(text) == rules.phone.__wrapped__(text, region="CN")


@given(st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), min_size=1, max_size=8))
@settings(max_examples=500, deadline=None)
def test_characters_are_read_as_pypinyin_reads_them(run: str) -> None:
    assert names._plain(run) == tuple(
        names.fold(part) or "?" for part in lazy_pinyin(run, style=Style.NORMAL)
    )


def test_words_of_several_readings_are_still_read_as_words() -> None:
    for word in ("重庆", "银行", "行走", "长乐", "音乐", "单单", "朝阳", "王朝阳", "欧阳重庆"):
        assert names._plain(word) == tuple(lazy_pinyin(word, style=Style.NORMAL))


@given(st.sampled_from(["email", "sms", "wechat"]), st.text(max_size=30))
def test_addresses_have_one_hash(channel: str, value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        return
    assert hash_of(channel, value) == address_hash(channel, value)


@given(st.dates())
def test_birthdays_are_what_the_door_takes_for_one(day: object) -> None:
    from datetime import date

    text = str(day)
    door = traits.read({"birthday": text})[0].get("birthday")
    try:
        assert values.birthday(text, order="", today=date(9999, 12, 31)) == door
    except values.Bad:
        assert door is None


def test_names_of_traits_never_collide_with_what_has_a_column() -> None:
    from crm.imports import columns

    assert set(traits._COLUMN_OF) | {"email", "phone", "address", "tie_strength"} <= columns.RESERVED
