"""Computed traits for staff: the list, the page of one with its pass and versions, and a form without JSON."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from crm import computed as definitions
from crm.admin.rule_builder import RuleBuilder, is_structure
from crm.computed import TYPES, Definition
from crm.conditions import builder
from crm.conditions.builder import Part
from crm.conditions.definition import RuleError
from crm.kernel import clock
from crm.kernel.errors import DomainError
from crm.kernel.pages import PageAdmin
from crm.models import ComputedTrait
from crm.selectors import computed as reads
from crm.selectors import names_of_actors, rule_choices, staff_links
from crm.services import computed, passes
from crm.states import COMPUTED_TRANSITIONS, ComputedFunction, ComputedStatus, ComputedType

TONES = {"draft": "info", "active": "success", "paused": "warning", "archived": "info"}
FIELDS = ("function", "property", "type", "currency", "limit")
WINDOWS = tuple(one for one in rule_choices.WINDOWS if one[0] != "not_since")


@admin.register(ComputedTrait)
class ComputedTraitAdmin(RuleBuilder, PageAdmin):
    """Values computed from touchpoints."""

    list_display = ("name", "shown_sentence", "shown_status", "key", "activated_at")
    list_filter = ("status",)
    search_fields = ("name", "key", "description")
    ordering = ("name",)
    page_template = "crm/admin/computed/page.html"
    add_permission = "crm.add_computedtrait"
    builder_permission = "crm.view_computedtrait"
    page_actions = {
        "activate": ("crm.activate_computedtrait", "activate"),
        "pause": ("crm.activate_computedtrait", "pause"),
        "archive": ("crm.activate_computedtrait", "archive"),
        "recompute": ("crm.activate_computedtrait", "recompute"),
        "cancel": ("crm.activate_computedtrait", "cancel"),
    }

    def get_urls(self) -> list[URLPattern]:
        """The form of one, and the fragments of the form."""
        view = self.admin_site.admin_view
        return [
            *self.builder_urls(),
            path("<int:pk>/edit/", view(self.edit_view), name="crm_computedtrait_edit"),
            *super().get_urls(),
        ]

    @display(description=gettext_lazy("Status"), label=TONES)
    def shown_status(self, row: ComputedTrait) -> tuple[str, Any]:
        """The status as a badge."""
        return row.status, row.get_status_display()

    @admin.display(description=gettext_lazy("what it computes"))
    def shown_sentence(self, row: ComputedTrait) -> str:
        """The definition in words."""
        return _sentence(getattr(row, "definitions", {}).get(row.pk))

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The definitions of the whole page in one read."""
        changelist = super().get_changelist_instance(request)
        ids = [row.pk for row in changelist.result_list]
        found = {one.id: one.definition for one in reads.read_in_force(pk__in=ids)}
        for row in changelist.result_list:
            row.definitions = found
        return changelist

    # -- the form

    def add_page(self, request: HttpRequest) -> HttpResponse:
        """A new one."""
        values = {name: request.POST.get(name, "") for name in ("name", "key", "description")}
        if request.method == "POST":
            return self._save(request, None, values)
        part = Part(
            "n1", builder.BEHAVIOUR, {"window": ["days"], "days": ["90"], "kind": ["Order Completed"]}
        )
        return self._form(request, part, {"function": "count"}, values)

    def edit_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Change one: a new version when the definition is another."""
        if not request.user.has_perm("crm.change_computedtrait"):
            raise PermissionDenied
        row = self.get_object(request, str(pk))
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, str(pk))
        if request.method == "POST":
            values = {name: request.POST.get(name, "") for name in ("name", "description")}
            return self._save(request, row, values)
        data = reads.definition_of(row)
        part = builder._load_did("n1", {"touchpoint": data["kind"], **_window(data)}, did=True)
        fields = {name: str(data.get(name, "")) for name in FIELDS}
        return self._form(request, part, fields, {"name": row.name, "description": row.description}, row=row)

    def _save(self, request: HttpRequest, row: ComputedTrait | None, values: dict[str, str]) -> HttpResponse:
        part, fields, do = _posted(request), _fields(request), request.POST.get("do", "save")
        if is_structure(do):
            focus = builder.act(Part("n0", "group", {}, [part]), do)
            return self._form(request, part, fields, values, row=row, focus=focus)
        data = _definition(part, fields)
        try:
            if row is None:
                row = self.call(
                    request, computed.create, key=values["key"].strip(), name=values["name"],
                    description=values["description"], definition=data,
                )  # fmt: skip
                if do == "activate" and request.user.has_perm("crm.activate_computedtrait"):
                    self.call(request, computed.activate, row.pk)
            else:
                self.call(
                    request, computed.revise, row.pk, name=values["name"], description=values["description"],
                    definition=data,
                )  # fmt: skip
        except RuleError as error:
            return self._form(
                request, part, fields, values, row=row, status=400, faults=_faults(error),
                problem=_("Not saved: look at what is marked."),
            )  # fmt: skip
        except DomainError as error:
            return self._form(
                request,
                part,
                fields,
                values,
                row=row,
                status=400,
                problem=str(error.message),
                wrong=error.field or "",
            )
        messages.success(request, _("Saved."))
        return HttpResponseRedirect(self.page_url(row.pk))

    def _form(
        self,
        request: HttpRequest,
        part: Part,
        fields: dict[str, str],
        values: dict[str, str],
        *,
        row: ComputedTrait | None = None,
        status: int = 200,
        focus: str = "",
        **context: Any,
    ) -> HttpResponse:
        shown = {
            **self._definition_context(part, fields, focus=focus),
            **values,
            "title": _("Change “%(name)s”") % {"name": row.name} if row else _("New computed trait"),
            "row_url": self.page_url(row.pk) if row else "",
            "may_activate": request.user.has_perm("crm.activate_computedtrait"),
            **context,
        }
        return self.render(request, "crm/admin/computed/form.html", shown, row=row, status=status)

    def _definition_context(self, part: Part, fields: dict[str, str], *, focus: str = "") -> dict[str, Any]:
        function = fields.get("function") or ComputedFunction.COUNT.value
        types = [(one.value, one.label) for one in TYPES.get(function, (ComputedType.NUMBER,))]
        if fields.get("type") not in dict(types):
            fields = fields | {"type": types[0][0]}
        context = self.builder_context(Part("n0", "group", {}, [part]), focus=focus)
        return context | {
            "part": part,
            "form": fields | {"function": function},
            "functions": ComputedFunction.choices,
            "types": types,
            "windows": WINDOWS,
            "faults": {},
        }

    def builder_view(self, request: HttpRequest) -> HttpResponse:
        """The definition after a button or a choice."""
        self._authorise(request)
        part = _posted(request)
        focus = builder.act(Part("n0", "group", {}, [part]), request.POST.get("do", ""))
        context = self._definition_context(part, _fields(request), focus=focus)
        answer = TemplateResponse(request, "crm/admin/computed/_definition.html", context)
        answer["HX-Trigger"] = "ruleChanged"
        return answer

    def outcome_view(self, request: HttpRequest) -> HttpResponse:
        """The definition in words, and what it yields for ten people."""
        self._authorise(request)
        template = "crm/admin/computed/_outcome.html"
        try:
            wanted = definitions.parse(_definition(_posted(request), _fields(request)))
        except RuleError as error:
            return TemplateResponse(request, template, {"problem": str(error.problem)})
        return TemplateResponse(
            request, template, {"sentence": reads.describe(wanted), "people": _people(request, wanted)}
        )

    # -- the page of one

    def page_context(self, request: HttpRequest, row: ComputedTrait) -> dict[str, Any]:
        """Words, progress, a few people, versions."""
        one = reads.by_id(row.pk)
        run = reads.latest_run(row.pk)
        versions = []
        for version in reads.versions(row):
            try:
                versions.append((version, reads.describe(definitions.parse(version.definition))))
            except RuleError as error:
                versions.append((version, str(error.problem)))
        return {
            "trait": row,
            "sentence": _sentence(one and one.definition),
            "tone": {"active": "good", "paused": "warn"}.get(row.status, ""),
            "next": COMPUTED_TRANSITIONS[row.status],
            "run": run,
            "open": run is not None and run.status in passes.OPEN,
            "run_url": self.page_url(row.pk),
            "people_count": reads.people_with(row.pk),
            "people": _people(request, one.definition) if one else [],
            "versions": versions,
            "actor_names": names_of_actors.names({version.created_by for version, _words in versions}),
            "may_edit": request.user.has_perm("crm.change_computedtrait")
            and row.status != ComputedStatus.ARCHIVED,
        }

    def activate(self, request: HttpRequest, row: ComputedTrait) -> str:
        """Compute it for everybody and follow events."""
        self.call(request, computed.activate, row.pk)
        return _("Active: it is being computed for everybody, and follows events from now on.")

    def pause(self, request: HttpRequest, row: ComputedTrait) -> str:
        """Stand still."""
        self.call(request, computed.pause, row.pk)
        return _("Paused: its values stay as they are.")

    def archive(self, request: HttpRequest, row: ComputedTrait) -> str:
        """End it."""
        self.call(request, computed.archive, row.pk)
        return _("Archived: its values are being removed.")

    def recompute(self, request: HttpRequest, row: ComputedTrait) -> str:
        """A pass over everybody."""
        self.call(request, computed.recompute, row.pk)
        return _("It is being computed again for everybody.")

    def cancel(self, request: HttpRequest, row: ComputedTrait) -> str:
        """Stop the pass."""
        self.call(request, computed.cancel, row.pk)
        return _("Stopped. The trait is paused, because some values are missing.")


def _posted(request: HttpRequest) -> Part:
    root = builder.read(request.POST)
    return root.parts[0] if root.parts else Part("n1", builder.BEHAVIOUR)


def _fields(request: HttpRequest) -> dict[str, str]:
    return {name: request.POST.get(name, "").strip() for name in FIELDS}


def _definition(part: Part, fields: dict[str, str]) -> dict[str, Any]:
    """The definition that the form says; what does not belong to the function is left out."""
    part.values["did"] = ["no"]
    happened = builder._did(part)["not"]
    data = {"kind": happened.pop("touchpoint"), "function": fields["function"], **happened}
    types = TYPES.get(fields["function"], ())
    if fields["type"] in types:
        data["type"] = fields["type"]
    if fields["property"]:
        data["property"] = fields["property"]
    if data.get("type") == ComputedType.MONEY:
        data["currency"] = fields["currency"].upper()
    if fields["function"] == ComputedFunction.UNIQUE_LIST and fields["limit"]:
        data["limit"] = builder._number(fields["limit"])
    return data


def _window(data: dict[str, Any]) -> dict[str, Any]:
    return {name: data[name] for name in ("within_days", "between", "where") if name in data}


def _faults(error: RuleError) -> dict[str, str]:
    head = str(error.field or "").split("[")[0].split(".")[0]
    head = "window" if head in ("within_days", "between") else head
    return {
        head if head in ("kind", "property", "currency", "limit", "window") else "where": str(error.problem)
    }


def _people(request: HttpRequest, wanted: Definition) -> list[tuple[Any, str, Any]]:
    if not request.user.has_perm("crm.view_profile"):
        return []
    found = reads.preview(wanted, now=clock.now())
    return [(card, staff_links.profile_url(card.id), shown) for card, _plain, shown in found]


def _sentence(wanted: Definition | None) -> str:
    return reads.describe(wanted) if wanted else ""
