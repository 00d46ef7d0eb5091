"""The public pages: what people may see and do without signing in.

Nothing is mailed to an address before its owner confirmed it, and the confirmation carries no text of the visitor.
A page of a ticket or of a voice is found by its random token only.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from crm.kernel import actors, clock, knobs
from crm.kernel.errors import DomainError
from voc.models import Feedback, Ticket
from voc.portal.forms import AccessibleForm, FeedbackForm, FollowForm
from voc.selectors import changelog
from voc.selectors import portal as portal_reads
from voc.services import feedback, submissions
from voc.states import TicketKind

ACTOR = actors.system("voc.portal")
PAGE = 10


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """What this is, what we promise and what shipped lately."""
    entries = changelog.entries(list(changelog.releases()[:3]))
    context = {"entries": entries, "promise_days": knobs.get("voc.promise_days"), "nav": "home"}
    return render(request, "voc/portal/home.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def give_feedback(request: HttpRequest) -> HttpResponse:
    """The form; a stored voice leads to its own page."""
    form = FeedbackForm(request.POST or None)
    status = 200
    if request.method == "POST":
        form = FeedbackForm(request.POST)
        now = clock.now()
        if form.is_valid() and not _within_limits(request, form, now=now):
            status = 429
        elif form.is_valid() and form.is_trapped:
            return redirect("portal-home")
        elif form.is_valid():
            row = _store(form, now=now)
            if row is not None:
                return redirect("portal-thanks", token=row.token)
        status = status if status == 429 else 400
    return render(request, "voc/portal/feedback.html", {"form": form, "nav": "feedback"}, status=status)


@require_GET
def thank_you(request: HttpRequest, token: str) -> HttpResponse:
    """What became of one voice; the address that the thank-you page gives out."""
    row = Feedback.objects.select_related("ticket__merged_into").filter(token=token).first()
    if row is None:
        raise Http404
    root = (row.ticket.merged_into or row.ticket) if row.ticket else None
    context = {
        "feedback": row,
        "ticket": root,
        "promise_days": knobs.get("voc.promise_days"),
        "has_address": row.profile_id is not None,
        "nav": "feedback",
    }
    return render(request, "voc/portal/thanks.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def ticket(request: HttpRequest, token: str) -> HttpResponse:
    """The public page of a ticket, and following it by e-mail."""
    row = Ticket.objects.select_related("merged_into").filter(token=token).first()
    if row is None or row.kind == TicketKind.PRIVACY:
        raise Http404
    if row.merged_into is not None:
        return redirect("portal-ticket", token=row.merged_into.token)
    form = FollowForm()
    status = 200
    if request.method == "POST":
        form = FollowForm(request.POST)
        now = clock.now()
        if form.is_valid() and not _within_limits(request, form, now=now):
            status = 429
        elif form.is_valid():
            if not form.is_trapped:
                _follow(row, form, now=now)
            if not form.errors:
                return redirect(f"{request.path}?asked=1")
        status = status if status == 429 else 400
    context = {
        "ticket": row,
        "view": portal_reads.ticket_view(row, now=clock.now()),
        "form": form,
        "asked": request.GET.get("asked") == "1",
    }
    return render(request, "voc/portal/ticket.html", context, status=status)


@require_GET
def changelog_page(request: HttpRequest) -> HttpResponse:
    """What shipped, newest first; pages by `before`, a release id."""
    page = changelog.releases()
    before = request.GET.get("before", "")
    if before.isascii() and before.isdigit() and len(before) <= 18:
        page = changelog.before(page, int(before))
    rows = list(page[: PAGE + 1])
    context = {
        "entries": changelog.entries(rows[:PAGE]),
        "next_before": rows[PAGE - 1].pk if len(rows) > PAGE else None,
        "is_first": not before,
        "nav": "changelog",
    }
    return render(request, "voc/portal/changelog.html", context)


def _within_limits(request: HttpRequest, form: AccessibleForm, *, now: datetime) -> bool:
    if submissions.may_submit(request.META.get("REMOTE_ADDR", ""), now=now):
        return True
    form.add_error(None, _("Too much came from your network in the last hour. Please try again later."))
    return False


def _store(form: FeedbackForm, *, now: datetime) -> Feedback | None:
    data: dict[str, Any] = form.cleaned_data
    who = None
    if data["email"]:
        who = feedback.Person(email=data["email"], name=data["name"], language=get_language() or "")
    try:
        with transaction.atomic():
            row = feedback.give(
                text=data["text"],
                channel="portal",
                person=who,
                trusted=False,
                may_name=data["may_name"],
                credit_name=data["name"],
                actor=ACTOR,
                now=now,
            )
            if who is not None:
                _confirm(row.profile_id, data["email"], now=now)
    except DomainError as error:
        form.refuse(error)
        return None
    return row


def _follow(row: Ticket, form: FollowForm, *, now: datetime) -> None:
    address = form.cleaned_data["email"]
    try:
        with transaction.atomic():
            profile_id = feedback.ask_to_follow(
                row.pk, email=address, language=get_language() or "", actor=ACTOR, now=now
            )
            _confirm(profile_id, address, now=now)
    except DomainError as error:
        form.refuse(error)


def _confirm(profile_id: int, address: str, *, now: datetime) -> None:
    """Ask the address whether it was them; silently not more often than its day's limit."""
    if submissions.may_confirm(address, now=now):
        feedback.ask_for_confirmation(profile_id, email=address, actor=ACTOR, now=now)
