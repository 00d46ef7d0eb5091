"""Merges, suggestions and identity rules for staff."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from crm.kernel import actionlog, clock
from crm.kernel.admin import ServiceAdmin, call_service, request_actor
from crm.models import IdentityRule, MergeRecord, MergeSuggestion
from crm.selectors import profiles, rules
from crm.services import merges


def person_link(profile_id: int, name: Any) -> str:
    """A link to the customer page."""
    return format_html('<a href="{}">{}</a>', reverse("admin:crm_profile_change", args=[profile_id]), name)


class NamedPeople(ServiceAdmin):
    """A list that shows people by name: one look-up for the whole page."""

    people_fields: tuple[str, ...] = ()

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Load the names of everybody on the page at once."""
        changelist = super().get_changelist_instance(request)
        ids = {getattr(row, f"{name}_id") for row in changelist.result_list for name in self.people_fields}
        cards = profiles.cards(ids)
        for row in changelist.result_list:
            row.cards = cards
        return changelist

    def person(self, row: Any, field: str) -> str:
        """The linked name."""
        profile_id = getattr(row, f"{field}_id")
        card = getattr(row, "cards", {}).get(profile_id)
        return person_link(profile_id, f"{card.name if card else '–'} (#{profile_id})")


@admin.register(MergeRecord)
class MergeRecordAdmin(NamedPeople):
    """Merges, each of which can be taken apart again."""

    people_fields = ("winner", "loser")
    list_display = ("id", "kept", "merged", "cause", "actor", "created_at", "undone_at")
    list_filter = ("cause",)
    ordering = ("-id",)
    actions = ("undo",)
    fields = ("winner", "loser", "cause", "changes", "actor", "created_at", "undone_at", "undone_by")

    @admin.display(description=_("kept profile"))
    def kept(self, row: MergeRecord) -> str:
        """Who stayed."""
        return self.person(row, "winner")

    @admin.display(description=_("merged profile"))
    def merged(self, row: MergeRecord) -> str:
        """Who was joined."""
        return self.person(row, "loser")

    @admin.action(description=_("Take apart again"), permissions=["merge"])
    def undo(self, request: HttpRequest, queryset: Any) -> None:
        """Undo the chosen merges, newest first."""
        for row in queryset.order_by("-pk"):
            call_service(request, _("Merge %(id)s was undone.") % {"id": row.pk}, merges.undo, row.pk)

    def has_merge_permission(self, request: HttpRequest) -> bool:
        """Who may merge may undo."""
        return request.user.has_perm("crm.merge_profile")


@admin.register(MergeSuggestion)
class MergeSuggestionAdmin(NamedPeople):
    """Pairs that may be one person: merge or dismiss."""

    people_fields = ("first", "second")
    list_display = ("id", "one", "other", "reason", "status", "created_at", "decided_at")
    list_filter = ("status",)
    ordering = ("-id",)
    actions = ("accept", "dismiss")

    @admin.display(description=_("first profile"))
    def one(self, row: MergeSuggestion) -> str:
        """The first person."""
        return self.person(row, "first")

    @admin.display(description=_("second profile"))
    def other(self, row: MergeSuggestion) -> str:
        """The second person."""
        return self.person(row, "second")

    @admin.action(description=_("They are one person: merge"), permissions=["merge"])
    def accept(self, request: HttpRequest, queryset: Any) -> None:
        """Merge the second into the first."""
        self._decide(request, queryset, accept=True)

    @admin.action(description=_("They are two people: dismiss"), permissions=["dismiss"])
    def dismiss(self, request: HttpRequest, queryset: Any) -> None:
        """Keep them apart."""
        self._decide(request, queryset, accept=False)

    def _decide(self, request: HttpRequest, queryset: Any, *, accept: bool) -> None:
        done = _("Merged.") if accept else _("Dismissed.")
        for row in queryset.order_by("pk"):
            call_service(request, done, merges.decide_suggestion, row.pk, accept=accept)

    def has_merge_permission(self, request: HttpRequest) -> bool:
        """Who may merge."""
        return request.user.has_perm("crm.merge_profile")

    def has_dismiss_permission(self, request: HttpRequest) -> bool:
        """Who may dismiss."""
        return request.user.has_perm("crm.change_mergesuggestion")


@admin.register(IdentityRule)
class IdentityRuleAdmin(ServiceAdmin):
    """What each kind of identifier may do. Configuration: staff type it in, every change is kept."""

    list_display = ("kind", "priority", "limit", "names_person")
    ordering = ("priority", "kind")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rules for external identifiers are added."""
        return request.user.has_perm("crm.add_identityrule")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rules are changed by those who may."""
        return request.user.has_perm("crm.change_identityrule")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """The kind is the key."""
        return ("kind",) if obj else ()

    def save_model(self, request: HttpRequest, obj: IdentityRule, form: Any, change: bool) -> None:
        """Save, log, and let this process forget the old rule."""
        super().save_model(request, obj, form, change)
        actionlog.write(
            request_actor(request), "crm.identity_rule.saved", obj, fields=form.changed_data, now=clock.now()
        )
        rules.forget()
