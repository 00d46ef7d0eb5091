"""Receivers whose kinds are data: asked each time, beside those with fixed kinds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from crm.kernel import reactions


@pytest.fixture
def kinds() -> Iterator[set[str]]:
    wanted: set[str] = set()

    @reactions.subscribe_dynamic(wanted.__contains__, batch=True)
    def follows_the_set(facts: list[reactions.Fact]) -> None:
        """Exists to be looked up."""

    yield wanted
    name = next(name for name in reactions.receiver_names() if name.endswith("follows_the_set"))
    reactions._receivers.pop(name)
    reactions._dynamic[:] = [receiver for receiver in reactions._dynamic if receiver.name != name]


@pytest.mark.django_db
def test_interest_is_asked_each_time(kinds: set[str]) -> None:
    assert [r for r in reactions.receivers_for("Shelf Dusted") if "follows_the_set" in r.name] == []
    kinds.add("Shelf Dusted")
    assert len([r for r in reactions.receivers_for("Shelf Dusted") if "follows_the_set" in r.name]) == 1
    kinds.clear()
    assert [r for r in reactions.receivers_for("Shelf Dusted") if "follows_the_set" in r.name] == []
