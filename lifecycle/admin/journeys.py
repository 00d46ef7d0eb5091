"""Journeys: what they do in plain words, how they fare, and the few numbers staff turn without reading JSON."""

from __future__ import annotations

import copy
import json
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from crm.kernel import clock
from crm.kernel.errors import DomainError, Invalid
from crm.kernel.pages import PageAdmin
from lifecycle import shipped
from lifecycle.models import Journey
from lifecycle.selectors import journeys as journey_reads
from lifecycle.services import journeys
from lifecycle.states import JOURNEY_TRANSITIONS, JourneyStatus, Reason

TONES = {"draft": "info", "active": "success", "paused": "warning", "archived": "info"}
MAX_DEFINITION = 50_000


class NumbersForm(forms.Form):
    """The numbers of a definition: one field per wait, the comparison group, the cap, and message values."""

    def __init__(self, *args: Any, definition: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.definition = definition
        self.fields["holdout_percent"] = forms.IntegerField(
            label=_("Comparison group, percent"),
            min_value=0,
            max_value=90,
            initial=definition.get("holdout_percent", 0),
        )
        cap = definition.get("cap") or {}
        self.fields["cap_entries"] = forms.IntegerField(
            label=_("At most this many times per person"), min_value=0, max_value=1000,
            initial=cap.get("entries", 0), help_text=_("0: no limit"),
        )  # fmt: skip
        self.fields["cap_hours"] = forms.IntegerField(
            label=_("within hours"), min_value=1, max_value=8760, initial=cap.get("hours", 24)
        )
        for place, step in enumerate(definition["steps"]):
            if step["type"] == "wait":
                self.fields[f"wait_{place}"] = forms.IntegerField(
                    label=_("Step %(number)d: wait, minutes") % {"number": place + 1}, min_value=0, max_value=262_080,
                    initial=step["minutes"],
                )  # fmt: skip
            for name, value in sorted((step.get("values") or {}).items()):
                if isinstance(value, bool) or not isinstance(value, (str, int)):
                    continue
                label = _("Step %(number)d: %(name)s") % {"number": place + 1, "name": name}
                if isinstance(value, int):
                    field: forms.Field = forms.IntegerField(
                        label=label, initial=value, min_value=0, max_value=1_000_000
                    )
                else:
                    field = forms.CharField(label=label, initial=value, max_length=200, required=False)
                self.fields[f"value_{place}_{name}"] = field

    def changed_definition(self) -> dict[str, Any]:
        """The definition with these numbers in it."""
        data = copy.deepcopy(self.definition)
        values = self.cleaned_data
        data["holdout_percent"] = values["holdout_percent"]
        if values["cap_entries"]:
            data["cap"] = {"entries": values["cap_entries"], "hours": values["cap_hours"]}
        else:
            data.pop("cap", None)
        for name, value in values.items():
            if name.startswith("wait_"):
                data["steps"][int(name[5:])]["minutes"] = value
            elif name.startswith("value_"):
                place, _sep, key = name[6:].partition("_")
                data["steps"][int(place)]["values"][key] = value
        return data


@admin.register(Journey)
class JourneyAdmin(PageAdmin):
    """Drafts, active journeys, and those that are over."""

    list_display = ["name", "shown_status", "version", "activated_at", "created_at"]
    list_filter = ["status"]
    search_fields = ["name"]
    ordering = ["-id"]
    page_template = "lifecycle/admin/journey.html"
    page_actions = {
        "activate": ("lifecycle.activate_journey", "activate"),
        "pause": ("lifecycle.activate_journey", "pause"),
        "archive": ("lifecycle.activate_journey", "archive"),
        "numbers": ("lifecycle.change_journey", "numbers"),
        "definition": ("lifecycle.change_journey", "definition"),
    }

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether “add” is offered: it makes a draft from a template."""
        return request.user.has_perm("lifecycle.add_journey")

    @display(description=gettext_lazy("Status"), label=TONES)
    def shown_status(self, row: Journey) -> tuple[str, Any]:
        """The status as a badge."""
        return row.status, JourneyStatus(row.status).label

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Choose a template; POST makes the draft."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            try:
                journey = self.call(
                    request,
                    journeys.create_from_template,
                    request.POST.get("template", ""),
                    name=request.POST.get("name", "").strip(),
                )
            except DomainError as error:
                messages.error(request, str(error.message))
                return HttpResponseRedirect(request.path)
            messages.success(request, _("A draft. Look at its numbers, then activate it."))
            return HttpResponseRedirect(self.page_url(journey.pk))
        found = [
            (key, template, journey_reads.describe(template.definition))
            for key, template in shipped.TEMPLATES.items()
        ]
        return self.render(
            request, "lifecycle/admin/journey_add.html", {"templates": found, "title": _("New journey")}
        )

    def page_context(self, request: HttpRequest, row: Journey) -> dict[str, Any]:
        """Words, numbers, funnel."""
        definition = journey_reads.current_definition(row)
        funnel = journey_reads.funnel(row.pk, now=clock.now())
        return {
            "journey": row,
            "status": JourneyStatus(row.status).label,
            "tone": {"active": "good", "paused": "warn"}.get(row.status, ""),
            "lines": journey_reads.describe(definition),
            "funnel": funnel,
            "not_sent": [(Reason(reason).label, number) for reason, number in funnel.not_sent.items()],
            "treatment_rate": _percent(funnel.treatment_rate),
            "holdout_rate": _percent(funnel.holdout_rate),
            "form": NumbersForm(definition=definition),
            "definition": json.dumps(definition, ensure_ascii=False, indent=2),
            "next": JOURNEY_TRANSITIONS[row.status],
            "editable": row.status != JourneyStatus.ARCHIVED,
        }

    def activate(self, request: HttpRequest, row: Journey) -> str:
        """Take people in."""
        self.call(request, journeys.activate, row.pk)
        return _("Active: people enter from now on.")

    def pause(self, request: HttpRequest, row: Journey) -> str:
        """Stand still."""
        self.call(request, journeys.pause, row.pk)
        return _("Paused: nobody enters and nobody moves on.")

    def archive(self, request: HttpRequest, row: Journey) -> str:
        """End it."""
        self.call(request, journeys.archive, row.pk)
        return _("Archived: everybody has left it.")

    def numbers(self, request: HttpRequest, row: Journey) -> str:
        """New numbers, as a new version."""
        form = NumbersForm(request.POST, definition=journey_reads.current_definition(row))
        if not form.is_valid():
            field, errors = next(iter(form.errors.items()))
            raise Invalid(f"{form.fields[field].label}: {errors[0]}", field=field)
        self.call(request, journeys.revise, row.pk, definition_data=form.changed_definition())
        return _("Saved. It counts for those who enter from now on.")

    def definition(self, request: HttpRequest, row: Journey) -> str:
        """The whole definition, for those who read JSON."""
        text = request.POST.get("definition", "")[:MAX_DEFINITION]
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            raise Invalid(_("The definition is not valid JSON."), code="invalid_json") from None
        self.call(request, journeys.revise, row.pk, definition_data=data)
        return _("Saved. It counts for those who enter from now on.")


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"
