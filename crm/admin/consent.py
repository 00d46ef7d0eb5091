"""Consent and suppressions for staff, to read."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.utils.html import format_html, format_html_join
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from crm.admin.identity import NamedPeople
from crm.evidence_words import lines
from crm.kernel.admin import ServiceAdmin
from crm.models import ConsentRecord, Suppression


@admin.register(ConsentRecord)
class ConsentRecordAdmin(NamedPeople):
    """What people allowed and withdrew. Append-only, also in the database."""

    people_fields = ("profile",)
    list_display = ("id", "who", "purpose", "channel", "granted", "way", "by", "occurred_at")
    list_filter = ("purpose", "channel", "granted")
    ordering = ("-id",)

    fields = (
        "profile", "purpose", "channel", "granted", "way", "text_version", "language", "how_we_know", "by",
        "occurred_at",
    )  # fmt: skip
    readonly_fields = ("by", "how_we_know")

    @admin.display(description=_("actor"))
    def by(self, row: ConsentRecord) -> str:
        """Who wrote it down, by name."""
        return self.actor_of(row, row.actor)

    @admin.display(description=_("evidence"))
    def how_we_know(self, row: ConsentRecord) -> str:
        """The evidence, a line for each part of it."""
        shown = format_html_join(
            "",
            "<dt>{}</dt><dd>{}</dd>",
            ((capfirst(str(name)), text) for name, text in lines(row.evidence)),
        )
        return format_html('<dl class="record-facts">{}</dl>', shown) if shown else "–"

    @admin.display(description=_("profile"))
    def who(self, row: ConsentRecord) -> str:
        """The person."""
        return self.person(row, "profile")


@admin.register(Suppression)
class SuppressionAdmin(ServiceAdmin):
    """Addresses that are never written to, by hash."""

    list_display = ("id", "channel", "short_hash", "which", "reason", "created_at")
    list_filter = ("channel", "reason")
    ordering = ("-id",)

    @admin.display(description=_("purpose"))
    def which(self, row: Suppression) -> Any:
        """The purpose, or all of them."""
        return row.get_purpose_display() if row.purpose else _("every purpose")

    @admin.display(description=_("address hash"))
    def short_hash(self, row: Suppression) -> str:
        """Enough of the hash to tell two apart."""
        return f"{row.value_hash[:12]}…"
