"""The outbox: what was decided about each message and why, and how each e-mail fared."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from crm.kernel.admin import call_service
from crm.kernel.pages import Fact, PageAdmin, RecordAdmin, link
from crm.selectors import profiles
from crm.selectors.staff_links import person_link, person_links
from lifecycle import registry
from lifecycle.models import Delivery, InboxItem, OutboundMessage
from lifecycle.selectors import messages as message_reads
from lifecycle.services import letters, messages, rendering
from lifecycle.states import Decision, DeliveryStatus, Reason

DECISION_TONES = {
    "queued": "info",
    "held": "warning",
    "sent": "success",
    "dropped": "info",
    "failed": "danger",
}
STATUS_TONES = {
    "queued": "info",
    "claimed": "info",
    "sent": "success",
    "failed": "danger",
    "unknown": "warning",
}


class KindFilter(admin.SimpleListFilter):
    """By kind of message, with its human name."""

    title = gettext_lazy("kind")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """The installed kinds."""
        return list(registry.labels().items())

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Messages of the chosen kind."""
        return queryset.filter(kind=self.value()) if self.value() else queryset


class GapFilter(admin.SimpleListFilter):
    """Deliveries whose fate was unknown at some time."""

    title = gettext_lazy("interrupted")
    parameter_name = "gap"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """One choice."""
        return [("yes", gettext_lazy("interrupted by a crash"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Those with a gap."""
        return queryset.filter(gaps__gt=0) if self.value() == "yes" else queryset


@admin.register(OutboundMessage)
class OutboundMessageAdmin(PageAdmin):
    """One row per (person, message), with its decision and the reason."""

    list_display = ["shown_kind", "person", "shown_decision", "shown_reason", "run_at", "decided_at"]
    list_filter = ["decision", "reason", KindFilter]
    list_select_related = ["profile"]
    ordering = ["-id"]
    search_fields = ["=subject_key"]
    search_help_text = gettext_lazy("A subject key, or a person by name, e-mail or phone")
    actions = ["retry_chosen", "cancel_chosen"]
    page_template = "lifecycle/admin/message.html"
    page_actions = {
        "retry": ("lifecycle.retry_outboundmessage", "retry"),
        "cancel": ("lifecycle.retry_outboundmessage", "cancel"),
    }

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """By exact subject key, or everything to the people found."""
        text = search_term.strip()
        if not text:
            return queryset, False
        people = list(profiles.search(text).values_list("pk", flat=True)[:50])
        ids = [member for ids in profiles.id_sets(people).values() for member in ids]
        return queryset.filter(Q(subject_key=text) | Q(profile_id__in=ids)), False

    @display(description=gettext_lazy("Message"))
    def shown_kind(self, row: OutboundMessage) -> Any:
        """The human name of its kind."""
        return message_reads.kind_label(row.kind)

    @display(description=gettext_lazy("Person"))
    def person(self, row: OutboundMessage) -> str:
        """Whom it is for."""
        return str(row.profile)

    @display(description=gettext_lazy("Decision"), label=DECISION_TONES)
    def shown_decision(self, row: OutboundMessage) -> tuple[str, Any]:
        """The decision as a badge."""
        return row.decision, Decision(row.decision).label

    @display(description=gettext_lazy("Why"))
    def shown_reason(self, row: OutboundMessage) -> Any:
        """The reason in words."""
        return Reason(row.reason).label

    @admin.action(description=gettext_lazy("Try again"), permissions=["retry"])
    def retry_chosen(self, request: HttpRequest, queryset: Any) -> None:
        """Another try for each of the chosen."""
        for row in queryset:
            call_service(request, _("Will be tried again."), messages.retry, row.pk)

    @admin.action(description=gettext_lazy("Cancel"), permissions=["retry"])
    def cancel_chosen(self, request: HttpRequest, queryset: Any) -> None:
        """Drop each of the chosen that is not decided."""
        for row in queryset:
            call_service(request, _("Cancelled."), messages.withdraw, row.pk)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Who may retry and cancel."""
        return request.user.has_perm("lifecycle.retry_outboundmessage")

    def page_context(self, request: HttpRequest, row: OutboundMessage) -> dict[str, Any]:
        """The decision, the text as the person reads it, and each channel."""
        name, url = person_link(row.profile_id)
        item = InboxItem.objects.filter(message=row).first()
        kind = registry.find(row.kind)
        return {
            "title": str(message_reads.kind_label(row.kind)),
            "person": name,
            "person_url": url,
            "kind": kind,
            "decision": Decision(row.decision).label,
            "tone": {"sent": "good", "held": "warn", "failed": "bad"}.get(row.decision, ""),
            "reason": Reason(row.reason).label if row.reason else "",
            "text": item or self._preview(row),
            "item": item,
            "deliveries": row.deliveries.all(),
            "can_retry": row.decision in (Decision.FAILED, Decision.HELD),
            "can_cancel": row.decision in (Decision.QUEUED, Decision.HELD),
        }

    def _preview(self, row: OutboundMessage) -> Any:
        """How it would read now, or None when it cannot be rendered."""
        kind = registry.find(row.kind)
        if kind is None:
            return None
        try:
            return letters.render_for(kind, root=row.profile, context=row.context)
        except rendering.TemplateFault:
            return None

    def retry(self, request: HttpRequest, row: OutboundMessage) -> str:
        """The button on the page."""
        self.call(request, messages.retry, row.pk)
        return _("Will be tried again.")

    def cancel(self, request: HttpRequest, row: OutboundMessage) -> str:
        """The button on the page."""
        self.call(request, messages.withdraw, row.pk)
        return _("Cancelled.")


@admin.register(Delivery)
class DeliveryAdmin(RecordAdmin):
    """E-mails one by one: attempts, answers of the mail server, gaps."""

    list_display = [
        "shown_message",
        "shown_person",
        "channel",
        "shown_status",
        "attempts",
        "error",
        "gaps",
        "next_attempt_at",
        "settled_at",
    ]
    list_filter = ["status", GapFilter]
    list_select_related = ["message"]
    ordering = ["-id"]
    empty_hint = gettext_lazy("Every message that goes out by e-mail or into an inbox is listed here.")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The people of one page, read at once."""
        changelist = super().get_changelist_instance(request)
        people = person_links([row.message.profile_id for row in changelist.result_list])
        for row in changelist.result_list:
            row.person = people.get(row.message.profile_id)
        return changelist

    def page_title(self, row: Delivery) -> str:
        """What went which way."""
        return f"{message_reads.kind_label(row.message.kind)}: {row.get_channel_display()}"

    def facts(self, request: HttpRequest, row: Delivery) -> list[Fact]:
        """The message, the person, and how it fared."""
        message = reverse("admin:lifecycle_outboundmessage_change", args=[row.message_id])
        gaps = _("%(count)s times it was unknown whether it had been handed over") % {"count": row.gaps}
        return [
            (_("Message"), link(self.shown_message(row), message)),
            (_("Person"), link(*person_link(row.message.profile_id))),
            (_("Channel"), row.get_channel_display()),
            (_("Status"), row.get_status_display()),
            (_("Attempts"), row.attempts),
            (_("Answer"), row.error),
            (_("Interrupted"), gaps if row.gaps else ""),
            (_("Last gap"), row.gap_at),
            (_("Next try"), row.next_attempt_at),
            (_("Created"), row.created_at),
            (_("Settled"), row.settled_at),
        ]

    @display(description=gettext_lazy("Person"))
    def shown_person(self, row: Delivery) -> str:
        """Who gets it."""
        return link(*(row.person or (f"#{row.message.profile_id}", "")))

    @display(description=gettext_lazy("Message"))
    def shown_message(self, row: Delivery) -> str:
        """Which message it carries, by the human name of its kind."""
        return f"{message_reads.kind_label(row.message.kind)} #{row.message_id}"

    @display(description=gettext_lazy("Status"), label=STATUS_TONES)
    def shown_status(self, row: Delivery) -> tuple[str, Any]:
        """The status as a badge."""
        return row.status, DeliveryStatus(row.status).label
