"""Properties of events as people read them: nested values in lines and words, never as code."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils import formats, timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from crm.kernel import knobs, money
from crm.kernel.errors import DomainError
from crm.registry import property_label, property_value

MOST_LINES = 12
MOST_ITEMS = 5
LONGEST = 160
# What a thing in a list is called, and how many of it.
NAMES = ("name", "title", "product", "label", "sku", "product_id", "id")
NUMBERS = ("quantity", "qty", "count")
AMOUNTS = (
    "revenue",
    "total",
    "price",
    "value",
    "subtotal",
    "shipping",
    "tax",
    "discount",
    "amount",
    "refund",
)

# Those that mean money even where no currency stands beside them.
_AMOUNT = re.compile(r"-?\d{1,15}(\.\d{1,6})?")
SURE_AMOUNTS = frozenset(AMOUNTS) - {"value", "amount", "discount"}


def lines(
    properties: Mapping[str, Any], *, most: int = MOST_LINES, named: Mapping[str, Any] | None = None
) -> list[tuple[str, str]]:
    """Label and text of each property, at most so many; amounts carry their currency, that of the organisation when
    the event names none. `named`: words for numbers and keys, by property; an empty one is left out."""
    currency = properties.get("currency")
    code = currency if isinstance(currency, str) and len(currency) == 3 else ""
    found: list[tuple[str, str]] = []
    for name, value in properties.items():
        if name == "currency" and code and any(key in properties for key in AMOUNTS):
            continue
        if named is not None and name in named:
            if named[name]:
                found.append((str(property_label(name)), _short(str(named[name]))))
            continue
        _add(found, str(property_label(name)), name, value, code, depth=0)
    if len(found) > most:
        rest = len(found) - most
        found = [*found[:most], ("", ngettext("and %(n)d more", "and %(n)d more", rest) % {"n": rest})]
    return found


def _add(
    found: list[tuple[str, str]], label: str, name: str, value: Any, currency: str, *, depth: int
) -> None:
    if isinstance(value, Mapping) and value and depth < 2:
        for key, inner in value.items():
            _add(found, f"{label} · {property_label(key)}", str(key), inner, currency, depth=depth + 1)
    else:
        found.append((label, text(_worded(name, value), name=name, currency=currency)))


def _worded(name: str, value: Any) -> Any:
    found = property_value(name, value)
    return found if found is value else str(found)


def text(value: Any, *, name: str = "", currency: str = "") -> str:
    """One value in words."""
    if value is None or value == "" or value == [] or value == {}:
        return "–"
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, (int, float)):
        return _number(value, name, currency)
    if isinstance(value, Mapping):
        return _short(_thing(value, currency))
    if isinstance(value, Sequence) and not isinstance(value, str):
        shown = [text(item, currency=currency) for item in value[:MOST_ITEMS]]
        rest = len(value) - len(shown)
        if rest > 0:
            shown.append(ngettext("and %(n)d more", "and %(n)d more", rest) % {"n": rest})
        return ", ".join(shown)
    if name in SURE_AMOUNTS and _AMOUNT.fullmatch(str(value)):
        # Shops often send amounts as text, so that no digit is lost.
        return _money(str(value), currency or str(knobs.get("crm.currency"))) or str(value)
    return _short(_moment(str(value)))


def _money(value: Any, currency: str) -> str:
    try:
        return str(money.parse(value, currency))
    except DomainError:
        return ""


def _number(value: int | float, name: str, currency: str) -> str:
    if name in SURE_AMOUNTS:
        currency = currency or str(knobs.get("crm.currency"))
    if currency and name in AMOUNTS:
        shown = _money(value, currency)
        if shown:
            return shown
    if isinstance(value, float):
        return formats.number_format(value, decimal_pos=None if value % 1 else 0)
    # Numbers of orders and years are not grouped.
    return str(value)


def _thing(value: Mapping[str, Any], currency: str) -> str:
    """A thing of a list: its name, how many, and what it cost; or all it has when it has no name."""
    name = next((str(value[key]) for key in NAMES if value.get(key) not in (None, "")), "")
    if not name:
        return "; ".join(
            f"{property_label(key)} {text(inner, name=key)}" for key, inner in list(value.items())[:6]
        )
    number = next((value[key] for key in NUMBERS if isinstance(value.get(key), int)), None)
    code = value.get("currency") if isinstance(value.get("currency"), str) else currency
    price = value.get("price")
    parts = [name]
    if number is not None and number != 1:
        parts.append(f"× {number}")
    if isinstance(price, (int, float)) and not isinstance(price, bool):
        parts.append(f"({_number(price, 'price', code or '')})")
    return " ".join(parts)


def _moment(value: str) -> str:
    """A moment of time in the reader's zone; any other text as it is."""
    if len(value) < 16 or value[4:5] != "-" or value[10:11] not in ("T", " "):
        return value
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return value
    if moment.tzinfo is None:
        return value
    return formats.date_format(timezone.localtime(moment), "SHORT_DATETIME_FORMAT")


def day_of(stamp: Any) -> str:
    """The day of a moment that is kept as text, in the reader's zone and way of writing."""
    try:
        moment = datetime.fromisoformat(str(stamp))
    except ValueError:
        return "–"
    if moment.tzinfo is not None:
        moment = timezone.localtime(moment)
    return formats.date_format(moment, "SHORT_DATE_FORMAT")


def _short(value: str) -> str:
    return value if len(value) <= LONGEST else value[: LONGEST - 1] + "…"
