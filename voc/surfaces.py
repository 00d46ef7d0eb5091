"""Where voc appears on pages of other apps: the numbers of the day, and a person's voices and tickets."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from crm.kernel import surfaces
from crm.kernel.surfaces import Card, Panel
from crm.registry import register_account_figure
from voc.models import Feedback, Release, Ticket
from voc.selectors import clock, progress
from voc.selectors import tickets as ticket_reads

WEEK = timedelta(days=7)
SHOWN = 6


@surfaces.home_card("voc.promises", order=10)
def promises(*, now: datetime, user: Any) -> list[Card] | None:
    """Open promises and overdue ones."""
    if not user.has_perm("voc.view_ticket"):
        return None
    url = reverse("admin:voc_ticket_changelist")
    promised = Ticket.objects.open().count()
    overdue = Ticket.objects.overdue(now).count()
    soon = Ticket.objects.open().filter(due_at__gte=now, due_at__lt=now + timedelta(days=2)).count()
    note = ngettext("%(n)d due within two days", "%(n)d due within two days", soon) % {"n": soon}
    return [
        Card(_("Open promises"), promised, note=note, url=f"{url}?clock=open"),
        Card(
            _("Overdue"),
            overdue,
            note=_("Past the promised date") if overdue else _("Every promise is on time"),
            url=f"{url}?clock=overdue",
            tone="bad" if overdue else "good",
        ),
    ]


@surfaces.home_card("voc.told", order=20)
def told(*, now: datetime, user: Any) -> list[Card] | None:
    """How many of those who asked were told this week, and what waits in the inbox."""
    cards = []
    if user.has_perm("voc.view_release"):
        sent, claimed = progress.told_since(now - WEEK)
        unfinished = Release.objects.telling().count()
        share = f"{round(100 * sent / claimed)} %" if claimed else "–"
        note = _("%(sent)d of %(claimed)d messages") % {"sent": sent, "claimed": claimed}
        if unfinished:
            note = ngettext(
                "%(n)d release is still telling", "%(n)d releases are still telling", unfinished
            ) % {"n": unfinished}
        cards.append(Card(_("Told this week"), share, note=note, url=reverse("admin:voc_release_changelist")))
    if user.has_perm("voc.view_feedback"):
        waiting = Feedback.objects.undecided()[:1000].count()
        cards.append(
            Card(
                _("Feedback to decide"),
                "1000+" if waiting >= 1000 else waiting,
                url=reverse("admin:voc_feedback_changelist"),
                tone="warn" if waiting else "good",
            )
        )
    return cards or None


@surfaces.profile_panel("voc.voices", order=20)
def voices(*, profile_ids: list[int], now: datetime, user: Any) -> Panel | None:
    """What this person told us and which tickets they follow."""
    if not user.has_perm("voc.view_ticket"):
        return None
    rows: list[tuple[Any, Any, str]] = []
    for ticket in ticket_reads.of_profiles(profile_ids)[:SHOWN]:
        read = clock.read(ticket, now=now)
        rows.append((str(ticket), read.text, reverse("admin:voc_ticket_change", args=[ticket.pk])))
    if user.has_perm("voc.view_feedback"):
        for voice in Feedback.objects.filter(profile_id__in=profile_ids).order_by("-pk")[:SHOWN]:
            rows.append(
                (
                    str(voice),
                    voice.get_status_display(),
                    reverse("admin:voc_feedback_change", args=[voice.pk]),
                )
            )
    return Panel(_("Feedback and tickets"), rows, empty_text=_("Has not told us anything yet."))


@surfaces.person_panel("voc.tickets", order=20)
def my_tickets(*, profile_ids: list[int], now: datetime) -> Panel | None:
    """For the person: what they follow and where it stands."""
    rows = [
        (ticket.title, ticket.get_status_display(), reverse("portal-ticket", args=[ticket.token]))
        for ticket in ticket_reads.of_profiles(profile_ids).exclude(kind="privacy")[:SHOWN]
    ]
    return Panel(_("What you follow"), rows, empty_text=_("You do not follow anything yet."))


register_account_figure(
    "voc.open_tickets", label=gettext_lazy("Open tickets"), count=ticket_reads.open_per_profile
)
