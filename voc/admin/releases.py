"""Releases: what ships together, who will be told, and who was."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.decorators import display

from crm.kernel import actors, clock
from crm.kernel.errors import DomainError, Invalid
from crm.kernel.pages import PageAdmin
from crm.selectors import contacts
from crm.selectors.staff_links import person_links
from voc.admin.forms import ReleaseForm
from voc.admin.numbers import number
from voc.models import Release, Ticket
from voc.selectors import clock as clock_reads
from voc.selectors import due, progress
from voc.selectors import tickets as ticket_reads
from voc.services import releases
from voc.states import ReleaseStatus

CHOICES = 40
NAMES = 20
UNTOLD = 100


@admin.register(Release)
class ReleaseAdmin(PageAdmin):
    """Drafts and what was shipped."""

    list_display = ["title", "shown_status", "shown_items", "shipped_at", "told_at"]
    list_filter = ["status"]
    search_fields = ["title"]
    ordering = ["-id"]
    page_template = "voc/admin/release.html"
    add_page_template = "voc/admin/add.html"
    add_permission = "voc.add_release"
    page_actions = {
        "edit": ("voc.change_release", "edit"),
        "add_items": ("voc.change_release", "add_items"),
        "remove_item": ("voc.change_release", "remove_item"),
        "ship": ("voc.ship_release", "ship"),
        "withdraw": ("voc.withdraw_release", "withdraw"),
    }

    def get_queryset(self, request: HttpRequest) -> Any:
        """With the items of one page read at once."""
        return super().get_queryset(request).prefetch_related("items")

    @display(
        description=gettext_lazy("Status"),
        label={"draft": "info", "shipped": "success", "withdrawn": "danger"},
    )
    def shown_status(self, row: Release) -> tuple[str, Any]:
        """The status as a badge."""
        return row.status, row.get_status_display()

    @display(description=gettext_lazy("Tickets"))
    def shown_items(self, row: Release) -> int:
        """How many tickets it names."""
        return len(row.items.all())

    def page_context(self, request: HttpRequest, row: Release) -> dict[str, Any]:
        """A draft with its picker and preview, or a shipped release with its numbers."""
        now = clock.now()
        items = list(row.items.select_related("ticket"))
        events = list(row.events.all()[:20])
        context: dict[str, Any] = {
            "release": row,
            "actor_names": actors.names({event.actor for event in events}),
            "items": [(item, clock_reads.read(item.ticket, now=now)) for item in items],
            "form": ReleaseForm(initial={"title": row.title, "notes": row.notes}),
            "events": events,
            "is_draft": row.status == ReleaseStatus.DRAFT,
            "is_shipped": row.status == ReleaseStatus.SHIPPED,
        }
        if row.status == ReleaseStatus.DRAFT:
            context |= self._draft(row, {item.ticket_id for item in items}, query=request.GET.get("q", ""))
        else:
            context |= self._numbers(row)
        return context

    def _draft(self, row: Release, chosen: set[int], *, query: str) -> dict[str, Any]:
        now = clock.now()
        choices = ticket_reads.overdue_first(Ticket.objects.open().exclude(pk__in=chosen))
        if query.strip():
            wanted = number(query)
            choices = (
                choices.filter(pk=wanted) if wanted else choices.filter(title__icontains=query.strip()[:100])
            )
        people = due.people(row.pk)
        names = person_links(people[:NAMES])
        with_address = len(contacts.deliverable(people, "email")) if people else 0
        return {
            "choices": [
                (one, clock_reads.read(one, now=now)) for one in ticket_reads.with_counts(choices)[:CHOICES]
            ],
            "query": query,
            "people_count": len(people),
            "without_address": len(people) - with_address,
            "people": [names[ident] for ident in people[:NAMES] if ident in names],
            "more_people": max(0, len(people) - NAMES),
        }

    def _numbers(self, row: Release) -> dict[str, Any]:
        numbers = progress.of_release(row.pk)
        untold = progress.untold(row.pk, limit=UNTOLD + 1)
        links = person_links([one.profile_id for one in untold])
        return {
            "progress": numbers,
            "share": round(100 * numbers.told / numbers.people) if numbers.people else 100,
            "untold": [(one, *links.get(one.profile_id, ("–", ""))) for one in untold[:UNTOLD]],
            "more_untold": len(untold) > UNTOLD,
        }

    def add_page(self, request: HttpRequest) -> HttpResponse:
        """Start a draft."""
        form = ReleaseForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                row = self.call(request, releases.create, **form.cleaned_data)
            except DomainError as error:
                form.add_error(error.field if error.field in form.fields else None, str(error.message))
            else:
                messages.success(request, _("The draft is there. Now choose its tickets."))
                return HttpResponseRedirect(self.page_url(row.pk))
        status = 400 if form.errors else 200
        return self.render(request, self.add_page_template, {"form": form}, status=status)

    def edit(self, request: HttpRequest, row: Release) -> str:
        """Change the words."""
        form = ReleaseForm(request.POST)
        if not form.is_valid():
            field, errors = next(iter(form.errors.items()))
            raise Invalid(f"{form.fields[field].label}: {errors[0]}", field=field)
        self.call(request, releases.edit, row.pk, **form.cleaned_data)
        return _("Saved.")

    def add_items(self, request: HttpRequest, row: Release) -> str:
        """Name the chosen tickets."""
        chosen = [ident for ident in map(number, request.POST.getlist("ticket")) if ident]
        if not chosen:
            raise Invalid(_("Choose at least one ticket."), code="required", field="ticket")
        self.call(request, releases.add_items, row.pk, ticket_ids=chosen)
        return ngettext("%(n)d ticket added.", "%(n)d tickets added.", len(chosen)) % {"n": len(chosen)}

    def remove_item(self, request: HttpRequest, row: Release) -> str:
        """Take a ticket out."""
        self.call(request, releases.remove_item, row.pk, ticket_id=number(request.POST.get("ticket")))
        return _("Taken out.")

    def ship(self, request: HttpRequest, row: Release) -> str:
        """Ship, when the box was ticked."""
        if request.POST.get("confirmed") != "yes":
            raise Invalid(_("Tick the box to confirm that people will be told."), code="not_confirmed")
        self.call(request, releases.ship, row.pk)
        return _("Shipped. Everyone who asked is being told.")

    def withdraw(self, request: HttpRequest, row: Release) -> str:
        """Stop telling."""
        self.call(request, releases.withdraw, row.pk, reason=request.POST.get("reason", ""))
        return _("Withdrawn. Nobody else is told, and its tickets are open again.")
