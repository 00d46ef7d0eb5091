"""Reading the outbox: decisions for those who asked, counts for pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count

from lifecycle import registry
from lifecycle.models import Delivery, InboxItem, OutboundMessage
from lifecycle.states import Decision, Reason


@dataclass(frozen=True, slots=True)
class DecisionView:
    """What became of one message. `reason` is a value of lifecycle.states.Reason, empty when it went out."""

    decision: str
    reason: str
    decided_at: datetime | None

    @property
    def reason_label(self) -> Any:
        """The reason in words."""
        return Reason(self.reason).label


def decisions(message_ids: Iterable[int]) -> dict[int, DecisionView]:
    """The decision per message id; one query."""
    rows = OutboundMessage.objects.filter(pk__in=list(message_ids)).values_list(
        "pk", "decision", "reason", "decided_at"
    )
    return {pk: DecisionView(decision, reason, decided_at) for pk, decision, reason, decided_at in rows}


def decision_counts(message_ids: Iterable[int]) -> dict[tuple[str, str], int]:
    """How many of these messages have each (decision, reason)."""
    rows = (
        OutboundMessage.objects.filter(pk__in=list(message_ids))
        .order_by()
        .values_list("decision", "reason")
        .annotate(number=Count("pk"))
    )
    return {(decision, reason): number for decision, reason, number in rows}


def counts_since(since: datetime) -> dict[str, int]:
    """Messages decided since a moment, by decision; and how many are waiting now (bounded)."""
    rows = (
        OutboundMessage.objects.filter(decided_at__gte=since)
        .order_by()
        .values_list("decision")
        .annotate(number=Count("pk"))
    )
    counts: dict[str, int] = dict(rows)
    counts[Decision.QUEUED.value] = OutboundMessage.objects.open().order_by()[:10_000].count()
    return counts


def of_person(profile_ids: Sequence[int], *, limit: int = 10) -> list[OutboundMessage]:
    """The newest messages to one person."""
    return list(OutboundMessage.objects.filter(profile_id__in=list(profile_ids)).order_by("-pk")[:limit])


def gaps(*, since: datetime) -> int:
    """How many deliveries had a gap since a moment."""
    return Delivery.objects.filter(gaps__gt=0, gap_at__gte=since).count()


def inbox(profile_ids: Sequence[int], *, before_id: int | None = None, limit: int = 20) -> list[InboxItem]:
    """What one person finds in their inbox, newest first."""
    items = InboxItem.objects.filter(profile_id__in=list(profile_ids)).order_by("-pk")
    if before_id is not None:
        items = items.filter(pk__lt=before_id)
    return list(items[:limit])


def unread(profile_ids: Sequence[int]) -> int:
    """How many of them were not read yet; counts no further than 100."""
    return InboxItem.objects.filter(profile_id__in=list(profile_ids), read_at=None).order_by()[:100].count()


def kind_label(code: str) -> Any:
    """What staff read for a message kind."""
    kind = registry.find(code)
    return kind.label or code if kind else code
