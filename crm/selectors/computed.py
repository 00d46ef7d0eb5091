"""Computed traits as they are read: definitions in force, values of a person, progress, and words for all of it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.db import connection
from django.db.models import F
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from crm import computed
from crm.computed import Definition
from crm.conditions import compiler
from crm.conditions.definition import RuleError
from crm.kernel import knobs
from crm.kernel.money import Money
from crm.models import ComputedRun, ComputedTrait, ComputedTraitVersion, ComputedValue
from crm.registry import kind_label, property_label
from crm.selectors import computing, profiles
from crm.states import ComputedFunction, ComputedStatus, ComputedType

CACHE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class InForce:
    """A computed trait with its newest definition."""

    id: int
    key: str
    name: str
    version: int
    status: str
    definition: Definition


@dataclass(frozen=True, slots=True)
class Value:
    """One value of one person, as a reader sees it. `plain` is what the API gives."""

    key: str
    name: str
    type: str
    plain: Any
    currency: str
    computed_at: datetime

    @property
    def shown(self) -> Any:
        """The value for a page."""
        if self.type == ComputedType.MONEY:
            return str(Money(int(self.plain), self.currency))
        if self.type == ComputedType.LIST:
            return "、".join(self.plain) if _is_chinese() else ", ".join(self.plain)
        if self.type == ComputedType.NUMBER:
            return f"{Decimal(str(self.plain)):,f}"
        return self.plain


_in_force: tuple[InForce, ...] = ()
_kinds: frozenset[str] = frozenset()
_read_at = float("-inf")


def follows(kind: str) -> bool:
    """Whether a value or a purchase changes with this kind; from a set at most five seconds old, asked in the hot
    path."""
    _refresh()
    return kind in _kinds


def in_force() -> tuple[InForce, ...]:
    """All traits that are active or paused, by id; at most five seconds old."""
    _refresh()
    return _in_force


def followed(kinds: Iterable[str] | None = None) -> list[InForce]:
    """The active ones, or those of them that count one of `kinds`."""
    wanted = None if kinds is None else set(kinds)
    return [
        one
        for one in in_force()
        if one.status == ComputedStatus.ACTIVE and (wanted is None or one.definition.kind in wanted)
    ]


def forget() -> None:
    """Drop this process's copy; also when the transaction that changed them ends in nothing."""
    global _read_at
    _read_at = float("-inf")


def _refresh() -> None:
    global _in_force, _kinds, _read_at
    if time.monotonic() - _read_at <= CACHE_SECONDS:
        return
    _in_force = tuple(read_in_force(status__in=(ComputedStatus.ACTIVE, ComputedStatus.PAUSED)))
    active = {one.definition.kind for one in _in_force if one.status == ComputedStatus.ACTIVE}
    _kinds = frozenset(active | {str(knobs.get("crm.order_kind"))})
    _read_at = time.monotonic()


def read_in_force(**conditions: Any) -> list[InForce]:
    """Traits with their newest definition, straight from the database. A definition that no longer parses is left
    out: it was written by a version of this program that knew more."""
    rows = (
        ComputedTraitVersion.objects.filter(**{f"trait__{name}": value for name, value in conditions.items()})
        .order_by("trait_id", "-number")
        .distinct("trait_id")
        .values_list("trait_id", "trait__key", "trait__name", "number", "trait__status", "definition")
    )
    found = []
    for pk, key, name, number, status, data in rows:
        try:
            found.append(InForce(pk, key, name, number, status, computed.parse(data)))
        except RuleError:
            continue
    return found


def by_id(trait_id: int) -> InForce | None:
    """One trait with its newest definition, whatever its state."""
    return next(iter(read_in_force(pk=trait_id)), None)


def definition_of(trait: ComputedTrait) -> dict[str, Any]:
    """The newest definition as it is stored."""
    version = ComputedTraitVersion.objects.get(trait_id=trait.pk, number=trait.version)
    return dict(version.definition)


def definitions_of(traits: Iterable[ComputedTrait]) -> dict[int, dict[str, Any]]:
    """The newest definition of each, by the id of the trait: one query."""
    rows = ComputedTraitVersion.objects.filter(
        trait_id__in=[one.pk for one in traits], number=F("trait__version")
    )
    return {pk: dict(held) for pk, held in rows.values_list("trait_id", "definition")}


def versions(trait: ComputedTrait) -> list[ComputedTraitVersion]:
    """All versions, newest first (at most 50)."""
    return list(ComputedTraitVersion.objects.filter(trait_id=trait.pk).order_by("-number")[:50])


def latest_run(trait_id: int | None) -> ComputedRun | None:
    """The newest pass of a trait, or with None that over purchases."""
    if trait_id is None:
        return ComputedRun.objects.filter(trait__isnull=True).order_by("-pk").first()
    return ComputedRun.objects.filter(trait_id=trait_id).order_by("-pk").first()


def latest_runs(trait_ids: Iterable[int]) -> dict[int, ComputedRun]:
    """The newest pass of each trait that has one: one query."""
    rows = (
        ComputedRun.objects.filter(trait_id__in=list(trait_ids))
        .order_by("trait_id", "-pk")
        .distinct("trait_id")
    )
    return {row.trait_id: row for row in rows if row.trait_id is not None}


def values_of(profile_ids: Sequence[int]) -> list[Value]:
    """The values of one person, by name: one query beside the definitions every process has."""
    known = {one.id: one for one in in_force()}
    if not known:
        return []
    rows = ComputedValue.objects.filter(profile_id__in=list(profile_ids), trait_id__in=known)
    found = {row.trait_id: row for row in rows.order_by("profile_id")}
    return sorted(
        (_value(known[trait_id], row) for trait_id, row in found.items()), key=lambda value: value.name
    )


def _value(trait: InForce, row: ComputedValue) -> Value:
    wanted = trait.definition
    held: Any = getattr(row, computing.column_of(wanted.type))
    return Value(
        trait.key, trait.name, wanted.type, plain(held, wanted.type), wanted.currency, row.computed_at
    )


def plain(held: Any, kind: str) -> Any:
    """A stored value as JSON: whole numbers as such, money in minor units, moments and texts as they are."""
    if held is None:
        return [] if kind == ComputedType.LIST else 0 if kind == ComputedType.MONEY else None
    if isinstance(held, Decimal):
        return int(held) if held == held.to_integral_value() else float(held)
    return held


def people_with(trait_id: int) -> int:
    """How many people have a value: exact up to ten thousand, beyond it the planner's guess."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM (SELECT 1 FROM crm_computedvalue WHERE trait_id = %s LIMIT 10001) AS few",
            [trait_id],
        )
        count: int = cursor.fetchone()[0]
        if count <= 10_000:
            return count
        cursor.execute(
            "EXPLAIN (FORMAT JSON) SELECT 1 FROM crm_computedvalue WHERE trait_id = %s", [trait_id]
        )
        return int(cursor.fetchone()[0][0]["Plan"]["Plan Rows"])


def preview(wanted: Definition, *, now: datetime, people: int = 10) -> list[tuple[profiles.Card, Any, str]]:
    """What the definition yields for the people who did it last: (card, value, shown). Writes nothing."""
    at = compiler.moment(now=now)
    low, high = computing.bounds(wanted.window, at=at)
    roots: set[int] = set()
    for days in (30, 400):
        # Some who did it lately, whoever comes first: the newest would need a sort of everything.
        since = max(low, min(high, now) - timedelta(days=days))
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT DISTINCT profile_id FROM (SELECT profile_id FROM crm_touchpoint WHERE kind = %s"
                " AND occurred_at >= %s AND occurred_at < %s LIMIT %s) AS few LIMIT %s",
                [wanted.kind, since, high, people * 20, people],
            )
            roots = set(profiles.roots([row[0] for row in cursor.fetchall()]).values())
        if roots or since == low:
            break
    if not roots:
        return []
    found = compute(wanted, roots=sorted(roots), now=now)
    cards = profiles.cards(found)
    value = [
        (cards[root], Value("", "", wanted.type, plain(held, wanted.type), wanted.currency, now))
        for root, held in found.items()
    ]
    return [(card, one.plain, one.shown) for card, one in value]


def compute(wanted: Definition, *, roots: Sequence[int], now: datetime) -> Mapping[int, Any]:
    """The values of a definition for given roots, computed now and not kept."""
    at = compiler.moment(now=now)
    query = computing.statement(wanted, at=at, scope=computing.scope_of(roots))
    column = computing.column_of(wanted.type)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT v.root, v.{column} FROM ({query.text}) AS v ORDER BY v.root", query.params)
        return dict(cursor.fetchall())


def describe(wanted: Definition) -> str:
    """The definition as one sentence in the reader's language."""
    kind, what = kind_label(wanted.kind), _what(wanted)
    text = _("%(what)s of “%(kind)s”, %(window)s") % {"what": what, "kind": kind, "window": _window(wanted)}
    if wanted.currency:
        text += _(", only amounts in %(currency)s") % {"currency": wanted.currency}
    if wanted.where:
        from crm.conditions import sentences

        clauses = _(" and ").join(str(sentences._filter(one)) for one in wanted.where)
        text += _(", where %(conditions)s") % {"conditions": clauses}
    return text


def _what(wanted: Definition) -> str:
    name = (
        property_label(wanted.path[-1] if wanted.path[-1:] != ("[]",) else wanted.path[-2])
        if wanted.path
        else ""
    )
    if wanted.function == ComputedFunction.COUNT:
        if name:
            return _("How many with %(property)s") % {"property": name}
        return _("How many")
    name = name or _("time")
    words = {
        ComputedFunction.SUM: _("Sum of %(property)s"),
        ComputedFunction.AVERAGE: _("Average %(property)s"),
        ComputedFunction.MINIMUM: _("Smallest %(property)s"),
        ComputedFunction.MAXIMUM: _("Largest %(property)s"),
        ComputedFunction.FIRST: _("First %(property)s"),
        ComputedFunction.LAST: _("Last %(property)s"),
        ComputedFunction.MOST_FREQUENT: _("Most frequent %(property)s"),
        ComputedFunction.UNIQUE_LIST: _("The different values of %(property)s (the latest %(limit)s)"),
    }[ComputedFunction(wanted.function)]
    return words % {"property": name, "limit": wanted.limit}


def _window(wanted: Definition) -> str:
    window = wanted.window
    if window.days:
        return ngettext("in the last %(days)s day", "in the last %(days)s days", window.days) % {
            "days": window.days
        }
    if window.first and window.last:
        return _("from %(first)s to %(last)s") % {"first": window.first, "last": window.last}
    if window.first:
        return _("since %(first)s") % {"first": window.first}
    if window.last:
        return _("until %(last)s") % {"last": window.last}
    return _("ever")


def _is_chinese() -> bool:
    from django.utils.translation import get_language

    return (get_language() or "").startswith("zh")


def most_active() -> int:
    """How many traits may be active at once."""
    return int(knobs.get("crm.computed_most"))
