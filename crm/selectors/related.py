"""Who belongs to a person: the same account, the same telephone or e-mail, links that staff set, and what apps know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.db.models import Q
from django.utils.translation import gettext as _

from crm.models import Account, AccountMembership, ProfileLink
from crm.registry import relations
from crm.selectors import profiles
from crm.states import LinkKind

MOST = 30


@dataclass(slots=True)
class Related:
    """Another person, and how they belong to this one. `link_id` is set where staff said so."""

    card: profiles.Card
    ways: list[Any] = field(default_factory=list)
    link_id: int | None = None


@dataclass(frozen=True, slots=True)
class Belonging:
    """An account of a person."""

    account: Account
    role: str
    trust: str
    since: Any


def people(profile_ids: Sequence[int]) -> list[Related]:
    """Related people, those with a link first; at most thirty."""
    ids = list(profile_ids)
    ways: dict[int, list[Any]] = {}
    links: dict[int, int] = {}
    for row in ProfileLink.objects.filter(Q(first_id__in=ids) | Q(second_id__in=ids)).order_by("pk")[:MOST]:
        other = row.second_id if row.first_id in ids else row.first_id
        ways.setdefault(other, []).append(LinkKind(row.kind).label)
        links[other] = row.pk
    for other, channel in _same_address(ids):
        label = _("same phone number") if channel == "sms" else _("same e-mail address")
        ways.setdefault(other, []).append(label)
    for relation in relations():
        for other, label in relation(ids)[:MOST]:
            ways.setdefault(other, []).append(label)
    for other, account in _same_account(ids):
        ways.setdefault(other, []).append(account)
    cards = profiles.cards(ways)
    found: dict[int, Related] = {}
    for other, labels in ways.items():
        card = cards.get(other)
        if card is None or card.id in ids or card.is_erased:
            continue
        related = found.setdefault(card.id, Related(card))
        related.ways += [label for label in labels if label not in related.ways]
        related.link_id = related.link_id or links.get(other)
    return sorted(found.values(), key=lambda one: (one.link_id is None, -len(one.ways)))[:MOST]


def accounts(profile_ids: Sequence[int]) -> list[Belonging]:
    """The accounts a person belongs to now, over all ids, each once."""
    rows = (
        AccountMembership.objects.filter(profile_id__in=list(profile_ids), until=None)
        .select_related("account")
        .order_by("account_id", "since")[:MOST]
    )
    found: dict[int, Belonging] = {}
    for row in rows:
        found.setdefault(row.account_id, Belonging(row.account, row.role, row.trust, row.since))
    return list(found.values())


def _same_address(ids: list[int]) -> list[tuple[int, str]]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT o.profile_id, o.channel FROM crm_contactpoint c
              JOIN crm_contactpoint o ON o.channel = c.channel AND o.value_hash = c.value_hash
             WHERE c.profile_id = ANY(%s) AND c.channel IN ('email', 'sms') AND o.profile_id <> ALL(%s)
             LIMIT %s
            """,
            [ids, ids, MOST],
        )
        return cursor.fetchall()


def _same_account(ids: list[int]) -> list[tuple[int, str]]:
    """People of the same accounts, of small ones: in a large one everybody would be a relation."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT o.profile_id, COALESCE(NULLIF(a.name, ''), a.group_id)
              FROM crm_accountmembership m
              JOIN crm_account a ON a.id = m.account_id AND a.people <= %s
              JOIN crm_accountmembership o ON o.account_id = m.account_id AND o.until IS NULL
             WHERE m.profile_id = ANY(%s) AND m.until IS NULL AND o.profile_id <> ALL(%s)
             LIMIT %s
            """,
            [MOST, ids, ids, MOST],
        )
        return cursor.fetchall()
