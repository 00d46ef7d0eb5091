"""The register of processing names every personal field, and the check every field nobody has looked at."""

from __future__ import annotations

import pytest
from django.utils import translation

from crm import checks, privacy_registry
from crm.selectors import processing


def test_somebody_has_looked_at_every_field() -> None:
    assert processing.untagged() == []
    assert processing.misplaced() == []


def test_an_unknown_field_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(privacy_registry._tags, ("crm.profile", "birthday"))
    found = checks.personal_fields_are_tagged(None)
    assert [(one.id, str(one.msg)) for one in found] == [
        ("crm.W010", "crm.profile.birthday is in no register of processing")
    ]


@pytest.mark.parametrize(
    ("language", "word"), [("en", "To answer people's rights over their own data"), ("zh-hans", "权利")]
)
def test_the_register_speaks_both_languages(language: str, word: str) -> None:
    with translation.override(language):
        entries = processing.entries()
    assert len(entries) > 60
    assert any(word in entry.purpose for entry in entries)
    assert all(entry.purpose and entry.basis and entry.kept for entry in entries)
