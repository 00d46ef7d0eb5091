"""What crm shows on the staff home page."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format, localize
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from crm.kernel import actors, surfaces
from crm.kernel.money import Money
from crm.kernel.surfaces import Card, Panel
from crm.models import Erasure
from crm.selectors import (
    computed,
    imports,
    names_of_actors,
    pressure,
    purchases,
    segments,
    stages,
    tallies,
    warnings,
)
from crm.states import ErasureStatus


@surfaces.home_card("crm.touchpoints", order=50)
def touchpoints_today(*, now: datetime, **context: Any) -> Card:
    """Touchpoints received today (UTC)."""
    counts = tallies.by_kind(since=now.date(), until=now.date())
    return Card(_("Touchpoints today"), sum(counts.values()), url=reverse("admin:crm_profile_changelist"))


@surfaces.profile_panel("crm.computed", order=40)
def computed_values(*, profile_ids: list[int], now: datetime, user: Any, **context: Any) -> Panel | None:
    """The stage of a person, computed traits and purchases, each with the time it was computed."""
    if not user.has_perm("crm.view_computedtrait"):
        return None
    rows: list[tuple[Any, Any, str]] = []
    standing = stages.of(profile_ids, now=now)
    if standing is not None:
        since = date_format(timezone.localtime(standing.since), "SHORT_DATE_FORMAT")
        text = _("%(stage)s: %(kind)s, %(day)s")
        words = {"stage": standing.label, "kind": standing.kind_label, "day": since}
        rows.append((pgettext("person", "Stage"), text % words, ""))
    bought = purchases.summary_of(profile_ids[0])
    if bought is not None:
        spent = Money(bought.spent, bought.currency)
        rows.append((_("Orders"), f"{bought.orders} · {spent}", ""))
        last = date_format(timezone.localtime(bought.last_order_at), "SHORT_DATE_FORMAT")
        rows.append((_("Last order"), last, ""))
        if bought.segment:
            scores = f"{bought.recency} · {bought.frequency} · {bought.monetary}"
            rows.append((_("RFM group"), f"{bought.get_segment_display()} ({scores})", ""))
    for value in computed.values_of(profile_ids):
        shown = value.shown
        if isinstance(shown, datetime):
            shown = date_format(timezone.localtime(shown), "SHORT_DATETIME_FORMAT")
        day = date_format(timezone.localtime(value.computed_at), "SHORT_DATE_FORMAT")
        rows.append((value.name, _("%(value)s (as of %(day)s)") % {"value": shown, "day": day}, ""))
    return Panel(_("Computed"), rows, empty_text=_("Nothing is computed yet.")) if rows else None


@surfaces.home_card("crm.warnings", order=60)
def warnings_this_week(*, now: datetime, **context: Any) -> Card:
    """Warnings of the last seven days that nobody resolved or muted."""
    number = warnings.count_open(since=now.date() - timedelta(days=6), until=now.date())
    url = reverse("admin:crm_ingestionwarning_changelist")
    return Card(_("Ingestion warnings, 7 days"), number, url=url, tone="warn" if number else "good")


@surfaces.profile_panel("crm.segments", order=30)
def segments_of_person(*, profile_ids: list[int], user: Any, **context: Any) -> Panel | None:
    """The segments a person is in."""
    if not user.has_perm("crm.view_segment"):
        return None
    rows = [
        (one.name, localize(one.entered_at.date()), reverse("admin:crm_segment_change", args=[one.id]))
        for one in segments.segments_of(profile_ids)[:20]
    ]
    return Panel(_("Segments"), rows, empty_text=_("In no segment."))


@surfaces.profile_panel("crm.privacy", order=15)
def privacy_of_person(*, profile_ids: list[int], now: datetime, user: Any) -> Panel | None:
    """Consent, what is left of the budget, and the way to the privacy page."""
    if not user.has_perm("crm.view_consentrecord"):
        return None
    url = reverse("admin:crm_privacy_person", args=[profile_ids[0]])
    found = pressure.standing(profile_ids, now=now)
    rows: list[tuple[Any, Any, str]] = [(_("Wants"), found.frequency_label, "")]
    if found.paused_until is not None:
        rows.append((_("Paused until"), date_format(found.paused_until, "SHORT_DATE_FORMAT"), ""))
    for touch in found.touches[:5]:
        when = date_format(timezone.localtime(touch.at), "SHORT_DATETIME_FORMAT")
        rows.append((touch.label, f"{touch.class_label} · {touch.weight} · {when}", touch.url))
    return Panel(_("Consent, pressure and data"), rows, url)


@surfaces.home_card("crm.erasures", order=70)
def erasures_waiting(*, now: datetime, user: Any, **context: Any) -> Card | None:
    """Erasures that wait for a second person."""
    if not user.has_perm("crm.approve_erasure"):
        return None
    number = Erasure.objects.filter(status=ErasureStatus.REQUESTED).count()
    url = f"{reverse('admin:crm_erasure_changelist')}?status__exact=requested"
    return Card(_("Erasures to agree to"), number, url=url, tone="warn") if number else None


@surfaces.profile_panel("crm.imports", order=90)
def lists_panel(*, profile_ids: Any, user: Any, **context: Any) -> surfaces.Panel | None:
    """The lists a person came with; nothing for those who came by another way."""
    found = imports.lists_of(profile_ids)
    if not found or not user.has_perm("crm.view_importrun"):
        return None
    return surfaces.Panel(
        _("Lists"),
        [
            (
                run.source.name if run.source else run.file_name,
                _("came with it") if is_new else _("was found in it"),
                reverse("admin:crm_importrun_change", args=[run.pk]),
            )
            for run, is_new in found
        ],
    )


actors.set_namer(names_of_actors.names)
