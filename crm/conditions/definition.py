"""The rule tree: JSON in, frozen nodes out, and back.

    {"all": […]}  {"any": […]}  {"not": {…}}
    {"fact": "profile.country", "op": "eq", "value": "CN"}
    {"touchpoint": "Order Completed", "times": {"op": "gte", "value": 3}, "within_days": 90,
     "where": [{"property": "category", "op": "eq", "value": "tea"}],
     "sum": {"property": "revenue", "op": "gte", "value": 10000, "currency": "CNY"}}
    {"segment": "regulars", "member": true}
    {"consent": {"purpose": "marketing", "channel": "email"}, "allowed": true}

Whatever `parse` lets through, the compiler and the sentences can say. A refusal names the place in the tree:
`all[1].times.value: must be 0 or more`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import orjson
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from crm import facts
from crm.conditions.nodes import (
    ANY_KIND,
    OPPOSITES,
    Aggregate,
    All,
    Allowed,
    AnyOf,
    Compare,
    Filter,
    Happened,
    Known,
    Leaf,
    Member,
    Node,
    Not,
    Value,
    Window,
    dump,
    fact_keys,
    join_path,
    leaves,
    normal,
    plain,
    segments,
)
from crm.kernel import money
from crm.kernel.errors import Invalid
from crm.states import Channel, Purpose, Stage

__all__ = [
    "AGGREGATES",
    "ANY_KIND",
    "Aggregate",
    "All",
    "Allowed",
    "AnyOf",
    "COMPARISONS",
    "Compare",
    "DATE_OPS",
    "DAY_OPS",
    "DEEPEST",
    "Filter",
    "Happened",
    "Known",
    "LONGEST_TEXT",
    "Leaf",
    "MONEY_PROPERTIES",
    "MOST_BYTES",
    "MOST_CONDITIONS",
    "MOST_DAYS",
    "MOST_FILTERS",
    "MOST_KINDS",
    "MOST_TIMES",
    "MOST_VALUES",
    "Member",
    "Node",
    "Not",
    "OPPOSITES",
    "RuleError",
    "TRAIT_PREFIX",
    "Value",
    "Window",
    "dump",
    "fact_keys",
    "join_path",
    "leaves",
    "normal",
    "parse",
    "plain",
    "segments",
]

MOST_BYTES: Final = 64 * 1024
MOST_CONDITIONS: Final = 100
DEEPEST: Final = 8
MOST_FILTERS: Final = 10
MOST_KINDS: Final = 50
MOST_VALUES: Final = 1000
LONGEST_TEXT: Final = 255
MOST_DAYS: Final = 3660
MOST_TIMES: Final = 1_000_000

COMPARISONS: Final = ("eq", "ne", "gt", "gte", "lt", "lte", "between")
AGGREGATES: Final = ("sum", "avg", "min", "max")
DAY_OPS: Final = ("in_last_days", "in_next_days", "more_than_days_ago", "anniversary_in_days")
DATE_OPS: Final = ("on", "before", "after")
# Properties whose numbers are amounts of money, as the e-commerce specification names them.
MONEY_PROPERTIES: Final = frozenset(
    ("revenue", "total", "subtotal", "price", "discount", "tax", "shipping", "value", "amount_paid")
)
TRAIT_PREFIX: Final = "trait:"


class RuleError(Invalid):
    """A rule that cannot be read. `field` is the place in the tree."""

    code = "invalid_rule"

    def __init__(self, path: str, problem: Any, *, allowed: Any = None) -> None:
        place = path or "rule"
        super().__init__(f"{place}: {problem}", field=place, allowed=allowed)
        self.problem = problem


# -- reading


def parse(tree: Any) -> Node:
    """Read a rule. Raises RuleError with the first thing that is wrong."""
    try:
        size = len(orjson.dumps(tree))
    except TypeError:
        raise RuleError("", _("must be JSON without odd characters or huge numbers")) from None
    if size > MOST_BYTES:
        raise RuleError("", _("must be at most 64 KB"), allowed=MOST_BYTES)
    node = _node(tree, "", 1)
    number = sum(1 for _leaf in leaves(node))
    if number > MOST_CONDITIONS:
        raise RuleError(
            "", _("must have at most %(number)s conditions") % {"number": MOST_CONDITIONS}, allowed=MOST_CONDITIONS
        )  # fmt: skip
    return node


def _node(tree: Any, path: str, depth: int) -> Node:
    given = _mapping(tree, path)
    if depth > DEEPEST:
        raise RuleError(
            path, _("groups may be nested at most %(depth)s deep") % {"depth": DEEPEST}, allowed=DEEPEST
        )
    heads = [head for head in _READERS if head in given]
    if len(heads) != 1:
        raise RuleError(path, _("must have exactly one of these keys"), allowed=list(_READERS))
    return _READERS[heads[0]](given, path, depth)


def _parts(given: Mapping[str, Any], key: str, path: str, depth: int) -> tuple[Node, ...]:
    _only(given, path, key)
    place = _join(path, key)
    items = given[key]
    if not isinstance(items, list):
        raise RuleError(place, _("must be a list"))
    if len(items) > MOST_CONDITIONS:
        raise RuleError(place, _("must have at most %(number)s conditions") % {"number": MOST_CONDITIONS})
    return tuple(_node(item, f"{place}[{at}]", depth + 1) for at, item in enumerate(items))


def _all(given: Mapping[str, Any], path: str, depth: int) -> Node:
    return All(_parts(given, "all", path, depth))


def _any(given: Mapping[str, Any], path: str, depth: int) -> Node:
    parts = _parts(given, "any", path, depth)
    if not parts:
        raise RuleError(_join(path, "any"), _("must have at least one condition"))
    return AnyOf(parts)


def _not(given: Mapping[str, Any], path: str, depth: int) -> Node:
    _only(given, path, "not")
    return Not(_node(given["not"], _join(path, "not"), depth + 1))


def _known(given: Mapping[str, Any], path: str, depth: int) -> Node:
    _only(given, path, "fact", "op", "value")
    key = _text(given["fact"], _join(path, "fact"))
    fact = facts.find(key)
    if fact is None:
        raise RuleError(_join(path, "fact"), _("there is no fact “%(key)s”") % {"key": key})
    default = "eq" if "eq" in fact.allowed_operators() else None
    op = _choice(given.get("op", default), fact.allowed_operators(), _join(path, "op"))
    return Known(key, op, _value(given, op, fact.type, path))


def _happened(given: Mapping[str, Any], path: str, depth: int) -> Node:
    _only(
        given, path, "touchpoint", "stage", "channel", "within_days", "between", "not_since_days", "where", "times",
        *AGGREGATES,
    )  # fmt: skip
    kinds = _kinds(given["touchpoint"], _join(path, "touchpoint"))
    stage = given.get("stage", "")
    if stage:
        stage = _choice(stage, [one for one in Stage.values if one], _join(path, "stage"))
    channel = _text(given["channel"], _join(path, "channel")) if given.get("channel") else ""
    window, not_since = _window(given, path)
    times = Compare("gte", Decimal(1))
    if "times" in given:
        if not_since:
            raise RuleError(_join(path, "times"), _("does not go together with not_since_days"))
        times = _compare(given["times"], _join(path, "times"), most=MOST_TIMES, whole=True)
    chosen = [name for name in AGGREGATES if name in given]
    if len(chosen) > 1:
        raise RuleError(_join(path, chosen[1]), _("only one of sum, avg, min and max"))
    if chosen and not_since:
        raise RuleError(_join(path, chosen[0]), _("does not go together with not_since_days"))
    aggregate = _aggregate(given[chosen[0]], chosen[0], _join(path, chosen[0])) if chosen else None
    if aggregate is not None and "times" not in given:
        # The number alone decides: somebody without any has a sum of nought.
        times = Compare("gte", Decimal(0))
    filters = given.get("where", [])
    place = _join(path, "where")
    if not isinstance(filters, list):
        raise RuleError(place, _("must be a list"))
    if len(filters) > MOST_FILTERS:
        raise RuleError(place, _("must have at most %(number)s conditions") % {"number": MOST_FILTERS})
    where = tuple(_filter(item, f"{place}[{at}]") for at, item in enumerate(filters))
    return Happened(kinds, stage, channel, window, where, times, aggregate, not_since)


def _kinds(given: Any, path: str) -> tuple[str, ...]:
    if isinstance(given, list):
        if not 1 <= len(given) <= MOST_KINDS:
            raise RuleError(path, _("must name 1 to %(number)s kinds") % {"number": MOST_KINDS})
        return tuple(dict.fromkeys(_text(kind, f"{path}[{at}]") for at, kind in enumerate(given)))
    kind = _text(given, path)
    return () if kind == ANY_KIND else (kind,)


def _window(given: Mapping[str, Any], path: str) -> tuple[Window, int]:
    chosen = [name for name in ("within_days", "between", "not_since_days") if name in given]
    if len(chosen) > 1:
        raise RuleError(_join(path, chosen[1]), _("only one of within_days, between and not_since_days"))
    if "within_days" in given:
        return Window(days=_days(given["within_days"], _join(path, "within_days"))), 0
    if "not_since_days" in given:
        return Window(), _days(given["not_since_days"], _join(path, "not_since_days"))
    if "between" in given:
        place = _join(path, "between")
        ends = given["between"]
        if not isinstance(ends, list) or len(ends) != 2:
            raise RuleError(place, _("must be a list of two dates"))
        first, last = (None if end is None else _date(end, f"{place}[{at}]") for at, end in enumerate(ends))
        if first is None and last is None:
            raise RuleError(place, _("must have at least one date"))
        if first and last and last < first:
            raise RuleError(f"{place}[1]", _("must not be before the first date"))
        return Window(first=first, last=last), 0
    return Window(), 0


def _aggregate(given: Any, function: str, path: str) -> Aggregate:
    given = _mapping(given, path)
    _only(given, path, "property", "op", "value", "currency")
    keys = _path(given.get("property"), _join(path, "property"))
    if "[]" in keys:
        raise RuleError(_join(path, "property"), _("must name one number of the touchpoint, not a list"))
    compare = _compare({"op": given.get("op"), "value": given.get("value")}, path, least=None)
    currency = given.get("currency", "")
    if currency:
        currency = _text(currency, _join(path, "currency"))
        if not money.CODE.match(currency):
            raise RuleError(_join(path, "currency"), _("must be three capital letters of ISO 4217"))
    return Aggregate(function, keys, compare, currency)


def _filter(given: Any, path: str) -> Filter:
    given = _mapping(given, path)
    _only(given, path, "property", "op", "value")
    keys = _path(given.get("property"), _join(path, "property"))
    op = _choice(given.get("op", "eq"), facts.OPERATORS[facts.ANY], _join(path, "op"))
    return Filter(keys, op, _value(given, op, facts.ANY, path))


def _member(given: Mapping[str, Any], path: str, depth: int) -> Node:
    _only(given, path, "segment", "member")
    key = _text(given["segment"], _join(path, "segment"))
    return Member(key, _bool(given.get("member", True), _join(path, "member")))


def _allowed(given: Mapping[str, Any], path: str, depth: int) -> Node:
    _only(given, path, "consent", "allowed")
    place = _join(path, "consent")
    what = _mapping(given["consent"], place)
    _only(what, place, "purpose", "channel")
    purpose = _choice(what.get("purpose"), Purpose.values, _join(place, "purpose"))
    channel = _choice(what.get("channel"), Channel.values, _join(place, "channel"))
    return Allowed(purpose, channel, _bool(given.get("allowed", True), _join(path, "allowed")))


_READERS: Final = {
    "all": _all,
    "any": _any,
    "not": _not,
    "fact": _known,
    "touchpoint": _happened,
    "segment": _member,
    "consent": _allowed,
}


# -- values


def _value(given: Mapping[str, Any], op: str, kind: str, path: str) -> Value:
    """The value of a condition, of the type its operator and fact ask for."""
    place = _join(path, "value")
    if op in facts.SET_OPS:
        if given.get("value") is not None:
            raise RuleError(place, _("this operator takes no value"))
        return None
    if "value" not in given:
        raise RuleError(place, _("is missing"))
    value = given["value"]
    if op in DAY_OPS:
        return Decimal(_days(value, place, least=0, most=366 if op == "anniversary_in_days" else MOST_DAYS))
    if op in DATE_OPS:
        return _date(value, place)
    if op == "between":
        if not isinstance(value, list) or len(value) != 2:
            raise RuleError(place, _("must be a list of two values, the lower one first"))
        read: Any = _date if kind in (facts.DATE, facts.MOMENT) else _number
        low, high = (read(item, f"{place}[{at}]") for at, item in enumerate(value))
        if high < low:
            raise RuleError(f"{place}[1]", _("must not be less than the first value"))
        return (low, high)
    if op in ("gt", "gte", "lt", "lte"):
        return _number(value, place)
    if op in ("in", "not_in", "contains_any"):
        if not isinstance(value, list) or not 1 <= len(value) <= MOST_VALUES:
            raise RuleError(place, _("must be a list of 1 to %(number)s values") % {"number": MOST_VALUES})
        many = tuple(_scalar(item, kind, f"{place}[{at}]") for at, item in enumerate(value))
        if len({type(item) for item in many}) > 1:
            raise RuleError(place, _("must be all texts or all numbers"))
        return tuple(dict.fromkeys(many))
    if op in ("contains", "not_contains", "starts_with"):
        return _text(value, place)
    return _scalar(value, kind, place)


def _scalar(value: Any, kind: str, path: str) -> str | Decimal | bool:
    if kind == facts.NUMBER:
        return _number(value, path)
    if kind == facts.BOOLEAN:
        return _bool(value, path)
    if kind == facts.ANY and isinstance(value, bool):
        return value
    if kind == facts.ANY and isinstance(value, (int, float, Decimal)):
        return _number(value, path)
    return _text(value, path)


def _compare(
    given: Any, path: str, *, least: int | None = 0, most: int | None = None, whole: bool = False
) -> Compare:
    given = _mapping(given, path)
    _only(given, path, "op", "value")
    op = _choice(given.get("op"), COMPARISONS, _join(path, "op"))
    place = _join(path, "value")
    if "value" not in given or given["value"] is None:
        raise RuleError(place, _("is missing"))
    if op != "between":
        return Compare(op, _bounded(given["value"], place, least=least, most=most, whole=whole))
    ends = given["value"]
    if not isinstance(ends, list) or len(ends) != 2:
        raise RuleError(place, _("must be a list of two values, the lower one first"))
    low, high = (
        _bounded(end, f"{place}[{at}]", least=least, most=most, whole=whole) for at, end in enumerate(ends)
    )
    if high < low:
        raise RuleError(f"{place}[1]", _("must not be less than the first value"))
    return Compare(op, (low, high))


def _bounded(value: Any, path: str, *, least: int | None, most: int | None, whole: bool) -> Decimal:
    read = _number(value, path)
    if whole and read != read.to_integral_value():
        raise RuleError(path, _("must be a whole number"))
    if least is not None and read < least:
        raise RuleError(path, _("must be %(least)s or more") % {"least": least}, allowed={"minimum": least})
    if most is not None and read > most:
        raise RuleError(path, _("must be at most %(most)s") % {"most": most}, allowed={"maximum": most})
    return read


def _number(value: Any, path: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, str)):
        raise RuleError(path, _("must be a number"))
    if isinstance(value, str) and not re.fullmatch(r"-?\d{1,15}(\.\d{1,6})?", value, re.ASCII):
        raise RuleError(path, _("must be a number"))
    try:
        read = Decimal(repr(value) if isinstance(value, float) else str(value))
        if not read.is_finite() or abs(read) >= Decimal(10) ** 15:
            raise InvalidOperation
    except InvalidOperation:
        raise RuleError(path, _("must be a finite number below 10^15")) from None
    return read


def _days(value: Any, path: str, *, least: int = 1, most: int = MOST_DAYS) -> int:
    return int(_bounded(value, path, least=least, most=most, whole=True))


def _date(value: Any, path: str) -> date:
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise RuleError(path, _("must be a date such as 2026-03-31"))


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise RuleError(path, _("must be a text"))
    if len(value) > LONGEST_TEXT:
        raise RuleError(
            path, _("must have at most %(number)s characters") % {"number": LONGEST_TEXT}, allowed=LONGEST_TEXT
        )  # fmt: skip
    if "\0" in value or any("\ud800" <= sign <= "\udfff" for sign in value):
        raise RuleError(path, _("has a character that texts cannot have"))
    return value


def _bool(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise RuleError(path, _("must be true or false"))
    return value


def _choice(value: Any, allowed: Any, path: str) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise RuleError(
            path,
            _("must be one of: %(allowed)s") % {"allowed": ", ".join(allowed)},
            allowed=list(allowed),
        )
    return value


def _path(value: Any, path: str) -> tuple[str, ...]:
    """The keys of a property: `address.city`, `products[].category`, and `a\\.b` for a key with a dot."""
    text = _text(value, path)
    keys: list[str] = []
    for part in re.split(r"(?<!\\)\.", text):
        name = part.replace("\\.", ".")
        if name.endswith("[]"):
            keys += [name[:-2], "[]"]
        else:
            keys.append(name)
    if any(not key for key in keys) or keys.count("[]") > 1 or len(keys) > 6:
        raise RuleError(path, _("must be a property such as category, address.city or products[].sku"))
    return tuple(keys)


def _mapping(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise RuleError(path, _("must be an object"))
    return value


def _only(given: Mapping[str, Any], path: str, *known: str) -> None:
    odd = sorted(set(map(str, given)) - set(known))
    if odd:
        raise RuleError(
            _join(path, odd[0]),
            ngettext("there is no such key here", "there are no such keys here", len(odd)),
            allowed=list(known),
        )


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
