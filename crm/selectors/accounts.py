"""Reading accounts: the search, their people over all ids, figures in words, and one bounded timeline."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from crm import names
from crm.kernel.money import Money
from crm.models import Account, AccountMembership
from crm.registry import account_figures
from crm.selectors import profiles, timeline

MOST_PEOPLE = 200
TIMELINE_PEOPLE = 500
TIMELINE_DAYS = 90
TIMELINE_ITEMS = 40


@dataclass(frozen=True, slots=True)
class Member:
    """A person of an account."""

    card: profiles.Card
    role: str
    trust: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Line:
    """A touchpoint of one of its people."""

    item: timeline.TimelineItem
    card: profiles.Card | None


def search(text: str, *, within: QuerySet[Account]) -> QuerySet[Account]:
    """Accounts that have all the words: in the name (as people's names are found), the domain or the key."""
    for word in text.split()[:6]:
        folded = names.fold(word)
        tokens = [folded] if "." in folded or "-" in folded or "_" in folded else names.query_tokens(word)
        within = within.filter(search_tokens__contains=tokens or [folded])
    return within


def orders(row: Account) -> list[str]:
    """Sums by currency, the largest first."""
    found = sorted(row.orders.items(), key=lambda entry: -entry[1]["minor"])
    return [f"{Money(entry['minor'], currency)} ({entry['orders']})" for currency, entry in found]


def figures(row: Account) -> list[tuple[Any, int]]:
    """Numbers of other apps: label and value."""
    return [(figure.label, row.figures.get(figure.key, 0)) for figure in account_figures()]


def members(account_id: int, *, most: int = MOST_PEOPLE) -> list[Member]:
    """The people who belong to it now, each once whatever ids they had; the newest first."""
    rows = list(
        AccountMembership.objects.filter(account_id=account_id, until=None).order_by("-since", "-pk")[:most]
    )
    cards = profiles.cards(row.profile_id for row in rows)
    found: dict[int, Member] = {}
    for row in rows:
        card = cards[row.profile_id]
        if not card.is_erased:
            found.setdefault(card.id, Member(card, row.role, row.trust, row.since))
    return list(found.values())


def timeline_of(account_id: int, *, now: datetime) -> list[Line]:
    """The newest touchpoints of its people within ninety days; of the newest five hundred people at most."""
    ids = AccountMembership.objects.filter(account_id=account_id, until=None).order_by("-since")
    cards = profiles.cards(ids.values_list("profile_id", flat=True)[:TIMELINE_PEOPLE])
    sets = profiles.id_sets({card.id for card in cards.values() if not card.is_erased})
    root_of = {member: root for root, members_of in sets.items() for member in members_of}
    items = timeline.named(
        timeline.page(
            sorted(root_of), limit=TIMELINE_ITEMS, now=now, oldest=now - timedelta(days=TIMELINE_DAYS)
        )
    )
    by_root = {card.id: card for card in cards.values()}
    return [Line(item, by_root.get(root_of[item.profile_id])) for item in items]
