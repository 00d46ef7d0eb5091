"""Making and changing a segment without JSON: begin with a starter, build the rule, see who it finds, save."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils.translation import gettext as _

from crm.admin.rule_builder import RuleBuilder, is_structure
from crm.conditions import builder, starters
from crm.conditions.builder import Part
from crm.kernel.errors import DomainError, Invalid
from crm.models import Segment
from crm.services import segments


class SegmentForms(RuleBuilder):
    """For the admin of segments: the page to add one, and the page that changes its rule."""

    add_permission = "crm.add_segment"
    builder_permission = "crm.view_segment"

    def get_urls(self) -> list[URLPattern]:
        """The form of a rule and its fragments."""
        view = self.admin_site.admin_view
        return [
            *self.builder_urls(),
            path("<int:pk>/rule/", view(self.rule_view), name="crm_segment_builder"),
            *super().get_urls(),  # type: ignore[misc]
        ]

    def add_page(self, request: HttpRequest) -> HttpResponse:
        """A new segment: begin with a starter, with nothing, or with a list by hand."""
        is_list = bool(request.GET.get("list") or request.POST.get("list"))
        values = {name: request.POST.get(name, "") for name in ("name", "key", "description")}
        if request.method == "POST":
            return self._save(request, None, values, is_list=is_list)
        found = starters.find(request.GET.get("from", ""))
        if found is None:
            return self._form(request, builder.blank(), values, is_list=is_list)
        values["name"] = str(found.name)
        return self._form(request, builder.load(found.rule), values, starter=found.key)

    def rule_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Change the rule, the name and the description."""
        if not request.user.has_perm("crm.change_segment"):
            raise PermissionDenied
        row = self.get_object(request, str(pk))
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, str(pk))
        if request.method == "POST":
            values = {name: request.POST.get(name, "") for name in ("name", "description")}
            return self._save(request, row, values, is_list=not row.is_dynamic)
        root = builder.blank()
        try:
            if row.is_dynamic:
                root = builder.load(row.rule)
        except Invalid as error:
            messages.error(request, str(error))
        values = {"name": row.name, "description": row.description}
        return self._form(request, root, values, row=row, is_list=not row.is_dynamic)

    def _save(
        self, request: HttpRequest, row: Segment | None, values: dict[str, str], *, is_list: bool
    ) -> HttpResponse:
        """Keep it, or show the form again with everything that was typed and what is wrong beside it."""
        root, do = builder.read(request.POST), request.POST.get("do", "save")
        if is_structure(do):
            focus = builder.act(root, do)
            return self._form(request, root, values, row=row, is_list=is_list, focus=focus)
        rule = None if is_list else builder.build(root)
        if rule is None and not is_list:
            problem = _("Not saved: look at the conditions that are marked.")
            return self._form(request, root, values, row=row, is_list=is_list, problem=problem, status=400)
        try:
            kept = self._keep(request, row, values, rule, do)
        except DomainError as error:
            return self._form(
                request, root, values, row=row, is_list=is_list, problem=str(error.message), wrong=error.field or "",
                status=400,
            )  # fmt: skip
        messages.success(request, _("Saved."))
        return HttpResponseRedirect(self.page_url(kept.pk))

    def _keep(
        self,
        request: HttpRequest,
        row: Segment | None,
        values: dict[str, str],
        rule: dict[str, Any] | None,
        do: str,
    ) -> Segment:
        if row is None:
            made = self.call(
                request, segments.create, values["name"], rule=rule, key=values["key"].strip(),
                description=values["description"], owner_id=request.user.pk,
            )  # fmt: skip
            if do == "activate" and request.user.has_perm("crm.activate_segment"):
                self.call(request, segments.activate, made.pk)
            return made
        version = request.POST.get("version", "")
        return self.call(
            request, segments.edit, row.pk, name=values["name"], description=values["description"], rule=rule,
            version=int(version) if version.isdecimal() and len(version) < 10 else None,
        )  # fmt: skip

    def _form(
        self,
        request: HttpRequest,
        root: Part,
        values: dict[str, str],
        *,
        row: Segment | None = None,
        is_list: bool = False,
        status: int = 200,
        focus: str = "",
        **context: Any,
    ) -> HttpResponse:
        title = _("Change “%(name)s”") % {"name": row.name} if row else _("New segment")
        shown = {
            **self.builder_context(root, focus=focus),
            **values,
            "title": title,
            "row_url": self.page_url(row.pk) if row else "",
            "version": request.POST.get("version") or (row.version if row else ""),
            "is_list": is_list,
            "starters": () if row or is_list else starters.STARTERS,
            "may_activate": request.user.has_perm("crm.activate_segment"),
            **context,
        }
        return self.render(request, "crm/admin/rule/form.html", shown, row=row, status=status)
