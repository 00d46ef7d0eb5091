"""Points: credit and debit.

One cause moves points once: each entry has a unique key, a repetition with the same request returns the entry
that is there and another request under the key is refused. A balance is moved in the database by a conditional
update under a CHECK, so parallel debits can never overdraw it. Each debit spends credits, the first to expire first.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.utils.translation import gettext_lazy as _

from crm.kernel import actionlog
from crm.kernel.actors import Actor
from crm.kernel.errors import Conflict, Gone, Invalid, NotFound, Unprocessable
from crm.services import hotpath, locks, profiles, touchpoints
from members.models import LotSpend, PointsAccount, PointsEntry
from members.states import EntryKind

MOST: Final = 1_000_000_000
MAX_KEY: Final = 200


@dataclass(frozen=True, slots=True)
class Credit:
    """One credit of a batch. `alias_keys` are keys under which the same cause may have been booked before."""

    profile_id: int
    amount: int
    key: str
    alias_keys: tuple[str, ...] = ()


def credit(
    profile_id: int,
    *,
    amount: Any,
    key: str,
    actor: Actor,
    now: datetime,
    kind: str = EntryKind.GRANTED,
    note: str = "",
    expires_at: datetime | None = None,
) -> PointsEntry:
    """Book points for a person (their root profile) and return the entry.

    Raises Invalid (invalid_amount), NotFound, Gone (erased), Unprocessable (another request under this key).
    """
    amount = read_amount(amount)
    request = _hash("credit", profile_id, amount, kind, note, expires_at)
    with transaction.atomic():
        account = _account(profile_id, now=now)
        done = _replayed(key, request)
        if done is not None:
            return done
        _move(account, amount)
        entry = _write(
            account,
            kind=kind,
            amount=amount,
            key=key,
            request=request,
            note=note,
            expires_at=expires_at,
            actor=actor,
            now=now,
        )
        _record(
            "members.points.earned",
            [(entry.pk, account.profile_id, amount)],
            cause=kind,
            actor=actor,
            now=now,
        )
        actionlog.write(actor, "members.points.credited", entry, now=now)
    return entry


def debit(
    profile_id: int,
    *,
    amount: Any,
    key: str,
    actor: Actor,
    now: datetime,
    kind: str = EntryKind.SPENT,
    note: str = "",
) -> PointsEntry:
    """Take points from a person and return the entry.

    Raises Invalid (invalid_amount), NotFound, Conflict (insufficient_points), Unprocessable (another request under
    this key). A refused debit changes nothing.
    """
    amount = read_amount(amount)
    request = _hash("debit", profile_id, amount, kind, note, None)
    with transaction.atomic():
        account = _account(profile_id, now=now)
        done = _replayed(key, request)
        if done is not None:
            return done
        _move(account, -amount)
        entry = _write(
            account, kind=kind, amount=-amount, key=key, request=request, note=note, actor=actor, now=now
        )
        spend_lots(account.pk, entry, amount=amount)
        _record(
            "members.points.spent", [(entry.pk, account.profile_id, amount)], cause=kind, actor=actor, now=now
        )
        actionlog.write(actor, "members.points.debited", entry, now=now)
    return entry


def credit_many(credits: Sequence[Credit], *, kind: str, actor: Actor, now: datetime, note: str = "") -> int:
    """Book many credits at once, a handful of statements for any number; repeats are left out. Returns how many."""
    if not credits:
        return 0
    with transaction.atomic():
        people = locks.people(one.profile_id for one in credits)
        live = {ident: person.pk for ident, person in people.items() if person.erased_at is None}
        wanted = {one.key: one for one in credits if one.profile_id in live}
        known = _booked([key for one in wanted.values() for key in (one.key, *one.alias_keys)])
        due = [
            one
            for one in wanted.values()
            if one.key not in known and (not one.alias_keys or known.isdisjoint(one.alias_keys))
        ]
        if not due:
            return 0
        owners = [live[one.profile_id] for one in due]
        amounts = [one.amount for one in due]
        booked = _book_many(
            owners, amounts, keys=[one.key for one in due], kind=kind, note=note, actor=actor, now=now
        )
        _record("members.points.earned", booked, cause=kind, actor=actor, now=now)
    return len(due)


def _booked(keys: list[str]) -> set[str]:
    """Those of the keys under which an entry was booked."""
    sql = "SELECT idempotency_key FROM members_pointsentry WHERE idempotency_key = ANY(%s::text[])"
    return {row[0] for row in hotpath.fetch(sql, [hotpath.array(keys)])}


def _book_many(
    owners: list[int],
    amounts: list[int],
    *,
    keys: list[str],
    kind: str,
    note: str,
    actor: Actor,
    now: datetime,
) -> list[tuple[int, int, int]]:
    """Credit root profiles that are locked, their accounts made when missing: (entry id, profile id, amount).

    Two statements. The accounts are written first, in the order of their people, and with the new balances at once;
    an entry's own balance is the account's less what comes after it.
    """
    gained: dict[int, int] = defaultdict(int)
    for owner, amount in zip(owners, amounts, strict=True):
        gained[owner] += amount
    ordered = sorted(gained)
    held = {
        profile_id: [account_id, balance]
        for account_id, profile_id, balance in hotpath.fetch(
            """
            INSERT INTO members_pointsaccount AS a (profile_id, balance, created_at)
            SELECT profile_id, amount, %s FROM unnest(%s::bigint[], %s::bigint[]) AS g(profile_id, amount)
            ON CONFLICT (profile_id) DO UPDATE SET balance = a.balance + EXCLUDED.balance
            RETURNING id, profile_id, balance
            """,
            [now, hotpath.array(ordered), hotpath.array([gained[owner] for owner in ordered])],
        )
    }
    after = []
    for owner, amount in zip(reversed(owners), reversed(amounts), strict=True):
        after.append(held[owner][1])
        held[owner][1] -= amount
    after.reverse()
    ids = hotpath.fetch(
        """
        INSERT INTO members_pointsentry (account_id, kind, amount, idempotency_key, request_hash, note, missing,
                                         balance_after, actor, created_at)
        SELECT account_id, %s, amount, key, '', %s, 0, balance_after, %s, %s
          FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::bigint[])
               AS e(account_id, amount, key, balance_after)
        RETURNING idempotency_key, id
        """,
        [
            str(kind), note, str(actor), now,
            hotpath.array([held[owner][0] for owner in owners]),
            hotpath.array(amounts),
            hotpath.array(keys),
            hotpath.array(after),
        ],
    )  # fmt: skip
    entry_of = dict(ids)
    return [(entry_of[key], owner, amount) for key, owner, amount in zip(keys, owners, amounts, strict=True)]


def spend_lots(account_id: int, entry: PointsEntry, *, amount: int, first: Sequence[int] = ()) -> None:
    """Pair a debit with the credits it spends: those named in `first`, then by expiry, then by age.

    The account's row must be locked. The lots always suffice, because a balance is the sum of what is left of them.
    """
    rows = open_lots(account_id)
    named = {ident: position for position, ident in enumerate(first)}
    rows.sort(key=lambda row: named.get(row[0], len(named)))
    spends, left = [], amount
    for lot_id, remaining, _expires_at in rows:
        if not left:
            break
        part = min(left, remaining)
        spends.append(LotSpend(credit_id=lot_id, debit=entry, amount=part))
        left -= part
    if left:
        raise ArithmeticError(f"account {account_id}: lots fall short of the balance by {left}")
    LotSpend.objects.bulk_create(spends)


def open_lots(account_id: int) -> list[tuple[int, int, datetime | None]]:
    """Credits of an account with something left: (entry id, left, expires at), the first to expire first."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT e.id, e.amount - COALESCE(s.spent, 0) AS remaining, e.expires_at
              FROM members_pointsentry e
              LEFT JOIN LATERAL (SELECT sum(amount)::bigint AS spent FROM members_lotspend WHERE credit_id = e.id) s
                     ON true
             WHERE e.account_id = %s AND e.amount > 0 AND e.amount > COALESCE(s.spent, 0)
             ORDER BY e.expires_at NULLS LAST, e.id
            """,
            [account_id],
        )
        return [(row[0], int(row[1]), row[2]) for row in cursor.fetchall()]


def read_amount(amount: Any) -> int:
    """A whole number of points from 1 to MOST. Raises Invalid (invalid_amount)."""
    if isinstance(amount, bool) or not isinstance(amount, int) or not 1 <= amount <= MOST:
        raise Invalid(
            _("An amount is a whole number from 1 to %(most)d.") % {"most": MOST},
            code="invalid_amount",
            field="amount",
            allowed={"minimum": 1, "maximum": MOST},
        )
    return amount


def _account(profile_id: int, *, now: datetime) -> PointsAccount:
    """The locked account of a person's root, made when missing. The person stays locked against merges."""
    root = profiles.lock_roots([profile_id]).get(profile_id)
    if root is None:
        raise NotFound(_("There is no such person."), code="no_such_profile", field="profile")
    if root.erased_at is not None:
        raise Gone(_("This person's data was erased."), code="erased", field="profile")
    return accounts([root.pk], now=now)[root.pk]


def accounts(root_ids: list[int], *, now: datetime) -> dict[int, PointsAccount]:
    """Accounts by profile id, made when missing, locked in id order."""
    PointsAccount.objects.bulk_create(
        [PointsAccount(profile_id=ident, created_at=now) for ident in root_ids], ignore_conflicts=True
    )
    rows = (
        PointsAccount.objects.select_for_update(no_key=True, of=("self",))
        .filter(profile_id__any=root_ids)
        .order_by("pk")
    )
    return {row.profile_id: row for row in rows}


def _move(account: PointsAccount, amount: int) -> None:
    """Change the balance in the database; never below zero."""
    changed = PointsAccount.objects.filter(pk=account.pk, balance__gte=max(0, -amount)).update(
        balance=F("balance") + amount
    )
    if not changed:
        raise Conflict(
            _("Not enough points: the balance is %(balance)d.") % {"balance": account.balance},
            code="insufficient_points",
            field="amount",
            allowed={"maximum": account.balance},
        )
    account.balance += amount


def _write(
    account: PointsAccount, *, kind: str, amount: int, key: str, actor: Actor, now: datetime, **values: Any
) -> PointsEntry:
    request = values.pop("request", "")
    try:
        with transaction.atomic():
            return PointsEntry.objects.create(
                account=account,
                kind=kind,
                amount=amount,
                idempotency_key=_key(key),
                request_hash=request,
                balance_after=account.balance,
                actor=str(actor),
                created_at=now,
                **values,
            )
    except IntegrityError:
        # The key was used at the same moment for somebody else's account.
        raise _reused() from None


def _replayed(key: str, request: str) -> PointsEntry | None:
    done = PointsEntry.objects.filter(idempotency_key=_key(key)).first()
    if done is not None and done.request_hash != request:
        raise _reused()
    return done


def _reused() -> Unprocessable:
    return Unprocessable(
        _("This key was used for another movement of points."), code="idempotency_key_reused", field="key"
    )


def _key(key: str) -> str:
    if not key or len(key) > MAX_KEY or not key.isprintable():
        raise Invalid(
            _("A key is 1 to %(n)d printable characters.") % {"n": MAX_KEY}, code="invalid_idempotency_key"
        )
    return key


def _hash(*parts: Any) -> str:
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()


def _record(
    kind: str, booked: list[tuple[int, int, int]], *, cause: str, actor: Actor, now: datetime
) -> None:
    """The facts of entries (entry id, profile id, amount); each once, because its entry is."""
    touchpoints.record(
        [
            touchpoints.Event(
                kind=kind,
                occurred_at=now,
                message_id="",
                profile_id=profile_id,
                properties={"amount": abs(amount), "cause": cause, "entry_id": entry_id},
            )
            for entry_id, profile_id, amount in booked
        ],
        source=None,
        actor=actor,
        now=now,
    )
