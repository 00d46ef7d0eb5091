"""The knobs page: every number of the product that staff may turn, with its bounds, beside its help.

The page is drawn from the registry, not from the table: a knob that nobody touched has no row. Turning and
resetting go through crm.kernel.knobs, which checks the bounds and writes the action log.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from django.apps import apps
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _

from crm.kernel import clock, knobs
from crm.kernel.admin import ServiceAdmin, request_actor
from crm.kernel.errors import DomainError
from crm.kernel.models import Knob


@dataclass(frozen=True, slots=True)
class Line:
    """One knob as the page draws it."""

    knob: knobs.Knob
    value: Any
    may_turn: bool
    changed: Knob | None = None
    error: str = ""
    typed: Any = None

    @property
    def element(self) -> str:
        """The id of its block on the page."""
        return "knob-" + self.knob.name.replace(".", "-")

    @property
    def shown(self) -> Any:
        """What stands in the box: what was typed while it is wrong, else the value in force."""
        return self.typed if self.error else self.value

    @property
    def is_switch(self) -> bool:
        """On or off."""
        return self.knob.type is bool

    @property
    def step(self) -> str:
        """The step of a number box; empty for text."""
        if self.knob.type is int:
            return "1"
        return "" if self.knob.type is str else "any"

    @property
    def allowed(self) -> str:
        """The bounds in words."""
        low, high = self.knob.minimum, self.knob.maximum
        if low is not None and high is not None:
            return _("from %(minimum)s to %(maximum)s") % {"minimum": low, "maximum": high}
        if low is not None:
            return _("at least %(minimum)s") % {"minimum": low}
        return _("at most %(maximum)s") % {"maximum": high} if high is not None else ""

    @property
    def default_text(self) -> Any:
        """The default as people say it."""
        if self.is_switch:
            return _("on") if self.knob.default else _("off")
        return self.knob.default if self.knob.default != "" else _("empty")


@dataclass(frozen=True, slots=True)
class Section:
    """The knobs of one app."""

    key: str
    title: Any
    lines: list[Line] = field(default_factory=list)


@admin.register(Knob)
class KnobAdmin(ServiceAdmin):
    """One page over the registry; rows have no page of their own."""

    def get_urls(self) -> list[URLPattern]:
        """Only the page itself."""
        view = self.admin_site.admin_view(self.page)
        return [path("", view, name="kernel_knob_changelist")]

    def page(self, request: HttpRequest) -> HttpResponse:
        """GET shows the knobs; POST turns one (`name`, `value`) or resets it (`reset`)."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            return self.turn(request)
        return self.draw(request)

    def turn(self, request: HttpRequest) -> HttpResponse:
        """Change or reset one knob; a refusal is shown beside its box and nothing is written."""
        name, value = request.POST.get("name", ""), request.POST.get("value", "false")
        try:
            knob = knobs.describe(name)
            if not request.user.has_perm(knob.permission):
                raise PermissionDenied
            if "reset" in request.POST:
                knobs.reset(name, actor=request_actor(request), now=clock.now())
                done = _("%(name)s is back to its default.")
            else:
                knobs.set(name, value, actor=request_actor(request), now=clock.now())
                done = _("%(name)s is changed. Every process follows within five seconds.")
        except DomainError as error:
            if error.status == 404:
                raise
            return self.draw(request, wrong=name, typed=value, error=str(error.message), status=400)
        messages.success(request, done % {"name": knob.label})
        return HttpResponseRedirect(f"{request.path}#knob-{name.replace('.', '-')}")

    def draw(
        self, request: HttpRequest, *, wrong: str = "", typed: Any = None, error: str = "", status: int = 200
    ) -> HttpResponse:
        """The page; `wrong` names the knob whose `typed` value was refused with `error`."""
        rows = {row.name: row for row in Knob.objects.all()}
        lines = [
            Line(
                knob=knob,
                value=rows[knob.name].value if knob.name in rows else knob.default,
                may_turn=request.user.has_perm(knob.permission),
                changed=rows.get(knob.name),
                error=error if knob.name == wrong else "",
                typed=typed if knob.name == wrong else None,
            )
            for knob in knobs.all_knobs()
        ]
        context = {
            **self.admin_site.each_context(request),
            "title": _("Knobs"),
            "opts": self.model._meta,
            "sections": [
                Section(key, _title(key), list(group))
                for key, group in groupby(lines, key=lambda line: line.knob.name.partition(".")[0])
            ],
            "wrong": wrong,
        }
        return TemplateResponse(request, "config/knobs.html", context, status=status)


def _title(label: str) -> Any:
    try:
        return apps.get_app_config(label).verbose_name
    except LookupError:
        return label
