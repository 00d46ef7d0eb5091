"""The nodes of a rule: frozen values, how to walk them, and how they are written as JSON again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

ANY_KIND: Final = "*"
# Operators that are another one turned round: people without a value match them too.
OPPOSITES: Final = {
    "ne": "eq",
    "not_in": "in",
    "not_contains": "contains",
    "is_not_set": "is_set",
}

Value = str | Decimal | bool | date | tuple[Any, ...] | None


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds. Without parts it holds for everybody."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Node


@dataclass(frozen=True, slots=True)
class Compare:
    """A number compared: `value` is a number, or two of them for `between`."""

    op: str
    value: Decimal | tuple[Decimal, Decimal]


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition on a property of a touchpoint. `path` are the keys; the key `[]` means any element of a list."""

    path: tuple[str, ...]
    op: str
    value: Value

    @property
    def name(self) -> str:
        """The property as it is written in a rule."""
        return join_path(self.path)


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A number over the touchpoints: `function` of a property. Amounts of money are of one currency."""

    function: str
    path: tuple[str, ...]
    compare: Compare
    currency: str = ""

    @property
    def name(self) -> str:
        """The property as it is written in a rule."""
        return join_path(self.path)


@dataclass(frozen=True, slots=True)
class Window:
    """When: all empty is ever. `first` and `last` are days in the organisation's time zone, both included."""

    days: int = 0
    first: date | None = None
    last: date | None = None


@dataclass(frozen=True, slots=True)
class Happened:
    """Something happened so often in a window. `not_since_days`: it did happen, the last time longer ago than that."""

    kinds: tuple[str, ...]
    stage: str
    channel: str
    window: Window
    where: tuple[Filter, ...]
    times: Compare
    aggregate: Aggregate | None
    not_since_days: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a person compares with a value."""

    fact: str
    op: str
    value: Value


@dataclass(frozen=True, slots=True)
class Member:
    """The person is, or is not, in another segment."""

    segment: str
    member: bool


@dataclass(frozen=True, slots=True)
class Allowed:
    """The person may, or may not, be written to for a purpose on a channel."""

    purpose: str
    channel: str
    allowed: bool


Leaf = Happened | Known | Member | Allowed
Node = All | AnyOf | Not | Happened | Known | Member | Allowed


def join_path(path: tuple[str, ...]) -> str:
    """The keys of a property as one text."""
    text = ".".join(key.replace(".", "\\.") for key in path)
    return text.replace(".[]", "[]")


def leaves(node: Node) -> Iterator[Leaf]:
    """Every condition of a rule, from left to right."""
    if isinstance(node, (All, AnyOf)):
        for part in node.parts:
            yield from leaves(part)
    elif isinstance(node, Not):
        yield from leaves(node.part)
    else:
        yield node


def segments(node: Node) -> frozenset[str]:
    """The keys of other segments that the rule asks about."""
    return frozenset(leaf.segment for leaf in leaves(node) if isinstance(leaf, Member))


def fact_keys(node: Node) -> frozenset[str]:
    """The facts that the rule asks about."""
    return frozenset(leaf.fact for leaf in leaves(node) if isinstance(leaf, Known))


def dump(node: Node) -> dict[str, Any]:
    """The rule as JSON; `parse` reads it back to the same nodes."""
    if isinstance(node, All):
        return {"all": [dump(part) for part in node.parts]}
    if isinstance(node, AnyOf):
        return {"any": [dump(part) for part in node.parts]}
    if isinstance(node, Not):
        return {"not": dump(node.part)}
    if isinstance(node, Member):
        return {"segment": node.segment, "member": node.member}
    if isinstance(node, Allowed):
        return {"consent": {"purpose": node.purpose, "channel": node.channel}, "allowed": node.allowed}
    if isinstance(node, Known):
        return {"fact": node.fact, "op": node.op} | _dump_value(node.value)
    return _dump_happened(node)


def _dump_happened(node: Happened) -> dict[str, Any]:
    tree: dict[str, Any] = {
        "touchpoint": ANY_KIND
        if not node.kinds
        else node.kinds[0]
        if len(node.kinds) == 1
        else list(node.kinds)
    }
    if node.stage:
        tree["stage"] = node.stage
    if node.channel:
        tree["channel"] = node.channel
    if node.window.days:
        tree["within_days"] = node.window.days
    elif node.window.first or node.window.last:
        tree["between"] = [plain(node.window.first), plain(node.window.last)]
    if node.not_since_days:
        tree["not_since_days"] = node.not_since_days
    if node.where:
        tree["where"] = [{"property": one.name, "op": one.op} | _dump_value(one.value) for one in node.where]
    usual = Compare("gte", Decimal(0 if node.aggregate else 1))
    if node.times != usual:
        tree["times"] = {"op": node.times.op, "value": plain(node.times.value)}
    if node.aggregate:
        tree[node.aggregate.function] = {
            "property": node.aggregate.name,
            "op": node.aggregate.compare.op,
            "value": plain(node.aggregate.compare.value),
        } | ({"currency": node.aggregate.currency} if node.aggregate.currency else {})
    return tree


def _dump_value(value: Value) -> dict[str, Any]:
    return {} if value is None else {"value": plain(value)}


def plain(value: Any) -> Any:
    """A value of a node as JSON."""
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, Decimal):
        if value == value.to_integral_value():
            return int(value)
        # Digits that a float would lose stay as text, which is read as a number too.
        return float(value) if Decimal(repr(float(value))) == value else str(value)
    return value.isoformat() if isinstance(value, date) else value


def normal(node: Node) -> Node:
    """The same rule without operators that are another one turned round: `ne` becomes not `eq`."""
    if isinstance(node, All):
        return All(tuple(normal(part) for part in node.parts))
    if isinstance(node, AnyOf):
        return AnyOf(tuple(normal(part) for part in node.parts))
    if isinstance(node, Not):
        return Not(normal(node.part))
    if isinstance(node, Known) and node.op in OPPOSITES:
        return Not(Known(node.fact, OPPOSITES[node.op], node.value))
    return node
