"""People to be private with, and private files in a folder of the test's own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from crm.kernel import jobs, knobs
from crm.services import consents, contacts, partitions, profiles
from tests.crm.conftest import NOON, SYSTEM

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def own_files(settings: Any, tmp_path: Path) -> Path:
    """Files of exports, in a folder nobody else has."""
    settings.MEDIA_ROOT = tmp_path / "media"
    return settings.MEDIA_ROOT


@pytest.fixture(autouse=True)
def wakes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """The wake-ups that would have been sent; caches forget afterwards."""
    seen: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(jobs, "_send", lambda name, ids: seen.append((name, ids)))
    yield seen
    knobs.forget()
    partitions.forget()


@pytest.fixture
def person(db: None) -> Callable[..., int]:
    """person(email=…, agrees=(…), **names) -> profile id."""

    def make(
        *, email: str | None = "", agrees: tuple[str, ...] = (), origin: str = "server", **names: str
    ) -> int:
        number = next(_numbers)
        profile_id = profiles.resolve(
            [("user_id", f"private-{number}")], trust="server", actor=SYSTEM, now=NOON, names=names or None
        )
        if email is not None:
            address = email or f"private-{number}@example.com"
            contacts.add(profile_id, channel="email", value=address, origin=origin, actor=SYSTEM, now=NOON)
        for purpose in agrees:
            consents.record(
                profile_id, purpose=purpose, channel="email", granted=True, way="form", text_version="1",
                evidence={}, actor=SYSTEM, now=NOON,
            )  # fmt: skip
        return profile_id

    return make
