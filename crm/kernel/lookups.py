"""A lookup for long lists of ids: `pk__any=[…]` is `= ANY('{…}')`, one parameter whatever the length.

`IN` sends a parameter per id, which costs more to compile, send and parse than the query itself once there are
hundreds; the plan is the same.
"""

from __future__ import annotations

from typing import Any

from django.db.models import BigAutoField, BigIntegerField, Field, ForeignKey, IntegerField, Lookup


class AnyOf(Lookup):
    """Membership in a list of whole numbers."""

    lookup_name = "any"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        """`column = ANY('{1,2,3}'::bigint[])`."""
        left, parameters = self.process_lhs(compiler, connection)
        # Only whole numbers get into the literal: int() raises for anything else.
        ids = ",".join(str(int(value)) for value in self.rhs)
        return f"{left} = ANY(%s::bigint[])", (*parameters, "{" + ids + "}")


def register() -> None:
    """Make the lookup known to every integer key. Called once when the kernel starts."""
    fields: tuple[type[Field], ...] = (IntegerField, BigIntegerField, BigAutoField)
    for field in fields:
        field.register_lookup(AnyOf)
    ForeignKey.register_lookup(AnyOf)
