"""People for staff: a list with an indexed search, and the customer page with one timeline."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import formats
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy
from django.views.decorators.http import require_POST

from crm import countries
from crm.admin import people_actions, timeline_filters
from crm.kernel import clock, surfaces
from crm.kernel.admin import ServiceAdmin, request_actor
from crm.kernel.errors import Invalid
from crm.kernel.templatetags.actors import actor_words
from crm.models import MergeSuggestion, Profile
from crm.readable import day_of
from crm.readable import text as readable
from crm.selectors import consents, contacts, names_of_actors, related, timeline
from crm.selectors import notes as note_reads
from crm.selectors import profiles as profile_selectors
from crm.selectors import search as people_search
from crm.services import erasure, pressure
from crm.states import Channel, LinkKind, NoteCategory, Purpose, SuggestionStatus

PAGE = 30
SHORT = 40


@admin.register(Profile)
class ProfileAdmin(people_actions.PeopleActions, ServiceAdmin):
    """Customers. The change page is the customer page; nothing on it is typed into a row directly."""

    list_display = ("name", "language", "time_zone", "first_seen_at", "last_seen_at", "created_at")
    list_display_links = ("name",)
    list_filter = ("language",)
    search_fields = ("display_name",)
    search_help_text = gettext_lazy(
        "Name, pinyin, initials, e-mail, phone or any ID; several words narrow it down"
    )
    ordering = ("-id",)
    sortable_by = ()
    # A page is looked at, not read: the search finds people. Nothing on a person's page leads back into a list.
    list_per_page = 25
    preserve_filters = False

    class Media:
        css: ClassVar = {"all": ("crm/people.css",)}

    @admin.display(description=pgettext_lazy("person", "name"))
    def name(self, profile: Profile) -> str:
        """The name, or the number of a person without one."""
        return profile.display_name or _("Person %(id)s") % {"id": profile.pk}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Profile]:
        """Live people; the page of a merged one leads to the person it belongs to."""
        return Profile.objects.all().visible_to(request.user).roots()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Profile], search_term: str
    ) -> tuple[QuerySet[Profile], bool]:
        """The people search: stored words and exact identifiers, never a scan; the best first, with the reason."""
        if not search_term.strip():
            return queryset, False
        hits = people_search.people(search_term, limit=profile_selectors.MOST_FOUND)
        request.people_found = {hit.profile_id: hit for hit in hits}  # type: ignore[attr-defined]
        return profile_selectors.ranked(queryset, [hit.profile_id for hit in hits]), False

    def get_list_display(self, request: HttpRequest) -> Sequence[str]:
        """While searching, why somebody was found."""
        if not request.GET.get("q", "").strip():
            return self.list_display
        return ("name", "found_by", *self.list_display[1:])

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Give each row the reason it was found for."""
        changelist = super().get_changelist_instance(request)
        hits = getattr(request, "people_found", {})
        for row in changelist.result_list:
            row.hit = hits.get(row.pk)
        return changelist

    @admin.display(description=gettext_lazy("found by"))
    def found_by(self, profile: Profile) -> str:
        """Name, pinyin, e-mail, phone…"""
        hit = getattr(profile, "hit", None)
        return ", ".join(str(people_search.reason_label(code)) for code in hit.reasons) if hit else "–"

    def get_urls(self) -> list[URLPattern]:
        """The parts and actions of the customer page."""
        view = self.admin_site.admin_view
        return [
            path("<int:pk>/timeline/", view(self.timeline_view), name="crm_profile_timeline"),
            path("<int:pk>/panels/", view(self.panels_view), name="crm_profile_panels"),
            path("<int:pk>/related/", view(self.related_view), name="crm_profile_related"),
            *self.action_urls(view),
            path("<int:pk>/erase/", view(require_POST(self.erase_view)), name="crm_profile_erase"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The customer page."""
        rows = self._person(request, object_id)
        if isinstance(rows, HttpResponse):
            return rows
        root, ids, now = rows[0], [row.pk for row in rows], clock.now()
        chosen = timeline_filters.read(request.GET)
        items = timeline.named(
            timeline.page(ids, limit=PAGE, now=now, oldest=timeline.oldest_of(rows), **chosen.conditions)
        )
        decisions = consents.current(ids)
        left, budget = pressure.left(ids, now=now)
        notes = note_reads.of(ids)
        records = list(profile_selectors.merges(ids)[:SHORT]) if len(ids) > 1 else []
        actors = names_of_actors.names(_actors_on(root, notes, records))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": self.name(root),
            "profile": root,
            "is_erased": root.erased_at is not None,
            "facts": _facts(root, actors),
            "traits": [
                (name, readable(value, name=name), _stamp(root, f"traits.{name}", actors))
                for name, value in sorted(root.traits.items())
            ],
            "actors": actors,
            "notes": notes,
            "first_notes": [note for note in notes if note.is_first],
            "note_categories": NoteCategory.choices,
            "may_note": request.user.has_perm("crm.add_profilenote"),
            "may_delete_notes": request.user.has_perm("crm.delete_profilenote"),
            "own_actor": str(request_actor(request)),
            "link_kinds": LinkKind.choices,
            "filters": chosen,
            "related_url": reverse("admin:crm_profile_related", args=[root.pk]),
            "identities": list(profile_selectors.identities(ids)[:SHORT]),
            "contact_points": list(contacts.of(ids)[:SHORT]),
            "decisions": [
                (Purpose(purpose).label, Channel(channel).label, granted, at)
                for (purpose, channel), (granted, at) in sorted(decisions.items())
            ],
            "pressure_left": left,
            "pressure_budget": budget,
            "merge_records": records,
            "has_suggestion": any(row.has_suggestion for row in rows),
            "items": items,
            "next_url": _next_url(root.pk, items, chosen.query),
            "panels_url": reverse("admin:crm_profile_panels", args=[root.pk]),
            "may_merge": request.user.has_perm("crm.merge_profile"),
            "may_erase": request.user.has_perm("crm.erase_profile"),
        }
        return TemplateResponse(request, "crm/admin/customer.html", context)

    def _person(self, request: HttpRequest, object_id: str | int) -> list[Profile] | HttpResponse:
        """The root and everybody merged into it, in one read; a redirect for the page of a merged profile."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if not str(object_id).isdecimal() or len(str(object_id)) > 18:
            raise Http404
        wanted = int(object_id)
        open_suggestions = MergeSuggestion.objects.filter(
            Q(first_id=OuterRef("pk")) | Q(second_id=OuterRef("pk")), status=SuggestionStatus.OPEN
        )
        rows = list(
            Profile.objects.all()
            .visible_to(request.user)
            .filter(Q(pk=wanted) | Q(merged_into_id=wanted))
            .annotate(has_suggestion=Exists(open_suggestions))
            .order_by("pk")
        )
        own = next((row for row in rows if row.pk == wanted), None)
        if own is None:
            raise Http404
        if own.merged_into_id is not None:
            return HttpResponseRedirect(reverse("admin:crm_profile_change", args=[own.merged_into_id]))
        return [own, *(row for row in rows if row.pk != wanted)]

    def timeline_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The next lines of a timeline, fetched as they scroll into view."""
        rows = self._person(request, pk)
        if isinstance(rows, HttpResponse):
            return rows
        before = _cursor(request.GET["before"]) if "before" in request.GET else None
        chosen = timeline_filters.read(request.GET)
        items = timeline.named(
            timeline.page(
                [row.pk for row in rows], before=before, limit=PAGE, oldest=timeline.oldest_of(rows),
                **chosen.conditions,
            )
        )  # fmt: skip
        context = {"items": items, "next_url": _next_url(pk, items, chosen.query), "is_first": before is None}
        return TemplateResponse(request, "crm/admin/_timeline.html", context)

    def panels_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What the apps know of this person; fetched after the page is there, so that none of them holds it up."""
        rows = self._person(request, pk)
        if isinstance(rows, HttpResponse):
            return rows
        panels = surfaces.profile_panels(
            profile_ids=[row.pk for row in rows], now=clock.now(), user=request.user
        )
        return TemplateResponse(request, "crm/admin/_panels.html", {"panels": panels})

    def related_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Who and what belongs to this person; fetched after the page is there."""
        rows = self._person(request, pk)
        if isinstance(rows, HttpResponse):
            return rows
        ids = [row.pk for row in rows]
        context = {
            "profile": rows[0],
            "people": related.people(ids),
            "accounts": related.accounts(ids) if request.user.has_perm("crm.view_account") else [],
            "may_link": request.user.has_perm("crm.add_profilelink"),
            "may_merge": request.user.has_perm("crm.merge_profile"),
        }
        return TemplateResponse(request, "crm/admin/_related.html", context)

    def erase_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Erase a person after staff typed the number that the page asks for."""
        if not request.user.has_perm("crm.erase_profile"):
            raise PermissionDenied
        rows = self._person(request, pk)
        if isinstance(rows, HttpResponse):
            return rows
        if request.POST.get("confirm", "").strip() != str(pk):
            messages.error(request, _("Nothing was erased: type the number %(id)s to confirm.") % {"id": pk})
        else:
            erasure.start(pk, actor=request_actor(request), now=clock.now())
            messages.success(request, _("This person's data was erased."))
        return HttpResponseRedirect(reverse("admin:crm_profile_change", args=[pk]))


def _facts(root: Profile, actors: dict[str, str]) -> list[tuple[Any, Any, Any]]:
    """Typed values that are known: label, value, and where it came from."""
    shown = []
    for field in (
        "display_name", "family_name", "given_name", "language", "time_zone", "birthday", "country", "region",
    ):  # fmt: skip
        value = root.get_language_display() if field == "language" else getattr(root, field)
        if getattr(root, field):
            if field == "birthday" and root.birthday_is_lunar:
                value = _("%(date)s (lunar calendar)") % {"date": value}
            elif field == "country":
                value = countries.name(value)
            elif field == "birthday":
                value = formats.date_format(value, "SHORT_DATE_FORMAT")
            shown.append((Profile._meta.get_field(field).verbose_name, value, _stamp(root, field, actors)))
    return shown


def _actors_on(root: Profile, notes: Sequence[Any], records: Sequence[Any]) -> set[str]:
    """Everybody whose name stands on the page."""
    found = {note.actor for note in notes} | {record.actor for record in records}
    found |= {record.undone_by for record in records if record.undone_by}
    return found | {
        held["by"] for held in root.value_sources.values() if isinstance(held, dict) and "by" in held
    }


def _stamp(root: Profile, name: str, actors: dict[str, str]) -> str:
    held = root.value_sources.get(name)
    if not isinstance(held, dict) or "by" not in held:
        return ""
    return _("from %(source)s, %(day)s") % {
        "source": actors.get(held["by"]) or actor_words(held["by"]),
        "day": day_of(held.get("at")),
    }


def _next_url(pk: int, items: Sequence[timeline.TimelineItem], query: str) -> str:
    if len(items) < PAGE:
        return ""
    before = f"{items[-1].occurred_at.isoformat()}|{items[-1].id}"
    from urllib.parse import quote

    more = f"&{query}" if query else ""
    return f"{reverse('admin:crm_profile_timeline', args=[pk])}?before={quote(before)}{more}"


def _cursor(text: str) -> tuple[datetime, UUID]:
    moment, _bar, ident = text.partition("|")
    try:
        occurred_at = datetime.fromisoformat(moment)
        if occurred_at.tzinfo is None:
            raise ValueError(moment)
        return occurred_at, UUID(ident)
    except ValueError:
        raise Http404(str(Invalid(_("This cursor is not valid.")).message)) from None
