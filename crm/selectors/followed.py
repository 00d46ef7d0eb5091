"""The segments that follow events, as this process knows them: at most five seconds old, asked in the hot path.

Which kinds of touchpoints matter is read off the rules. Segments that ask about other segments come after them, so
one walk through `in_order()` settles everything.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from crm import facts
from crm.conditions import definition
from crm.conditions.definition import Allowed, Happened, Known, Node
from crm.kernel.errors import Invalid
from crm.models import Segment
from crm.states import SegmentKind, SegmentStatus

logger = logging.getLogger(__name__)

CACHE_SECONDS: Final = 5.0
ENTERED: Final = "crm.segment.entered"
LEFT: Final = "crm.segment.left"
OWN: Final = frozenset((ENTERED, LEFT))
# After these everything that is known of a person may be another thing, static lists included.
MERGE_KINDS: Final = frozenset(("crm.profile.merged", "crm.profile.unmerged"))
PERSON_KINDS: Final = MERGE_KINDS | {"crm.profile.erased"}
CONSENT_KINDS: Final = frozenset(("crm.consent.given", "crm.consent.withdrawn", "crm.suppression.changed"))
PROFILE_CHANGED: Final = "crm.profile.changed"


@dataclass(frozen=True, slots=True)
class Followed:
    """A segment with its rule, what it listens to, and the keys of segments it asks about.

    Static lists and paused segments have no rule here: their people stay, but merges and erasures are followed.
    """

    id: int
    key: str
    version: int
    rule: Node | None
    kinds: frozenset[str]
    every_kind: bool
    asks: frozenset[str]

    def cares(self, kind: str) -> bool:
        """Whether a fact of this kind can change who is in."""
        return kind in self.kinds or kind in PERSON_KINDS or (self.every_kind and kind not in OWN)


_followed: tuple[Followed, ...] = ()
_kinds: frozenset[str] = frozenset()
_every_kind = False
_read_at = float("-inf")


def wanted(kind: str) -> bool:
    """Whether some segment cares about this kind; from memory, at most five seconds old."""
    _refresh()
    return kind in _kinds or (_every_kind and kind not in OWN)


def in_order() -> tuple[Followed, ...]:
    """The segments to keep up to date, each after those it asks about."""
    _refresh()
    return _followed


def forget() -> None:
    """Drop this process's cached segments."""
    global _read_at
    _read_at = float("-inf")


def read(row: Segment) -> Followed:
    """One segment with what it listens to. Raises RuleError when its rule can no longer be read."""
    if row.kind == SegmentKind.STATIC or row.status == SegmentStatus.PAUSED:
        return Followed(row.pk, row.key, row.version, None, frozenset(), False, frozenset())
    rule = definition.parse(row.rule)
    kinds, every_kind = listens_to(rule)
    return Followed(row.pk, row.key, row.version, rule, kinds, every_kind, definition.segments(rule))


def listens_to(rule: Node) -> tuple[frozenset[str], bool]:
    """The kinds after which the rule may have another answer for a person, and whether it is any kind at all."""
    # A new person may match a rule about what did not happen.
    kinds: set[str] = {PROFILE_CHANGED}
    every_kind = False
    for leaf in definition.leaves(rule):
        if isinstance(leaf, Happened):
            every_kind = every_kind or not leaf.kinds
            kinds |= set(leaf.kinds)
        elif isinstance(leaf, Known):
            fact = facts.find(leaf.fact)
            kinds |= set(fact.changed_by if fact else ())
        elif isinstance(leaf, Allowed):
            kinds |= CONSENT_KINDS
    return frozenset(kinds), every_kind


def ordered(found: Iterable[Followed]) -> tuple[Followed, ...]:
    """Each segment after those it asks about; cycles are refused when a rule is saved, so there is an order."""
    waiting = sorted(found, key=lambda one: one.id)
    keys = {one.key for one in waiting}
    placed: list[Followed] = []
    done: set[str] = set()
    while waiting:
        ready = [one for one in waiting if not (one.asks & keys) - done] or waiting
        placed += ready
        done |= {one.key for one in ready}
        waiting = [one for one in waiting if one.key not in done]
    return tuple(placed)


def _refresh() -> None:
    global _followed, _kinds, _every_kind, _read_at
    if time.monotonic() - _read_at <= CACHE_SECONDS:
        return
    found = []
    for row in Segment.objects.filter(status__in=(SegmentStatus.ACTIVE, SegmentStatus.PAUSED)).order_by("pk"):
        try:
            found.append(read(row))
        except Invalid as error:
            logger.warning("segment %s cannot be followed: %s", row.key, error)
    _followed = ordered(found)
    kinds = {kind for one in found for kind in one.kinds}
    _kinds = frozenset(kinds | PERSON_KINDS) if found else frozenset()
    _every_kind = any(one.every_kind for one in found)
    _read_at = time.monotonic()
