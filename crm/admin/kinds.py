"""The catalogue of kinds for staff: what arrives, who owns it, and what its properties must be."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from crm import registry
from crm.kernel import clock
from crm.kernel.admin import request_actor
from crm.kernel.errors import DomainError, Invalid
from crm.kernel.pages import PageAdmin
from crm.models import EventKind, Source, StaffUser
from crm.models.catalogue import DECISIONS
from crm.selectors import catalogue as reads
from crm.selectors.sources import Bar
from crm.services import catalogue
from crm.services.catalogue import PropertyRule
from crm.states import PropertyType, ViolationAnswer

MOST_ROWS = 250
EMPTY_ROWS = 1


class KindForm(forms.ModelForm):
    """A kind that is entered before its first event."""

    name = forms.CharField(
        label=gettext_lazy("kind"), max_length=200, widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("Exactly as the senders will write it, for example Order Completed."),
    )  # fmt: skip

    class Meta:
        model = EventKind
        fields = ("name",)


class StaffChoice(forms.ModelChoiceField):
    """Members of staff by their name."""

    def label_from_instance(self, obj: Any) -> str:
        """The full name, else the user name."""
        return obj.get_full_name() or obj.get_username()


class DecisionForm(forms.ModelForm):
    """What staff decide about a kind."""

    owner = StaffChoice(
        label=gettext_lazy("Owner"), required=False, empty_label=gettext_lazy("nobody yet"),
        queryset=StaffUser.objects.filter(is_active=True, is_staff=True).order_by("username"),
    )  # fmt: skip

    class Meta:
        model = EventKind
        fields = DECISIONS
        help_texts = {
            "purpose": gettext_lazy("Why it is collected; stands in the register of processing."),
            "retention_days": gettext_lazy("Empty: as long as the general retention says."),
            "stage": gettext_lazy("Where it belongs on the touchpoint map; counts for events from now on."),
            "is_blocked": gettext_lazy("Refuse every event of this kind."),
            "on_violation": gettext_lazy("Checked at the door, event by event."),
        }


class PropertyForm(forms.Form):
    """One line of the schema."""

    name = forms.CharField(label=gettext_lazy("Property"), max_length=200, required=False)
    type = forms.ChoiceField(label=gettext_lazy("Type"), choices=PropertyType.choices, required=False)
    is_required = forms.BooleanField(label=gettext_lazy("Required"), required=False)
    allowed_values = forms.CharField(
        label=gettext_lazy("Allowed values"), required=False, max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 1, "placeholder": gettext_lazy("any; else one per line")}),
    )  # fmt: skip
    description = forms.CharField(label=gettext_lazy("Description"), max_length=300, required=False)

    def rule(self) -> PropertyRule | None:
        """The line, None when it is empty."""
        data = self.cleaned_data
        if not data.get("name") or data.get("DELETE"):
            return None
        return PropertyRule(
            name=data["name"], type=data["type"], is_required=data["is_required"],
            allowed_values=[line.strip() for line in data["allowed_values"].splitlines() if line.strip()],
            description=data["description"],
        )  # fmt: skip


PropertyFormSet = forms.formset_factory(
    PropertyForm, extra=EMPTY_ROWS, can_delete=True, max_num=MOST_ROWS, absolute_max=MOST_ROWS
)


class OwnedFilter(admin.SimpleListFilter):
    """Kinds that somebody looks after, and the others."""

    title = gettext_lazy("owner")
    parameter_name = "owned"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Mine, owned, nobody's."""
        return [
            ("mine", gettext_lazy("mine")),
            ("yes", gettext_lazy("somebody's")),
            ("no", gettext_lazy("nobody's")),
        ]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """The rows of the choice."""
        if self.value() == "mine":
            return queryset.filter(owner_id=request.user.pk)
        if self.value() in ("yes", "no"):
            return queryset.filter(owner__isnull=self.value() == "no")
        return queryset


@admin.register(EventKind)
class EventKindAdmin(PageAdmin):
    """Kinds of events."""

    list_display = ("name", "words", "per_day", "share", "shown_owner", "answer", "last_seen_on")
    list_filter = (OwnedFilter, "is_blocked", "on_violation", "stage")
    list_select_related = ("owner",)
    search_fields = ("name", "description_en", "description_zh")
    ordering = ("-last_seen_on", "name")
    form = KindForm
    fields = ("name",)
    page_template = "crm/admin/kind.html"
    page_actions = {
        "decide": ("crm.change_eventkind", "decide"),
        "schema": ("crm.change_eventkind", "schema"),
    }

    class Media:
        css = {"all": ("crm/door.css",)}

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The numbers of all rows in one read."""
        changelist = super().get_changelist_instance(request)
        numbers = reads.numbers(today=clock.now().date())
        everything = sum(found.total for found in numbers.values()) or 1
        for row in changelist.result_list:
            row.numbers = numbers.get(row.name, reads.NOTHING)
            row.share = row.numbers.total / everything
        return changelist

    @admin.display(description=gettext_lazy("meaning"))
    def words(self, row: EventKind) -> str:
        """Its description in the reader's language, or the label it is shown with."""
        return described(row) or str(registry.kind_label(row.name) if row.name in registry.kinds() else "–")

    @admin.display(description=gettext_lazy("30 days"))
    def per_day(self, row: EventKind) -> str:
        """Events of thirty days as a small chart with its sum."""
        numbers: reads.KindNumbers = row.numbers  # type: ignore[attr-defined]
        bars = format_html_join(
            "", '<rect x="{}" y="{}" width=".8" height="{}"></rect>',
            ((place, 100 - height, height) for place, height, _count in numbers.bars if height),
        )  # fmt: skip
        return format_html(
            '<span class="spark"><svg viewBox="0 0 30 100" preserveAspectRatio="none" aria-hidden="true">{}</svg>'
            "<b>{}</b></span>",
            bars, numbers.total,
        )  # fmt: skip

    @admin.display(description=gettext_lazy("share"))
    def share(self, row: EventKind) -> str:
        """Its part of everything that arrived in thirty days."""
        share: float = row.share  # type: ignore[attr-defined]
        return f"{share:.1%}" if share else "–"

    @admin.display(description=gettext_lazy("owner"), ordering="owner")
    def shown_owner(self, row: EventKind) -> str:
        """Who looks after it."""
        if row.owner is None:
            return "–"
        return format_html(
            '<span class="whole">{}</span>', row.owner.get_full_name() or row.owner.get_username()
        )

    @display(
        description=gettext_lazy("at the door"),
        label={"blocked": "danger", "refuse": "warning", "warn": "warning", "own": "info", "open": "success"},
    )
    def answer(self, row: EventKind) -> tuple[str, Any]:
        """What the door does."""
        return door_answer(row)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who may enter kinds."""
        return request.user.has_perm("crm.add_eventkind")

    def save_model(self, request: HttpRequest, obj: EventKind, form: Any, change: bool) -> None:
        """Made by the service."""
        made = catalogue.announce(obj.name, actor=request_actor(request), now=clock.now())
        obj.pk = made.pk

    def response_add(
        self, request: HttpRequest, obj: EventKind, post_url_continue: Any = None
    ) -> HttpResponse:
        """On to the page of the new kind."""
        return HttpResponseRedirect(self.page_url(obj.pk))

    def page_context(self, request: HttpRequest, row: EventKind) -> dict[str, Any]:
        """Numbers, what was seen, decisions, schema."""
        today = clock.now().date()
        numbers = reads.numbers(today=today, kind=row.name).get(row.name, reads.NOTHING)
        suggested = "suggest" in request.GET and request.user.has_perm("crm.change_eventkind")
        own = list(row.properties.all())
        rules = catalogue.suggest(row.pk) if suggested else own
        return {
            "kind": row,
            "words": described(row),
            "label": registry.kind_label(row.name) if row.name in registry.kinds() else "",
            "door": door_answer(row),
            "is_own": reads.is_own(row.name),
            "numbers": numbers,
            "bars": [Bar(place, height, count, today) for place, height, count in numbers.bars],
            "sources": source_rows(numbers),
            "observed": observed_rows(row, {rule.name for rule in own}),
            "decision_form": DecisionForm(instance=row),
            "formset": PropertyFormSet(initial=[initial(rule) for rule in rules], prefix="p"),
            "is_suggested": suggested,
            "has_schema": bool(own),
            "json_schema": json.dumps(reads.json_schema(row), ensure_ascii=False, indent=2),
        }

    def decide(self, request: HttpRequest, row: EventKind) -> str:
        """Keep the decisions."""
        form = DecisionForm(request.POST, instance=EventKind.objects.get(pk=row.pk))
        if not form.is_valid():
            field, errors = next(iter(form.errors.items()))
            raise Invalid(f"{form.fields[field].label}: {errors[0]}", field=field)
        values = {name: form.cleaned_data[name] for name in DECISIONS}
        owner = values["owner"]
        values["owner"] = owner.pk if owner else None
        self.call(request, catalogue.change, row.pk, values=values)
        return _("Saved. The door follows within seconds.")

    def schema(self, request: HttpRequest, row: EventKind) -> str | HttpResponse:
        """Keep the schema; a form with a mistake is shown again as it was typed."""
        formset = PropertyFormSet(request.POST, prefix="p")
        fault = ""
        if formset.is_valid():
            rules = [rule for form in formset if (rule := form.rule()) is not None]
            try:
                self.call(request, catalogue.set_schema, row.pk, rules=rules)
                return _("Saved. The door follows within seconds.")
            except DomainError as error:
                fault = str(error.message)
        context = self.page_context(request, row) | {"formset": formset, "schema_fault": fault}
        return self.render(request, self.page_template, context, row=row, status=400)


def described(row: EventKind) -> str:
    """The description in the reader's language, else in the other one."""
    from django.utils.translation import get_language

    chinese = (get_language() or "").startswith("zh")
    first, second = (
        (row.description_zh, row.description_en) if chinese else (row.description_en, row.description_zh)
    )
    return first or second


def door_answer(row: EventKind) -> tuple[str, Any]:
    """What the door does with this kind: a word for the colour, and the words."""
    if row.is_blocked:
        return "blocked", _("blocked")
    if reads.is_own(row.name):
        return "own", _("Renxin's own")
    if row.on_violation == ViolationAnswer.NOTHING:
        return "open", _("taken as it comes")
    return row.on_violation, ViolationAnswer(row.on_violation).label


def initial(rule: Any) -> dict[str, Any]:
    """A line of the schema as the form shows it."""
    return {
        "name": rule.name, "type": rule.type, "is_required": rule.is_required,
        "allowed_values": "\n".join(rule.allowed_values), "description": rule.description,
    }  # fmt: skip


def source_rows(numbers: reads.KindNumbers) -> list[tuple[int, str, int, float]]:
    """(id, name, events, percent) of the sources a kind came from, most first."""
    names = dict(Source.objects.filter(pk__in=numbers.sources).values_list("pk", "name"))
    return [
        (ident, names.get(ident, str(_("Renxin itself"))), count, 100 * count / (numbers.total or 1))
        for ident, count in sorted(numbers.sources.items(), key=lambda pair: -pair[1])
    ]


def observed_rows(row: EventKind, in_schema: set[str]) -> list[dict[str, Any]]:
    """What was seen: name, types with their share, how often there, samples, whether the schema names it."""
    found = []
    for seen in row.observed.all():
        total = sum(seen.types.values()) or 1
        found.append(
            {
                "name": seen.name,
                "label": registry.property_label(seen.name),
                "types": [
                    (
                        PropertyType(word).label if word in PropertyType.values else word,
                        round(100 * count / total),
                    )
                    for word, count in sorted(seen.types.items(), key=lambda pair: -pair[1])
                    if count
                ],
                "filled": min(100, round(100 * seen.filled / row.sampled)) if row.sampled else 0,
                "samples": seen.samples,
                "is_in_schema": seen.name in in_schema,
            }
        )
    return sorted(found, key=lambda entry: (-entry["filled"], entry["name"]))
