"""Pages behind signed links. A GET changes nothing, whoever follows it: mail scanners open every link they see.

The token in the address is the authority, so the one-click POST of a mail program needs neither a cookie nor a
CSRF token (RFC 8058). A tampered link is a 404, an expired one a 410.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST

from crm.kernel import clock, surfaces
from crm.kernel.errors import Invalid
from crm.states import Purpose
from lifecycle.portal import forms
from lifecycle.selectors import messages
from lifecycle.services import confirmations, own_page, preferences
from lifecycle.services import inbox as inbox_service

PAGE = 20


@never_cache
@require_http_methods(["GET", "HEAD"])
def inbox(request: HttpRequest, token: str) -> HttpResponse:
    """The person's messages, and what other apps have to say to them."""
    ids = inbox_service.read_link(token)
    before = request.GET.get("before", "")
    if before and not (before.isascii() and before.isdigit() and len(before) < 19):
        raise Invalid(_("This page does not exist."), code="invalid_page", field="before")
    items = messages.inbox(ids, before_id=int(before) if before else None, limit=PAGE + 1)
    context = {
        "token": token,
        "items": items[:PAGE],
        "older": items[PAGE - 1].pk if len(items) > PAGE else None,
        "panels": surfaces.person_panels(profile_ids=ids, now=clock.now()),
        "nav": "me",
    }
    return _private(render(request, "lifecycle/portal/inbox.html", context))


@require_POST
def mark_read(request: HttpRequest, token: str, item_id: int) -> HttpResponse:
    """One message was read."""
    inbox_service.mark_read(item_id, profile_ids=inbox_service.read_link(token), now=clock.now())
    return redirect("portal-inbox", token=token)


@csrf_exempt
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """GET shows what a click would do; POST does it, from the page or from a mail program's button."""
    link = preferences.read(token)
    if request.method == "POST":
        preferences.unsubscribe(link, now=clock.now())
        if request.POST.get("List-Unsubscribe") == "One-Click":
            return HttpResponse(
                _("Done. You will not get these messages any more."), content_type="text/plain; charset=utf-8"
            )
        return redirect(f"{request.path}?done=1")
    return _preference_page(request, token, link)


@csrf_exempt
@never_cache
@require_POST
def preferences_post(request: HttpRequest, token: str) -> HttpResponse:
    """All choices of the preference form at once."""
    link = preferences.read(token)
    form = forms.PreferenceForm(request.POST)
    form.is_valid()
    choices = {purpose: bool(form.cleaned_data.get(purpose)) for purpose in preferences.PURPOSES}
    preferences.choose(link, choices, now=clock.now())
    return redirect(f"/u/{token}/?saved=1")


@never_cache
@require_POST
def send_page(request: HttpRequest, token: str) -> HttpResponse:
    """Mail the link of the own page to the person: an unsubscribe link never expires, so it opens nothing itself."""
    own_page.send_link(preferences.read(token).profile_id, now=clock.now())
    return redirect(f"/u/{token}/?sent=1")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: HttpRequest, token: str) -> HttpResponse:
    """GET shows a button, POST confirms."""
    confirmations.read(token)
    done = request.method == "POST"
    if done:
        confirmations.confirm(token, now=clock.now())
    return _private(render(request, "lifecycle/portal/confirm.html", {"done": done, "token": token}))


def _preference_page(request: HttpRequest, token: str, link: preferences.Link) -> HttpResponse:
    now_wanted = preferences.wanted(link)
    context: dict[str, Any] = {
        "token": token,
        "purpose": Purpose(link.purpose).label,
        "stopped": not now_wanted[link.purpose],
        "done": request.GET.get("done") == "1",
        "saved": request.GET.get("saved") == "1",
        "sent": request.GET.get("sent") == "1",
        "address": _masked(link.address),
        "form": forms.PreferenceForm(initial=now_wanted),
    }
    return _private(render(request, "lifecycle/portal/unsubscribe.html", context))


def _masked(address: str) -> str:
    """Enough for the owner to recognise it, too little for somebody who found the link."""
    name, _at, domain = address.partition("@")
    return f"{name[:1]}…@{domain}"


def _private(response: HttpResponse) -> HttpResponse:
    """The token is in the address: no search engine, and no page behind a link, may learn it."""
    response["X-Robots-Tag"] = "noindex"
    # Not no-referrer: under that, browsers send forms with the origin "null", and no form of the page would be taken.
    response["Referrer-Policy"] = "same-origin"
    return response
