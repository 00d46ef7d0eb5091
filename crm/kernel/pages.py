"""Pages of the staff tool: a list by the theme, and a page per row whose buttons call services."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _

from crm.kernel import clock
from crm.kernel.admin import ServiceAdmin, request_actor
from crm.kernel.errors import DomainError


class PageAdmin(ServiceAdmin):
    """A list, a page per row, and a form to add one.

    `page_actions` maps the name of a button to (permission, method name); the method gets (request, row) and
    returns the text to show, or a response.
    """

    page_template = ""
    add_page_template = ""
    add_permission = ""
    page_actions: dict[str, tuple[str, str]] = {}

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether the form to add one is offered."""
        return bool(self.add_permission) and request.user.has_perm(self.add_permission)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The page of a row, a button on it, or the form to add one."""
        if object_id is None:
            if not self.has_add_permission(request):
                raise PermissionDenied
            return self.add_page(request)
        row = self.get_object(request, object_id)
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        if request.method == "POST":
            return self._act(request, row)
        return self.render(request, self.page_template, self.page_context(request, row), row=row)

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """What the page shows."""
        raise NotImplementedError

    def page_title(self, row: Any) -> str:
        """What the page and its tab are called."""
        return str(row)

    def add_page(self, request: HttpRequest) -> HttpResponse:
        """The form to add a row: the theme's own, unless a page brings another."""
        return super().changeform_view(request)

    def render(
        self,
        request: HttpRequest,
        template: str,
        context: dict[str, Any],
        *,
        row: Any = None,
        status: int = 200,
    ) -> HttpResponse:
        """A page inside the theme."""
        title = (
            self.page_title(row) if row is not None else _("Add %(name)s") % {"name": self.opts.verbose_name}
        )
        request.current_app = self.admin_site.name  # type: ignore[attr-defined]
        return TemplateResponse(
            request,
            template,
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "title": title,
                "row": row,
                "list_url": self.list_url(),
                "may": {
                    name: request.user.has_perm(perm) for name, (perm, _method) in self.page_actions.items()
                },
                **context,
            },
            status=status,
        )

    def call(self, request: HttpRequest, service: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a service as the signed-in member of staff."""
        return service(*args, actor=request_actor(request), now=clock.now(), **kwargs)

    def list_url(self) -> str:
        """The address of the list."""
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")

    def page_url(self, row_id: Any) -> str:
        """The address of a row's page."""
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[row_id])

    def _may_press(self, request: HttpRequest) -> bool:
        permission, method = self.page_actions.get(request.POST.get("action", ""), ("", ""))
        return bool(method) and request.user.has_perm(permission)

    def _act(self, request: HttpRequest, row: Any) -> HttpResponse:
        if not self._may_press(request):
            raise PermissionDenied
        _permission, method = self.page_actions[request.POST["action"]]
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


Fact = tuple[Any, Any]


def link(text: Any, url: str) -> Any:
    """A link for a list or a page; the bare text where there is no address."""
    return format_html('<a href="{}">{}</a>', url, text) if url else text


class RecordAdmin(PageAdmin):
    """A page per row of a log or a ledger: its facts in words, nothing to fill in.

    `facts` answers pairs of a label and a value; a value may be text, a moment, or safe HTML such as a link. Pairs
    without a value are left out.
    """

    page_template = "config/record.html"

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The page; what is sent to it is refused, whether there is such a row or not, unless a button sent it."""
        if request.method == "POST" and not self._may_press(request):
            raise PermissionDenied
        return super().changeform_view(request, object_id, form_url, extra_context)

    def facts(self, request: HttpRequest, row: Any) -> list[Fact]:
        """What the page says of the row."""
        raise NotImplementedError

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """The facts that have a value."""
        return {
            "facts": [(label, value) for label, value in self.facts(request, row) if value not in (None, "")],
        }
