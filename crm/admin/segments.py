"""Segments for staff: the list, and a page per segment with its rule in words, its people and how their number went.

Rules are written with the builder; the links to it are shown when its page is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, path, reverse
from django.utils.translation import get_language, gettext_lazy, ngettext
from django.utils.translation import gettext as _
from unfold.decorators import display

from crm.admin.segment_forms import SegmentForms
from crm.api.segments import csv_response
from crm.kernel import clock
from crm.kernel.admin import request_actor
from crm.kernel.errors import DomainError
from crm.kernel.pages import PageAdmin
from crm.models import ImportRun, Segment
from crm.selectors import names_of_actors, profiles
from crm.selectors import segments as reads
from crm.services import exports, segment_exports, segment_passes, segments
from crm.states import SegmentKind, SegmentStatus

PEOPLE_ON_PAGE = 50
EVENTS_ON_PAGE = 20
TONES = {
    SegmentStatus.DRAFT: "info",
    SegmentStatus.ACTIVE: "success",
    SegmentStatus.PAUSED: "warning",
    SegmentStatus.ARCHIVED: "default",
}


@dataclass(frozen=True, slots=True)
class Point:
    """A day of the chart, in units of its view box: 0 is the newest number's ceiling, 100 the ground."""

    x: float
    y: float
    day: date
    size: int


@dataclass(frozen=True, slots=True)
class Chart:
    """The sizes as a line with its area. `ceiling` is the highest number, `first` and `last` the outer days."""

    points: list[Point]
    line: str
    area: str
    ceiling: int
    first: date
    last: date


def chart(rows: list[tuple[date, int]]) -> Chart | None:
    """The line of sizes, one point a day; None without days."""
    if not rows:
        return None
    ceiling = max(max(size for _day, size in rows), 1)
    step = 300 / max(len(rows) - 1, 1)
    points = [
        Point(round(place * step, 2), round(100 - 92 * size / ceiling, 2), day, size)
        for place, (day, size) in enumerate(rows)
    ]
    if len(points) == 1:
        points.append(Point(300, points[0].y, points[0].day, points[0].size))
    line = " ".join(f"{point.x},{point.y}" for point in points)
    return Chart(points, line, f"0,100 {line} 300,100", ceiling, rows[0][0], rows[-1][0])


@admin.register(Segment)
class SegmentAdmin(SegmentForms, PageAdmin):
    """Segments."""

    list_display = ("name", "shown_kind", "shown_status", "size", "in_words", "last_verified_at")
    list_filter = ("status", "kind")
    search_fields = ("name", "key")
    ordering = ("name",)
    page_template = "crm/admin/segment.html"
    page_actions = {
        "activate": ("crm.activate_segment", "activate"),
        "pause": ("crm.activate_segment", "pause"),
        "archive": ("crm.activate_segment", "archive"),
        "check": ("crm.activate_segment", "set_against_rule"),
        "cancel": ("crm.activate_segment", "cancel"),
        "duplicate": ("crm.add_segment", "duplicate"),
        "snapshot": ("crm.add_segment", "snapshot"),
        "paste": ("crm.change_segment", "paste"),
        "take_import": ("crm.change_segment", "take_import"),
        "remove": ("crm.change_segment", "remove"),
        "export": ("crm.export_segment", "export"),
    }

    @admin.display(description=gettext_lazy("kind"), ordering="kind")
    def shown_kind(self, row: Segment) -> Any:
        """By rule or by hand."""
        return row.get_kind_display()

    @display(description=gettext_lazy("status"), label=TONES, ordering="status")
    def shown_status(self, row: Segment) -> tuple[str, Any]:
        """The status with its colour."""
        return row.status, row.get_status_display()

    @admin.display(description=gettext_lazy("who is in it"))
    def in_words(self, row: Segment) -> str:
        """The rule as a sentence, cut where a list has no more room."""
        text = reads.sentence(row) or row.description or _("The people whom staff put onto this list.")
        return text if len(text) <= 140 else f"{text[:139]}…"

    def get_urls(self) -> list[Any]:
        """The file of an export, and the people of a page as a piece of the page."""
        own = [
            path(
                "exports/<uuid:public_id>/",
                self.admin_site.admin_view(self.export_file),
                name="crm_segment_export_file",
            ),
        ]
        return [*own, *super().get_urls()]

    def page_context(self, request: HttpRequest, row: Segment) -> dict[str, Any]:
        """The sentence, numbers, chart, people, changes, passes and files."""
        now = clock.now()
        held, following = self._people(request, row)
        run = reads.open_runs([row.pk]).get(row.pk)
        events = self._events(row)
        may_export = request.user.has_perm(segment_exports.PERMISSION)
        return {
            "segment": row,
            "sentence": reads.sentence(row),
            "tone": TONES[row.status],
            "run": run,
            "run_share": 100 * run.done // run.total if run and run.total else 0,
            "chart": chart(reads.daily(reads.history(row.pk, now=now), until=now.date())),
            "people": held,
            "next_after": following,
            "is_first_page": "after" not in request.GET,
            "events": events,
            "actor_names": names_of_actors.names({one["actor"] for one in events}),
            "runs": list(reads.runs(row.pk)[:10]),
            "users": reads.users_of(row.key),
            "can": self._possible(row),
            "columns": segment_exports.columns() if may_export else [],
            "usual_columns": segment_exports.USUAL,
            "files": exports.of(request_actor(request), kind=segment_exports.KIND, subject=str(row.pk)),
            "imports": self._imports(request, row),
            "builder_url": builder_url(row.pk) if request.user.has_perm("crm.change_segment") else "",
        }

    def _possible(self, row: Segment) -> dict[str, bool]:
        dynamic, status = row.kind == SegmentKind.DYNAMIC, row.status
        open_ = status != SegmentStatus.ARCHIVED
        return {
            "activate": dynamic and status in (SegmentStatus.DRAFT, SegmentStatus.PAUSED),
            "pause": dynamic and status == SegmentStatus.ACTIVE,
            "archive": open_,
            "check": dynamic and status == SegmentStatus.ACTIVE,
            "edit_people": not dynamic and open_,
            "export": open_,
        }

    def _people(self, request: HttpRequest, row: Segment) -> tuple[list[dict[str, Any]], int | None]:
        text = request.GET.get("after", "")
        found = reads.members(row.pk)
        if text.isascii() and text.isdigit() and len(text) < 19:
            found = found.filter(profile_id__lt=int(text))
        held = list(found[: PEOPLE_ON_PAGE + 1])
        more, held = len(held) > PEOPLE_ON_PAGE, held[:PEOPLE_ON_PAGE]
        cards = profiles.cards([one.profile_id for one in held])
        rows = [
            {
                "id": one.profile_id,
                "name": cards[one.profile_id].name,
                "url": reverse("admin:crm_profile_change", args=[one.profile_id]),
                "entered_at": one.entered_at,
                "is_initial": one.is_initial,
            }
            for one in held
            if one.profile_id in cards
        ]
        return rows, held[-1].profile_id if more else None

    def _events(self, row: Segment) -> list[dict[str, Any]]:
        return [
            {
                "label": one.get_kind_display(),
                "at": one.at,
                "actor": one.actor,
                "number": one.number,
                "sentence": reads.sentence(Segment(rule=one.rule)) if one.rule else "",
            }
            for one in reads.events(row.pk)[:EVENTS_ON_PAGE]
        ]

    def _imports(self, request: HttpRequest, row: Segment) -> list[ImportRun]:
        if row.kind != SegmentKind.STATIC or not request.user.has_perm("crm.view_importrun"):
            return []
        return list(ImportRun.objects.filter(status="done").order_by("-pk")[:20])

    # -- buttons

    def activate(self, request: HttpRequest, row: Segment) -> str:
        """Follow events from now on."""
        announce = request.POST.get("announce") == "on"
        self.call(request, segments.activate, row.pk, announce=announce)
        return _("Active. It is filled within moments.")

    def pause(self, request: HttpRequest, row: Segment) -> str:
        """Keep the people as they are."""
        self.call(request, segments.pause, row.pk)
        return _("Paused. Its people stay as they are.")

    def archive(self, request: HttpRequest, row: Segment) -> str:
        """Out of use."""
        self.call(request, segments.archive, row.pk)
        return _("Archived.")

    def set_against_rule(self, request: HttpRequest, row: Segment) -> str:
        """A pass now."""
        self.call(request, segment_passes.ask, row.pk)
        return _("Everybody is set against the rule now.")

    def cancel(self, request: HttpRequest, row: Segment) -> str:
        """Stop the pass."""
        self.call(request, segment_passes.cancel, row.pk)
        return _("Stopped.")

    def duplicate(self, request: HttpRequest, row: Segment) -> HttpResponse:
        """A draft with the same rule."""
        made = self.call(request, segments.duplicate, row.pk, name=request.POST.get("name", ""))
        return self._to(request, made)

    def snapshot(self, request: HttpRequest, row: Segment) -> HttpResponse:
        """A list of the people who are in now."""
        made = self.call(request, segments.snapshot, row.pk, name=request.POST.get("name", ""))
        return self._to(request, made)

    def paste(self, request: HttpRequest, row: Segment) -> HttpResponse:
        """Put pasted people onto a list; what is nobody's is shown."""
        done = self.call(request, segments.add_identifiers, row.pk, text=request.POST.get("identifiers", ""))
        return self._listed(request, row, done, _added(done.changed))

    def take_import(self, request: HttpRequest, row: Segment) -> str:
        """Put everybody of an import onto a list."""
        text = request.POST.get("run", "")
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
        done = self.call(request, segments.add_import, row.pk, run_id=number)
        return _added(done.changed)

    def remove(self, request: HttpRequest, row: Segment) -> str:
        """Take chosen people off a list."""
        ids = [
            int(one)
            for one in request.POST.getlist("person")
            if one.isascii() and one.isdigit() and len(one) < 19
        ]
        done = self.call(request, segments.remove_members, row.pk, profile_ids=ids)
        return ngettext("%(number)s person removed.", "%(number)s people removed.", done.changed) % {
            "number": done.changed
        }

    def export(self, request: HttpRequest, row: Segment) -> str:
        """Ask for a file."""
        self.call(
            request, segment_exports.request, row,
            columns=request.POST.getlist("column"), language=get_language() or "en",
        )  # fmt: skip
        return _("The file is being written. It will be listed below, for you alone, for a day.")

    def _to(self, request: HttpRequest, made: Segment) -> HttpResponse:
        from django.http import HttpResponseRedirect

        return HttpResponseRedirect(self.page_url(made.pk))

    def _listed(self, request: HttpRequest, row: Segment, done: segments.Listed, text: str) -> HttpResponse:
        row.refresh_from_db()
        context = self.page_context(request, row) | {"listed": text, "unmatched": done.unmatched}
        return self.render(request, self.page_template, context, row=row)

    def export_file(self, request: HttpRequest, public_id: Any) -> HttpResponse:
        """The file, for who asked for it."""
        if not request.user.has_perm(segment_exports.PERMISSION):
            raise PermissionDenied
        try:
            found = exports.download(public_id, actor=request_actor(request), now=clock.now())
        except DomainError as error:
            return HttpResponse(
                str(error.message), status=error.status, content_type="text/plain; charset=utf-8"
            )
        return csv_response(*found)  # type: ignore[return-value]


def _added(number: int) -> str:
    return ngettext("%(number)s person added.", "%(number)s people added.", number) % {"number": number}


def builder_url(segment_id: int) -> str:
    """The address of the rule builder for a segment, or an empty text while there is none."""
    try:
        return reverse("admin:crm_segment_builder", args=[segment_id])
    except NoReverseMatch:
        return ""
