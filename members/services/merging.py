"""Points follow people: a merge moves them by a pair of entries, and undoing it moves back what is still there.

Both are keyed by the merge, so a repeated fact has no effect. What was spent meanwhile cannot come back: the
shortfall is an entry of its own that staff see; nobody's balance goes below zero for it. Points that a second
merge has carried further count as not there.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import F

from crm.kernel import actionlog
from crm.kernel.actors import Actor
from crm.services import profiles
from members.models import PointsAccount, PointsEntry
from members.services import points
from members.states import EntryKind

OUT: Final = "out"


def fold(merge_id: int, *, loser_id: int, actor: Actor, now: datetime) -> int:
    """Move what the losing profile holds to the person it belongs to now. Returns the points moved."""
    with transaction.atomic():
        root = profiles.lock_roots([loser_id]).get(loser_id)
        if root is None or root.pk == loser_id:
            return 0  # the merge was undone before we came
        source = PointsAccount.objects.filter(profile_id=loser_id).first()
        if source is None or PointsEntry.objects.filter(idempotency_key=_key(merge_id, OUT)).exists():
            return 0
        both = points.accounts(sorted([loser_id, root.pk]), now=now)
        source, target = both[loser_id], both[root.pk]
        lots = points.open_lots(source.pk)
        total = source.balance
        if not total:
            return 0
        out = _book(
            source, kind=EntryKind.MERGE_OUT, amount=-total, key=_key(merge_id, OUT), actor=actor, now=now
        )
        points.spend_lots(source.pk, out, amount=total)
        by_expiry: dict[datetime | None, int] = defaultdict(int)
        for _lot, remaining, expires_at in lots:
            by_expiry[expires_at] += remaining
        for number, (expires_at, amount) in enumerate(by_expiry.items()):
            _book(
                target,
                kind=EntryKind.MERGE_IN,
                amount=amount,
                key=_key(merge_id, f"in:{number}"),
                expires_at=expires_at,
                actor=actor,
                now=now,
            )
        actionlog.write_many(actor, "members.points.folded", [source, target], fields=("balance",), now=now)
    return total


def unfold(merge_id: int, *, loser_id: int, actor: Actor, now: datetime) -> int:
    """Undo a fold as far as it can be. Returns the points moved back."""
    with transaction.atomic():
        root = profiles.lock_roots([loser_id]).get(loser_id)
        moved = list(
            PointsEntry.objects.filter(idempotency_key__startswith=_key(merge_id, "in:")).select_related(
                "account"
            )
        )
        if (
            root is None
            or not moved
            or PointsEntry.objects.filter(idempotency_key=_key(merge_id, "back")).exists()
        ):
            return 0
        holder_id = moved[0].account.profile_id
        both = points.accounts(sorted({holder_id, root.pk}), now=now)
        holder, owner = both[holder_id], both[root.pk]
        mine = {entry.pk for entry in moved}
        lots = [lot for lot in points.open_lots(holder.pk) if lot[0] in mine]
        back = sum(remaining for _lot, remaining, _expires_at in lots)
        missing = sum(entry.amount for entry in moved) - back
        if back:
            out = _book(
                holder,
                kind=EntryKind.MERGE_OUT,
                amount=-back,
                key=_key(merge_id, "back-out"),
                actor=actor,
                now=now,
            )
            points.spend_lots(holder.pk, out, amount=back, first=[lot[0] for lot in lots])
        for number, (_lot, remaining, expires_at) in enumerate(lots):
            _book(
                owner,
                kind=EntryKind.MERGE_IN,
                amount=remaining,
                key=_key(merge_id, "back" if number == 0 else f"back:{number}"),
                expires_at=expires_at,
                actor=actor,
                now=now,
            )
        if missing:
            _book(
                owner,
                kind=EntryKind.SHORTFALL,
                amount=0,
                missing=missing,
                key=_key(merge_id, "shortfall") if back else _key(merge_id, "back"),
                actor=actor,
                now=now,
            )
        actionlog.write_many(actor, "members.points.unfolded", [holder, owner], fields=("balance",), now=now)
    return back


def _key(merge_id: int, part: str) -> str:
    return f"merge:{merge_id}:{part}"


def _book(
    account: PointsAccount,
    *,
    kind: str,
    amount: int,
    key: str,
    actor: Actor,
    now: datetime,
    expires_at: datetime | None = None,
    missing: int = 0,
) -> PointsEntry:
    """Write one entry and move the balance of a locked account."""
    if amount:
        PointsAccount.objects.filter(pk=account.pk).update(balance=F("balance") + amount)
        account.balance += amount
    return PointsEntry.objects.create(
        account=account,
        kind=kind,
        amount=amount,
        missing=missing,
        idempotency_key=key,
        expires_at=expires_at,
        balance_after=account.balance,
        actor=str(actor),
        created_at=now,
    )
