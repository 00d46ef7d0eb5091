"""Rules to start from: what staff ask most often, to be changed in the form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext_lazy as _

ORDER: Final = "Order Completed"


@dataclass(frozen=True, slots=True)
class Starter:
    """A rule with a name."""

    key: str
    name: Any
    rule: dict[str, Any]


STARTERS: Final = (
    Starter(
        "lapsed",
        _("Bought before, not in the last 90 days"),
        {"all": [{"touchpoint": ORDER, "not_since_days": 90}]},
    ),
    Starter(
        "new",
        _("New this week"),
        {"all": [{"fact": "profile.first_seen", "op": "in_last_days", "value": 7}]},
    ),
    Starter(
        "twice",
        _("Bought at least twice in 30 days"),
        {"all": [{"touchpoint": ORDER, "within_days": 30, "times": {"op": "gte", "value": 2}}]},
    ),
    Starter(
        "looked",
        _("Looked at a product this week, did not buy"),
        {
            "all": [
                {"touchpoint": "Product Viewed", "within_days": 7},
                {"not": {"touchpoint": ORDER, "within_days": 7}},
            ]
        },
    ),
    Starter(
        "at_risk",
        _("Good customers at risk"),
        {"all": [{"fact": "rfm.segment", "op": "in", "value": ["at_risk", "must_keep"]}]},
    ),
    Starter(
        "birthday",
        _("Birthday within 30 days, and may be written to"),
        {
            "all": [
                {"fact": "profile.birthday", "op": "anniversary_in_days", "value": 30},
                {"consent": {"purpose": "marketing", "channel": "email"}, "allowed": True},
            ]
        },
    ),
    Starter(
        "never",
        _("Known by e-mail, never bought"),
        {
            "all": [
                {"fact": "contact.email", "op": "eq", "value": True},
                {"not": {"touchpoint": ORDER}},
            ]
        },
    ),
)


def find(key: str) -> Starter | None:
    """The starter of a key."""
    return next((one for one in STARTERS if one.key == key), None)
