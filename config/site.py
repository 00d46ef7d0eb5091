"""The site of the staff pages: the theme's, with what its pages seldom show left until they show it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin import sites
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject
from unfold.apps import BasicAppConfig
from unfold.sites import UnfoldAdminSite


class StaffSite(UnfoldAdminSite):
    """Every page is given the list of all apps and the sidebar. The list costs a fifth of a page, because every
    model is asked what the user may do there, and beside our own sidebar no page draws it."""

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> Any:
        """As Django's, worked out when it is first looked at."""
        found = super().get_app_list
        return SimpleLazyObject(lambda: found(request, app_label))

    def get_sidebar_list(self, request: HttpRequest) -> Any:
        """As the theme's, worked out when it is drawn."""
        found = super().get_sidebar_list
        return SimpleLazyObject(lambda: found(request))


class Theme(BasicAppConfig):
    """The theme, with our site in the place of Django's."""

    default = False

    def ready(self) -> None:
        admin.site = sites.site = StaffSite()
