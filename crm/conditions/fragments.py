"""Pieces of SQL with their parameters in order.

Text comes from this package and from registered facts, never from a rule; whatever a rule says is a parameter. Keys of
JSON are parameters too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Sql:
    """A piece of SQL and its parameters."""

    text: str
    params: tuple[Any, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.text)

    def __hash__(self) -> int:
        # Parameters may be lists.
        return hash((self.text, repr(self.params)))


TRUE = Sql("TRUE")
FALSE = Sql("FALSE")


def put(template: str, *parts: Sql) -> Sql:
    """Fill the `{}` of a constant template with pieces, in order."""
    return Sql(
        template.format(*(part.text for part in parts)),
        tuple(param for part in parts for param in part.params),
    )


def param(value: Any, cast: str) -> Sql:
    """A value as a parameter of an SQL type."""
    return Sql(f"%s::{cast}", (value,))


def join(separator: str, parts: Iterable[Sql]) -> Sql:
    """Pieces one after the other with a separator."""
    found = list(parts)
    return Sql(separator.join(part.text for part in found), tuple(p for part in found for p in part.params))


def both(parts: Iterable[Sql]) -> Sql:
    """AND over pieces; TRUE when there is none."""
    found = [part for part in parts if part.text and part != TRUE]
    return join(" AND ", (put("({})", part) for part in found)) if found else TRUE


def either(parts: Iterable[Sql]) -> Sql:
    """OR over pieces; FALSE when there is none."""
    found = [part for part in parts if part.text]
    return put("({})", join(" OR ", (put("({})", part) for part in found))) if found else FALSE
