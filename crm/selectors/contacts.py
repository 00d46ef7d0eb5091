"""Which address a person is written to on a channel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from crm.kernel.lookups import Many
from crm.models import ContactPoint
from crm.selectors import profiles
from crm.states import TRUSTED_ORIGINS


@dataclass(frozen=True, slots=True)
class Address:
    """A deliverable contact point."""

    id: int
    profile_id: int
    channel: str
    value: str
    value_hash: str
    verified_at: datetime | None


def deliverable(
    root_ids: Iterable[int], channel: str, *, members: Mapping[int, list[int]] | None = None
) -> dict[int, Address]:
    """For each root that has one, the address to use: the primary one first, then a confirmed one, then the oldest.

    Deliverable is an address that neither bounced nor was removed by the person, and was confirmed by its owner or
    came from a trusted origin.
    """
    sets = members if members is not None else profiles.id_sets(set(root_ids))
    root_of = {member: root for root in root_ids for member in sets[root]}
    rows = (
        ContactPoint.objects.filter(
            profile_id__any=Many(root_of), channel=channel, bounced_at=None, removed_at=None
        )
        .filter(Q(verified_at__isnull=False) | Q(origin__in=TRUSTED_ORIGINS))
        .values_list("pk", "profile_id", "channel", "value", "value_hash", "verified_at", "is_primary")
    )
    best: dict[int, tuple[tuple[bool, bool, bool, int], Address]] = {}
    for pk, profile_id, found_channel, value, value_hash, verified_at, is_primary in rows:
        root_id = root_of[profile_id]
        rank = (not (is_primary and profile_id == root_id), not is_primary, verified_at is None, pk)
        if root_id not in best or rank < best[root_id][0]:
            best[root_id] = (rank, Address(pk, profile_id, found_channel, value, value_hash, verified_at))
    return {root_id: address for root_id, (_rank, address) in best.items()}


def of(profile_ids: Iterable[int]) -> QuerySet[ContactPoint]:
    """All contact points of one person."""
    return ContactPoint.objects.filter(profile_id__in=list(profile_ids)).order_by(
        "channel", "-is_primary", "pk"
    )


def unconfirmed(profile_ids: Iterable[int], channel: str) -> QuerySet[ContactPoint]:
    """Addresses that wait for their owner's confirmation."""
    return (
        of(profile_ids)
        .filter(channel=channel, verified_at=None, removed_at=None)
        .exclude(origin__in=TRUSTED_ORIGINS)
    )
