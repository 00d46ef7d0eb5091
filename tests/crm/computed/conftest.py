"""People with touchpoints, and traits over them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from crm.models import ComputedTrait
from crm.selectors import computed as reads
from crm.services import computed, passes, touchpoints
from tests.crm.conftest import NOON, SYSTEM


@pytest.fixture(autouse=True)
def forget_traits() -> Iterator[None]:
    """No test sees the traits of another one that was rolled back."""
    reads.forget()
    yield
    reads.forget()


def happen(
    user: str,
    kind: str,
    properties: dict[str, Any] | None = None,
    *,
    days: float = 1,
    at: datetime | None = None,
    now: datetime = NOON,
    message_id: str = "",
    historical: bool = False,
) -> int:
    """Something happens to somebody; returns the id of their root."""
    result = touchpoints.record(
        [
            touchpoints.Event(
                kind,
                at or now - timedelta(days=days),
                message_id,
                identifiers=[("user_id", user)],
                properties=properties or {},
            )
        ],
        source=None,
        actor=SYSTEM,
        now=now,
        historical=historical,
    )
    found = result.profile_ids[0]
    assert found is not None
    return found


def trait(
    key: str = "tea_orders", *, active: bool = True, now: datetime = NOON, **definition: Any
) -> ComputedTrait:
    """A trait with this definition, computed for everybody when active."""
    wanted = {"kind": "Order Completed", "function": "count", **definition}
    row = computed.create(key=key, name=key.replace("_", " "), definition=wanted, actor=SYSTEM, now=now)
    if active:
        row = computed.activate(row.pk, actor=SYSTEM, now=now)
        work(now)
    return row


def work(now: datetime = NOON) -> int:
    """Let a worker do every pass that waits."""
    return passes.work(now=lambda: now, until=lambda: False)


def values(row: ComputedTrait) -> dict[int, Any]:
    """The values of a trait by profile."""
    from crm.models import ComputedValue
    from crm.selectors import computing

    one = reads.by_id(row.pk)
    assert one is not None
    column = computing.column_of(one.definition.type)
    rows = ComputedValue.objects.filter(trait=row).values_list("profile_id", column)
    return {pk: reads.plain(held, one.definition.type) for pk, held in rows}
