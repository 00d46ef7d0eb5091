"""The staff home page: the numbers of the day, what needs attention, and where to go next.

The numbers come from the apps (crm.kernel.surfaces); this page only arranges them. Without any person in the
system it says how to connect the first source instead of showing a row of zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from config import navigation
from crm.kernel import clock, surfaces
from crm.kernel.models import PendingReaction

TONE_ICONS = {"good": "check_circle", "warn": "error", "bad": "priority_high", "neutral": ""}
TONE_WORDS = {
    "good": gettext_lazy("fine"),
    "warn": gettext_lazy("worth a look"),
    "bad": gettext_lazy("needs attention"),
    "neutral": "",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A card as the template draws it."""

    title: Any
    value: Any
    note: Any
    url: str
    tone: str
    icon: str
    tone_word: Any


@dataclass(frozen=True, slots=True)
class Shortcut:
    """A link to where the work is."""

    title: Any
    icon: str
    url: str


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The theme's callback: adds what the home page shows."""
    now = clock.now()
    cards = [_shown(card) for card in surfaces.home_cards(now=now, user=request.user)]
    waiting = [card for card in cards if card.tone in ("bad", "warn")]
    parked = _parked(request)
    if parked:
        waiting.append(parked)
    waiting.sort(key=lambda card: card.tone != "bad")
    return {
        **context,
        "title": _greeting(timezone.localtime(now).hour, request.user),
        "today": timezone.localtime(now),
        "cards": cards,
        "attention": waiting,
        "shortcuts": _shortcuts(request),
        "can_search": navigation.may_open(request, "crm.profile"),
        "is_empty": not _has_people(),
        "steps": _first_steps(request),
        "has_role": request.user.is_superuser or bool(request.user.get_all_permissions()),
    }


def _shown(card: surfaces.Card) -> Shown:
    tone = card.tone if card.tone in TONE_ICONS else "neutral"
    return Shown(card.title, card.value, card.note, card.url, tone, TONE_ICONS[tone], TONE_WORDS[tone])


def _greeting(hour: int, user: Any) -> str:
    name = user.get_full_name() or user.get_username()
    if hour < 12:
        return _("Good morning, %(name)s") % {"name": name}
    if hour < 18:
        return _("Good afternoon, %(name)s") % {"name": name}
    return _("Good evening, %(name)s") % {"name": name}


def _parked(request: HttpRequest) -> Shown | None:
    """Reactions that gave up, for those who may replay them."""
    if not navigation.may_open(request, "kernel.pendingreaction"):
        return None
    count = PendingReaction.objects.parked()[:1000].count()
    if not count:
        return None
    url = reverse("admin:kernel_pendingreaction_changelist") + "?state=parked"
    note = _("Read the reason, mend the cause, then try again.")
    return _shown(surfaces.Card(_("Reactions that gave up"), count, note, url, "bad"))


def _shortcuts(request: HttpRequest) -> list[Shortcut]:
    links = [
        Shortcut(entry.title, entry.icon, entry.url)
        for model in ("voc.ticket", "voc.feedback", "voc.release", "lifecycle.outboundmessage")
        for _title, entries in navigation.GROUPS
        for entry in entries
        if entry.model == model and navigation.may_open(request, model)
    ]
    for title, icon, name in (
        (_("Public changelog"), "campaign", "portal-changelog"),
        (_("Feedback form of the portal"), "rate_review", "portal-feedback"),
        (_("API pages"), "api", "docs"),
    ):
        try:
            links.append(Shortcut(title, icon, reverse(name)))
        except NoReverseMatch:
            continue
    return links


def _has_people() -> bool:
    from django.apps import apps

    return apps.get_model("crm", "Profile").objects.exists()


def _first_steps(request: HttpRequest) -> dict[str, Any]:
    sources = ""
    if navigation.may_open(request, "crm.source"):
        sources = reverse("admin:crm_source_changelist")
    return {
        "base_url": settings.BASE_URL,
        "sources_url": sources,
        "staff_url": reverse("admin:crm_staffuser_changelist")
        if navigation.may_open(request, "crm.staffuser")
        else "",
        "several_staff": get_user_model().objects.filter(is_staff=True)[:2].count() > 1,
    }
