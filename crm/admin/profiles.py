"""People for staff: a list with an indexed search, and the customer page with one timeline."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from crm.kernel import clock, surfaces
from crm.kernel.admin import ServiceAdmin, call_service, request_actor
from crm.kernel.errors import DomainError, Invalid
from crm.kernel.templatetags.actors import actor_words
from crm.models import MergeSuggestion, Profile
from crm.selectors import consents, contacts, timeline
from crm.selectors import profiles as profile_selectors
from crm.services import erasure, merges, pressure
from crm.services.merges import FIELDS
from crm.states import Channel, Purpose, SuggestionStatus

PAGE = 30
SHORT = 40


@admin.register(Profile)
class ProfileAdmin(ServiceAdmin):
    """Customers. The change page is the customer page; nothing on it is typed into a row directly."""

    list_display = ("name", "language", "time_zone", "first_seen_at", "last_seen_at", "created_at")
    list_display_links = ("name",)
    list_filter = ("language",)
    search_fields = ("display_name",)
    search_help_text = gettext_lazy("Name, pinyin, e-mail, phone or any ID")
    ordering = ("-id",)
    sortable_by = ()

    @admin.display(description=gettext_lazy("name"))
    def name(self, profile: Profile) -> str:
        """The name, or the number of a person without one."""
        return profile.display_name or _("Person %(id)s") % {"id": profile.pk}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Profile]:
        """Live people; the page of a merged one leads to the person it belongs to."""
        return Profile.objects.all().visible_to(request.user).roots()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Profile], search_term: str
    ) -> tuple[QuerySet[Profile], bool]:
        """The people search: tokens and exact identifiers, never a scan."""
        return profile_selectors.search(search_term, within=queryset), False

    def get_urls(self) -> list[URLPattern]:
        """The parts and actions of the customer page."""
        view = self.admin_site.admin_view
        return [
            path("<int:pk>/timeline/", view(self.timeline_view), name="crm_profile_timeline"),
            path("<int:pk>/merge/", view(self.merge_view), name="crm_profile_merge"),
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
        items = timeline.page(ids, limit=PAGE, now=now, oldest=timeline.oldest_of(rows))
        decisions = consents.current(ids)
        left, budget = pressure.left(ids, now=now)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": self.name(root),
            "profile": root,
            "is_erased": root.erased_at is not None,
            "facts": _facts(root),
            "traits": sorted(root.traits.items()),
            "sources": root.value_sources,
            "identities": list(profile_selectors.identities(ids)[:SHORT]),
            "contact_points": list(contacts.of(ids)[:SHORT]),
            "decisions": [
                (Purpose(purpose).label, Channel(channel).label, granted, at)
                for (purpose, channel), (granted, at) in sorted(decisions.items())
            ],
            "pressure_left": left,
            "pressure_budget": budget,
            "merge_records": list(profile_selectors.merges(ids)[:SHORT]) if len(ids) > 1 else [],
            "has_suggestion": any(row.has_suggestion for row in rows),
            "items": items,
            "next_url": _next_url(root.pk, items),
            "panels": surfaces.profile_panels(profile_ids=ids, now=now, user=request.user),
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
        before = _cursor(request.GET.get("before", ""))
        items = timeline.page(
            [row.pk for row in rows], before=before, limit=PAGE, oldest=timeline.oldest_of(rows)
        )
        context = {"items": items, "next_url": _next_url(pk, items)}
        return TemplateResponse(request, "crm/admin/_timeline.html", context)

    def merge_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Find the other person, choose value by value, merge."""
        if not request.user.has_perm("crm.merge_profile"):
            raise PermissionDenied
        rows = self._person(request, pk)
        if isinstance(rows, HttpResponse):
            return rows
        root = rows[0]
        other = self._other(request)
        if request.method == "POST" and other is not None:
            choices = {field: request.POST[field] for field in FIELDS if request.POST.get(field)}
            record = call_service(
                request, _("The two are one person now."), merges.merge, root.pk, other.pk, choices=choices
            )
            if record is not None:
                return HttpResponseRedirect(reverse("admin:crm_profile_change", args=[record.winner_id]))
        preview, text = None, request.GET.get("q", "").strip()
        if other is not None:
            try:
                preview = merges.preview(root.pk, other.pk)
            except DomainError as error:
                messages.error(request, str(error.message))
        found = profile_selectors.search(text).exclude(pk=root.pk)[:20] if text else ()
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Merge another person into %(name)s") % {"name": self.name(root)},
            "profile": root,
            "other": other,
            "text": text,
            "found": found,
            "preview": [
                {"field": Profile._meta.get_field(row.name).verbose_name, "row": row} for row in preview or ()
            ],
        }
        return TemplateResponse(request, "crm/admin/merge.html", context)

    def _other(self, request: HttpRequest) -> Profile | None:
        text = request.POST.get("other") or request.GET.get("other") or ""
        if not text.isdecimal() or len(text) > 18:
            return None
        return Profile.objects.all().visible_to(request.user).filter(pk=int(text)).first()

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
            erasure.erase(pk, actor=request_actor(request), now=clock.now())
            messages.success(request, _("This person's data was erased."))
        return HttpResponseRedirect(reverse("admin:crm_profile_change", args=[pk]))


def _facts(root: Profile) -> list[tuple[Any, Any, Any]]:
    """Typed values that are known: label, value, and where it came from."""
    shown = []
    for field in ("family_name", "given_name", "language", "time_zone", "birthday", "country", "region"):
        value = root.get_language_display() if field == "language" else getattr(root, field)
        if getattr(root, field):
            if field == "birthday" and root.birthday_is_lunar:
                value = _("%(date)s (lunar calendar)") % {"date": value}
            shown.append((Profile._meta.get_field(field).verbose_name, value, _stamp(root, field)))
    return shown


def _stamp(root: Profile, name: str) -> str:
    held = root.value_sources.get(name)
    if not isinstance(held, dict) or "by" not in held:
        return ""
    return _("from %(source)s, %(day)s") % {
        "source": actor_words(held["by"]),
        "day": str(held.get("at", ""))[:10],
    }


def _next_url(pk: int, items: Sequence[timeline.TimelineItem]) -> str:
    if len(items) < PAGE:
        return ""
    before = f"{items[-1].occurred_at.isoformat()}|{items[-1].id}"
    from urllib.parse import quote

    return f"{reverse('admin:crm_profile_timeline', args=[pk])}?before={quote(before)}"


def _cursor(text: str) -> tuple[datetime, UUID]:
    moment, _bar, ident = text.partition("|")
    try:
        occurred_at = datetime.fromisoformat(moment)
        if occurred_at.tzinfo is None:
            raise ValueError(moment)
        return occurred_at, UUID(ident)
    except ValueError:
        raise Http404(str(Invalid(_("This cursor is not valid.")).message)) from None
