"""What members knows of people, for the conditions of segments."""

from __future__ import annotations

from datetime import datetime

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from crm.registry import facts


def _balances(now: datetime) -> facts.Rows:
    return "SELECT profile_id, balance AS value FROM members_pointsaccount", []


facts.register(
    "members.points", label=_("points balance"), type=facts.NUMBER, group=_("Points"), rows=_balances, combine="sum",
    default=0, unit=pgettext_lazy("unit of points", "points"),
    changed_by=("members.points.earned", "members.points.spent"),
)  # fmt: skip
