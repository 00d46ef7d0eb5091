"""Where lifecycle appears on pages of others: numbers of the day, and what a person was sent."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.kernel import knobs, surfaces
from crm.kernel.surfaces import Card, Panel
from lifecycle.selectors import messages
from lifecycle.states import Decision, Reason


@surfaces.home_card("lifecycle.messages", order=40)
def messages_today(*, now: datetime, user: Any) -> list[Card] | None:
    """Messages by decision since midnight, and whether sending stands still."""
    if not user.has_perm("lifecycle.view_outboundmessage"):
        return None
    local = timezone.localtime(now)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    counts = messages.counts_since(midnight)
    url = reverse("admin:lifecycle_outboundmessage_changelist")
    failed = counts.get(Decision.FAILED, 0)
    cards = [
        Card(
            _("Messages sent today"),
            counts.get(Decision.SENT, 0),
            _("%(waiting)d waiting, %(dropped)d not sent")
            % {"waiting": counts[Decision.QUEUED], "dropped": counts.get(Decision.DROPPED, 0)},
            url,
            "good" if counts.get(Decision.SENT, 0) else "neutral",
        )
    ]
    if failed:
        cards.append(Card(_("Messages failed today"), failed, "", f"{url}?decision__exact=failed", "bad"))
    if knobs.get("lifecycle.sending_paused"):
        cards.append(
            Card(
                _("Sending is paused"),
                "⏸",
                _("Nothing goes out until somebody turns it on again."),
                url,
                "warn",
            )
        )
    gaps = messages.gaps(since=now - timedelta(days=1))
    if gaps:
        cards.append(
            Card(
                _("Interrupted deliveries"),
                gaps,
                _("A crash left it open whether these arrived."),
                url,
                "warn",
            )
        )
    return cards


@surfaces.profile_panel("lifecycle.messages", order=40)
def messages_of_person(*, profile_ids: list[int], now: datetime, user: Any) -> Panel | None:
    """The newest messages to one person, each with its decision and reason."""
    if not user.has_perm("lifecycle.view_outboundmessage"):
        return None
    rows: list[tuple[Any, Any, str]] = []
    for message in messages.of_person(profile_ids):
        decision = str(Decision(message.decision).label)
        if message.reason:
            decision = f"{decision}: {Reason(message.reason).label}"
        url = reverse("admin:lifecycle_outboundmessage_change", args=[message.pk])
        rows.append((messages.kind_label(message.kind), decision, url))
    return Panel(_("Messages"), rows, empty_text=_("Nothing was sent to this person yet."))
