"""What staff read for the most common kinds of touchpoint: a verb instead of a name in quotation marks.

`did` and `did_not` stand alone; with an object (`bought tea`) when the only filter says what the thing is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext_lazy as _

# A filter on one of these alone is the object of the verb.
OBJECTS: Final = frozenset(("category", "name", "product", "product_id", "sku", "brand"))


@dataclass(frozen=True, slots=True)
class Verb:
    """The words of a kind: what somebody did, or did not do."""

    did: Any
    did_not: Any
    did_it: Any = None
    did_not_it: Any = None


_verbs: dict[str, Verb] = {}


def register(kind: str, *, did: Any, did_not: Any, did_it: Any = None, did_not_it: Any = None) -> None:
    """Give a kind of touchpoint its words. `did_it` and `did_not_it` have a place for `%(object)s`."""
    _verbs[kind] = Verb(did, did_not, did_it, did_not_it)


def find(kind: str) -> Verb | None:
    """The words of a kind, or None."""
    return _verbs.get(kind)


_SHOP: Final[Mapping[str, Verb]] = {
    "Order Completed": Verb(_("bought"), _("has not bought"), _("bought %(object)s"), _("has not bought %(object)s")),
    "Product Viewed": Verb(
        _("looked at a product"), _("has not looked at a product"),
        _("looked at %(object)s"), _("has not looked at %(object)s"),
    ),
    "Product Added": Verb(
        _("put something into the cart"), _("has put nothing into the cart"),
        _("put %(object)s into the cart"), _("has not put %(object)s into the cart"),
    ),
    "Checkout Started": Verb(_("began a checkout"), _("has not begun a checkout")),
    "Order Refunded": Verb(_("got a refund"), _("has not got a refund")),
    "Order Cancelled": Verb(_("cancelled an order"), _("has not cancelled an order")),
    "Product Reviewed": Verb(
        _("reviewed a product"), _("has not reviewed a product"),
        _("reviewed %(object)s"), _("has not reviewed %(object)s"),
    ),
    "Product Shared": Verb(_("shared a product"), _("has not shared a product")),
    "page": Verb(_("viewed a page"), _("has not viewed a page")),
    "screen": Verb(_("viewed a screen"), _("has not viewed a screen")),
}  # fmt: skip
_verbs.update(_SHOP)
