"""Computed traits, RFM and purchases as facts: what conditions may ask of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from django.db import connection
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from crm import computed as definitions
from crm import facts
from crm.kernel import knobs, money
from crm.selectors import computed
from crm.selectors.computed import InForce
from crm.states import ComputedFunction, ComputedType, RfmSegment

GROUP: Final = _("Computed traits")
PURCHASES: Final = _("Purchases and RFM")
CHANGED: Final = (definitions.CHANGED,)
_TYPES: Final = {
    ComputedType.NUMBER: facts.NUMBER,
    ComputedType.MONEY: facts.NUMBER,
    ComputedType.TEXT: facts.TEXT,
    ComputedType.MOMENT: facts.MOMENT,
    ComputedType.LIST: facts.LIST,
}
MOST_CHOICES: Final = 60
SAMPLE: Final = 20_000


def _find(key: str) -> facts.Fact | None:
    return next((_fact(trait) for trait in computed.in_force() if trait.key == key), None)


def _listing() -> list[facts.Fact]:
    return [_fact(trait) for trait in computed.in_force()]


def _fact(trait: InForce) -> facts.Fact:
    """One computed trait. Nobody's count or sum is missing: who has no row has nought."""
    wanted = trait.definition
    counts = wanted.function in (ComputedFunction.COUNT, ComputedFunction.SUM)
    return facts.Fact(
        key=f"computed:{trait.key}",
        label=trait.name,
        type=_TYPES[ComputedType(wanted.type)],
        group=GROUP,
        help=computed.describe(wanted),
        unit=wanted.currency,
        rows=_rows(trait),
        combine="max" if counts else "any",
        default=0 if counts else None,
        choices=(lambda: _seen(trait)) if wanted.type in (ComputedType.TEXT, ComputedType.LIST) else (),
        changed_by=CHANGED,
    )


def _rows(trait: InForce) -> Any:
    wanted = trait.definition
    column = {ComputedType.TEXT: "text", ComputedType.MOMENT: "moment", ComputedType.LIST: "list"}.get(
        ComputedType(wanted.type), "number"
    )
    value = column
    if wanted.type == ComputedType.MONEY and money.exponent(wanted.currency):
        value = f"number / {10 ** money.exponent(wanted.currency)}"

    def rows(now: datetime) -> facts.Rows:
        return (
            f"SELECT profile_id, {value} FROM crm_computedvalue WHERE trait_id = %s AND {column} IS NOT NULL",
            [trait.id],
        )

    return rows


def _seen(trait: InForce) -> list[tuple[str, str]]:
    """The most frequent values, from a sample."""
    value = "unnest(list)" if trait.definition.type == ComputedType.LIST else "text"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT value FROM (SELECT {value} AS value FROM crm_computedvalue WHERE trait_id = %s LIMIT %s) AS few"
            " WHERE length(value) BETWEEN 1 AND 80 GROUP BY value ORDER BY count(*) DESC, value LIMIT %s",
            [trait.id, SAMPLE, MOST_CHOICES],
        )
        return [(text, text) for (text,) in cursor.fetchall()]


def _bought(expression: str) -> Any:
    def rows(now: datetime) -> facts.Rows:
        return (
            f"SELECT profile_id, {expression} FROM crm_purchasesummary WHERE currency = %s",
            [str(knobs.get("crm.currency")).upper()],
        )

    return rows


def _spent(now: datetime) -> facts.Rows:
    scale = 10 ** money.exponent(str(knobs.get("crm.currency")).upper())
    return _bought(f"spent::numeric / {scale}")(now)


def register() -> None:
    """Enter them into the registry."""
    facts.register_family("computed", label=GROUP, find=_find, listing=_listing)
    own: dict[str, Any] = {"group": PURCHASES, "changed_by": CHANGED}
    facts.register(
        "rfm.segment", label=_("RFM group"), type=facts.CHOICE, rows=_bought("segment"), choices=RfmSegment.choices,
        phrases={"eq": _("is in the RFM group %(value)s"), "not eq": _("is not in the RFM group %(value)s")}, **own,
    )  # fmt: skip
    for name, label in (
        ("recency", _("recency score (1 to 5)")),
        ("frequency", _("frequency score (1 to 5)")),
        ("monetary", _("monetary score (1 to 5)")),
    ):
        facts.register(f"rfm.{name}", label=label, type=facts.NUMBER, rows=_bought(f"{name}::numeric"), **own)
    facts.register(
        "purchases.orders", label=_("number of orders"), type=facts.NUMBER, rows=_bought("orders::numeric"),
        combine="max", default=0, **own,
    )  # fmt: skip
    facts.register(
        "purchases.spent", label=_("amount of all orders"), type=facts.NUMBER, rows=_spent, combine="max", default=0,
        help=_("In the currency of the organisation."), **own,
    )  # fmt: skip
    facts.register(
        "purchases.last", label=_("last order"), type=facts.MOMENT, rows=_bought("last_order_at"), **own
    )
    facts.register(
        "purchases.first", label=_("first order"), type=facts.MOMENT, rows=_bought("first_order_at"), **own
    )
    facts.register(
        "purchases.gap", label=_("days between orders (median)"), type=facts.NUMBER,
        rows=_bought("median_gap_days::numeric"), unit=pgettext_lazy("unit", "days"), **own,
    )  # fmt: skip


register()
