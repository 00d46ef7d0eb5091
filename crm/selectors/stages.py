"""The stage a person is in: that of the newest touchpoint that has one, not older than a knob's days.

Derived at the moment of reading and kept nowhere: a stage that a kind is given today counts from its next event on,
and a merge or its undo needs no housekeeping.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from crm.kernel import knobs
from crm.registry import kind_label
from crm.states import Stage


@dataclass(frozen=True, slots=True)
class Standing:
    """A stage, and what put the person there."""

    stage: str
    kind: str
    since: datetime

    @property
    def label(self) -> Any:
        """The stage in words."""
        return Stage(self.stage).label if self.stage in Stage.values else self.stage

    @property
    def kind_label(self) -> Any:
        """What happened, in words."""
        return kind_label(self.kind)


def of(profile_ids: Sequence[int], *, now: datetime) -> Standing | None:
    """Where the person of these ids stands, or None when nothing of theirs has a stage. One query."""
    if not profile_ids:
        return None
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT stage, kind, occurred_at FROM crm_touchpoint WHERE profile_id = ANY(%s) AND occurred_at >= %s"
            " AND occurred_at <= %s AND stage <> '' ORDER BY occurred_at DESC, id DESC LIMIT 1",
            [list(profile_ids), now - timedelta(days=knobs.get("crm.stage_days")), now],
        )
        row = cursor.fetchone()
    return Standing(*row) if row else None
