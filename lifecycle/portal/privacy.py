"""A person's own page: what may be sent, how often, what we know, and having it put right, handed over or erased.

Every page works without a script. The token in the address is the authority; a GET changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zoneinfo import available_timezones

from django.conf import settings
from django.contrib import messages as notices
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from crm.kernel import clock, knobs
from crm.kernel.errors import DomainError, Invalid
from crm.selectors import choices, consent_texts, consents
from crm.selectors import contacts as contact_reads
from crm.selectors import privacy as privacy_reads
from crm.selectors import profiles as people
from crm.states import Channel, ErasureStatus, ExportStatus, Frequency, Language, Purpose
from lifecycle.services import inbox, own_page, sign_ups

PURPOSES = (Purpose.SERVICE, Purpose.CARE, Purpose.SURVEY, Purpose.MARKETING)
CHANNELS = (Channel.EMAIL, Channel.SMS, Channel.WECHAT, Channel.IN_APP)
HOURS = tuple(range(24))


@never_cache
@require_http_methods(["GET", "HEAD"])
def preferences(request: HttpRequest, token: str) -> HttpResponse:
    """Everything the person may decide, on one page."""
    ids, now = inbox.read_link(token), clock.now()
    root = people.person(own_page.root_of(ids))
    choice = choices.of_person(root.pk)
    pending = privacy_reads.open_erasure(ids)
    context = {
        "token": token,
        "root": root,
        "groups": _groups(ids),
        "choice": choice,
        "paused_until": choice.pause(now=now),
        "pause_days": knobs.get("crm.pause_days"),
        "frequencies": Frequency.choices,
        "hours": HOURS,
        "quiet_from": choice.quiet[0] if choice.quiet else None,
        "quiet_until": choice.quiet[1] if choice.quiet else None,
        "house_from": knobs.get("crm.quiet_hours_start"),
        "house_until": knobs.get("crm.quiet_hours_end"),
        "languages": [(code, label) for code, label in settings.LANGUAGES if code in Language.values],
        "zones": sorted(
            zone for zone in available_timezones() if "/" in zone and not zone.startswith("Etc/")
        ),
        "addresses": [_address(row) for row in contact_reads.of(ids).filter(removed_at=None)],
        "erasure": pending,
        "nav": "me",
    }
    return private(render(request, "lifecycle/portal/preferences.html", context))


def _groups(ids: list[int]) -> list[dict[str, Any]]:
    """Per purpose: its words, and a switch per channel with what is in force."""
    texts = consent_texts.in_force(now=clock.now())
    grid = consents.grid(ids)
    language = _language()
    return [
        {
            "purpose": purpose.value,
            "title": purpose.label,
            "text": texts[purpose].in_language(language),
            "version": texts[purpose].code,
            "cells": [{"cell": grid[(purpose, channel)], "label": channel.label} for channel in CHANNELS],
        }
        for purpose in PURPOSES
    ]


def _address(row: Any) -> dict[str, Any]:
    return {"row": row, "masked": masked(row.value), "can_verify": row.channel == Channel.EMAIL}


def _language() -> str:
    return "zh-hans" if (get_language() or "").startswith("zh") else "en"


def masked(value: str) -> str:
    """Enough for the owner to recognise it, too little for somebody who found the link."""
    name, at, domain = value.partition("@")
    return f"{name[:1]}…@{domain}" if at else f"{value[:4]}…{value[-2:]}"


def acting(view: Callable[..., str]) -> Callable[..., HttpResponse]:
    """A POST that does one thing, says so, and leads back. A refusal is said on the page, too."""

    @never_cache
    @require_POST
    def act(request: HttpRequest, token: str, **kwargs: Any) -> HttpResponse:
        ids = inbox.read_link(token)
        try:
            notices.success(request, view(request, ids, **kwargs))
        except Invalid as error:
            notices.error(request, str(error.message))
        except DomainError as error:
            if error.status == 404:
                raise
            notices.error(request, str(error.message))
        page = "portal-my-data" if "/data/" in request.path else "portal-my-preferences"
        return redirect(page, token=token)

    return act


@acting
def save_consents(request: HttpRequest, ids: list[int]) -> str:
    """All switches at once."""
    allowed = {
        (purpose.value, channel.value): f"{purpose.value}.{channel.value}" in request.POST
        for purpose in PURPOSES
        for channel in CHANNELS
    }
    shown = {purpose.value: request.POST.get(f"text.{purpose.value}", "") for purpose in PURPOSES}
    now = clock.now()
    texts = consent_texts.in_force(now=now)
    versions = {
        purpose: code if consent_texts.by_code(code) is not None else texts[purpose].code
        for purpose, code in shown.items()
    }
    changed = own_page.save_consents(
        ids, allowed=allowed, text_versions=versions, language=_language(), now=now
    )
    return _("Saved. It counts from this moment.") if changed else _("Nothing was changed.")


@acting
def unsubscribe_all(request: HttpRequest, ids: list[int]) -> str:
    """No to everything."""
    own_page.unsubscribe_all(ids, language=_language(), now=clock.now())
    return _("Done. We write to you only about what you ask us yourself.")


@acting
def pause(request: HttpRequest, ids: list[int]) -> str:
    """Pause, or end the pause."""
    now = clock.now()
    if request.POST.get("pause") == "0":
        own_page.resume(ids, now=now)
        return _("The pause is over.")
    own_page.pause(ids, now=now)
    return _("Paused. Until then we write to you only about what you ask us yourself.")


@acting
def save_settings(request: HttpRequest, ids: list[int]) -> str:
    """How often, when, language and zone."""
    start, end = request.POST.get("quiet_from", ""), request.POST.get("quiet_until", "")
    if bool(start) != bool(end):
        raise Invalid(_("Give both hours, or neither."), code="invalid_hour", field="quiet_from")
    hours = (_hour(start), _hour(end)) if start else None
    own_page.save_settings(
        ids,
        frequency=request.POST.get("frequency", Frequency.NORMAL),
        hours=hours,
        language=request.POST.get("language", ""),
        time_zone=request.POST.get("time_zone", ""),
        now=clock.now(),
    )
    return _("Saved. It counts from this moment.")


def _hour(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 2):
        raise Invalid(_("An hour is a whole number from 0 to 23."), code="invalid_hour", field="quiet_from")
    return int(text)


@acting
def address(request: HttpRequest, ids: list[int], contact_id: int) -> str:
    """Remove, confirm or prefer one address."""
    now, action = clock.now(), request.POST.get("action", "")
    if action == "remove":
        own_page.remove_address(ids, contact_id=contact_id, now=now)
        return _("This address is not used any more.")
    if action == "verify":
        own_page.verify_address(ids, contact_id=contact_id, now=now)
        return _("We have sent a mail to this address. Please press the button in it.")
    if action == "use":
        own_page.use_address(ids, contact_id=contact_id, now=now)
        return _("We write to this address first.")
    raise Invalid(_("This choice does not exist."), code="invalid_choice", field="action")


@never_cache
@require_http_methods(["GET", "HEAD"])
def data(request: HttpRequest, token: str) -> HttpResponse:
    """What we know, and the rights that go with it."""
    ids, now = inbox.read_link(token), clock.now()
    root = people.person(own_page.root_of(ids))
    contact = privacy_reads.reachable(ids)
    exports = [row for row in privacy_reads.exports_of(ids) if row.requested_by.startswith("person:")]
    current = next(
        (row for row in exports if row.expires_at > now and row.status != ExportStatus.EXPIRED), None
    )
    context = {
        "token": token,
        "root": root,
        "facts": _facts(root),
        "export": current,
        "mailed_to": masked(contact.value) if contact else "",
        # Without an address there is no other way to hand it over.
        "file_url": own_page.file_link(current.pk)
        if current and current.file_name and contact is None
        else "",
        "erasure": privacy_reads.open_erasure(ids),
        "grace_days": knobs.get("crm.erasure_grace_days"),
        "nav": "me",
    }
    return private(render(request, "lifecycle/portal/data.html", context))


def _facts(root: Any) -> list[tuple[str, str]]:
    shown = [(str(root._meta.get_field(name).verbose_name), getattr(root, name)) for name in own_page.NAMES]
    return [(label, str(value)) for label, value in shown if value]


@acting
def correct(request: HttpRequest, ids: list[int]) -> str:
    """Put right what we know."""
    values = {name: request.POST.get(name, "").strip() for name in own_page.NAMES if name in request.POST}
    changed = own_page.correct(ids, values=values, now=clock.now())
    return _("Thank you, it is put right.") if changed else _("Nothing was changed.")


@acting
def ask_for_file(request: HttpRequest, ids: list[int]) -> str:
    """Have the file made."""
    own_page.ask_for_file(ids, language=_language(), now=clock.now())
    return _("Your file is being prepared. That takes a minute or two.")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def erase(request: HttpRequest, token: str) -> HttpResponse:
    """The second step: what goes and what stays, in plain words; the button does it."""
    ids = inbox.read_link(token)
    if privacy_reads.open_erasure(ids) is not None:
        return redirect("portal-my-data", token=token)
    missing = request.method == "POST" and request.POST.get("understood") != "1"
    if request.method == "POST" and not missing:
        row = own_page.erase_me(ids, now=clock.now())
        return redirect(own_page.erasure_link(row.pk).removeprefix(settings.BASE_URL))
    context = {
        "token": token,
        "lines": [line for line in privacy_reads.preview(ids) if line.rows],
        "kept": privacy_reads.kept(),
        "grace_days": knobs.get("crm.erasure_grace_days"),
        "missing": missing,
        "nav": "me",
    }
    page = render(request, "lifecycle/portal/erase.html", context, status=400 if missing else 200)
    return private(page)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def erasure(request: HttpRequest, token: str) -> HttpResponse:
    """One erasure before and after: stopping it, and its certificate."""
    row = own_page.read_erasure_link(token)
    if request.method == "POST":
        try:
            row = own_page.keep_me(row.pk, now=clock.now())
        except DomainError as error:
            notices.error(request, str(error.message))
        return redirect("portal-erasure", token=token)
    context = {
        "token": token,
        "row": row,
        "lines": privacy_reads.certificate_lines(row) if row.status == ErasureStatus.DONE else [],
        "kept": privacy_reads.kept(),
        "can_stop": row.status in (ErasureStatus.REQUESTED, ErasureStatus.SCHEDULED),
        "nav": "me",
    }
    return private(render(request, "lifecycle/portal/erasure.html", context))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def file(request: HttpRequest, token: str) -> HttpResponse | FileResponse:
    """GET shows a button, POST hands the file over: scanners of mail open every link."""
    now = clock.now()
    row = own_page.read_file_link(token, now=now)
    if request.method == "POST":
        row, opened = own_page.open_file(token, now=now)
        answer = FileResponse(
            opened,
            as_attachment=True,
            filename=f"my-data-{row.ready_at:%Y-%m-%d}.zip",
            content_type="application/zip",
        )
        answer["X-Content-Type-Options"] = "nosniff"
        return private(answer)
    return private(render(request, "lifecycle/portal/file.html", {"token": token, "row": row, "nav": "me"}))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def subscribe(request: HttpRequest) -> HttpResponse:
    """Sign an address up. What is answered does not tell whether it is known."""
    now = clock.now()
    texts = consent_texts.in_force(now=now)
    shown = [
        {"purpose": one.value, "title": one.label, "text": texts[one].in_language(_language())}
        for one in (Purpose.MARKETING, Purpose.CARE, Purpose.SURVEY)
    ]
    context: dict[str, Any] = {"groups": shown, "email": "", "chosen": [], "nav": "subscribe"}
    if request.method != "POST":
        return render(request, "lifecycle/portal/subscribe.html", context)
    chosen = [one["purpose"] for one in shown if one["purpose"] in request.POST]
    email = request.POST.get("email", "").strip()
    try:
        if not request.POST.get("website"):
            sign_ups.sign_up(
                email,
                purposes=chosen,
                language=_language(),
                network_address=request.META.get("REMOTE_ADDR", ""),
                now=now,
            )
    except DomainError as error:
        context |= {"email": email, "chosen": chosen, "error": str(error.message), "field": error.field}
        return render(request, "lifecycle/portal/subscribe.html", context, status=error.status)
    return render(request, "lifecycle/portal/subscribe.html", {**context, "asked": True})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def confirm_subscription(request: HttpRequest, token: str) -> HttpResponse:
    """GET shows what is agreed to and a button, POST confirms."""
    row = sign_ups.read(token)
    done = request.method == "POST"
    if done:
        row = sign_ups.confirm(token, now=clock.now())
    language = row.language or _language()
    texts = [consent_texts.by_code(code) for code in row.text_versions.values()]
    context = {
        "token": token,
        "done": done or row.decided_at is not None,
        "texts": [(Purpose(text.purpose).label, text.in_language(language)) for text in texts if text],
        "nav": "subscribe",
    }
    return private(render(request, "lifecycle/portal/subscription.html", context))


def private(response: Any) -> Any:
    """The token is in the address: no search engine, and no page behind a link, may learn it."""
    response["X-Robots-Tag"] = "noindex"
    # Not no-referrer: under that, browsers send forms with the origin "null", and no form of the page would be taken.
    response["Referrer-Policy"] = "same-origin"
    return response
