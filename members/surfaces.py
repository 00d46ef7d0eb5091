"""Where members appears on pages of other apps."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.urls import reverse
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from crm.kernel import surfaces
from crm.kernel.surfaces import Card, Panel
from members import selectors

SHOWN = 5
WEEK = timedelta(days=7)


@surfaces.home_card("members.shortfalls", order=80)
def shortfalls(*, now: datetime, user: Any) -> Card | None:
    """Points that could not be moved back lately: somebody should look."""
    if not user.has_perm("members.view_pointsentry"):
        return None
    number = selectors.shortfalls().filter(created_at__gte=now - WEEK).count()
    if not number:
        return None
    url = reverse("admin:members_pointsentry_changelist") + "?kind__exact=shortfall"
    return Card(_("Points missing after an undone merge"), number, url=url, tone="warn")


@surfaces.profile_panel("members.points", order=40)
def points_panel(*, profile_ids: list[int], now: datetime, user: Any) -> Panel | None:
    """A person's points, for staff."""
    if not user.has_perm("members.view_pointsaccount"):
        return None
    rows = _rows(profile_ids)
    if rows:
        rows.insert(0, (_("Balance"), selectors.balance(profile_ids), ""))
    return Panel(_("Points"), rows, empty_text=_("No points yet."))


@surfaces.person_panel("members.points", order=40)
def my_points(*, profile_ids: list[int], now: datetime) -> Panel | None:
    """A person's points, for that person."""
    rows = [(_("Balance"), selectors.balance(profile_ids), ""), *_rows(profile_ids)]
    return Panel(_("My points"), rows)


def _rows(profile_ids: list[int]) -> list[tuple[Any, Any, str]]:
    return [
        (
            f"{entry.get_kind_display()}, {date_format(localtime(entry.created_at), 'DATE_FORMAT')}",
            f"{entry.amount:+d}",
            "",
        )
        for entry in selectors.entries(profile_ids)[:SHOWN]
    ]
