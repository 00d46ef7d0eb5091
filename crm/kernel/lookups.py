"""A lookup for long lists: `pk__any=[…]` is `= ANY('{…}')`, one parameter whatever the length.

`IN` sends a parameter per value, which costs more to compile, send and parse than the query itself once there are
hundreds; the plan is the same. On the hot path the list is wrapped in `Many`: the ORM looks at each element of a
list several times before the lookup sees it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db.models import BigAutoField, BigIntegerField, CharField, Field, ForeignKey, IntegerField, Lookup


class Many:
    """Values that the ORM takes as one."""

    __slots__ = ("values",)

    def __init__(self, values: Collection[Any]) -> None:
        self.values = values


class AnyOf(Lookup):
    """Membership in a list of whole numbers."""

    lookup_name = "any"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        """`column = ANY('{1,2,3}'::bigint[])`."""
        left, parameters = self.process_lhs(compiler, connection)
        values = self.rhs.values if isinstance(self.rhs, Many) else self.rhs
        # Only whole numbers get into the literal: int() raises for anything else.
        ids = ",".join([str(int(value)) for value in values])
        return f"{left} = ANY(%s::bigint[])", (*parameters, "{" + ids + "}")


class AnyText(Lookup):
    """Membership in a list of texts."""

    lookup_name = "any"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        """`column = ANY('{"a","b"}'::text[])`."""
        left, parameters = self.process_lhs(compiler, connection)
        values = self.rhs.values if isinstance(self.rhs, Many) else self.rhs
        quoted = [value.replace("\\", "\\\\").replace('"', '\\"') for value in values]
        literal = '{"' + '","'.join(quoted) + '"}' if quoted else "{}"
        return f"{left} = ANY(%s::text[])", (*parameters, literal)


def register() -> None:
    """Make the lookups known to every integer key and to texts. Called once when the kernel starts."""
    fields: tuple[type[Field], ...] = (IntegerField, BigIntegerField, BigAutoField)
    for field in fields:
        field.register_lookup(AnyOf)
    ForeignKey.register_lookup(AnyOf)
    CharField.register_lookup(AnyText)
