"""Pages of imports that undo and go on: the report before an import is taken back, and the warm-up list."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from crm.kernel import clock
from crm.kernel.admin import call_service
from crm.kernel.errors import DomainError
from crm.models import ImportRun
from crm.services import import_undo, imports


class UndoPages:
    """For the admin of imports."""

    admin_site: Any
    opts: Any

    def undo_urls(self, view: Any) -> list[URLPattern]:
        """The report before, and the button for the warm-up list."""
        return [
            path("<int:pk>/undo/", view(self.undo_view), name="crm_importrun_undo"),
            path("<int:pk>/warm-up/", view(require_POST(self.warm_up_view)), name="crm_importrun_warm_up"),
        ]

    def undo_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What taking it back would do; with the number typed, it begins."""
        if not request.user.has_perm("crm.undo_importrun"):
            raise PermissionDenied
        run: ImportRun = self._run(request, pk)  # type: ignore[attr-defined]
        page = reverse("admin:crm_importrun_change", args=[pk])
        if request.method == "POST":
            done = _("The import is being taken back. You may leave this page; it goes on.")
            begun = call_service(
                request, done, import_undo.start, pk, confirm=request.POST.get("confirm", "")
            )
            return HttpResponseRedirect(page if begun else request.path)
        try:
            outlook = import_undo.outlook(run, now=clock.now())
        except DomainError as error:
            messages.error(request, str(error.message))
            return HttpResponseRedirect(page)
        request.current_app = self.admin_site.name  # type: ignore[attr-defined]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Take back: %(file)s") % {"file": run.file_name},
            "list_url": reverse("admin:crm_importrun_changelist"),
            "run": run,
            "page_url": page,
            "outlook": outlook,
            "lines": lines(outlook.figures),
            "stays": stays(run, outlook.figures),
        }
        return TemplateResponse(request, "crm/admin/import_undo.html", context)

    def warm_up_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """A list of those a warm-up begins with, and its page."""
        if not (request.user.has_perm("crm.add_segment") and request.user.has_perm("crm.view_importrun")):
            raise PermissionDenied
        made = call_service(request, _("The warm-up list is made."), imports.make_warm_up_list, pk)
        if made is None:
            return HttpResponseRedirect(f"{reverse('admin:crm_importrun_dormant')}?run={pk}")
        return HttpResponseRedirect(reverse("admin:crm_segment_change", args=[made.pk]))


def lines(figures: dict[str, int]) -> list[tuple[str, int]]:
    """What is taken back, in words with their numbers; nothing that is none."""

    def of(name: str) -> int:
        return int(figures.get(name, 0))

    found = [
        (ngettext("person goes: came with this list and did nothing since",
                  "people go: came with this list and did nothing since", of("gone")), of("gone")),
        (ngettext("value of the others is emptied", "values of the others are emptied", of("values")), of("values")),
        (ngettext("address is removed", "addresses are removed", of("contacts")), of("contacts")),
        (ngettext("identifier is removed", "identifiers are removed", of("identities")), of("identities")),
        (ngettext("consent is withdrawn by a record", "consents are withdrawn by a record", of("consents")),
         of("consents")),
    ]  # fmt: skip
    return [(text, number) for text, number in found if number]


def stays(run: ImportRun, figures: dict[str, int]) -> list[str]:
    """What cannot be taken back, and why."""
    found = []
    kept, identities, erased = (int(figures.get(name, 0)) for name in ("kept", "identities_kept", "erased"))
    if kept:
        found.append(
            ngettext(
                "%(n)s person of this list stays: something happened with them since, or somebody else knows them.",
                "%(n)s people of this list stay: something happened with them since, or somebody else knows them.",
                kept,
            )
            % {"n": f"{kept:,}"}
        )
    if identities:
        found.append(
            ngettext(
                "%(n)s identifier stays: the person has been active since and may have been recognised by it.",
                "%(n)s identifiers stay: their people have been active since and may have been recognised by them.",
                identities,
            )
            % {"n": f"{identities:,}"}
        )
    if erased:
        found.append(
            ngettext("%(n)s person was erased meanwhile.", "%(n)s people were erased meanwhile.", erased)
            % {"n": f"{erased:,}"}
        )
    if run.options.get("existing") == "replace":
        found.append(
            _("Values that the list replaced do not come back: what stood there before is not kept.")
        )
    found.append(
        _("A no that the list recorded stays: a wish not to be written to is never taken back for somebody.")
    )
    found.append(_("What confirmed itself since (a confirmed address, a value of a shop or of staff) stays."))
    if run.options.get("static_list"):
        found.append(_("The list that was made of these people stays; those who go leave it."))
    if run.options.get("trigger"):
        found.append(_("Messages that journeys sent because of the import cannot be unsent."))
    return found
