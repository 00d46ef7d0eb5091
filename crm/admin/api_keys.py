"""API keys for staff."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultiple,
    UnfoldAdminTextInputWidget,
)

from crm.api import scopes
from crm.kernel import clock
from crm.kernel.admin import ServiceAdmin, call_service, request_actor
from crm.models import ApiKey
from crm.services import sources


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
