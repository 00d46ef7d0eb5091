"""A page per row whose buttons call services, inside the theme."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from crm.kernel import clock
from crm.kernel.admin import ServiceAdmin, request_actor
from crm.kernel.errors import DomainError


class ButtonPage(ServiceAdmin):
    """`page_actions` maps the name of a button to (permission, method); the method gets (request, row) and returns
    the text to show, or a response."""

    page_template = ""
    page_actions: dict[str, tuple[str, str]] = {}

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The page of a row, or a button on it. Adding is the theme's own form."""
        if object_id is None:
            return super().changeform_view(request, object_id, form_url, extra_context)
        row = self.get_object(request, object_id)
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        if request.method == "POST":
            return self._act(request, row)
        return self.render(request, row, self.page_context(request, row))

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """What the page shows."""
        raise NotImplementedError

    def render(
        self, request: HttpRequest, row: Any, context: dict[str, Any], *, status: int = 200
    ) -> HttpResponse:
        """The page inside the theme."""
        request.current_app = self.admin_site.name  # type: ignore[attr-defined]
        frame = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": str(row),
            "row": row,
            "list_url": reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"),
            "may": {name: request.user.has_perm(perm) for name, (perm, _method) in self.page_actions.items()},
        }
        return TemplateResponse(request, self.page_template, {**frame, **context}, status=status)

    def call(self, request: HttpRequest, service: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a service as the signed-in member of staff."""
        return service(*args, actor=request_actor(request), now=clock.now(), **kwargs)

    def page_url(self, row_id: Any) -> str:
        """The address of a row's page."""
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[row_id])

    def _act(self, request: HttpRequest, row: Any) -> HttpResponse:
        permission, method = self.page_actions.get(request.POST.get("action", ""), ("", ""))
        if not method or not request.user.has_perm(permission):
            raise PermissionDenied
        try:
            done = getattr(self, method)(request, row)
        except DomainError as error:
            messages.error(request, str(error.message))
            done = None
        if isinstance(done, HttpResponse):
            return done
        if done:
            messages.success(request, done)
        return HttpResponseRedirect(self.page_url(row.pk))
