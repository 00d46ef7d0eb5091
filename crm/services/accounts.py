"""Accounts: who belongs to which company or team, what is known of it, and its roll-up.

A server's group call makes the account, tells its traits and who belongs to it. A public browser key is believed
less: it adds a person to an account that is known, as a claim, and neither makes accounts nor says what they are;
the rest of what it says is a warning. The roll-up is computed for many accounts with a few statements, soon after a
change and once a night.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.db import connection, transaction
from django.db.models import Min
from django.utils.translation import gettext as _

from crm import names
from crm.kernel import actionlog, money
from crm.kernel.actors import Actor
from crm.kernel.errors import Conflict, DomainError, Invalid, NotFound
from crm.models import Account, AccountMembership, Profile
from crm.registry import account_figures
from crm.services import hotpath, profiles, retry
from crm.states import Trust

LATELY = timedelta(days=30)
MOST_TRAITS = 200
LONGEST_ID = 255
ORDER = "Order Completed"
RANK = {Trust.SERVER.value: 1, "staff": 2}


@dataclass(frozen=True, slots=True)
class Join:
    """One group call: this profile belongs to this account as of then. `traits` are the account's."""

    profile_id: int
    group_id: Any
    occurred_at: datetime
    traits: Mapping[str, Any]


def join(joins: Sequence[Join], *, trust: str, actor: Actor, now: datetime) -> list[tuple[int, str, str]]:
    """Take the group calls of one batch, inside its transaction. Returns warnings (place, code, detail)."""
    warnings: list[tuple[int, str, str]] = []
    known = _find_or_make(joins, trust=trust, now=now)
    wanted: dict[tuple[int, int], datetime] = {}
    told: dict[int, list[Join]] = {}
    for place, one in enumerate(joins):
        account_id = known.get(_group_id(one.group_id))
        if account_id is None:
            warnings.append((place, "account_unknown", "groupId"))
            continue
        pair = account_id, one.profile_id
        wanted[pair] = min(wanted.get(pair, one.occurred_at), one.occurred_at)
        if not one.traits:
            continue
        if trust == Trust.SERVER:
            told.setdefault(account_id, []).append(one)
        else:
            warnings.append((place, "account_traits_ignored", "traits"))
    if told:
        _tell(told, trust=trust, actor=actor)
    if wanted:
        _add(wanted, trust=trust, now=now)
    return warnings


def _find_or_make(joins: Sequence[Join], *, trust: str, now: datetime) -> dict[str, int]:
    ids = sorted({_group_id(one.group_id) for one in joins} - {""})
    found = dict(Account.objects.filter(group_id__in=ids).values_list("group_id", "pk"))
    missing = [group_id for group_id in ids if group_id not in found]
    if missing and trust == Trust.SERVER:
        hotpath.fetch(
            "INSERT INTO crm_account (group_id, search_tokens, stale_at, created_at)"
            " SELECT g, ARRAY[lower(g)], %(now)s, %(now)s FROM unnest(%(ids)s::text[]) AS g ORDER BY g"
            " ON CONFLICT (group_id) DO NOTHING",
            {"ids": missing, "now": now},
        )
        found |= dict(Account.objects.filter(group_id__in=missing).values_list("group_id", "pk"))
    return found


def _group_id(value: Any) -> str:
    text = str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    return text if len(text) <= LONGEST_ID else ""


def _tell(told: Mapping[int, Sequence[Join]], *, trust: str, actor: Actor) -> None:
    """Merge traits into accounts, locked in id order; the newer statement wins, and staff over servers."""
    for row in Account.objects.select_for_update(no_key=True).filter(pk__in=sorted(told)).order_by("pk"):
        before = (row.name, row.domain, dict(row.traits))
        for one in sorted(told[row.pk], key=lambda one: one.occurred_at):
            stamp = {"by": str(actor), "trust": trust, "at": one.occurred_at.isoformat()}
            for name, value in list(one.traits.items())[:MOST_TRAITS]:
                _put(row, name, value, stamp)
        if before != (row.name, row.domain, row.traits):
            _save_values(row)


def _put(row: Account, name: str, value: Any, stamp: Mapping[str, Any]) -> None:
    if value is None or value == "":
        return
    held = row.value_sources.get(name)
    if held is not None and (RANK.get(held["trust"], 0), held["at"]) > (RANK[stamp["trust"]], stamp["at"]):
        return
    if name in ("name", "domain") and isinstance(value, str):
        text = " ".join(value.split())
        value = text[:200] if name == "name" else _domain(text)
        if getattr(row, name) == value or not value:
            return
        setattr(row, name, value)
    elif name == "website" and isinstance(value, str) and not row.domain:
        row.traits[name] = value
        row.domain = _domain(value)
    elif row.traits.get(name) == value:
        return
    else:
        row.traits[name] = value
    row.value_sources[name] = dict(stamp)


def _domain(text: str) -> str:
    bare = text.strip().casefold().removeprefix("https://").removeprefix("http://").removeprefix("www.")
    return bare.partition("/")[0].removeprefix("@")[:253]


def _save_values(row: Account) -> None:
    words = {row.group_id.casefold(), row.domain, row.domain.partition(".")[0], *names.tokens(row.name)}
    row.search_tokens = sorted(words - {""})
    row.save(update_fields=["name", "domain", "traits", "value_sources", "search_tokens"])


def _add(wanted: Mapping[tuple[int, int], datetime], *, trust: str, now: datetime) -> None:
    """Add memberships, sorted; a server's word confirms a claim and takes back those who had left."""
    pairs = sorted(wanted)
    rows = hotpath.fetch(
        """
        INSERT INTO crm_accountmembership AS m (account_id, profile_id, role, trust, since)
        SELECT t.account_id, t.profile_id, '', %(trust)s, t.since
          FROM unnest(%(accounts)s::bigint[], %(profiles)s::bigint[], %(since)s::timestamptz[])
               AS t(account_id, profile_id, since)
         ORDER BY 1, 2
        ON CONFLICT (account_id, profile_id) DO UPDATE
           SET trust = EXCLUDED.trust, until = NULL
         WHERE EXCLUDED.trust <> 'browser' AND (m.trust = 'browser' OR m.until < EXCLUDED.since)
        RETURNING account_id
        """,
        {
            "trust": trust,
            "accounts": [account_id for account_id, _profile_id in pairs],
            "profiles": [profile_id for _account_id, profile_id in pairs],
            "since": [wanted[pair] for pair in pairs],
        },
    )
    _mark([row[0] for row in rows], now=now)


def _mark(account_ids: Iterable[int], *, now: datetime) -> None:
    """To be rolled up. Sorted; one that waits already is left alone, so that a busy account is no bottleneck."""
    hotpath.fetch(
        "UPDATE crm_account SET stale_at = %s WHERE id IN (SELECT id FROM crm_account WHERE id = ANY(%s)"
        " AND stale_at IS NULL ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)",
        [now, sorted(set(account_ids))],
    )


def touch(profile_ids: Iterable[int], *, now: datetime) -> None:
    """Something about these people changed: the accounts they belong to, over all their ids, are rolled up."""
    rows = hotpath.fetch(
        """
        WITH root AS (SELECT DISTINCT COALESCE(merged_into_id, id) AS id FROM crm_profile WHERE id = ANY(%s)),
             ids AS (SELECT id FROM root UNION SELECT p.id FROM root r JOIN crm_profile p ON p.merged_into_id = r.id)
        SELECT DISTINCT account_id FROM crm_accountmembership m JOIN ids ON ids.id = m.profile_id
        """,
        [sorted(set(profile_ids))],
    )
    if rows:
        _mark([row[0] for row in rows], now=now)


@retry.on_conflict
def save(group_id: str, *, values: Mapping[str, Any], actor: Actor, now: datetime) -> Account:
    """Make or change an account by staff or an API client: `name`, `domain`, and traits. Raises Invalid."""
    key = _group_id(group_id)
    if not key:
        raise Invalid(_("A group ID has 1 to 255 characters."), code="invalid_group_id", field="group_id")
    trust = "staff" if actor.kind == "staff" else Trust.SERVER.value
    with transaction.atomic():
        account_id = _find_or_make([Join(0, key, now, {})], trust=Trust.SERVER.value, now=now)[key]
        if values:
            _tell({account_id: [Join(0, key, now, dict(values))]}, trust=trust, actor=actor)
        account = Account.objects.get(pk=account_id)
        actionlog.write(actor, "crm.account.saved", account, fields=sorted(values), now=now)
    return account


@retry.on_conflict
def add_person(
    account_id: int, *, profile_id: int, actor: Actor, now: datetime, role: str = ""
) -> AccountMembership:
    """Say that a person belongs to an account, in a role; says it anew when it is known. Raises NotFound, Gone."""
    trust = "staff" if actor.kind == "staff" else Trust.SERVER.value
    with transaction.atomic():
        root = profiles.lock_roots([profile_id]).get(profile_id)
        account = Account.objects.filter(pk=account_id).first()
        if root is None or account is None:
            raise NotFound(_("There is no such person or account."))
        profiles.refuse_erased(root)
        row, made = AccountMembership.objects.get_or_create(
            account=account, profile=root, defaults={"trust": trust, "since": now, "role": role[:80]}
        )
        if not made:
            row.role, row.trust = role[:80], trust
            row.since, row.until = (now if row.until else row.since), None
            row.save(update_fields=["role", "trust", "since", "until"])
        _mark([account.pk], now=now)
        actionlog.write(actor, "crm.account.person_added", account, fields=("people",), now=now)
    return row


@retry.on_conflict
def remove_person(account_id: int, *, profile_id: int, actor: Actor, now: datetime) -> int:
    """End the memberships of a person, over all their ids. Returns how many. Raises NotFound, Conflict."""
    with transaction.atomic():
        root = profiles.lock_roots([profile_id]).get(profile_id)
        account = Account.objects.filter(pk=account_id).first()
        if root is None or account is None:
            raise NotFound(_("There is no such person or account."))
        ids = [root.pk, *Profile.objects.filter(merged_into=root).values_list("pk", flat=True)]
        ended = 0
        for row in AccountMembership.objects.filter(account=account, profile_id__in=ids, until=None):
            row.until = max(now, row.since)
            row.save(update_fields=["until"])
            ended += 1
        if not ended:
            raise Conflict(_("This person does not belong to the account."), code="not_a_member")
        _mark([account.pk], now=now)
        actionlog.write(actor, "crm.account.person_removed", account, fields=("people",), now=now)
    return ended


def forget_people(profile_ids: Sequence[int], *, now: datetime) -> None:
    """Erasure: these people belong nowhere any more. Called inside its transaction."""
    rows = AccountMembership.objects.filter(profile_id__in=list(profile_ids))
    accounts = sorted(set(rows.values_list("account_id", flat=True)))
    rows.delete()
    if accounts:
        _mark(accounts, now=now)


def roll_up_stale(*, now: datetime, limit: int = 200) -> int:
    """Roll up accounts that wait for it, the longest waiting first. Returns how many."""
    ids = list(
        Account.objects.filter(stale_at__isnull=False)
        .order_by("stale_at")
        .values_list("pk", flat=True)[:limit]
    )
    roll_up(ids, now=now)
    return len(ids)


def roll_up_all(*, now: datetime, batch: int = 500) -> int:
    """The nightly pass: every account, in batches by id, each a transaction of its own. Returns how many."""
    done, last = 0, 0
    while ids := list(
        Account.objects.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:batch]
    ):
        roll_up(ids, now=now)
        done, last = done + len(ids), ids[-1]
    return done


def roll_up(account_ids: Sequence[int], *, now: datetime) -> None:
    """Compute the roll-up of these accounts: people, touchpoints lately, last seen, orders, figures of others."""
    if not account_ids:
        return
    with transaction.atomic():
        # Whoever changes something from here on marks the account again.
        Account.objects.filter(pk__in=account_ids).update(stale_at=None)
        members = _members(account_ids)
        ids_of = {
            account_id: [pk for ids in people.values() for pk in ids]
            for account_id, people in members.items()
        }
        lately = _touchpoints(ids_of, now=now)
        orders = _orders(ids_of, now=now)
        seen = _last_seen(members)
        figures = {
            figure.key: figure.count(sorted({pk for ids in ids_of.values() for pk in ids}))
            for figure in account_figures()
        }
        rows = [
            {
                "id": account_id,
                "people": len(members.get(account_id, {})),
                "touchpoints": lately.get(account_id, 0),
                "last_seen": seen.get(account_id),
                "orders": orders.get(account_id, {}),
                "figures": {
                    key: sum(counts.get(pk, 0) for pk in ids_of.get(account_id, ()))
                    for key, counts in figures.items()
                },
            }
            for account_id in sorted(account_ids)
        ]
        hotpath.fetch(
            """
            UPDATE crm_account a
               SET people = t.people, touchpoints_lately = t.touchpoints, last_seen_at = t.last_seen,
                   orders = t.orders, figures = t.figures, rolled_up_at = %(now)s
              FROM jsonb_to_recordset(%(rows)s::jsonb)
                   AS t(id bigint, people int, touchpoints bigint, last_seen timestamptz, orders jsonb, figures jsonb)
             WHERE a.id = t.id
            """,
            {"rows": orjson.dumps(rows).decode(), "now": now},
        )


def _members(account_ids: Sequence[int]) -> dict[int, dict[int, list[int]]]:
    """Per account its people now: root -> all ids."""
    found: dict[int, dict[int, list[int]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH root AS (
                SELECT DISTINCT m.account_id, COALESCE(p.merged_into_id, p.id) AS id
                  FROM crm_accountmembership m JOIN crm_profile p ON p.id = m.profile_id
                 WHERE m.account_id = ANY(%s) AND m.until IS NULL AND p.erased_at IS NULL)
            SELECT account_id, id, id FROM root
             UNION ALL
            SELECT r.account_id, r.id, p.id FROM root r JOIN crm_profile p ON p.merged_into_id = r.id
            """,
            [list(account_ids)],
        )
        for account_id, root_id, profile_id in cursor.fetchall():
            found.setdefault(account_id, {}).setdefault(root_id, []).append(profile_id)
    return found


def _flat(ids_of: Mapping[int, Sequence[int]]) -> tuple[list[int], list[int]]:
    pairs = [(account_id, pk) for account_id, ids in ids_of.items() for pk in ids]
    return [account_id for account_id, _pk in pairs], [pk for _account_id, pk in pairs]


def _touchpoints(ids_of: Mapping[int, Sequence[int]], *, now: datetime) -> dict[int, int]:
    accounts, people = _flat(ids_of)
    return dict(
        hotpath.fetch(
            "SELECT k.account_id, count(*) FROM unnest(%s::bigint[], %s::bigint[]) AS k(account_id, id)"
            "  JOIN crm_touchpoint t ON t.profile_id = k.id AND t.occurred_at >= %s AND t.occurred_at <= %s"
            " GROUP BY 1",
            [accounts, people, now - LATELY, now],
        )
    )


def _orders(ids_of: Mapping[int, Sequence[int]], *, now: datetime) -> dict[int, dict[str, dict[str, int]]]:
    """Orders per account and currency: how many, and their sum in minor units. Unreadable amounts are left out."""
    accounts, people = _flat(ids_of)
    first = Profile.objects.filter(pk__in=people).aggregate(first=Min("first_seen_at"))["first"]
    if first is None:
        return {}
    rows = hotpath.fetch(
        """
        SELECT k.account_id, upper(t.properties->>'currency'), count(*), sum((t.properties->>'revenue')::numeric)::text
          FROM unnest(%s::bigint[], %s::bigint[]) AS k(account_id, id)
          JOIN crm_touchpoint t ON t.profile_id = k.id AND t.occurred_at >= %s AND t.occurred_at <= %s
         WHERE t.kind = %s AND t.properties->>'currency' ~ '^[A-Za-z]{3}$'
           AND t.properties->>'revenue' ~ '^[0-9]{1,15}([.][0-9]{1,8})?$'
         GROUP BY 1, 2
        """,
        [accounts, people, first, now, ORDER],
    )
    found: dict[int, dict[str, dict[str, int]]] = {}
    for account_id, currency, number, total in rows:
        try:
            minor = money.parse(total, currency).minor
        except DomainError:
            continue
        found.setdefault(account_id, {})[currency] = {"orders": number, "minor": minor}
    return found


def _last_seen(members: Mapping[int, Mapping[int, Sequence[int]]]) -> dict[int, str]:
    seen = dict(
        Profile.objects.filter(pk__in={pk for people in members.values() for pk in people}).values_list(
            "pk", "last_seen_at"
        )
    )
    found = {}
    for account_id, people in members.items():
        moments = [moment for pk in people if (moment := seen.get(pk)) is not None]
        if moments:
            found[account_id] = max(moments).isoformat()
    return found
