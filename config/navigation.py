"""The sidebar of the staff pages, grouped as staff think about their day.

Each entry names an admin page; it is shown when its page exists and the signed-in user may open it. The
admin itself answers both questions, so the sidebar can never promise what the page refuses.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.urls import get_script_prefix, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from crm.kernel import surfaces


@dataclass(frozen=True, slots=True)
class Entry:
    """A link to the list of a model, as `app.model`; `query` narrows the list."""

    model: str
    title: Any
    icon: str
    query: str = ""

    @property
    def url(self) -> str:
        """The address of the list."""
        return _list_of(self.model, get_script_prefix()) + self.query


@cache
def _list_of(model: str, _prefix: str) -> str:
    """The address of a list, which every page of the staff asks for again."""
    return reverse(f"admin:{model.replace('.', '_')}_changelist")


GROUPS: tuple[tuple[Any, tuple[Entry, ...]], ...] = (
    (
        gettext_lazy("People"),
        (
            Entry("crm.profile", gettext_lazy("Customers"), "group"),
            Entry("crm.segment", gettext_lazy("Segments"), "groups"),
            Entry("crm.account", pgettext_lazy("staff page", "Accounts"), "apartment"),
            Entry("crm.importrun", gettext_lazy("Imports"), "upload_file"),
        ),
    ),
    (
        gettext_lazy("Voice of the customer"),
        (
            Entry("voc.feedback", gettext_lazy("Feedback"), "forum"),
            Entry("voc.ticket", gettext_lazy("Tickets"), "confirmation_number"),
            Entry("voc.release", gettext_lazy("Releases"), "rocket_launch"),
        ),
    ),
    (
        gettext_lazy("Journeys and messages"),
        (
            Entry("lifecycle.journey", gettext_lazy("Journeys"), "route"),
            Entry("lifecycle.enrolment", gettext_lazy("People on a journey"), "directions_walk"),
            Entry("lifecycle.outboundmessage", gettext_lazy("Outbox"), "outbox"),
            Entry("lifecycle.delivery", gettext_lazy("Deliveries"), "local_shipping"),
            Entry("lifecycle.messagetemplate", gettext_lazy("Message texts"), "edit_note"),
        ),
    ),
    (
        gettext_lazy("Loyalty"),
        (
            Entry("members.pointsaccount", gettext_lazy("Points accounts"), "savings"),
            Entry("members.pointsentry", gettext_lazy("Points booked"), "receipt_long"),
        ),
    ),
    (
        gettext_lazy("What we know of them"),
        (
            Entry("crm.computedtrait", gettext_lazy("Computed traits"), "function"),
            Entry("crm.purchasereport", gettext_lazy("RFM and repurchase"), "grid_on"),
            Entry("crm.purchasesummary", gettext_lazy("Buyers"), "shopping_bag"),
        ),
    ),
    (
        gettext_lazy("One profile per person"),
        (
            Entry("crm.mergesuggestion", gettext_lazy("Same person?"), "join_inner"),
            Entry("crm.mergerecord", gettext_lazy("Merges"), "merge"),
            Entry("crm.identityrule", gettext_lazy("Identity rules"), "fingerprint"),
        ),
    ),
    (
        gettext_lazy("Consent and privacy"),
        (
            Entry("crm.consentrecord", gettext_lazy("Consent"), "verified_user"),
            Entry("crm.consenttext", gettext_lazy("Consent texts"), "gavel"),
            Entry("crm.suppression", gettext_lazy("Never write to"), "do_not_disturb_on"),
            Entry("crm.personexport", gettext_lazy("Personal exports"), "folder_zip"),
            Entry("crm.erasure", gettext_lazy("Erasures"), "delete_forever"),
            Entry("crm.retentionrun", pgettext_lazy("data", "Retention"), "auto_delete"),
        ),
    ),
    (
        gettext_lazy("Data coming in"),
        (
            Entry("crm.source", gettext_lazy("Sources and write keys"), "sensors"),
            Entry("crm.eventkind", gettext_lazy("Kinds of events"), "category"),
            Entry("crm.ingestionwarning", gettext_lazy("Ingestion warnings"), "warning"),
        ),
    ),
    (
        gettext_lazy("Operations"),
        (
            Entry("kernel.pendingreaction", gettext_lazy("Pending reactions"), "pending_actions"),
            Entry("kernel.actionlog", gettext_lazy("Action log"), "history"),
            Entry("crm.apikey", gettext_lazy("API keys"), "key"),
            Entry("kernel.knob", gettext_lazy("Knobs"), "tune"),
        ),
    ),
    (
        gettext_lazy("Staff"),
        (
            Entry("crm.staffuser", gettext_lazy("Staff users"), "badge"),
            Entry("auth.group", gettext_lazy("Roles"), "shield_person"),
        ),
    ),
)


def name_pages() -> None:
    """Give every page the name that the sidebar gives it."""
    for group, entries in GROUPS:
        for entry in entries:
            surfaces.name_page(entry.model, group=group, title=entry.title)


def may_open(request: HttpRequest, model: str) -> bool:
    """Whether the model has a staff page and this user may open its list."""
    page = page_of(model)
    return page is not None and page.has_view_permission(request)


def page_of(model: str) -> admin.ModelAdmin | None:
    """The admin page of `app.model`, if it is registered."""
    try:
        return admin.site._registry.get(apps.get_model(model))
    except LookupError:
        return None


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """What the theme draws: groups of links, only those this user may open."""
    home = {"title": _("Home"), "icon": "home", "link": reverse("admin:index")}
    groups: list[dict[str, Any]] = [{"title": _("Today"), "items": [home]}]
    for title, entries in GROUPS:
        items = [
            {"title": str(entry.title), "icon": entry.icon, "link": entry.url}
            for entry in entries
            if may_open(request, entry.model)
        ]
        if items:
            groups.append({"title": str(title), "items": items})
    return groups


def environment_label(request: HttpRequest) -> list[str] | None:
    """A mark in the header while the embedded database is in use; nothing in production."""
    return [_("Trial server"), "info"] if settings.EMBEDDED else None
