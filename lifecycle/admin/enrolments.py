"""People on a journey: where each one is, and how they got there."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from crm.kernel.pages import PageAdmin
from crm.selectors.staff_links import person_link
from lifecycle.models import Enrolment
from lifecycle.states import EnrolmentEventKind, EnrolmentStatus, ExitCause

TONES = {
    "waiting": "info",
    "converted": "success",
    "exited": "info",
    "finished": "success",
    "failed": "danger",
}


@admin.register(Enrolment)
class EnrolmentAdmin(PageAdmin):
    """One row per person, journey and entry key."""

    list_display = ["person", "journey", "entry_key", "shown_status", "arm", "step", "run_at", "entered_at"]
    list_filter = ["status", "arm", "journey"]
    list_select_related = ["profile", "journey"]
    ordering = ["-id"]
    page_template = "lifecycle/admin/enrolment.html"

    @display(description=gettext_lazy("Person"))
    def person(self, row: Enrolment) -> str:
        """Who it is."""
        return str(row.profile)

    @display(description=gettext_lazy("Status"), label=TONES)
    def shown_status(self, row: Enrolment) -> tuple[str, Any]:
        """The status as a badge."""
        return row.status, EnrolmentStatus(row.status).label

    def page_context(self, request: HttpRequest, row: Enrolment) -> dict[str, Any]:
        """The person, the state, and the log."""
        name, url = person_link(row.profile_id)
        events = [
            (event.occurred_at, EnrolmentEventKind(event.kind).label, event.step)
            for event in row.events.all()
        ]
        return {
            "title": f"{row.journey.name}: {name}",
            "enrolment": row,
            "person": name,
            "person_url": url,
            "status": EnrolmentStatus(row.status).label,
            "cause": ExitCause(row.exit_cause).label if row.exit_cause else "",
            "events": events,
        }
