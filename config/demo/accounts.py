"""The demo company's accounts, what colleagues noted about people, and two profiles that may be one person."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from config.demo.people import BY_KEY
from config.demo.state import Company, Planned
from crm.kernel import actors
from crm.models import Account
from crm.services import accounts, contacts, notes, profiles, suggestions, touchpoints
from crm.services.touchpoints import Event

# group id: (what the shop's server tells of it, who belongs to it in which role)
ACCOUNTS: Final[dict[str, tuple[dict[str, Any], dict[str, str]]]] = {
    "demo-camphor-guesthouse": (
        {
            "name": "Camphor Guesthouse 香樟客舍", "domain": "camphor.example.org",
            "industry": "Guesthouse 民宿", "rooms": 18, "terms": "Monthly invoice 月结",
        },
        {"puer": "Owner 店主", "maofeng": "Buyer 采购", "baihao": ""},
    ),
    "demo-paper-kite": (
        {
            "name": "Paper Kite Studio 纸鸢设计室", "domain": "paperkite.example.com",
            "industry": "Design 设计", "terms": "Prepaid 预付",
        },
        {"wren": "Office manager 行政", "basil": ""},
    ),
}  # fmt: skip
# (about whom, days ago, by whom, category, words, pinned)
NOTES: Final = (
    ("sage", 9, "demo-theo", "accessibility",
     "Hard of hearing: write, do not call. Large print on the parcel card, please.", True),
    ("guyu", 8, "demo-mei", "accessibility", "视力不好，电话里请把订单内容念一遍；短信请写得简短。", True),
    ("puer", 7, "demo-mei", "taste", "偏爱熟普，不喝花茶；每年四月会问新春茶。", False),
    ("puer", 2, "demo-mei", "handover", "六月的月结发票改寄新地址，已和财务确认；下次来电由我跟进。", False),
    ("wren", 5, "demo-theo", "taste", "Orders smoky teas for the office; nothing with jasmine.", False),
    ("wren", 1, "demo-theo", "handover", "Waits for our answer on engraved tins. I am away: Lan takes over.", False),
)  # fmt: skip
TILL: Final = ("till", "Wren Demo")  # the same telephone, written down at the counter


def plan(company: Company) -> Iterator[Planned]:
    """The accounts, then the notes, then the customer of the till, as (when, act)."""
    yield company.ago(30), lambda at: _join(company, at)
    for who, days, author, category, words, is_pinned in NOTES:
        yield (
            company.ago(days),
            lambda at, note=(who, author, category, words, is_pinned): _note(company, note, at),
        )
    yield company.ago(4), lambda at: _at_the_till(company, at)


def decide(company: Company, at: datetime) -> None:
    """What the minute and the night do: roll the accounts up, and look for people who are there twice."""
    accounts.roll_up_all(now=at)
    suggestions.find(now=at)


def _join(company: Company, at: datetime) -> None:
    """The shop's server tells who orders for whom; a colleague adds the roles and a household."""
    touchpoints.record(
        [
            Event(
                kind="group",
                occurred_at=at,
                message_id=f"demo-group-{who}",
                identifiers=(("user_id", BY_KEY[who].user_id),),
                properties={"groupId": group_id, "traits": told},
            )
            for group_id, (told, members) in ACCOUNTS.items()
            for who in members
        ],
        source=company.server,
        actor=actors.source(company.server.id),
        now=at,
        historical=True,
    )
    mei = company.colleague("demo-mei")
    ids = dict(Account.objects.filter(group_id__in=ACCOUNTS).values_list("group_id", "pk"))
    for group_id, (_told, members) in ACCOUNTS.items():
        for who, role in members.items():
            if role:
                accounts.add_person(
                    ids[group_id], profile_id=company.profiles[who], role=role, actor=mei, now=at
                )
    notes.link(company.profiles["sage"], company.profiles["hazel"], kind="household", actor=mei, now=at)


def _note(company: Company, note: tuple[str, str, str, str, bool], at: datetime) -> None:
    who, author, category, words, is_pinned = note
    notes.add(
        company.profiles[who],
        text=words,
        category=category,
        is_pinned=is_pinned,
        actor=company.colleague(author),
        now=at,
    )


def _at_the_till(company: Company, at: datetime) -> None:
    """Somebody left name and telephone at the counter: nobody decides by itself that it is a customer we know."""
    key, name = TILL
    company.profiles[key] = profiles.resolve(
        [("user_id", f"demo-{key}")], trust="server", actor=actors.source(company.server.id), now=at,
        names={"name": name, "country": "US"}, source_id=company.server.id,
    )  # fmt: skip
    contacts.add(
        company.profiles[key], channel="sms", value=BY_KEY["wren"].phone, origin="staff",
        actor=company.colleague("demo-theo"), now=at,
    )  # fmt: skip
