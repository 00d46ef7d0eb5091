"""Staff users and their roles."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as BaseGroupAdmin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultiple

from crm.models import StaffUser

if admin.site.is_registered(Group):
    admin.site.unregister(Group)

VERBS = {"add": _("Add"), "change": _("Change"), "delete": _("Delete"), "view": _("View")}


def permission_words(permission: Permission) -> str:
    """A permission in the reader's language: its stored name is English, whatever the page speaks."""
    kind = permission.content_type
    model = kind.model_class()
    verb = VERBS.get(permission.codename.removesuffix(f"_{kind.model}"))
    return " | ".join(
        (
            # Again through gettext: packages that name themselves in plain English are in our second catalogue.
            gettext(str(apps.get_app_config(kind.app_label).verbose_name)) if model else kind.app_label,
            gettext(str(model._meta.verbose_name)) if model else kind.model,
            str(verb) if verb else gettext(permission.name),
        )
    )


class PermissionsInWords:
    """Shows the permissions of a form in the reader's language."""

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """The form field of a many-to-many relation."""
        field = super().formfield_for_manytomany(db_field, request, **kwargs)  # type: ignore[misc]
        if field is not None and db_field.related_model is Permission:
            field.label_from_instance = permission_words
            field.queryset = field.queryset.exclude(content_type__in=_kept_by_the_database())
        return field


def _kept_by_the_database() -> list[int]:
    """The kinds of the histories that triggers write: nobody is given a right on them, and they have no name."""
    histories = [model for model in apps.get_models() if hasattr(model, "pgh_tracked_model")]
    return [kind.pk for kind in ContentType.objects.get_for_models(*histories).values()]


@admin.register(StaffUser)
class StaffUserAdmin(PermissionsInWords, UserAdmin, ModelAdmin):
    """Members of staff: who they are, what they may do, in which language and zone they read."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "first_name", "last_name", "team", "language", "is_active", "last_login")
    list_filter = ("is_active", "groups", "team")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (
            _("Personal info"),
            {"fields": ("first_name", "last_name", "email", "team", "language", "time_zone")},
        ),
        (_("Access"), {"fields": ("is_active", "is_staff", "is_superuser", "groups")}),
        (_("Dates"), {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = (
        (None, {"classes": ("wide",), "fields": ("username", "usable_password", "password1", "password2")}),
    )
    readonly_fields = ("last_login", "date_joined")
    filter_horizontal = ()

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Roles are few: a box to tick for each."""
        if db_field.name == "groups":
            kwargs["widget"] = UnfoldAdminCheckboxSelectMultiple
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Nobody lifts themselves above their own rights; single permissions are not given here, roles are."""
        fields = tuple(super().get_readonly_fields(request, obj))
        return fields if request.user.is_superuser else (*fields, "is_superuser")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A superuser is changed by superusers alone, and so is the password."""
        if obj is not None and obj.is_superuser and not request.user.is_superuser:
            return False
        return super().has_change_permission(request, obj)


@admin.register(Group)
class GroupAdmin(PermissionsInWords, BaseGroupAdmin, ModelAdmin):
    """Roles."""
