"""The definition of a computed trait: JSON in, a frozen value out, and back.

    {"kind": "Order Completed", "function": "sum", "property": "revenue", "type": "money", "currency": "CNY",
     "within_days": 90, "where": [{"property": "category", "op": "eq", "value": "tea"}]}

Filters and windows are those of rules (crm.conditions), so both mean the same. Whatever `parse` lets through can be
computed; a refusal names the place, such as `where[0].value`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext as _

from crm.conditions import definition as rules
from crm.conditions import parts
from crm.conditions.definition import Filter, RuleError, Window
from crm.kernel import money
from crm.states import ComputedFunction, ComputedType

_ORDERED: Final = (ComputedType.NUMBER, ComputedType.MONEY, ComputedType.MOMENT)
# What each function may yield, the usual one first.
TYPES: Final[dict[str, tuple[ComputedType, ...]]] = {
    ComputedFunction.COUNT: (ComputedType.NUMBER,),
    ComputedFunction.SUM: (ComputedType.NUMBER, ComputedType.MONEY),
    ComputedFunction.AVERAGE: (ComputedType.NUMBER, ComputedType.MONEY),
    ComputedFunction.MINIMUM: _ORDERED,
    ComputedFunction.MAXIMUM: _ORDERED,
    ComputedFunction.FIRST: (ComputedType.TEXT, *_ORDERED),
    ComputedFunction.LAST: (ComputedType.TEXT, *_ORDERED),
    ComputedFunction.MOST_FREQUENT: (ComputedType.TEXT,),
    ComputedFunction.UNIQUE_LIST: (ComputedType.LIST,),
}
# Published with the ids of people whose computed values or purchases are others now.
CHANGED: Final = "crm.computed.changed"
MOST_IN_LIST: Final = 100
USUAL_IN_LIST: Final = 20
LONGEST_KIND: Final = 200
KEYS: Final = (
    "kind", "function", "property", "type", "currency", "within_days", "between", "where", "limit",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Definition:
    """What is computed. An empty `path` stands for the touchpoint itself: it is counted, or its time is taken."""

    kind: str
    function: str
    path: tuple[str, ...]
    type: str
    currency: str
    window: Window
    where: tuple[Filter, ...]
    limit: int

    @property
    def property(self) -> str:
        """The property as it is written."""
        return rules.join_path(self.path) if self.path else ""


def parse(data: Any) -> Definition:
    """Read a definition. Raises RuleError (an Invalid) with the first thing that is wrong and what is allowed."""
    if not isinstance(data, Mapping):
        raise RuleError("", _("must be an object"))
    odd = sorted(set(map(str, data)) - set(KEYS))
    if odd:
        raise RuleError(odd[0], _("there is no such key here"), allowed=list(KEYS))
    kind = parts.read_text(data.get("kind"), "kind")
    if kind == rules.ANY_KIND or len(kind) > LONGEST_KIND:
        raise RuleError("kind", _("must name one kind of touchpoint"))
    function = parts.read_choice(data.get("function"), ComputedFunction.values, "function")
    types = TYPES[function]
    kept = parts.read_choice(data.get("type", types[0].value), [one.value for one in types], "type")
    path = parts.read_property(data["property"], "property") if data.get("property") else ()
    if not path and function != ComputedFunction.COUNT and kept != ComputedType.MOMENT:
        raise RuleError("property", _("is needed for this function"))
    return Definition(
        kind, function, path, kept, _currency(data, kept), parts.read_window(data, ""),
        parts.read_filters(data.get("where", []), "where"), _limit(data, function),
    )  # fmt: skip


def _currency(data: Mapping[str, Any], kept: str) -> str:
    currency = data.get("currency", "")
    if kept != ComputedType.MONEY:
        if currency:
            raise RuleError("currency", _("belongs to amounts of money"))
        return ""
    if not isinstance(currency, str) or not money.CODE.match(currency):
        raise RuleError("currency", _("must be three capital letters of ISO 4217"))
    return currency


def _limit(data: Mapping[str, Any], function: str) -> int:
    if function != ComputedFunction.UNIQUE_LIST:
        if "limit" in data:
            raise RuleError("limit", _("belongs to lists"))
        return 0
    return parts.read_whole(data.get("limit", USUAL_IN_LIST), "limit", least=1, most=MOST_IN_LIST)


def dump(wanted: Definition) -> dict[str, Any]:
    """The definition as JSON; `parse` reads it back to the same value."""
    data: dict[str, Any] = {"kind": wanted.kind, "function": wanted.function, "type": wanted.type}
    if wanted.path:
        data["property"] = wanted.property
    if wanted.currency:
        data["currency"] = wanted.currency
    if wanted.window.days:
        data["within_days"] = wanted.window.days
    elif wanted.window.first or wanted.window.last:
        data["between"] = [rules.plain(wanted.window.first), rules.plain(wanted.window.last)]
    if wanted.where:
        data["where"] = parts.dump_filters(wanted.where)
    if wanted.limit:
        data["limit"] = wanted.limit
    return data
