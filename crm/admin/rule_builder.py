"""The form of a rule in the staff tool: what a page needs, and the two fragments that htmx asks for.

`tree/` renders the tree anew after a button or a choice that changes its shape; `outcome/` says the rule in the
reader's language and shows who it finds. Both write nothing. Without scripts the same buttons post the whole page.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from crm.conditions import builder, definition, sentences
from crm.conditions.builder import Part
from crm.kernel import clock, knobs
from crm.kernel.errors import Invalid
from crm.selectors import rule_choices, segments, staff_links

STRUCTURE = ("add", "group", "remove", "up", "down", "choose", "filter", "unfilter", "refresh")


class RuleBuilder:
    """For a ModelAdmin: the addresses of the fragments. `builder_permission` is asked for both."""

    builder_permission = ""
    admin_site: Any
    opts: Any

    def builder_urls(self) -> list[URLPattern]:
        """The two fragments."""
        view = self.admin_site.admin_view
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        return [
            path("tree/", view(require_POST(self.builder_view)), name=f"{name}_tree"),
            path("outcome/", view(require_POST(self.outcome_view)), name=f"{name}_outcome"),
        ]

    def builder_view(self, request: HttpRequest) -> HttpResponse:
        """The tree after a button."""
        self._authorise(request)
        root = builder.read(request.POST)
        focus = builder.act(root, request.POST.get("do", ""))
        answer = TemplateResponse(
            request, "crm/admin/rule/_builder.html", self.builder_context(root, focus=focus)
        )
        answer["HX-Trigger"] = "ruleChanged"
        return answer

    def outcome_view(self, request: HttpRequest) -> HttpResponse:
        """The sentence and the people of what is in the form now."""
        self._authorise(request)
        context = outcome(builder.read(request.POST), people=request.user.has_perm("crm.view_profile"))
        return TemplateResponse(request, "crm/admin/rule/_outcome.html", context)

    def builder_context(self, root: Part, *, focus: str = "") -> dict[str, Any]:
        """What the templates of the tree need."""
        choices = rule_choices.Choices()
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}"
        return {
            "root": rule_choices.dress(root, choices),
            "choices": choices,
            "focus": focus,
            "currency": knobs.get("crm.currency"),
            "builder_url": reverse(f"{name}_tree"),
            "outcome_url": reverse(f"{name}_outcome"),
        }

    def _authorise(self, request: HttpRequest) -> None:
        if not request.user.has_perm(self.builder_permission):
            raise PermissionDenied


def outcome(root: Part, *, people: bool) -> dict[str, Any]:
    """The sentence, the number and up to ten people; while the form is incomplete, what is missing."""
    context: dict[str, Any] = {"language": get_language()}
    rule = builder.build(root)
    if rule is None:
        missing = [part for part in root.walk() if part.error]
        unfinished = all(part.type in ("blank", "group") for part in missing)
        text = _("Complete the conditions to see who is found.")
        return context | {"problem": text if unfinished else missing[0].error}
    node = definition.parse(rule)
    context["sentence"] = sentences.sentence(node, names=segments.namer(definition.segments(node)))
    try:
        found = segments.preview(rule, now=clock.now(), sample=10)
    except Invalid as error:
        return context | {"problem": str(error)}
    shown = [(card, staff_links.profile_url(card.id)) for card in found.sample] if people else []
    return context | {"preview": found, "people": shown}


def is_structure(do: str) -> bool:
    """Whether a button only changes the tree."""
    return do.partition(":")[0] in STRUCTURE
