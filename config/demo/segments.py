"""The groups that the demo company looks at: who went quiet, who may become a friend, who cannot be reached."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from config.demo.state import ACTOR, Company, Planned
from crm.services import segment_passes, segments

MADE: Final = 12  # days ago
GUESTS: Final = ("lixia", "clover", "daisy")

RULES: Final[tuple[tuple[str, str, str, dict[str, Any]], ...]] = (
    (
        "Lapsed buyers 久未回购",
        "lapsed-buyers",
        "Bought once, and then nothing for three weeks. 买过，但已有三周没有再来。",
        {"touchpoint": "Order Completed", "not_since_days": 21},
    ),
    (
        "Promoters to be 潜在口碑客户",
        "promoters-to-be",
        "Bought more than once, and no complaint is open. 多次购买，且没有未结的问题。",
        {
            "all": [
                {"touchpoint": "Order Completed", "times": {"op": "gte", "value": 2}, "within_days": 60},
                {"fact": "voc.open_tickets", "op": "eq", "value": 0},
            ]
        },
    ),
    (
        "Nobody can write to them 无法触达",
        "unreachable",
        "No confirmed or trusted address on any channel: ask at the counter. 没有可用的联系方式，请在门店当面询问。",
        {
            "all": [
                {"fact": "reachable.email", "op": "eq", "value": False},
                {"fact": "reachable.sms", "op": "eq", "value": False},
            ]
        },
    ),
)


def plan(company: Company) -> Iterator[Planned]:
    """The segments are made, one after the other, on one day."""
    yield company.ago(MADE), lambda at: _make(company, at)
    # Tonight's check: what changed by time alone.
    yield company.now, _check


def _make(company: Company, at: datetime) -> None:
    for name, key, description, rule in RULES:
        row = segments.create(name, key=key, description=description, rule=rule, actor=ACTOR, now=at)
        segments.activate(row.pk, actor=ACTOR, now=at)
    guests = segments.create(
        "Guests of the tasting 品茶会来宾", key="tasting-guests", actor=ACTOR, now=at,
        description="Who came to the tasting at the shop. 来店参加品茶会的客人。",
    )  # fmt: skip
    ids = [company.profiles[key] for key in GUESTS if key in company.profiles]
    segments.add_members(guests.pk, profile_ids=ids, actor=ACTOR, now=at)
    _work(at)


def _check(at: datetime) -> None:
    segment_passes.request_all(now=at)
    _work(at)


def _work(at: datetime) -> None:
    while segment_passes.work(now=at):
        pass
