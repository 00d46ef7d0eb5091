"""Makers of people for these tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from crm.kernel import clock
from crm.models import Source
from crm.services import sources, touchpoints
from tests.crm.conftest import NOON, SYSTEM, browser_source, forgetful_caches, ref

__all__ = ["browser_source", "forgetful_caches"]

Maker = Callable[..., int]


@pytest.fixture
def shop(db: None) -> Source:
    return sources.create("People shop", trust="server", actor=SYSTEM, now=clock.now())


@pytest.fixture
def identify(shop: Source) -> Maker:
    """identify(user_id, **traits) -> root profile id, as a server's identify call does it."""

    def make(user_id: str, **traits: Any) -> int:
        pairs = [("user_id", user_id)] + [
            (kind, traits[kind]) for kind in ("email", "phone") if kind in traits
        ]
        event = touchpoints.Event("identify", NOON, "", identifiers=pairs, traits=traits)
        found = touchpoints.record([event], source=ref(shop), actor=SYSTEM, now=NOON).profile_ids[0]
        assert found is not None
        return found

    return make
