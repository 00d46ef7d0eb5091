"""Merges, suggestions and identity rules for staff."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from crm import warning_codes
from crm.admin import rule_forms
from crm.kernel import clock
from crm.kernel.admin import ServiceAdmin, call_service
from crm.kernel.pages import Fact, RecordAdmin
from crm.models import IdentityRule, MergeRecord, MergeSuggestion
from crm.registry import property_label
from crm.selectors import identity_rules as rule_reads
from crm.selectors import names_of_actors, profiles
from crm.services import identity_rules as rule_services
from crm.services import merges, suggestions
from crm.states import SuggestionReason, SuggestionStatus


def person_link(profile_id: int, name: Any) -> str:
    """A link to the customer page."""
    return format_html('<a href="{}">{}</a>', reverse("admin:crm_profile_change", args=[profile_id]), name)


class NamedPeople(ServiceAdmin):
    """A list that shows people by name: one look-up for the whole page."""

    people_fields: tuple[str, ...] = ()
    list_per_page = 25

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Load the names of everybody on the page at once."""
        changelist = super().get_changelist_instance(request)
        ids = {getattr(row, f"{name}_id") for row in changelist.result_list for name in self.people_fields}
        cards = profiles.cards(ids)
        texts = {
            text
            for row in changelist.result_list
            for name in ("actor", "undone_by", "decided_by")
            if (text := getattr(row, name, ""))
        }
        actor_names = names_of_actors.names(texts)
        for row in changelist.result_list:
            row.cards, row.actor_names = cards, actor_names
        return changelist

    def actor_of(self, row: Any, text: str) -> str:
        """The name of who did it."""
        return getattr(row, "actor_names", {}).get(text) or names_of_actors.names([text])[text]

    def root_of(self, row: Any, field: str) -> int:
        """The person behind a profile id."""
        card = getattr(row, "cards", {}).get(getattr(row, f"{field}_id"))
        return card.id if card else getattr(row, f"{field}_id")

    def person(self, row: Any, field: str) -> str:
        """The linked name."""
        profile_id = getattr(row, f"{field}_id")
        card = getattr(row, "cards", {}).get(profile_id)
        return person_link(profile_id, f"{card.name if card else '–'} (#{profile_id})")


@admin.register(MergeRecord)
class MergeRecordAdmin(NamedPeople, RecordAdmin):
    """Merges, each of which can be taken apart again."""

    people_fields = ("winner", "loser")
    page_template = "crm/admin/merge_record.html"
    page_actions = {"undo": ("crm.merge_profile", "take_apart")}
    empty_hint = _("Profiles are merged when an event or a person of staff shows that they are one person.")
    list_display = ("id", "kept", "merged", "cause", "who", "created_at", "undone_at")
    list_filter = ("cause",)
    ordering = ("-id",)
    actions = ("undo",)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Both sides by the names they had, which the kept profile alone would hide."""
        changelist = super().get_changelist_instance(request)
        names = profiles.own_names(
            pk for row in changelist.result_list for pk in (row.winner_id, row.loser_id)
        )
        for row in changelist.result_list:
            row.own_names = names
        return changelist

    def person(self, row: MergeRecord, field: str) -> str:
        """The linked name of one side."""
        profile_id = getattr(row, f"{field}_id")
        return person_link(profile_id, f"{row.own_names.get(profile_id, '–')} (#{profile_id})")

    def page_title(self, row: MergeRecord) -> str:
        """Who was joined to whom."""
        row.own_names = names = profiles.own_names([row.winner_id, row.loser_id])
        return _("%(merged)s was merged into %(kept)s") % {
            "merged": names.get(row.loser_id, f"#{row.loser_id}"),
            "kept": names.get(row.winner_id, f"#{row.winner_id}"),
        }

    def facts(self, request: HttpRequest, row: MergeRecord) -> list[Fact]:
        """Both sides, why, by whom, and what changed."""
        row.own_names = profiles.own_names([row.winner_id, row.loser_id])
        return [
            (_("kept profile"), self.kept(row)),
            (_("merged profile"), self.merged(row)),
            (_("cause"), row.get_cause_display()),
            (_("changed values"), self.changed_values(row)),
            (_("actor"), self.who(row)),
            (_("created"), row.created_at),
            (_("undone"), row.undone_at),
            (_("undone by"), self.undoer(row) if row.undone_by else ""),
        ]

    def take_apart(self, request: HttpRequest, row: MergeRecord) -> str:
        """The button on the page."""
        self.call(request, merges.undo, row.pk)
        return _("Merge %(id)s was undone.") % {"id": row.pk}

    def get_urls(self) -> list[URLPattern]:
        """The button on the page of a customer."""
        undo = self.admin_site.admin_view(require_POST(self.undo_view))
        return [path("<int:pk>/undo/", undo, name="crm_mergerecord_undo"), *super().get_urls()]

    def undo_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Take one merge apart and show who stayed."""
        if not self.has_merge_permission(request):
            raise PermissionDenied
        row = MergeRecord.objects.filter(pk=pk).first()
        if row is None:
            raise Http404
        call_service(request, _("Merge %(id)s was undone.") % {"id": pk}, merges.undo, pk)
        return HttpResponseRedirect(reverse("admin:crm_profile_change", args=[row.winner_id]))

    @admin.display(description=_("kept profile"))
    def kept(self, row: MergeRecord) -> str:
        """Who stayed."""
        return self.person(row, "winner")

    @admin.display(description=_("merged profile"))
    def merged(self, row: MergeRecord) -> str:
        """Who was joined."""
        return self.person(row, "loser")

    @admin.display(description=_("actor"))
    def who(self, row: MergeRecord) -> str:
        """By name."""
        return self.actor_of(row, row.actor)

    @admin.display(description=_("undone by"))
    def undoer(self, row: MergeRecord) -> str:
        """By name."""
        return self.actor_of(row, row.undone_by) if row.undone_by else "–"

    @admin.display(description=_("changed values"))
    def changed_values(self, row: MergeRecord) -> str:
        """Names of the values that the kept profile took over."""
        names = sorted({*row.changes} - {"seen"})
        return ", ".join(str(property_label(name.removeprefix(merges.TRAIT))) for name in names) or "–"

    @admin.action(description=_("Take apart again"), permissions=["merge"])
    def undo(self, request: HttpRequest, queryset: Any) -> None:
        """Undo the chosen merges, newest first."""
        for row in queryset.order_by("-pk"):
            call_service(request, _("Merge %(id)s was undone.") % {"id": row.pk}, merges.undo, row.pk)

    def has_merge_permission(self, request: HttpRequest) -> bool:
        """Who may merge may undo."""
        return request.user.has_perm("crm.merge_profile")


@admin.register(MergeSuggestion)
class MergeSuggestionAdmin(NamedPeople):
    """Pairs that may be one person, the likeliest first: compare, merge or dismiss."""

    people_fields = ("first", "second")
    empty_hint = _("Every night the product looks for profiles that may be one person.")
    list_display = ("compare", "one", "other", "score", "why", "status", "created_at", "decided_at", "who")
    list_display_links = None
    list_filter = ("status",)
    search_fields = ("reason",)
    search_help_text = _("Number of a person, such as #12")
    ordering = ("-score", "-id")
    actions = ("accept", "dismiss")
    fields = ("compare", "first", "second", "score", "why", "status", "created_at", "decided_at", "who")
    readonly_fields = ("compare", "why", "who")

    def get_queryset(self, request: HttpRequest) -> Any:
        """Pairs of people who still are two, nobody of them erased."""
        return MergeSuggestion.objects.filter(first__erased_at=None, second__erased_at=None)

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """The suggestions about one person, by number."""
        text = search_term.strip().removeprefix("#")
        if not text:
            return queryset, False
        if not text.isdecimal() or len(text) > 18:
            return queryset.none(), False
        ids = profiles.ids_of(int(text))
        return queryset.filter(Q(first_id__in=ids) | Q(second_id__in=ids)), False

    @admin.display(description=_("compare"))
    def compare(self, row: MergeSuggestion) -> str:
        """To the page with both side by side."""
        if row.status == SuggestionStatus.MERGED:
            return "–"
        url = reverse("admin:crm_profile_merge", args=[self.root_of(row, "first")])
        return format_html(
            '<a class="text-primary-600 underline" href="{}?other={}">{}</a>',
            url,
            self.root_of(row, "second"),
            _("Compare"),
        )

    @admin.display(description=_("first profile"))
    def one(self, row: MergeSuggestion) -> str:
        """The first person."""
        return self.person(row, "first")

    @admin.display(description=_("second profile"))
    def other(self, row: MergeSuggestion) -> str:
        """The second person."""
        return self.person(row, "second")

    @admin.display(description=_("why"))
    def why(self, row: MergeSuggestion) -> str:
        """The evidence in words."""
        return "; ".join(str(word) for word in evidence_words(row))

    @admin.display(description=_("decided by"))
    def who(self, row: MergeSuggestion) -> str:
        """By name."""
        return self.actor_of(row, row.decided_by) if row.decided_by else "–"

    @admin.action(description=_("They are one person: merge"), permissions=["merge"])
    def accept(self, request: HttpRequest, queryset: Any) -> None:
        """Merge the second into the first."""
        for row in queryset.order_by("pk"):
            call_service(request, _("Merged."), merges.decide_suggestion, row.pk, accept=True)

    @admin.action(description=_("They are two people: dismiss"), permissions=["dismiss"])
    def dismiss(self, request: HttpRequest, queryset: Any) -> None:
        """Keep them apart."""
        for row in queryset.order_by("pk"):
            call_service(request, _("Dismissed."), merges.decide_suggestion, row.pk, accept=False)

    def has_merge_permission(self, request: HttpRequest) -> bool:
        """Who may merge."""
        return request.user.has_perm("crm.merge_profile")

    def has_dismiss_permission(self, request: HttpRequest) -> bool:
        """Who may dismiss."""
        return request.user.has_perm("crm.change_mergesuggestion")


def evidence_words(row: MergeSuggestion) -> list[Any]:
    """What speaks for a pair, in words; the strongest first."""
    codes = {str(entry.get("code")) for entry in row.evidence if isinstance(entry, dict)}
    known = [code for code in suggestions.SCORES if code in codes]
    return [SuggestionReason(code).label for code in known] or [row.reason]


@admin.register(IdentityRule)
class IdentityRuleAdmin(ServiceAdmin):
    """What each kind of identifier may do, in words; what it refused lately, and what another rule would."""

    list_display = ("kind_words", "explanation", "priority", "limit", "blocked_number", "refused_lately")
    ordering = ("priority", "kind")
    list_display_links = ("kind_words",)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Refusals of all rules at once."""
        changelist = super().get_changelist_instance(request)
        counts = rule_reads.refused_counts(now=clock.now())
        for row in changelist.result_list:
            row.refused = counts.get(row.kind, 0)
        return changelist

    @admin.display(description=_("kind"), ordering="kind")
    def kind_words(self, row: IdentityRule) -> str:
        """In the reader's words."""
        return str(rule_reads.label(row.kind))

    @admin.display(description=_("in words"))
    def explanation(self, row: IdentityRule) -> str:
        """The rule in a sentence."""
        return rule_reads.explain(row)

    @admin.display(description=_("blocked values"))
    def blocked_number(self, row: IdentityRule) -> int:
        """How many values and patterns."""
        return len(row.blocked_values) + len(row.blocked_patterns)

    @admin.display(description=_("refused in 30 days"))
    def refused_lately(self, row: IdentityRule) -> int:
        """From the warnings of the door."""
        return getattr(row, "refused", 0)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rules for external identifiers are added."""
        return request.user.has_perm("crm.add_identityrule")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rules are changed by those who may."""
        return request.user.has_perm("crm.change_identityrule")

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """A rule for a kind that has none."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        return self._page(request, None)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """One rule."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = IdentityRule.objects.filter(pk=object_id).first() if object_id.isdecimal() else None
        if row is None:
            raise Http404
        return self._page(request, row)

    def _page(self, request: HttpRequest, row: IdentityRule | None) -> HttpResponse:
        may_change = self.has_change_permission(request) if row else self.has_add_permission(request)
        form = rule_forms.RuleForm(request.POST or None, row=row)
        tried = None
        if request.method == "POST":
            if not may_change:
                raise PermissionDenied
            if form.is_valid() and request.POST.get("action") == "try":
                tried = form.effect(now=clock.now())
            elif form.is_valid():
                saved = call_service(
                    request, _("The rule is in force within seconds."), rule_services.save, form.rule_kind,
                    **form.arguments(),
                )  # fmt: skip
                if saved is not None:
                    return HttpResponseRedirect(reverse("admin:crm_identityrule_change", args=[saved.pk]))
        blocked = rule_reads.blocked(row) if row else []
        history = list(row.events.order_by("-pgh_id")[:10]) if row and hasattr(row, "events") else []
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": rule_reads.label(row.kind) if row else _("A rule for another kind of identifier"),
            "rule": row,
            "form": form,
            "tried": tried,
            "may_change": may_change,
            "explanation": rule_reads.explain(row) if row else "",
            "blocked": blocked,
            "actors": names_of_actors.names(one.by for one in blocked if one.by),
            "refused": [
                (warning_codes.CODES[one.code].title, one)
                for one in rule_reads.refused(row.kind, now=clock.now())
            ]
            if row
            else [],
            "warnings_url": reverse("admin:crm_ingestionwarning_changelist"),
            "history": history,
        }
        return TemplateResponse(request, "crm/admin/identity_rule.html", context)
