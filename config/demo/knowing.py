"""What the demo company wants to know of its people: computed traits, RFM, and a few segments."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from django.utils import translation

from config.demo.state import Company
from crm.conditions import starters
from crm.services import computed, passes, segment_passes, segments

ORDER: Final = "Order Completed"
# key: (name, definition)
TRAITS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "orders_90d": (
        "Orders in 90 days 近 90 天订单数",
        {"kind": ORDER, "function": "count", "within_days": 90},
    ),
    "spent_cny": (
        "Spent in yuan 累计消费（人民币）",
        {"kind": ORDER, "function": "sum", "property": "revenue", "type": "money", "currency": "CNY"},
    ),
    "favourite_category": (
        "Favourite category 最爱的品类",
        {"kind": ORDER, "function": "most_frequent", "property": "products[].category"},
    ),
    "last_looked_at": (
        "Last product looked at 最近看过的商品",
        {"kind": "Product Viewed", "function": "last", "property": "name", "within_days": 30},
    ),
    "coupon_hunter": ("Coupons tried 试过的优惠券", {"kind": "Coupon Entered", "function": "count"}),
}
DRAFTS: Final = ("coupon_hunter",)
# key of the segment: (name, the starter it was made from)
SEGMENTS: Final = {
    "looked-not-bought": ("Looked this week, not bought 本周看了没买", "looked"),
    "bought-twice": ("Bought twice in 30 days 30 天内买过两次", "twice"),
    "at-risk": ("Good customers at risk 有流失风险的好客户", "at_risk"),
}


def decide(company: Company, at: datetime) -> None:
    """Make and fill them, as staff and workers would."""
    lan = company.colleague("demo-lan")
    for key, (name, definition) in TRAITS.items():
        row = computed.create(key=key, name=name, definition=definition, actor=lan, now=at)
        if key not in DRAFTS:
            computed.activate(row.pk, actor=lan, now=at)
    passes.renew_purchases(now=at)
    passes.work(now=lambda: at, until=lambda: False)
    for key, (name, starter) in SEGMENTS.items():
        found = starters.find(starter)
        assert found is not None
        segment = segments.create(name, key=key, rule=found.rule, actor=lan, now=at)
        segments.activate(segment.pk, actor=lan, now=at)
    with translation.override("en"):
        while segment_passes.work(now=at + segment_passes.SETTLING):
            pass
