"""What members keeps about a person: put into their file, and emptied when they are erased."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_lazy as _

from crm import privacy_registry
from crm.services import redaction
from members.models import PointsAccount, PointsEntry

CHUNK = 1000


@privacy_registry.exporter(
    "points",
    label=_("Points"),
    columns=("kind", "amount", "balance_after", "note", "expires_at", "created_at"),
    order=85,
)
def points(profile_ids: Sequence[int]) -> Iterator[Mapping[str, Any]]:
    """Every movement of their points."""
    fields = ("kind", "amount", "balance_after", "note", "expires_at", "created_at")
    rows = (
        PointsEntry.objects.filter(account__profile_id__in=list(profile_ids)).order_by("pk").values(*fields)
    )
    yield from rows.iterator(chunk_size=CHUNK)


@privacy_registry.exporter(
    "points_balance", label=_("Points balance"), columns=("balance", "created_at"), order=84
)
def balance(profile_ids: Sequence[int]) -> Iterator[Mapping[str, Any]]:
    """What they have."""
    yield from PointsAccount.objects.filter(profile_id__in=list(profile_ids)).values("balance", "created_at")


@privacy_registry.eraser(
    "members.points",
    label=_("Notes on points"),
    count=lambda ids: PointsEntry.objects.filter(account__profile_id__in=ids).exclude(note="").count(),
    order=70,
)
def forget_notes(profile_ids: Sequence[int], *, limit: int, now: datetime) -> int:
    """The ledger keeps its numbers; what was written beside them goes. The database allows nothing else."""
    rows = PointsEntry.objects.filter(account__profile_id__in=list(profile_ids)).exclude(note="")
    keys = list(rows.values_list("pk", flat=True)[:limit])
    if not keys:
        return 0
    with redaction.permitted():
        return PointsEntry.objects.filter(pk__in=keys).update(note="")


privacy_registry.keeps(
    "members.ledger",
    label=_("Points booked, as numbers"),
    why=_("The sums of the ledger must stay true; the account has no name any more."),
)
