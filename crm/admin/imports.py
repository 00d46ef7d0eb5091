"""Imports for staff: upload, columns, source and consent, dry run, run, result; and the guide for dormant fans."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext
from unfold.decorators import display

from crm import rejects
from crm.admin.import_undo import UndoPages, lines, stays
from crm.imports import columns, files, sheets
from crm.kernel import clock, knobs
from crm.kernel.errors import DomainError
from crm.kernel.pages import PageAdmin
from crm.models import ImportRun, Source
from crm.selectors import imports as reads
from crm.services import imports
from crm.states import Channel, ImportKind, ImportStatus, Purpose, TieStrength

STEPS = (
    ("columns", gettext_lazy("Columns")),
    ("source", gettext_lazy("Source and consent")),
    ("check", gettext_lazy("Dry run")),
    ("run", gettext_lazy("Import")),
)
WORKING = (ImportStatus.CHECKING, ImportStatus.RUNNING, ImportStatus.UNDOING)
UNDOABLE = (
    ImportStatus.DONE, ImportStatus.CANCELLED, ImportStatus.PAUSED, ImportStatus.FAILED, ImportStatus.UNDO_FAILED,
)  # fmt: skip
FIRST_REJECTS = 50


@admin.register(ImportRun)
class ImportRunAdmin(UndoPages, PageAdmin):
    """Lists that came in, or are on their way."""

    list_display = ("file_name", "shown_kind", "source", "shown_status", "shown_people", "created_at")
    list_filter = ("status", "kind")
    list_select_related = ("source",)
    search_fields = ("file_name", "source__name")
    ordering = ("-id",)
    page_template = "crm/admin/import_page.html"
    page_actions = {
        "reshape": ("crm.import_profile", "reshape"),
        "map": ("crm.import_profile", "map_columns"),
        "describe": ("crm.import_profile", "describe"),
        "check": ("crm.import_profile", "dry_run"),
        "start": ("crm.import_profile", "start"),
        "pause": ("crm.import_profile", "pause"),
        "resume": ("crm.import_profile", "resume"),
        "cancel": ("crm.import_profile", "cancel"),
    }

    @display(
        description=gettext_lazy("status"),
        label={
            "done": "success",
            "failed": "danger",
            "undo_failed": "danger",
            "undoing": "info",
            "running": "info",
            "checking": "info",
            "paused": "warning",
        },
    )
    def shown_status(self, run: ImportRun) -> tuple[str, Any]:
        """The status as a badge."""
        return run.status, run.get_status_display()

    @admin.display(description=gettext_lazy("kind"))
    def shown_kind(self, run: ImportRun) -> Any:
        """People or events."""
        return run.get_kind_display()

    @admin.display(description=gettext_lazy("brought"))
    def shown_people(self, run: ImportRun) -> str:
        """What it brought so far."""
        if run.started_at is None:
            return "–"
        brought = int(run.counters.get("created", 0)) + int(run.counters.get("matched", 0))
        return f"{brought or int(run.counters.get('stored', 0)):,}"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who may let a list in."""
        return request.user.has_perm("crm.import_profile")

    def get_urls(self) -> list[URLPattern]:
        """The parts of the pages, the files, and the guide."""
        view = self.admin_site.admin_view
        return [
            path("sample/<str:kind>/", view(self.sample_view), name="crm_importrun_sample"),
            path("dormant/", view(self.dormant_view), name="crm_importrun_dormant"),
            path("<int:pk>/progress/", view(self.progress_view), name="crm_importrun_progress"),
            path("<int:pk>/rejects/", view(self.rejects_view), name="crm_importrun_rejects"),
            *self.undo_urls(view),
            *super().get_urls(),
        ]

    # -- pages

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        """The page of a run, a button on it, or the upload of a new list."""
        if object_id is not None:
            return super().changeform_view(request, object_id, form_url, extra_context)
        if not self.has_add_permission(request):
            raise PermissionDenied
        error = ""
        if request.method == "POST":
            try:
                run = self._upload(request)
            except DomainError as refusal:
                error = str(refusal.message)
            else:
                return HttpResponseRedirect(self.page_url(run.pk))
        context = {
            "error": error, "most_mb": knobs.get("crm.import_max_mb"), "days": knobs.get("crm.import_file_days"),
            "kinds": ImportKind.choices,
            "kind": request.POST.get("kind") or request.GET.get("kind") or ImportKind.CONTACTS,
        }  # fmt: skip
        return self._plain_page(
            request, "crm/admin/import_upload.html", _("Import a list"), context, status=400 if error else 200
        )

    def _upload(self, request: HttpRequest) -> ImportRun:
        from crm.kernel.errors import Invalid

        given = request.FILES.get("file")
        if given is None:
            raise Invalid(_("Choose a file first."), code="file_needed", field="file")
        return self.call(
            request, imports.upload, given.name or "list", given.chunks(1024 * 1024),
            kind=request.POST.get("kind") or ImportKind.CONTACTS,
        )  # fmt: skip

    def page_context(self, request: HttpRequest, row: ImportRun) -> dict[str, Any]:
        """The step the run is at, or an earlier one that staff go back to."""
        step = self._step(request, row)
        editable = row.status in imports.EDITABLE and row.status not in WORKING
        context: dict[str, Any] = {
            "run": row, "step": step, "is_working": row.status in WORKING, "editable": editable,
            "steps": [(key, label, _standing(key, step)) for key, label in STEPS],
            "progress": reads.progress(row), "may_import": request.user.has_perm("crm.import_profile"),
            "is_events": row.kind == ImportKind.EVENTS,
            "progress_url": reverse("admin:crm_importrun_progress", args=[row.pk]),
            "rejects_url": reverse("admin:crm_importrun_rejects", args=[row.pk]),
            "figures": _figures(row),
        }  # fmt: skip
        if step == "columns":
            context |= _column_context(row)
        elif step == "source":
            context |= _source_context(row)
        else:
            counters = row.report if row.started_at is None else row.counters
            taken = max(0, (row.rows_total or 0) - int(row.report.get("rejected", 0)))
            context |= {
                "reasons": reads.reasons_of(counters), "before": reads.imported_before(row.pk),
                "rejects": list(reads.rejects(row)[:FIRST_REJECTS]) if row.status == ImportStatus.DONE else [],
                "has_rejects": bool(row.started_at) and row.file_removed_at is None and reads.rejects(row).exists(),
                "rows_taken": taken, "nothing": row.status == ImportStatus.CHECKED and not taken,
            }  # fmt: skip
            figures = row.undo.get("figures", {})
            context |= {"undone": lines(figures), "undo_stays": stays(row, figures)} if row.undo else {}
            may_undo = not context["is_events"] and request.user.has_perm("crm.undo_importrun")
            if row.started_at and row.status in UNDOABLE and may_undo:
                context["undo_url"] = reverse("admin:crm_importrun_undo", args=[row.pk])
            if row.status == ImportStatus.DONE and not context["is_events"]:
                context["dormant_url"] = f"{reverse('admin:crm_importrun_dormant')}?run={row.pk}"
        return context

    def _step(self, request: HttpRequest, row: ImportRun) -> str:
        if row.started_at is not None or row.status in (ImportStatus.CANCELLED,):
            return "run"
        asked = request.GET.get("step", "")
        if (
            asked in ("columns", "source")
            and row.status not in WORKING
            and request.user.has_perm("crm.import_profile")
        ):
            return asked
        if row.status in (ImportStatus.CHECKING, ImportStatus.CHECKED, ImportStatus.FAILED):
            return "check"
        return "source" if row.digest and row.mapping else "columns"

    def progress_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The part of the page that is fetched while a worker is at it; the whole page when it is not any more."""
        run = self._run(request, pk)
        context = {"run": run, "progress": reads.progress(run), "is_working": run.status in WORKING,
                   "figures": _figures(run), "progress_url": request.path}  # fmt: skip
        response = TemplateResponse(request, "crm/admin/_import_progress.html", context)
        if run.status not in WORKING:
            response.headers["HX-Refresh"] = "true"
        return response

    def rejects_view(self, request: HttpRequest, pk: int) -> HttpResponse | StreamingHttpResponse:
        """The reject file, in the reader's language, safe to open in a spreadsheet."""
        if not request.user.has_perm("crm.import_profile"):
            raise PermissionDenied
        run = self._run(request, pk)
        return rejects.answer(run)

    def sample_view(self, request: HttpRequest, kind: str) -> HttpResponse:
        """A small list to start from."""
        if not request.user.has_perm("crm.view_importrun"):
            raise PermissionDenied
        if kind not in ImportKind.values:
            raise Http404
        response = HttpResponse(sheets.sample(kind), content_type="text/csv; charset=utf-8")
        response.headers["Content-Disposition"] = f'attachment; filename="sample-{kind}.csv"'
        return response

    def dormant_view(self, request: HttpRequest) -> HttpResponse:
        """Waking up an old list: what to do, and how far each list has come."""
        if not request.user.has_perm("crm.view_importrun"):
            raise PermissionDenied
        runs = list(
            ImportRun.objects.filter(kind=ImportKind.CONTACTS, status=ImportStatus.DONE)
            .select_related("source").order_by("-pk")[:20]
        )  # fmt: skip
        wanted = request.GET.get("run", "")
        chosen = next((run for run in runs if str(run.pk) == wanted), runs[0] if runs else None)
        funnel = reads.funnel(chosen, now=clock.now()) if chosen else None
        context = {
            "runs": runs, "chosen": chosen, "funnel": funnel,
            "bars": _bars(funnel) if funnel else [], "add_url": reverse("admin:crm_importrun_add"),
            "may_import": request.user.has_perm("crm.import_profile"),
            "warm_up_url": reverse("admin:crm_importrun_warm_up", args=[chosen.pk])
            if chosen and funnel and funnel.warm and request.user.has_perm("crm.add_segment") else "",
        }  # fmt: skip
        return self._plain_page(request, "crm/admin/import_dormant.html", _("Dormant fans"), context)

    def _run(self, request: HttpRequest, pk: int) -> ImportRun:
        if not request.user.has_perm("crm.view_importrun"):
            raise PermissionDenied
        run = ImportRun.objects.select_related("source").filter(pk=pk).first()
        if run is None:
            raise Http404
        return run

    def _plain_page(
        self, request: HttpRequest, template: str, title: str, context: dict[str, Any], status: int = 200
    ) -> HttpResponse:
        request.current_app = self.admin_site.name  # type: ignore[attr-defined]
        frame = {
            **self.admin_site.each_context(request), "opts": self.opts, "title": title,
            "list_url": reverse("admin:crm_importrun_changelist"),
        }  # fmt: skip
        return TemplateResponse(request, template, {**frame, **context}, status=status)

    # -- buttons

    def reshape(self, request: HttpRequest, row: ImportRun) -> HttpResponse:
        """Read the file in another way."""
        header = request.POST.get("has_header")
        self.call(
            request, imports.reshape, row.pk, kind=request.POST.get("kind") or row.kind,
            encoding=request.POST.get("encoding", ""), delimiter=request.POST.get("delimiter", ""),
            sheet=request.POST.get("sheet", ""), has_header=None if header is None else header == "1",
        )  # fmt: skip
        return HttpResponseRedirect(f"{self.page_url(row.pk)}?step=columns")

    def map_columns(self, request: HttpRequest, row: ImportRun) -> HttpResponse:
        """Say what the columns mean, and go on."""
        mapping = []
        for index, header in enumerate(row.shape["headers"]):
            target = request.POST.get(f"target-{index}", "skip")
            if target in ("trait", "property", "id"):
                name = request.POST.get(f"name-{index}", "").strip() or (
                    header if target != "id" else "external"
                )
                target = f"{target}:{name}"
            mapping.append(
                {
                    "index": index, "target": target, "type": request.POST.get(f"type-{index}") or "text",
                    "order": request.POST.get(f"order-{index}") or "",
                }
            )  # fmt: skip
        try:
            self.call(request, imports.set_mapping, row.pk, mapping=mapping)
        except DomainError as error:
            messages.error(request, str(error.message))
            return HttpResponseRedirect(f"{self.page_url(row.pk)}?step=columns")
        return HttpResponseRedirect(f"{self.page_url(row.pk)}?step=source")

    def describe(self, request: HttpRequest, row: ImportRun) -> HttpResponse:
        """State source, ties and consent, and begin the dry run."""
        answer = request.POST.get("consent", "")
        consent: dict[str, Any] = {"given": {"yes": True, "no": False}.get(answer)}
        if answer == "yes":
            consent |= {
                "evidence": request.POST.get("evidence", ""), "text_version": request.POST.get("text_version", ""),
                "agreed_on": request.POST.get("agreed_on", ""),
                "claims": [claim.split(":", 1) for claim in request.POST.getlist("claims")],
            }  # fmt: skip
        try:
            self.call(
                request, imports.describe, row.pk,
                source=request.POST.get("source", ""), tie_strength=request.POST.get("tie_strength", ""),
                consent=consent,
                options={
                    "existing": request.POST.get("existing", "fill"), "region": request.POST.get("region", ""),
                    "trigger": request.POST.get("trigger") == "1", "static_list": request.POST.get("static_list", ""),
                },
            )  # fmt: skip
            self.call(request, imports.check, row.pk)
        except DomainError as error:
            messages.error(request, str(error.message))
            fresh = ImportRun.objects.select_related("source").get(pk=row.pk)
            context = (
                self.page_context(request, fresh) | {"step": "source"} | _source_context(fresh, request.POST)
            )
            context["steps"] = [(key, label, _standing(key, "source")) for key, label in STEPS]
            return self.render(request, self.page_template, context, row=fresh, status=400)
        return HttpResponseRedirect(self.page_url(row.pk))

    def dry_run(self, request: HttpRequest, row: ImportRun) -> None:
        """Begin the dry run anew."""
        self.call(request, imports.check, row.pk)

    def start(self, request: HttpRequest, row: ImportRun) -> str:
        """Let it in."""
        self.call(request, imports.start, row.pk, force=request.POST.get("force") == "1")
        return _("The import has begun. You may leave this page; it goes on.")

    def pause(self, request: HttpRequest, row: ImportRun) -> str:
        """Stop for now."""
        self.call(request, imports.pause, row.pk)
        return _("Paused. Nothing is lost; go on whenever you like.")

    def resume(self, request: HttpRequest, row: ImportRun) -> str:
        """Go on."""
        self.call(request, imports.resume, row.pk)
        return _("The import goes on.")

    def cancel(self, request: HttpRequest, row: ImportRun) -> str:
        """End it for good."""
        self.call(request, imports.cancel, row.pk)
        return _("Cancelled. Who came in already stays.")


def _standing(key: str, step: str) -> str:
    order = [name for name, _label in STEPS]
    place, now = order.index(key), order.index(step)
    return "now" if place == now else "done" if place < now else "next"


def _column_context(run: ImportRun) -> dict[str, Any]:
    sample = run.shape.get("sample", [])
    rows = []
    for column in columns.load(run.mapping):
        head, _colon, rest = column.target.partition(":")
        named = head in ("trait", "property", "id") and bool(rest)
        rows.append(
            {
                "column": column, "choice": head if named else column.target, "name": rest if named else "",
                "cells": [row[column.index] for row in sample if column.index < len(row)],
            }
        )  # fmt: skip
    return {
        "rows": rows, "groups": _groups(run.kind), "remembered": run.shape.get("remembered"),
        "types": [
            ("text", pgettext("type", "text")), ("number", _("number")), ("date", _("date")),
            ("boolean", _("yes or no")),
        ],
        "orders": [("", _("year first")), ("dmy", _("day, month, year")), ("mdy", _("month, day, year"))],
        "encodings": files.ENCODINGS, "delimiters": [(",", ","), (";", ";"), ("\t", _("tab")), ("|", "|")],
        "kinds": ImportKind.choices,
    }  # fmt: skip


def _groups(kind: str) -> list[tuple[Any, list[tuple[str, Any]]]]:
    """What a column may become, as staff choose it."""
    who = [*columns.IDENTIFIERS.items(), ("id", _("Another ID …"))]
    if kind == ImportKind.EVENTS:
        return [
            ("", [("skip", _("Leave out"))]),
            (_("The event"), [*columns.EVENT_PARTS.items(), ("property", _("A property …"))]),
            (_("Whose event"), who),
        ]
    consents = [
        (f"consent:{purpose}:{channel}", columns.label(f"consent:{purpose}:{channel}"))
        for purpose in (Purpose.MARKETING, Purpose.SURVEY)
        for channel in (Channel.EMAIL, Channel.SMS, Channel.WECHAT)
    ]
    return [
        ("", [("skip", _("Leave out"))]),
        (_("Who it is"), who),
        (_("What is known of them"), [*columns.TYPED.items(), ("trait", _("A trait …"))]),
        (_("What they agreed to, yes or no"), consents),
    ]


def _source_context(run: ImportRun, given: Any = None) -> dict[str, Any]:
    """The form as it was stated, or as it was just sent."""
    consent = run.consent
    state = {
        "source": run.source.name if run.source else "", "tie_strength": run.tie_strength,
        "consent": {True: "yes", False: "no"}.get(consent.get("given"), ""),  # type: ignore[arg-type]
        "evidence": consent.get("evidence", ""), "text_version": consent.get("text_version", ""),
        "agreed_on": consent.get("agreed_on", ""), "claims": [":".join(claim) for claim in consent.get("claims", [])],
        "existing": run.options.get("existing", "fill"), "region": run.options.get("region", ""),
        "trigger": "1" if run.options.get("trigger") else "", "static_list": run.options.get("static_list", ""),
    }  # fmt: skip
    if given is not None:
        state |= {name: given.get(name, "") for name in state if name != "claims"}
        state["claims"] = given.getlist("claims")
    channels = (Channel.EMAIL, Channel.SMS, Channel.WECHAT)
    return {
        "state": state, "ties": TieStrength.choices, "sources": list(Source.objects.order_by("name")[:200]),
        "claims": [
            (Purpose(purpose).label, [(f"{purpose}:{channel}", channel.label) for channel in channels])
            for purpose in (Purpose.MARKETING, Purpose.SURVEY)
        ],
        "has_consent_columns": any(column["target"].startswith("consent:") for column in run.mapping),
        "default_region": knobs.get("crm.phone_region"), "today": clock.now().date().isoformat(),
    }  # fmt: skip


def _figures(run: ImportRun) -> list[tuple[Any, int, str]]:
    """The numbers of a dry run or a run: label, number, tone."""
    counters = (
        run.counters if run.started_at is not None or run.status == ImportStatus.CHECKING else run.report
    )
    names: list[tuple[str, Any, str]] = [("rows", _("rows"), "")]
    if run.kind == ImportKind.EVENTS:
        names += [
            ("stored", _("stored"), "good"), ("of_new", _("of new people"), "good"),
            ("of_known", _("of people you know"), ""),
            ("duplicates", _("stored before"), ""),
        ]  # fmt: skip
    else:
        names += [
            ("created", _("new people"), "good"), ("matched", _("people you know"), ""),
            ("duplicates", _("further rows about the same people"), ""),
            ("contactable:any", _("may get marketing"), "good"),
        ]  # fmt: skip
    names += [("rejected", _("rows left out"), "bad"), ("values_left_out", _("values left out"), "warn")]
    shown = []
    for key, label, tone in names:
        number = int(counters.get(key, 0))
        if number or (
            key in ("rows", "created", "rejected", "contactable:any")
            and not (run.kind == ImportKind.EVENTS and key in ("created", "contactable:any"))
        ):
            shown.append((label, number, tone if number else ""))
    return shown


def _bars(funnel: reads.Funnel) -> list[tuple[Any, int, float, Any]]:
    """The funnel as bars: label, people, share of all, and what the number means."""
    whole = max(1, funnel.imported)
    rows = (
        (_("Imported"), funnel.imported, _("People of this list, each counted once.")),
        (_("Reachable"), funnel.reachable, _("With an address that did not bounce and is not barred.")),
        (_("Asked again"), funnel.asked, _("Were asked to confirm since the import.")),
        (_("Consent given"), funnel.consented, _("Said yes to marketing on at least one channel.")),
        (_("Warm-up list"), funnel.warm, _("A yes and an address we may write to on the same channel.")),
        (_("Answered"), funnel.answered, _("Opened, clicked, wrote, or decided about consent.")),
        (_("Came back"), funnel.returned, _("Did something of their own accord since the import.")),
    )
    return [(label, number, round(100 * number / whole, 1), note) for label, number, note in rows]
