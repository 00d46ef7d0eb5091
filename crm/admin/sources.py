"""Sources with their write keys, and API keys, for staff."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultiple,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from crm.api import scopes
from crm.kernel import clock
from crm.kernel.admin import ServiceAdmin, call_service, request_actor
from crm.models import ApiKey, Source
from crm.services import sources
from crm.states import Trust


class SourceForm(forms.ModelForm):
    """Name and trust; the key is made by the service."""

    name = forms.CharField(label=_("name"), max_length=120, widget=UnfoldAdminTextInputWidget)
    trust = forms.ChoiceField(label=_("trust"), choices=Trust.choices, widget=UnfoldAdminSelectWidget)

    class Meta:
        model = Source
        fields = ("name", "trust")


@admin.register(Source)
class SourceAdmin(ServiceAdmin):
    """Systems that send events."""

    list_display = ("name", "trust", "shown_key", "is_active", "created_at")
    list_filter = ("trust", "is_active")
    ordering = ("name",)
    actions = ("rotate", "switch_off", "switch_on")
    form = SourceForm

    @admin.display(description=_("write key"))
    def shown_key(self, source: Source) -> str:
        """The key for those who may read it, its ends for the others."""
        if getattr(source, "shows_key", False):
            return format_html("<code>{}</code>", source.write_key)
        return f"{source.write_key[:6]}…{source.write_key[-2:]}"

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Mark the rows whose key this user may read."""
        changelist = super().get_changelist_instance(request)
        for row in changelist.result_list:
            row.shows_key = request.user.has_perm("crm.view_write_key")
        return changelist

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Source | None:
        """The same for the page of one source."""
        found = super().get_object(request, object_id, from_field)
        if found is not None:
            found.shows_key = request.user.has_perm("crm.view_write_key")
        return found

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A new source is asked for name and trust."""
        return ("name", "trust", "shown_key", "is_active", "created_at") if obj else ("name", "trust")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Sources change by actions."""
        return self.get_fields(request, obj) if obj else ()

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who may connect a source."""
        return request.user.has_perm("crm.add_source")

    def save_model(self, request: HttpRequest, obj: Source, form: Any, change: bool) -> None:
        """Made by the service; the page then shows the key."""
        made = sources.create(obj.name, trust=obj.trust, actor=request_actor(request), now=clock.now())
        obj.pk, obj.write_key, obj.created_at = made.pk, made.write_key, made.created_at

    @admin.action(description=_("Replace the write key"), permissions=["switch"])
    def rotate(self, request: HttpRequest, queryset: Any) -> None:
        """New keys for the chosen sources."""
        for row in queryset:
            call_service(
                request, _("The write key of %(name)s was replaced.") % {"name": row}, sources.rotate, row.pk
            )

    @admin.action(description=_("Switch off"), permissions=["switch"])
    def switch_off(self, request: HttpRequest, queryset: Any) -> None:
        """Events of the chosen sources are refused."""
        for row in queryset:
            call_service(
                request, _("%(name)s is off.") % {"name": row}, sources.set_active, row.pk, active=False
            )

    @admin.action(description=_("Switch on"), permissions=["switch"])
    def switch_on(self, request: HttpRequest, queryset: Any) -> None:
        """Events of the chosen sources are taken again."""
        for row in queryset:
            call_service(
                request, _("%(name)s is on.") % {"name": row}, sources.set_active, row.pk, active=True
            )

    def has_switch_permission(self, request: HttpRequest) -> bool:
        """Who may change sources."""
        return request.user.has_perm("crm.change_source")


class ApiKeyForm(forms.ModelForm):
    """A name and the scopes, ticked from a list of all there are."""

    name = forms.CharField(label=_("name"), max_length=120, widget=UnfoldAdminTextInputWidget)
    scopes = forms.MultipleChoiceField(label=_("scopes"), widget=UnfoldAdminCheckboxSelectMultiple)

    class Meta:
        model = ApiKey
        fields = ("name", "scopes")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "scopes" in self.fields:
            self.fields["scopes"].choices = [(scope, scope) for scope in scopes.known()]  # type: ignore[attr-defined]


@admin.register(ApiKey)
class ApiKeyAdmin(ServiceAdmin):
    """Clients of the REST API. The key itself is shown once, when it is made."""

    list_display = ("name", "prefix", "scope_list", "created_at", "last_used_at", "revoked_at")
    ordering = ("-id",)
    actions = ("revoke",)
    form = ApiKeyForm

    @admin.display(description=_("scopes"))
    def scope_list(self, key: ApiKey) -> str:
        """The scopes in one line."""
        return ", ".join(key.scopes)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A new key is asked for name and scopes."""
        if obj:
            return ("name", "prefix", "scope_list", "created_at", "last_used_at", "revoked_at")
        return ("name", "scopes")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Keys are revoked, never edited."""
        return self.get_fields(request, obj) if obj else ()

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who may hand out keys."""
        return request.user.has_perm("crm.add_apikey")

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """Made by the service, shown this once."""
        made, text = sources.create_api_key(
            obj.name, scopes=form.cleaned_data["scopes"], actor=request_actor(request), now=clock.now()
        )
        obj.pk, obj.prefix, obj.created_at = made.pk, made.prefix, made.created_at
        messages.warning(
            request, format_html("{} <code>{}</code>", _("Copy the key now, it is not shown again:"), text)
        )

    @admin.action(description=_("Revoke"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: Any) -> None:
        """Make the chosen keys useless at once."""
        for row in queryset:
            call_service(
                request, _("%(name)s is revoked.") % {"name": row.name}, sources.revoke_api_key, row.pk
            )

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Who may revoke."""
        return request.user.has_perm("crm.change_apikey")
