"""How much of a person's patience is spent: what touched them, what is left, and when more is free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from crm import privacy_registry
from crm.kernel import knobs
from crm.models import PressureEntry, PressureReservation
from crm.selectors import choices
from crm.selectors.choices import Choice
from crm.states import Frequency, PressureClass, ReservationStatus

SHOWN = 50


@dataclass(frozen=True, slots=True)
class Touch:
    """One disturbance. `frees_at` is when its points count no more; past when they do not."""

    at: datetime
    pressure_class: str
    weight: int
    label: Any
    url: str
    frees_at: datetime

    @property
    def class_label(self) -> str:
        """Its class as staff read it."""
        return str(PressureClass(self.pressure_class).label)


@dataclass(frozen=True, slots=True)
class Standing:
    """The account of one person. `free_at` says, oldest first, when how many points come back."""

    left: int
    budget: int
    window_hours: int
    marketing_left: int
    marketing_cap: int
    choice: Choice
    paused_until: datetime | None
    touches: tuple[Touch, ...]
    free_at: tuple[tuple[datetime, int], ...]

    @property
    def frequency_label(self) -> str:
        """How often they want to be written to."""
        return str(Frequency(self.choice.frequency).label)


def limits(choice: Choice) -> tuple[int, int]:
    """(budget, marketing cap) of somebody who made this choice."""
    budget, cap = knobs.get("crm.pressure_budget"), knobs.get("crm.pressure_marketing_cap")
    if choice.frequency == Frequency.FEWER:
        share = knobs.get("crm.pressure_fewer_percent")
        return -(-budget * share // 100), min(cap, max(1, cap * share // 100))
    if choice.frequency == Frequency.LEAST:
        return budget * knobs.get("crm.pressure_least_percent") // 100, 0
    return budget, cap


def standing(profile_ids: Sequence[int], *, now: datetime) -> Standing:
    """The account of one person given by all their ids: two queries, and one per app that names what it sent."""
    window = timedelta(hours=knobs.get("crm.pressure_window_hours"))
    choice = choices.of([profile_ids[0]], members={profile_ids[0]: list(profile_ids)}).get(
        profile_ids[0], choices.NOTHING
    )
    budget, cap = limits(choice)
    counted = list(
        PressureEntry.objects.filter(profile_id__in=list(profile_ids), occurred_at__gt=now - window)
        .order_by("occurred_at")
        .values_list("occurred_at", "weight", "message_class")
    )
    rows = list(
        PressureEntry.objects.filter(profile_id__in=list(profile_ids)).order_by("-occurred_at", "-pk")[:SHOWN]
    )
    labels = privacy_registry.cause_labels(row.cause for row in rows)
    spent = sum(weight for _at, weight, _class in counted)
    marketing = sum(one == PressureClass.MARKETING for _at, _weight, one in counted)
    return Standing(
        left=max(0, budget - spent),
        budget=budget,
        window_hours=int(window.total_seconds() // 3600),
        marketing_left=max(0, cap - marketing),
        marketing_cap=cap,
        choice=choice,
        paused_until=choice.pause(now=now),
        touches=tuple(
            Touch(
                row.occurred_at, row.message_class, row.weight, *labels[row.cause], row.occurred_at + window
            )
            for row in rows
        ),
        free_at=tuple((at + window, weight) for at, weight, _class in counted),
    )


def next_time(
    profile_ids: Sequence[int], *, pressure_class: str, weight: int, choice: Choice, now: datetime
) -> datetime | None:
    """When there will be room for one more of this class if nothing else comes; None when there never will be."""
    window = timedelta(hours=knobs.get("crm.pressure_window_hours"))
    budget, cap = limits(choice)
    is_marketing = pressure_class == PressureClass.MARKETING
    if weight > budget or (is_marketing and cap < 1):
        return None
    entries = list(
        PressureEntry.objects.filter(profile_id__in=list(profile_ids), occurred_at__gt=now - window)
        .order_by("occurred_at")
        .values_list("occurred_at", "weight", "message_class")
    )
    spent = sum(points for _at, points, _class in entries)
    marketing = sum(one == PressureClass.MARKETING for _at, _points, one in entries)
    moment = now
    for at, points, one in entries:
        if spent + weight <= budget and (not is_marketing or marketing < cap):
            break
        spent -= points
        marketing -= one == PressureClass.MARKETING
        moment = at + window
    return moment


@privacy_registry.pressure_cause("crm.reservation")
def reservation_labels(idents: Sequence[str]) -> dict[str, tuple[Any, str]]:
    """What outside senders said they would show."""
    rows = PressureReservation.objects.filter(pk__in=[int(ident) for ident in idents if ident.isdecimal()])
    return {str(row.pk): (row.label, "") for row in rows}


def reservation(public_id: Any, *, actor: str) -> PressureReservation | None:
    """A reservation of this caller."""
    return PressureReservation.objects.filter(public_id=public_id, actor=actor).first()


def overdue(*, now: datetime, limit: int) -> list[int]:
    """Reservations that were neither shown nor given back in their time."""
    return list(
        PressureReservation.objects.filter(status=ReservationStatus.RESERVED, expires_at__lte=now)
        .order_by("expires_at")
        .values_list("pk", flat=True)[:limit]
    )
