"""Journeys that come with the product: definitions to start from, not special cases of the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext_lazy as _

BROWSED_NOT_BOUGHT: Final = "browsed_not_bought"


@dataclass(frozen=True, slots=True)
class Shipped:
    """A definition with the name and the explanation that staff read."""

    name: Any
    help: Any
    definition: dict[str, Any]


TEMPLATES: Final[dict[str, Shipped]] = {
    BROWSED_NOT_BOUGHT: Shipped(
        name=_("Browsed, not bought"),
        help=_(
            "Somebody looks at a product and buys nothing for a while: a coupon for exactly that product."
        ),
        definition={
            "trigger": {"kind": "Product Viewed", "where": [{"property": "product_id", "op": "exists"}]},
            "entry_key": {"property": "product_id"},
            "goal": {"kind": "Order Completed"},
            "exits": [],
            "holdout_percent": 10,
            "cap": {"entries": 3, "hours": 24},
            "conversion_hours": 72,
            "steps": [
                {"id": "think", "type": "wait", "minutes": 30},
                {
                    "id": "bought",
                    "type": "condition",
                    "if": {"has": {"kind": "Order Completed"}},
                    "then": "done",
                    "else": "offer",
                },
                {
                    "id": "offer",
                    "type": "message",
                    "kind": "lifecycle.browsed_not_bought",
                    "useful_hours": 72,
                    "values": {
                        "product_name": {"property": "name", "default": ""},
                        "product_url": {"property": "url", "default": ""},
                        "coupon_code": "COMEBACK10",
                        "percent": 10,
                    },
                },
                {"id": "done", "type": "end"},
            ],
        },
    ),
    "after_first_order": Shipped(
        name=_("After the first order"),
        help=_("A few days after somebody bought, ask whether all is well, before anything is sold again."),
        definition={
            "trigger": {"kind": "Order Completed"},
            "entry_key": {"per": "person"},
            "goal": None,
            "exits": [{"kind": "Order Refunded"}],
            "holdout_percent": 0,
            "steps": [
                {"id": "use", "type": "wait", "minutes": 4320},
                {
                    "id": "ask",
                    "type": "message",
                    "kind": "lifecycle.is_all_well",
                    "useful_hours": 168,
                    "values": {},
                },
            ],
        },
    ),
}
