"""What the demo company decided about its events: owners, purposes, one schema, and what its sources did wrong."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from config.demo.state import ACTOR, Company
from crm.models import EventKind
from crm.selectors import catalogue as catalogue_reads
from crm.services import catalogue, kind_learning, sources, tallies, warnings
from crm.services.catalogue import PropertyRule

# kind: (owner, purpose, days kept, what it is in English, in Chinese)
DECIDED: Final[dict[str, tuple[str, str, int | None, str, str]]] = {
    "Product Viewed": (
        "demo-mei", "Help people who cannot decide 帮助犹豫的人", 400,
        "Somebody looked at one product on the website.", "有人在网站上看了一件商品。",
    ),
    "Product Added": (
        "demo-mei", "Help people who cannot decide 帮助犹豫的人", 400,
        "Somebody put a product into the cart.", "有人把商品放进了购物车。",
    ),
    "Order Completed": (
        "demo-lan", "Deliver, and thank for loyalty 发货与忠诚回馈", None,
        "An order was paid. Sent by the shop's own server.", "订单已付款，由店铺后台发送。",
    ),
    "Product Reviewed": (
        "demo-lan", "Learn what people like 了解大家喜欢什么", None,
        "Somebody rated a product they bought, one to five.", "有人给买过的商品打了一到五分。",
    ),
    "page": (
        "demo-mei", "See which pages help 看哪些页面有帮助", 180,
        "A page of the website was opened.", "打开了网站上的一个页面。",
    ),
}  # fmt: skip
REVIEW: Final = (
    PropertyRule("rating", "integer", is_required=True, allowed_values=("1", "2", "3", "4", "5")),
    PropertyRule("product_id", "string", is_required=True),
)
# (source, code, subject, days ago, how often, detail, stored)
WENT_WRONG: Final = (
    ("browser", "illegal_identifier", "user_id", 1, 38, "user_id", True),
    ("browser", "illegal_identifier", "user_id", 3, 21, "user_id", True),
    ("server", "time_without_zone", "", 2, 6, "timestamp", True),
    ("server", "schema_violation", "Product Reviewed", 4, 3, "rating is not of type integer", True),
)


def decide(company: Company) -> None:
    """Learn what came, decide about it, and find what went wrong on the way. Done on the day of the load."""
    now = company.now
    kind_learning.enter(since=(now - timedelta(days=90)).date(), until=now.date())
    kind_learning.learn(now=now, back=timedelta(days=30))
    actor = company.colleague("demo-lan")
    ids = dict(EventKind.objects.filter(name__in=DECIDED).values_list("name", "pk"))
    for name, (owner, purpose, kept, english, chinese) in DECIDED.items():
        if name in ids:
            values: dict[str, Any] = {
                "owner": company.staff[owner].pk, "purpose": purpose, "retention_days": kept, "description_en": english,
                "description_zh": chinese,
            }  # fmt: skip
            catalogue.change(ids[name], values=values, actor=actor, now=now)
    if "Product Reviewed" in ids:
        kind_id = ids["Product Reviewed"]
        catalogue.set_schema(kind_id, rules=REVIEW, actor=actor, now=now)
        catalogue.change(kind_id, values={"on_violation": "warn"}, actor=actor, now=now)
    catalogue_reads.forget()
    for source, code, subject, days, count, detail, is_stored in WENT_WRONG:
        at: datetime = company.ago(days)
        kind = subject if code == "schema_violation" else "page"
        sample = {
            "index": 0, "message_id": f"demo-wrong-{code}-{days}", "kind": kind, "detail": detail, "stored": is_stored,
        }  # fmt: skip
        source_id = company.server.id if source == "server" else company.browser.id
        warnings.write([(code, count, sample, subject)], source_id=source_id, now=at)
    # The website was given a new key today; the old one works while its pages are changed.
    sources.rotate(company.browser.id, works_until=now + timedelta(days=7), actor=ACTOR, now=now)
    while tallies.fold():
        pass
