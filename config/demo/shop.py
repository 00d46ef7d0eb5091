"""Two months at the shop: who looked, who bought, in which currency. The same every time it is asked."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from config.demo.people import CUSTOMERS, Customer

DAYS: Final = 60
SERVER, BROWSER = "server", "browser"


@dataclass(frozen=True, slots=True)
class Product:
    """Something on the shelf, with its price in minor units of two currencies."""

    product_id: str
    name: str
    category: str
    cny: int
    usd: int


PRODUCTS: Final[tuple[Product, ...]] = (
    Product("tea-101", "Lantern Longjing 灯笼龙井 50 g", "green", 12800, 2150),
    Product("tea-102", "Morning Mist Maofeng 晨雾毛峰 50 g", "green", 9600, 1680),
    Product("tea-201", "Red Eaves Keemun 红檐祁红 100 g", "black", 8800, 1490),
    Product("tea-301", "Slow River Oolong 慢河乌龙 100 g", "oolong", 11800, 1990),
    Product("tea-401", "Old Street Pu'er cake 老街普洱茶饼 357 g", "dark", 26800, 4480),
    Product("tea-501", "Night Jasmine 夜来茉莉 80 g", "scented", 6800, 1190),
    Product("tea-601", "White Hair Silver Needle 白毫银针 40 g", "white", 19800, 3390),
    Product("ware-11", "Travel gaiwan 旅行盖碗", "ware", 15800, 2690),
    Product("ware-12", "Paper lantern tin 纸灯笼茶罐", "ware", 5200, 890),
    Product("sub-1", "Monthly tin 每月一罐", "subscription", 9900, 1650),
)
# On the shelf since this morning: whoever looked at it is still making up their mind.
NEW: Final = Product("box-26", "Winter lantern box 冬灯礼盒", "gift", 32800, 5490)
_PAGES: Final = (("Home 首页", "/"), ("Our gardens 茶园", "/gardens"), ("Brewing guide 冲泡指南", "/brewing"))


@dataclass(frozen=True, slots=True)
class Visit:
    """One event of one customer; `source` says which of the two sources saw it."""

    at: datetime
    customer: Customer
    source: str
    kind: str
    message_id: str
    properties: dict[str, Any] = field(default_factory=dict)

    @property
    def identifiers(self) -> tuple[tuple[str, str], ...]:
        """What that source knows of the customer."""
        if self.source == SERVER:
            return (("user_id", self.customer.user_id),)
        return (("anonymous_id", f"demo-device-{self.customer.key}"),)


def visits(*, today: date) -> list[Visit]:
    """All events, oldest first; the last day is the one before `today`."""
    return sorted(_all(today), key=lambda visit: visit.at)


def look(customer: Customer, product: Product, at: datetime) -> Visit:
    """One look at one product, just now."""
    currency = _currency(customer)
    return Visit(
        at, customer, BROWSER, "Product Viewed", f"demo-{customer.key}-now", _sold(product, currency)
    )


def _all(today: date) -> Iterator[Visit]:
    for number, customer in enumerate(CUSTOMERS):
        dice = random.Random(f"lantern-{customer.key}")
        # Everybody has a first day; some come every week, some came once.
        first = DAYS - dice.randrange(0, 12)
        habit = (4, 6, 9, 14, 25)[number % 5]
        day, session = first, 0
        while day >= 1:
            yield from _session(customer, today - timedelta(days=day), session, dice)
            session += 1
            day -= max(1, round(dice.gauss(habit, habit / 3)))


def _session(customer: Customer, day: date, session: int, dice: random.Random) -> Iterator[Visit]:
    """Somebody opens the site in their evening, looks at a few things, and may buy one."""
    local = datetime.combine(
        day, time(dice.randrange(8, 21), dice.randrange(60)), ZoneInfo(customer.time_zone)
    )
    at = local.astimezone(ZoneInfo("UTC"))
    stem = f"demo-{customer.key}-{session}"
    currency = _currency(customer)
    title, path = _PAGES[dice.randrange(len(_PAGES))]
    yield Visit(at, customer, BROWSER, "page", f"{stem}-page", {"name": title, "path": path})
    looked = [dice.choice(PRODUCTS) for _ in range(dice.choice((1, 1, 2, 3)))]
    for step, product in enumerate(looked):
        at += timedelta(minutes=dice.randrange(1, 6))
        yield Visit(at, customer, BROWSER, "Product Viewed", f"{stem}-view-{step}", _sold(product, currency))
    if dice.random() < 0.45:
        product, quantity = looked[-1], dice.choice((1, 1, 1, 2, 3))
        yield Visit(
            at + timedelta(minutes=1),
            customer,
            BROWSER,
            "Product Added",
            f"{stem}-add",
            _sold(product, currency),
        )
        amount = quantity * (product.cny if currency == "CNY" else product.usd)
        yield Visit(
            at + timedelta(minutes=4),
            customer,
            SERVER,
            "Order Completed",
            f"{stem}-order",
            {
                "order_id": f"LT-{customer.key.upper()}-{session + 1}",
                "revenue": f"{amount // 100}.{amount % 100:02d}",
                "currency": currency,
                "products": [{**_sold(product, currency), "quantity": quantity}],
            },
        )
        if dice.random() < 0.15:
            yield Visit(
                at + timedelta(hours=30),
                customer,
                SERVER,
                "Product Reviewed",
                f"{stem}-review",
                {"product_id": product.product_id, "rating": dice.choice((3, 4, 5, 5))},
            )


def _currency(customer: Customer) -> str:
    return "CNY" if customer.country in {"CN", "HK"} else "USD"


def _sold(product: Product, currency: str) -> dict[str, Any]:
    minor = product.cny if currency == "CNY" else product.usd
    return {
        "product_id": product.product_id,
        "name": product.name,
        "category": product.category,
        "price": f"{minor // 100}.{minor % 100:02d}",
        "currency": currency,
    }
