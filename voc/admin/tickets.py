"""Tickets: what we owe, by when, to whom."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from crm.kernel import actors, clock
from crm.kernel.errors import DomainError, Invalid
from crm.kernel.pages import PageAdmin
from crm.selectors.staff_links import person_links
from voc.admin.forms import TicketForm
from voc.admin.numbers import number
from voc.models import Feedback, Release, ReleaseItem, Ticket, TicketFollower
from voc.selectors import clock as clock_reads
from voc.selectors import tickets as ticket_reads
from voc.services import releases, ticket_merges, tickets
from voc.states import OPEN_STATUSES, TicketStatus, moves_by_hand

SHOWN = 50


class ClockFilter(admin.SimpleListFilter):
    """By promise."""

    title = gettext_lazy("promise")
    parameter_name = "clock"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """The choices."""
        return [
            ("open", gettext_lazy("Open")),
            ("overdue", gettext_lazy("Overdue")),
            ("closed", gettext_lazy("Closed")),
        ]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """The chosen tickets."""
        if self.value() == "overdue":
            return queryset.filter(status__in=OPEN_STATUSES, due_at__lt=clock.now())
        if self.value() == "open":
            return queryset.filter(status__in=OPEN_STATUSES)
        return queryset.exclude(status__in=OPEN_STATUSES) if self.value() == "closed" else queryset


@admin.register(Ticket)
class TicketAdmin(PageAdmin):
    """Overdue first."""

    list_display = ["shown", "shown_clock", "shown_status", "kind", "severity", "assignee", "shown_people"]
    list_filter = [ClockFilter, "status", "kind", "severity", "assignee"]
    list_select_related = ["assignee"]
    search_fields = ["title", "=id"]
    search_help_text = gettext_lazy("Words of the title, or a number")
    page_template = "voc/admin/ticket.html"
    add_page_template = "voc/admin/add.html"
    add_permission = "voc.add_ticket"
    page_actions = {
        "move": ("voc.change_ticket", "move"),
        "edit": ("voc.change_ticket", "edit"),
        "note": ("voc.change_ticket", "note"),
        "merge": ("voc.merge_ticket", "merge"),
        "unmerge": ("voc.merge_ticket", "unmerge"),
        "add_to_release": ("voc.change_release", "add_to_release"),
    }

    def get_queryset(self, request: HttpRequest) -> Any:
        """Overdue first, with counts."""
        return ticket_reads.with_counts(ticket_reads.overdue_first(super().get_queryset(request)))

    def get_ordering(self, request: HttpRequest) -> tuple[Any, ...]:
        """Overdue first; the theme's list would otherwise fall back to the newest."""
        return ticket_reads.OVERDUE_FIRST

    @display(description=gettext_lazy("Ticket"))
    def shown(self, row: Ticket) -> str:
        """Number and title."""
        return str(row)

    @display(
        description=gettext_lazy("Promise"),
        label={"bad": "danger", "warn": "warning", "good": "success", "none": "info"},
    )
    def shown_clock(self, row: Ticket) -> tuple[str, str]:
        """The promise clock as a badge."""
        read = clock_reads.read(row, now=clock.now())
        return read.tone, read.text if row.is_open else "–"

    @display(description=gettext_lazy("Status"))
    def shown_status(self, row: Ticket) -> Any:
        """The status."""
        return row.get_status_display()

    @display(description=gettext_lazy("To be told"))
    def shown_people(self, row: Ticket) -> int:
        """How many follow it."""
        return row.follower_count  # type: ignore[attr-defined]

    def page_context(self, request: HttpRequest, row: Ticket) -> dict[str, Any]:
        """The ticket with its people, voices and history."""
        family = ticket_reads.family(row)
        followers = list(
            TicketFollower.objects.filter(ticket_id__in=family, left_at=None).order_by("pk")[:SHOWN]
        )
        voices = list(Feedback.objects.filter(ticket_id__in=family).order_by("-pk")[:SHOWN])
        people = person_links([one.profile_id for one in (*followers, *voices)])
        initial = {
            "title": row.title,
            "description": row.description,
            "kind": row.kind,
            "severity": row.severity,
            "theme": row.theme,
            "assignee": row.assignee_id or "",
        }
        events = list(row.events.order_by("-pk")[:SHOWN])
        return {
            "ticket": row,
            "actor_names": actors.names({event.actor for event in events}),
            "clock": clock_reads.read(row, now=clock.now()),
            "moves": [(to, TicketStatus(to).label) for to in moves_by_hand(row.status, row.kind)],
            "followers": [(one, *people.get(one.profile_id, ("–", ""))) for one in followers],
            "follower_count": row.follower_count,  # type: ignore[attr-defined]
            "voices": [(one, *people.get(one.profile_id, ("", ""))) for one in voices],
            "voice_count": row.voice_count,  # type: ignore[attr-defined]
            "events": events,
            "merged_here": list(Ticket.objects.filter(merged_into=row).order_by("pk")[:SHOWN]),
            "drafts": list(Release.objects.filter(status="draft").order_by("-pk")[:20]),
            "releases": list(
                ReleaseItem.objects.filter(ticket_id__in=family)
                .select_related("release")
                .order_by("-pk")[:20]
            ),
            "form": TicketForm(initial=initial),
            "is_merged": row.status == TicketStatus.DUPLICATE,
        }

    def add_page(self, request: HttpRequest) -> HttpResponse:
        """Open a ticket."""
        form = TicketForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                row = self.call(request, tickets.open, **form.values())
            except DomainError as error:
                form.add_error(error.field if error.field in form.fields else None, str(error.message))
            else:
                messages.success(request, _("Ticket #%(number)d is open.") % {"number": row.pk})
                return HttpResponseRedirect(self.page_url(row.pk))
        status = 400 if form.errors else 200
        return self.render(request, self.add_page_template, {"form": form}, status=status)

    def move(self, request: HttpRequest, row: Ticket) -> str:
        """To the chosen status."""
        done = self.call(
            request, tickets.move, row.pk, to=request.POST.get("to", ""), note=request.POST.get("note", "")
        )
        return _("Now “%(status)s”.") % {"status": done.get_status_display()}

    def edit(self, request: HttpRequest, row: Ticket) -> str:
        """Change the words."""
        form = TicketForm(request.POST)
        if not form.is_valid():
            field, errors = next(iter(form.errors.items()))
            raise Invalid(f"{form.fields[field].label}: {errors[0]}", field=field)
        self.call(request, tickets.edit, row.pk, **form.values())
        return _("Saved.")

    def note(self, request: HttpRequest, row: Ticket) -> str:
        """Add a note."""
        self.call(request, tickets.note, row.pk, text=request.POST.get("note", ""))
        return _("Noted.")

    def merge(self, request: HttpRequest, row: Ticket) -> HttpResponse:
        """Merge and go to the ticket that stays."""
        winner = self.call(request, ticket_merges.merge, row.pk, into=number(request.POST.get("into")))
        messages.success(request, _("Merged. Its followers follow #%(number)d now.") % {"number": winner.pk})
        return HttpResponseRedirect(self.page_url(winner.pk))

    def unmerge(self, request: HttpRequest, row: Ticket) -> str:
        """Undo."""
        self.call(request, ticket_merges.unmerge, row.pk)
        return _("The merge is undone.")

    def add_to_release(self, request: HttpRequest, row: Ticket) -> HttpResponse:
        """Name it in a draft, or in a new one."""
        chosen = number(request.POST.get("release"))
        if not chosen:
            draft = self.call(request, releases.create, title=row.title[:120])
            chosen = draft.pk
        self.call(request, releases.add_items, chosen, ticket_ids=[row.pk])
        messages.success(request, _("Added to the release."))
        return HttpResponseRedirect(reverse("admin:voc_release_change", args=[chosen]))
