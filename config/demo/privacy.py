"""What the demo company's people decided about their own data, and what staff did for them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from config.demo import people
from config.demo.state import ACTOR, Company
from crm.kernel import actors
from crm.services import choices, consent_texts, contacts, corrections, erasure, profiles, reservations

MARKETING: Final = (
    "You may send me offers by Lantern Tea: coupons, new teas, at most once a week. One click stops it.",
    "可以给我发送优惠信息：优惠券和新茶上市，每周最多一次，一键即可停止。",
)
CHOOSERS: Final = ("guyu", "sage", "hazel")  # pause, fewer messages, hours of their own


def decide(company: Company, at: datetime) -> None:
    """A new wording, three choices, pop-ups of the shop, a correction, an erasure done and one that waits."""
    lan, mei = company.colleague("demo-lan"), company.colleague("demo-mei")
    consent_texts.write("marketing", text_en=MARKETING[0], text_zh_hans=MARKETING[1], actor=lan, now=at)
    paused, fewer, hours = (company.profiles[key] for key in CHOOSERS)
    choices.pause(paused, actor=actors.person(paused), now=at)
    choices.set_frequency(fewer, frequency="fewer", actor=actors.person(fewer), now=at)
    choices.set_quiet_hours(hours, hours=(19, 10), actor=actors.person(hours), now=at)
    shop = actors.source(company.server.id)
    for label in ("New teas 新茶上市", "How was your order? 订单还满意吗？"):
        answer = reservations.ask(hours, pressure_class="popup", label=label, actor=shop, now=at)
        if answer.reservation is not None:
            reservations.settle(answer.reservation.public_id, actor=shop, now=at)
    corrections.correct(fewer, values={"region": "Dorset"}, reason="person_asked", actor=lan, now=at)
    _erase_somebody(company, at)
    waiting = company.profiles[people.CUSTOMERS[-1].key]
    erasure.request(waiting, actor=mei, needs_approval=True, now=at)


def _erase_somebody(company: Company, at: datetime) -> None:
    """A former customer who is nobody any more: their certificate can be looked at."""
    before = at - timedelta(days=3)
    former = profiles.resolve(
        [("user_id", "demo-former"), ("email", "former@example.com")], trust="server", actor=ACTOR, now=before,
        names={"name": "Former Example"}, source_id=company.server.id,
    )  # fmt: skip
    contacts.add(
        former, channel="email", value="former@example.com", origin="server", actor=ACTOR, now=before
    )
    erasure.erase(former, actor=company.colleague("demo-lan"), now=before)
