"""The journeys that are running, as this process knows them: at most five seconds old, asked in the hot path."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Final

from lifecycle import definition
from lifecycle.definition import Definition
from lifecycle.models import Journey, JourneyVersion
from lifecycle.states import JourneyStatus

logger = logging.getLogger(__name__)

CACHE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Running:
    """A journey that takes people in, with its newest definition, and what every entry asks of it: the step where
    people wait first and for how many minutes, and the properties that are kept for later steps."""

    id: int
    version_id: int
    definition: Definition
    first_step: str
    first_wait: int
    kept: tuple[str, ...]


def _running_of(journey_id: int, version_id: int, plan: Definition) -> Running:
    first = plan.steps[0]
    waits = first.type == "wait"
    return Running(
        journey_id,
        version_id,
        plan,
        first_step=plan.after(first.id) if waits else first.id,
        first_wait=first.minutes if waits else 0,
        kept=tuple(sorted(plan.properties_needed())),
    )


_running: tuple[Running, ...] = ()
_trigger_kinds: frozenset[str] = frozenset()
_leaving_kinds: frozenset[str] = frozenset()
_read_at = float("-inf")
_versions: dict[int, Definition] = {}


def triggers(kind: str) -> bool:
    """Whether an active journey begins with this kind; from a set at most five seconds old."""
    _refresh()
    return kind in _trigger_kinds


def ends(kind: str) -> bool:
    """Whether this kind is the goal or an exit of a journey with people in it."""
    _refresh()
    return kind in _leaving_kinds


def forget() -> None:
    """Drop this process's cached journeys; also when the transaction that changed them ends in nothing."""
    global _read_at
    _read_at = float("-inf")


def all_running() -> tuple[Running, ...]:
    """The journeys that take people in."""
    _refresh()
    return _running


def _refresh() -> None:
    global _running, _trigger_kinds, _leaving_kinds, _read_at
    if time.monotonic() - _read_at <= CACHE_SECONDS:
        return
    running, leaving = [], set()
    for journey in Journey.objects.filter(status__in=(JourneyStatus.ACTIVE, JourneyStatus.PAUSED)):
        for version in JourneyVersion.objects.filter(journey=journey):
            try:
                plan = _versions.setdefault(version.pk, definition.parse(version.definition))
            except Exception:
                logger.exception("journey %s version %s cannot be read", journey.pk, version.number)
                continue
            leaving |= plan.leaving_kinds()
            if journey.status == JourneyStatus.ACTIVE and version.number == journey.version:
                running.append(_running_of(journey.pk, version.pk, plan))
    _running = tuple(running)
    _trigger_kinds = frozenset(item.definition.trigger.kind for item in running)
    _leaving_kinds = frozenset(leaving)
    _read_at = time.monotonic()


def definition_of(version_id: int) -> Definition:
    """Versions never change, so what was read once is kept."""
    if version_id not in _versions:
        _versions[version_id] = definition.parse(JourneyVersion.objects.get(pk=version_id).definition)
    return _versions[version_id]
