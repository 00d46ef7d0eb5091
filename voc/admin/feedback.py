"""The feedback inbox: every voice gets a decision."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from crm.kernel import actors, clock
from crm.kernel.admin import call_service
from crm.kernel.errors import DomainError
from crm.kernel.pages import PageAdmin
from crm.selectors.staff_links import person_links
from voc.admin.forms import EntryForm
from voc.admin.numbers import number
from voc.models import Feedback
from voc.selectors import clock as clock_reads
from voc.services import feedback, similarity
from voc.states import FeedbackStatus


class DecisionFilter(admin.SimpleListFilter):
    """Undecided voices, unless another choice is made."""

    title = gettext_lazy("decision")
    parameter_name = "decision"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """The choices."""
        return [("all", gettext_lazy("All")), *FeedbackStatus.choices]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """The chosen voices; new ones by default."""
        value = self.value() or FeedbackStatus.NEW
        return queryset if value == "all" else queryset.filter(status=value)

    def choices(self, changelist: Any) -> Any:
        """Without an entry of its own for no choice: that is New."""
        for choice in super().choices(changelist):
            if choice["display"] != _("All") or "all" in choice["query_string"]:
                yield choice


@admin.register(Feedback)
class FeedbackAdmin(PageAdmin):
    """What people told us."""

    list_display = ["words", "channel", "shown_status", "person", "shown_ticket", "created_at"]
    list_filter = [DecisionFilter, "channel"]
    list_select_related = ["ticket"]
    ordering = ["-id"]
    actions = ["open_each", "dismiss_each"]
    page_template = "voc/admin/feedback.html"
    add_page_template = "voc/admin/add.html"
    add_permission = "voc.add_feedback"
    page_actions = {
        "open": ("voc.add_ticket", "open_ticket"),
        "attach": ("voc.change_feedback", "attach"),
        "dismiss": ("voc.change_feedback", "dismiss"),
        "reconsider": ("voc.change_feedback", "reconsider"),
    }

    @display(description=gettext_lazy("Feedback"))
    def words(self, row: Feedback) -> str:
        """The beginning of the text."""
        return row.text if len(row.text) <= 110 else f"{row.text[:109]}…"

    @display(
        description=gettext_lazy("Decision"),
        label={"new": "warning", "attached": "success", "dismissed": "info"},
    )
    def shown_status(self, row: Feedback) -> tuple[str, Any]:
        """The decision as a badge."""
        return row.status, row.get_status_display()

    @display(description=gettext_lazy("Person"))
    def person(self, row: Feedback) -> str:
        """The person, when known."""
        return self._people.get(row.profile_id, ("–", ""))[0]

    @display(description=gettext_lazy("Ticket"))
    def shown_ticket(self, row: Feedback) -> str:
        """The ticket it is on."""
        return str(row.ticket) if row.ticket else "–"

    _people: dict[int, tuple[str, str]] = {}

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Read the names of one page at once."""
        changelist = super().get_changelist_instance(request)
        self._people = person_links([row.profile_id for row in changelist.result_list])
        return changelist

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """Who may decide about several at once."""
        return request.user.has_perm("voc.change_feedback") and request.user.has_perm("voc.add_ticket")

    @admin.action(description=gettext_lazy("Open a ticket from each"), permissions=["decide"])
    def open_each(self, request: HttpRequest, queryset: Any) -> None:
        """A ticket of its own for each chosen voice."""
        for row in queryset[:100]:
            call_service(request, _("Ticket opened."), feedback.open_ticket, row.pk)

    @admin.action(description=gettext_lazy("Dismiss"), permissions=["decide"])
    def dismiss_each(self, request: HttpRequest, queryset: Any) -> None:
        """Nothing is to be done about the chosen voices."""
        for row in queryset[:100]:
            call_service(request, _("Dismissed."), feedback.dismiss, row.pk, reason="")

    def page_context(self, request: HttpRequest, row: Feedback) -> dict[str, Any]:
        """The voice, what it may be about, and the buttons."""
        now = clock.now()
        undecided = row.status == FeedbackStatus.NEW
        matches = similarity.find(row.text) if undecided else []
        return {
            "feedback": row,
            "actor_names": actors.names([row.decided_by] if row.decided_by else []),
            "person": person_links([row.profile_id]).get(row.profile_id),
            "matches": [
                (match, round(match.score * 100), clock_reads.read(match.ticket, now=now))
                for match in matches
            ],
            "title_suggestion": feedback.suggest_title(row.text),
            "is_undecided": undecided,
            "is_dismissed": row.status == FeedbackStatus.DISMISSED,
        }

    def add_page(self, request: HttpRequest) -> HttpResponse:
        """Type in what somebody said elsewhere."""
        form = EntryForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            data = form.cleaned_data
            identifiers = (("phone", data["phone"]),) if data["phone"] else ()
            who = None
            if identifiers or data["email"]:
                who = feedback.Person(identifiers=identifiers, email=data["email"], name=data["name"])
            try:
                row = self.call(
                    request,
                    feedback.give,
                    text=data["text"],
                    channel=data["channel"],
                    person=who,
                    may_name=data["may_name"],
                    reference=data["reference"],
                )
            except DomainError as error:
                form.add_error(error.field if error.field in form.fields else None, str(error.message))
            else:
                messages.success(request, _("Stored. Now decide what is to be done."))
                return HttpResponseRedirect(self.page_url(row.pk))
        status = 400 if form.errors else 200
        return self.render(request, self.add_page_template, {"form": form}, status=status)

    def open_ticket(self, request: HttpRequest, row: Feedback) -> HttpResponse:
        """Open a ticket and go there."""
        ticket = self.call(request, feedback.open_ticket, row.pk, title=request.POST.get("title", ""))
        messages.success(request, _("Ticket #%(number)d is open.") % {"number": ticket.pk})
        return HttpResponseRedirect(reverse("admin:voc_ticket_change", args=[ticket.pk]))

    def attach(self, request: HttpRequest, row: Feedback) -> str:
        """Attach to a suggested ticket or to a number."""
        done = self.call(request, feedback.attach, row.pk, ticket_id=number(request.POST.get("ticket")))
        return _("Attached to #%(number)d.") % {"number": done.ticket_id}

    def dismiss(self, request: HttpRequest, row: Feedback) -> str:
        """Nothing is to be done."""
        self.call(request, feedback.dismiss, row.pk, reason=request.POST.get("reason", ""))
        return _("Dismissed.")

    def reconsider(self, request: HttpRequest, row: Feedback) -> str:
        """Back into the inbox."""
        self.call(request, feedback.reconsider, row.pk)
        return _("Back in the inbox.")
