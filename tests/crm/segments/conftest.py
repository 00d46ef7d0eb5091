"""What tests of segments share: people, orders, and the wheels that turn by themselves in the running system."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crm.conditions import compiler, definition
from crm.kernel import actors, clock, reactions
from crm.kernel.models import PendingReaction
from crm.models import Profile, Segment, SegmentMembership, SegmentRun
from crm.selectors import followed, profiles
from crm.services import segment_passes, touchpoints

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
ACTOR = actors.system("test")
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def forgetful_segments() -> Iterator[None]:
    """What one test followed is nothing to the next."""
    followed.forget()
    yield
    followed.forget()


def person(**values: Any) -> int:
    """A person with these columns."""
    return Profile.objects.create(**values).pk


def happened(
    profile_id: int,
    kind: str,
    at: datetime = NOON,
    *,
    channel: str = "",
    now: datetime = NOON,
    **properties: Any,
) -> None:
    """Put one touchpoint on a timeline, as the product does."""
    event = touchpoints.Event(
        kind=kind,
        occurred_at=at,
        message_id="",
        profile_id=profile_id,
        properties=properties,
        channel=channel,
    )
    touchpoints.record([event], source=None, actor=ACTOR, now=now)


def matching(tree: Any, now: datetime = NOON, only: list[int] | None = None) -> set[int]:
    """Who a rule lets in; with `only`, by the statement that is restricted to people."""
    from django.db import connection

    at = compiler.moment(now=now)
    members = None
    if only is not None:
        members = [member for ids in profiles.id_sets(only).values() for member in ids]
    asked = compiler.compile_rule(definition.parse(tree), at=at, roots=only, members=members)
    with connection.cursor() as cursor:
        cursor.execute(asked.text, list(asked.params))
        return {row[0] for row in cursor.fetchall()}


def people(segment: Segment) -> set[int]:
    """Who is in a segment."""
    return set(SegmentMembership.objects.filter(segment_id=segment.pk).values_list("profile_id", flat=True))


def run_passes(now: datetime = NOON) -> int:
    """Do the passes that are open, as the worker does. Returns the number of steps."""
    SegmentRun.objects.filter(status__in=segment_passes.OPEN).update(run_at=NOON - 400 * DAY)
    steps = 0
    while segment_passes.work(now=now):
        steps += 1
        assert steps < 1000
    return steps


def react(now: datetime = NOON, only: str = "crm.receivers.follow_segments") -> int:
    """Do what reactions wait, as the worker does. Returns how many facts were handled."""
    handled = 0
    while PendingReaction.objects.filter(receiver=only, parked_at=None).exists():
        PendingReaction.objects.filter(receiver=only).update(run_at=NOON - 400 * DAY, lease_until=None)
        with clock.stopped(now):
            result = reactions.run(only, now=now)
        assert result.failed == 0, PendingReaction.objects.values_list("last_error", flat=True)
        handled += result.handled
    return handled


Make = Callable[..., Segment]
