"""Parts of a rule read alone, for definitions that share them: filters, windows, properties, numbers.

So that a filter of a computed trait means exactly what it means in a rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

from crm.conditions import definition, nodes
from crm.conditions.definition import MOST_FILTERS, Filter, RuleError, Window


def read_filters(given: Any, path: str) -> tuple[Filter, ...]:
    """A list of conditions on properties. Raises RuleError."""
    if not isinstance(given, list):
        raise RuleError(path, _("must be a list"))
    if len(given) > MOST_FILTERS:
        raise RuleError(path, _("must have at most %(number)s conditions") % {"number": MOST_FILTERS})
    return tuple(definition._filter(item, f"{path}[{at}]") for at, item in enumerate(given))


def dump_filters(filters: Iterable[Filter]) -> list[dict[str, Any]]:
    """The list as JSON; `read_filters` reads it back."""
    return [{"property": one.name, "op": one.op} | nodes._dump_value(one.value) for one in filters]


def read_window(given: Mapping[str, Any], path: str) -> Window:
    """`within_days`, `between`, or neither: ever. Raises RuleError."""
    known = {name: given[name] for name in ("within_days", "between") if name in given}
    return definition._window(known, path)[0]


def read_text(given: Any, path: str) -> str:
    """A text that is not blank. Raises RuleError."""
    return definition._text(given, path)


def read_choice(given: Any, allowed: Iterable[str], path: str) -> str:
    """One of the allowed words. Raises RuleError."""
    return definition._choice(given, list(allowed), path)


def read_property(given: Any, path: str) -> tuple[str, ...]:
    """The keys of a property such as `address.city` or `products[].category`. Raises RuleError."""
    return definition._path(given, path)


def read_whole(given: Any, path: str, *, least: int, most: int) -> int:
    """A whole number within bounds. Raises RuleError."""
    number: Decimal = definition._bounded(given, path, least=least, most=most, whole=True)
    return int(number)
