"""Privacy for staff: the page of one person, consent texts, erasures with their certificates, exports, retention, and
the register of processing."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from crm import evidence_words
from crm.admin import privacy_forms
from crm.kernel import clock, jobs
from crm.kernel.admin import request_actor
from crm.kernel.errors import DomainError
from crm.kernel.pages import PageAdmin
from crm.models import ConsentRecord, ConsentText, Erasure, PersonExport, RetentionRun
from crm.registry import kind_label
from crm.selectors import (
    choices,
    consent_texts,
    consents,
    contacts,
    names_of_actors,
    pressure,
    processing,
    retention,
)
from crm.selectors import privacy as reads
from crm.selectors import profiles as people
from crm.selectors.staff_links import person_link
from crm.services import consent_texts as text_service
from crm.services import erasure, person_exports
from crm.states import Channel, CorrectionReason, ErasureStatus, ExportStatus, Language, Purpose

HISTORY = 40
TONES = {"done": "good", "running": "warn", "scheduled": "warn", "requested": "warn", "cancelled": ""}


def _by_name(text: str) -> str:
    """One actor as staff read it."""
    return names_of_actors.names([text])[text]


def _named(rows: Iterable[ConsentRecord]) -> list[tuple[ConsentRecord, str, list[tuple[Any, str]]]]:
    """Each record with the name of who wrote it down, and its evidence in words."""
    found = list(rows)
    names = names_of_actors.names({row.actor for row in found})
    return [(row, names[row.actor], evidence_words.lines(row.evidence)) for row in found]


class NamedActors(PageAdmin):
    """A list that shows who did it by name: one look-up for the whole page."""

    actor_field = ""

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Load the names of everybody on the page at once."""
        changelist = super().get_changelist_instance(request)
        names = names_of_actors.names({getattr(row, self.actor_field) for row in changelist.result_list})
        for row in changelist.result_list:
            row.actor_name = names[getattr(row, self.actor_field)]
        return changelist


@admin.register(Erasure)
class ErasureAdmin(NamedActors):
    """Erasures from the wish to the certificate, and the privacy page of one person."""

    actor_field = "requested_by"
    list_display = ("id", "who", "status", "asked_by", "requested_at", "due_at", "done_at")
    empty_hint = gettext_lazy("Customers ask on their own page, staff on the privacy page of a customer.")
    list_filter = ("status",)
    list_select_related = ("profile",)
    ordering = ("-id",)
    page_template = "crm/admin/privacy/erasure.html"
    page_actions = {
        "approve": ("crm.approve_erasure", "approve"),
        "cancel": ("crm.approve_erasure", "cancel"),
    }

    @admin.display(description=gettext_lazy("person"))
    def who(self, row: Erasure) -> str:
        """The person, or the tombstone."""
        return person_link(row.profile_id)[0]

    @admin.display(description=gettext_lazy("requested by"))
    def asked_by(self, row: Erasure) -> str:
        """Who asked, in words."""
        return str(row.actor_name)

    def get_urls(self) -> list[URLPattern]:
        """The certificate, and the privacy page of a person."""
        view = self.admin_site.admin_view
        return [
            path("<int:pk>/certificate/", view(self.certificate_view), name="crm_erasure_certificate"),
            path("person/<int:pk>/", view(self.person_view), name="crm_privacy_person"),
            *super().get_urls(),
        ]

    def page_context(self, request: HttpRequest, row: Erasure) -> dict[str, Any]:
        """How far it is, what would go or went, and what stays."""
        name, url = person_link(row.profile_id)
        is_open = row.status in (ErasureStatus.REQUESTED, ErasureStatus.SCHEDULED)
        return {
            "title": _("Erasure %(id)s") % {"id": row.pk},
            "person": name,
            "person_url": url,
            "tone": TONES[row.status],
            "asked_by": _by_name(row.requested_by),
            "approved_by": _by_name(row.approved_by) if row.approved_by else "",
            "preview": reads.preview(people.ids_of(row.profile_id)) if is_open else [],
            "lines": reads.certificate_lines(row),
            "kept": reads.kept(),
            "is_open": is_open,
            "can_approve": row.status == ErasureStatus.REQUESTED
            and row.requested_by != str(request_actor(request)),
        }

    def approve(self, request: HttpRequest, row: Erasure) -> str:
        """The second pair of eyes."""
        self.call(request, erasure.approve, row.pk)
        return _("Agreed. The erasure begins within a minute.")

    def cancel(self, request: HttpRequest, row: Erasure) -> str:
        """Nothing is erased."""
        self.call(request, erasure.cancel, row.pk)
        return _("Cancelled. Nothing was erased.")

    def certificate_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The certificate to print, or as JSON with its hash."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = reads.erasure(pk)
        if row is None or row.certificate is None:
            raise Http404
        if request.GET.get("format") == "json":
            answer = JsonResponse({"certificate": row.certificate, "sha256": row.certificate_hash})
            answer["Content-Disposition"] = f'attachment; filename="erasure-{row.public_id}.json"'
            return answer
        context = {
            "title": _("Certificate of erasure"),
            "lines": reads.certificate_lines(row),
            "kept": reads.kept(),
            "asked_by": _by_name(row.requested_by),
            "approved_by": _by_name(row.approved_by) if row.approved_by else "",
            "proven": erasure.certificate_hash(row.certificate) == row.certificate_hash,
        }
        return self.render(request, "crm/admin/privacy/certificate.html", context, row=row)

    # -- one person

    def person_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Consent, pressure, exports, corrections and erasure of one person."""
        if not request.user.has_perm("crm.view_consentrecord"):
            raise PermissionDenied
        root_id = people.roots([pk]).get(pk)
        if root_id is None:
            raise Http404
        if root_id != pk:
            return HttpResponseRedirect(reverse("admin:crm_privacy_person", args=[root_id]))
        if request.method == "POST":
            return self._act_on(request, root_id)
        return self.render(
            request, "crm/admin/privacy/person.html", _person_context(request, root_id), row=None
        )

    def _act_on(self, request: HttpRequest, root_id: int) -> HttpResponse:
        name = request.POST.get("action", "")
        permission, act = privacy_forms.ACTIONS.get(name, ("", None))
        if act is None or not request.user.has_perm(permission):
            raise PermissionDenied
        try:
            done = act(request, root_id, actor=request_actor(request), now=clock.now())
        except DomainError as error:
            messages.error(request, str(error.message))
            done = None
        if isinstance(done, HttpResponse):
            return done
        if done:
            messages.success(request, done)
        return HttpResponseRedirect(reverse("admin:crm_privacy_person", args=[root_id]))


def _person_context(request: HttpRequest, root_id: int) -> dict[str, Any]:
    now = clock.now()
    ids = people.id_sets([root_id])[root_id]
    root = people.person(root_id)
    grid = consents.grid(ids)
    card = people.cards([root_id])[root_id]
    url = reverse("admin:crm_profile_change", args=[root_id])
    may = {
        name: request.user.has_perm(permission) for name, (permission, _act) in privacy_forms.ACTIONS.items()
    }
    return {
        "title": _("Privacy: %(name)s") % {"name": card.name},
        "person": card.name,
        "person_url": url,
        "profile": root,
        "is_erased": card.is_erased,
        "channels": [Channel(channel).label for channel in Channel.values],
        "grid": [
            (Purpose(purpose).label, [grid[(purpose, channel)] for channel in Channel.values])
            for purpose in Purpose.values
        ],
        "history": _named(consents.history(ids)[:HISTORY]),
        "texts": consent_texts.in_force(now=now).values(),
        "purposes": Purpose.choices,
        "channel_choices": Channel.choices,
        "languages": [choice for choice in Language.choices if choice[0]],
        "emails": [
            row for row in contacts.of(ids) if row.channel == Channel.EMAIL and row.removed_at is None
        ],
        "requests": reads.requests_of(ids),
        "standing": pressure.standing([root_id, *(one for one in ids if one != root_id)], now=now),
        "choice": choices.of_person(root_id),
        "exports": [(row, row.requested_by == str(request_actor(request))) for row in reads.exports_of(ids)],
        "reasons": CorrectionReason.choices,
        "erasures": reads.erasures_of(ids),
        "open_erasure": reads.open_erasure(ids),
        "preview": reads.preview(ids) if not card.is_erased else [],
        "kept": reads.kept(),
        "may": may,
    }


@admin.register(PersonExport)
class PersonExportAdmin(NamedActors):
    """Files with everything about one person. Only whoever asked may open theirs."""

    actor_field = "requested_by"
    list_display = ("id", "who", "status", "asked_by", "requested_at", "expires_at", "downloads")
    empty_hint = gettext_lazy("A file is asked for on the privacy page of a customer.")
    list_filter = ("status",)
    ordering = ("-id",)
    page_template = "crm/admin/privacy/export.html"
    page_actions = {"download": ("crm.export_person", "download")}

    @admin.display(description=gettext_lazy("person"))
    def who(self, row: PersonExport) -> str:
        """Whom it is about."""
        return person_link(row.profile_id)[0]

    @admin.display(description=gettext_lazy("requested by"))
    def asked_by(self, row: PersonExport) -> str:
        """Who asked, in words."""
        return str(row.actor_name)

    def page_context(self, request: HttpRequest, row: PersonExport) -> dict[str, Any]:
        """How far it is."""
        name, _url = person_link(row.profile_id)
        is_mine = row.requested_by == str(request_actor(request))
        return {
            "title": _("Export %(id)s") % {"id": row.pk},
            "person": name,
            "person_url": reverse("admin:crm_privacy_person", args=[row.profile_id]),
            "asked_by": _by_name(row.requested_by),
            "is_mine": is_mine,
            "can_open": is_mine and row.status == ExportStatus.READY and row.expires_at > clock.now(),
            "is_waiting": row.status == ExportStatus.QUEUED,
        }

    def download(self, request: HttpRequest, row: PersonExport) -> HttpResponse | FileResponse:
        """Hand the file to whoever asked for it."""
        found, opened = person_exports.download(row.public_id, actor=request_actor(request), now=clock.now())
        answer = FileResponse(
            opened, as_attachment=True, filename=f"person-{found.pk}.zip", content_type="application/zip"
        )
        answer["Cache-Control"] = "no-store"
        return answer  # type: ignore[return-value]


@admin.register(ConsentText)
class ConsentTextAdmin(NamedActors):
    """The words people agree to, version by version; and the register of processing."""

    actor_field = "created_by"
    list_display = ("number", "purpose", "version", "valid_from", "author")
    list_before_template = "crm/admin/privacy/_register_link.html"
    list_filter = ("purpose",)
    ordering = ("purpose", "-version")
    page_template = "crm/admin/privacy/text.html"
    add_page_template = "crm/admin/privacy/text_add.html"
    add_permission = "crm.add_consenttext"

    @admin.display(description=gettext_lazy("code"))
    def number(self, row: ConsentText) -> str:
        """What consent records and clients name it by."""
        return row.code

    @admin.display(description=gettext_lazy("written by"))
    def author(self, row: ConsentText) -> str:
        """Who wrote it, in words."""
        return str(row.actor_name)

    def get_urls(self) -> list[URLPattern]:
        """The register of processing."""
        view = self.admin_site.admin_view
        return [
            path("register/", view(self.register_view), name="crm_processing_register"),
            *super().get_urls(),
        ]

    def page_context(self, request: HttpRequest, row: ConsentText) -> dict[str, Any]:
        """Both texts, and since when."""
        return {"title": row.code, "author": _by_name(row.created_by)}

    def add_page(self, request: HttpRequest) -> HttpResponse:
        """Write the next version; it starts from the words that are in force."""
        now = clock.now()
        values = {
            name: request.POST.get(name, "") for name in ("purpose", "text_en", "text_zh_hans", "valid_from")
        }
        error = ""
        if request.method == "POST":
            try:
                row = self.call(
                    request,
                    text_service.write,
                    values["purpose"],
                    text_en=values["text_en"],
                    text_zh_hans=values["text_zh_hans"],
                    valid_from=_moment(values["valid_from"]),
                )
                messages.success(request, _("Version %(code)s is written.") % {"code": row.code})
                return HttpResponseRedirect(self.page_url(row.pk))
            except DomainError as refused:
                error = str(refused.message)
        else:
            purpose = request.GET.get("purpose", "")
            held = consent_texts.in_force(now=now).get(purpose)
            values |= {"purpose": purpose}
            if held is not None:
                values |= {"text_en": held.text_en, "text_zh_hans": held.text_zh_hans}
        context = {
            "title": _("A new version of a consent text"),
            "values": values,
            "error": error,
            "purposes": Purpose.choices,
        }
        return self.render(request, self.add_page_template, context, status=400 if error else 200)

    def register_view(self, request: HttpRequest) -> HttpResponse:
        """The register of processing, on a page, as JSON or as a table."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        kind = request.GET.get("format", "")
        if kind in ("json", "csv"):
            return _register_file(kind)
        groups = processing.by_category()
        context = {
            "title": _("Register of processing"),
            "groups": groups,
            "number": sum(len(entries) for _category, entries in groups),
            "untagged": processing.untagged(),
        }
        return self.render(request, "crm/admin/privacy/register.html", context)


def _register_file(kind: str) -> HttpResponse:
    names = (
        "category", "model", "model_label", "field", "field_label", "purpose", "basis", "kept", "survives",
    )  # fmt: skip
    rows = [{name: getattr(entry, name) for name in names} for entry in processing.entries()]
    if kind == "json":
        answer = HttpResponse(json.dumps(rows, ensure_ascii=False, indent=1), content_type="application/json")
    else:
        answer = HttpResponse("\ufeff", content_type="text/csv; charset=utf-8")
        writer = csv.DictWriter(answer, names)
        writer.writeheader()
        writer.writerows(rows)
    answer["Content-Disposition"] = f'attachment; filename="processing-register.{kind}"'
    return answer


def _moment(text: str) -> datetime | None:
    """What a datetime field of a form sent, in the zone of the reader; None when it is empty or unreadable."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return timezone.make_aware(found) if timezone.is_naive(found) else found


@admin.register(RetentionRun)
class RetentionRunAdmin(PageAdmin):
    """Retention: what would go, month by month, and what went."""

    ordering = ("-id",)
    list_display = ("started_at", "finished_at", "actor", "receipts_deleted")
    page_template = "crm/admin/privacy/retention_run.html"

    def page_context(self, request: HttpRequest, row: RetentionRun) -> dict[str, Any]:
        """What one run let go."""
        return {"title": _("Retention run %(id)s") % {"id": row.pk}, "by": _by_name(row.actor)}

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The plan of this moment, and the newest runs."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            if not request.user.has_perm("crm.run_retention"):
                raise PermissionDenied
            jobs.wake("crm.retention_now")
            messages.success(request, _("It begins now, and goes on in the background."))
            return HttpResponseRedirect(self.list_url())
        plans = retention.plan(now=clock.now())
        rules = retention.rules()
        context = {
            "title": pgettext("data", "Retention"),
            "plans": [plan for plan in plans if plan.action != "keep"],
            "kept": sum(plan.action == "keep" for plan in plans),
            "rules": sorted((str(kind_label(kind)), days) for kind, days in rules.of_kind.items()),
            "usual": rules.usual,
            "runs": retention.runs(),
            "may_run": request.user.has_perm("crm.run_retention"),
            "knobs_url": reverse("admin:kernel_knob_changelist"),
        }
        return self.render(request, "crm/admin/privacy/retention.html", context)
