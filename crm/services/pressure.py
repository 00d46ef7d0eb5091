"""The budget of how much one person may be disturbed, over messages, surveys and pop-ups together.

Counted from rows, over everything the person ever was, under the lock of their root: a cap cannot leak. Weights
and caps are knobs. Transactional messages weigh nothing; service messages are counted and never refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from crm.kernel import knobs
from crm.models import PressureEntry
from crm.selectors import choices, profiles
from crm.selectors import pressure as reads
from crm.services import hotpath
from crm.states import MessageClass, PressureClass

NEVER_REFUSED = (MessageClass.TRANSACTIONAL, MessageClass.SERVICE)


def weight_of(pressure_class: str) -> int:
    """Points one message (survey, pop-up) of this class takes."""
    if pressure_class == PressureClass.TRANSACTIONAL:
        return 0
    return knobs.get(f"crm.pressure_weight_{PressureClass(pressure_class).value}")


def reserve(items: Sequence[tuple[int, str, str]], *, now: datetime) -> set[str]:
    """Spend the budget for (root id, message class, cause) in their order; returns the causes refused.

    Call under `profiles.lock_roots`. A cause that was counted before is granted again without being counted twice.
    """
    if all(message_class in NEVER_REFUSED for _root_id, message_class, _cause in items):
        _count(items, now=now)
        return set()
    root_ids = sorted({root_id for root_id, _message_class, _cause in items})
    members = profiles.id_sets(root_ids)
    root_of = {member: root for root, ids in members.items() for member in ids}
    since = now - timedelta(hours=knobs.get("crm.pressure_window_hours"))
    spent: dict[int, int] = defaultdict(int)
    marketing: dict[int, int] = defaultdict(int)
    # No upper bound: another task may have begun later than this one and still have spent before it.
    entries = PressureEntry.objects.filter(profile_id__in=sorted(root_of), occurred_at__gt=since)
    for profile_id, weight, message_class in entries.values_list("profile_id", "weight", "message_class"):
        spent[root_of[profile_id]] += weight
        marketing[root_of[profile_id]] += message_class == MessageClass.MARKETING
    counted = {
        (root_of[profile_id], cause)
        for profile_id, cause in PressureEntry.objects.filter(
            cause__in=sorted({cause for _root, _class, cause in items}), profile_id__in=sorted(root_of)
        ).values_list("profile_id", "cause")
    }
    chosen = choices.of(root_ids, members=members)
    usual = reads.limits(choices.NOTHING)
    limits = {root_id: reads.limits(choice) for root_id, choice in chosen.items()}
    refused: set[str] = set()
    granted: list[PressureEntry] = []
    for root_id, message_class, cause in items:
        if (root_id, cause) in counted:
            continue
        weight = weight_of(message_class)
        budget, cap = limits.get(root_id, usual)
        is_marketing = message_class == MessageClass.MARKETING
        if message_class not in NEVER_REFUSED and (
            spent[root_id] + weight > budget or (is_marketing and marketing[root_id] >= cap)
        ):
            refused.add(cause)
            continue
        counted.add((root_id, cause))
        spent[root_id] += weight
        marketing[root_id] += is_marketing
        if weight:
            granted.append(
                PressureEntry(
                    profile_id=root_id,
                    occurred_at=now,
                    weight=weight,
                    message_class=message_class,
                    cause=cause,
                )
            )
    PressureEntry.objects.bulk_create(granted, batch_size=1000)
    return refused


def _count(items: Sequence[tuple[int, str, str]], *, now: datetime) -> None:
    """Count messages that are never refused: nothing to read first, one statement for all."""
    weights = {kind: weight_of(kind) for kind in {kind for _root_id, kind, _cause in items}}
    rows = sorted({(root_id, cause, str(kind)) for root_id, kind, cause in items if weights[kind]})
    if rows:
        hotpath.fetch(
            """
            INSERT INTO crm_pressureentry (profile_id, cause, message_class, weight, occurred_at)
            SELECT profile_id, cause, message_class, weight, %s
              FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::int[])
                   AS t(profile_id, cause, message_class, weight)
            ON CONFLICT DO NOTHING
            """,
            [
                now,
                *(hotpath.array(column) for column in zip(*rows, strict=True)),
                hotpath.array([weights[row[2]] for row in rows]),
            ],
        )


def left(profile_ids: Sequence[int], *, now: datetime) -> tuple[int, int]:
    """(points left, budget) of one person given by all their ids."""
    since = now - timedelta(hours=knobs.get("crm.pressure_window_hours"))
    spent = sum(
        PressureEntry.objects.filter(
            profile_id__in=profile_ids, occurred_at__gt=since, occurred_at__lte=now
        ).values_list("weight", flat=True)
    )
    root_id = profile_ids[0]
    choice = choices.of([root_id], members={root_id: list(profile_ids)}).get(root_id, choices.NOTHING)
    budget, _cap = reads.limits(choice)
    return max(0, budget - spent), budget


def give_back(cause: str, *, profile_ids: Sequence[int]) -> bool:
    """What was reserved did not happen: its points are free again. True when there were any."""
    return PressureEntry.objects.filter(cause=cause, profile_id__in=list(profile_ids)).delete()[0] > 0
