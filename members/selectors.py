"""Reads of members that are not trivial."""

from __future__ import annotations

from django.db.models import QuerySet, Sum

from members.models import PointsAccount, PointsEntry
from members.states import EntryKind


def balance(profile_ids: list[int]) -> int:
    """What a person holds over all their profile ids, whether or not a merge was folded yet."""
    return (
        PointsAccount.objects.filter(profile_id__in=profile_ids).aggregate(total=Sum("balance"))["total"] or 0
    )


def entries(profile_ids: list[int]) -> QuerySet[PointsEntry]:
    """Movements of a person, newest first."""
    return PointsEntry.objects.filter(account__profile_id__in=profile_ids).order_by("-pk")


def shortfalls() -> QuerySet[PointsEntry]:
    """Points that could not be moved back when merges were undone, newest first."""
    return PointsEntry.objects.filter(kind=EntryKind.SHORTFALL).order_by("-pk")
