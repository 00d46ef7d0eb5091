"""What staff do on the page of a customer beside reading it: merge, write notes, link people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from crm import countries
from crm.kernel.admin import call_service
from crm.kernel.errors import DomainError
from crm.models import Profile, ProfileLink, ProfileNote
from crm.readable import day_of
from crm.readable import text as readable
from crm.selectors import merge_outlook, names_of_actors
from crm.selectors import search as people_search
from crm.services import merges, notes


class PeopleActions:
    """Mixed into the page of customers, which gives `_person`, `opts` and `admin_site`."""

    def action_urls(self, view: Callable[..., Any]) -> list[URLPattern]:
        """The addresses of the actions."""
        return [
            path("<int:pk>/merge/", view(self.merge_view), name="crm_profile_merge"),
            path("<int:pk>/notes/", view(require_POST(self.notes_view)), name="crm_profile_notes"),
            path("<int:pk>/links/", view(require_POST(self.links_view)), name="crm_profile_links"),
        ]

    def merge_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Find the other person, see both side by side, choose value by value, merge."""
        if not request.user.has_perm("crm.merge_profile"):
            raise PermissionDenied
        rows = self._person(request, pk)  # type: ignore[attr-defined]
        if isinstance(rows, HttpResponse):
            return rows
        root, other = rows[0], self._other(request)
        if request.method == "POST" and other is not None:
            preview = _preview(request, root.pk, other.pk) or []
            choices = {
                row.name: request.POST[f"choice-{row.name}"]
                for row in preview
                if request.POST.get(f"choice-{row.name}") in ("winner", "loser")
            }
            record = call_service(
                request, _("The two are one person now."), merges.merge, root.pk, other.pk, choices=choices
            )
            if record is not None:
                return HttpResponseRedirect(reverse("admin:crm_profile_change", args=[record.winner_id]))
        text = request.GET.get("q", "").strip()
        preview = _preview(request, root.pk, other.pk) if other is not None else None
        hits = [hit for hit in people_search.people(text, limit=20) if hit.profile_id != root.pk]
        people = {row.pk: row for row in Profile.objects.filter(pk__in=[hit.profile_id for hit in hits])}
        context = {
            **self.admin_site.each_context(request),  # type: ignore[attr-defined]
            "opts": self.opts,  # type: ignore[attr-defined]
            "title": _("Are these one person?") if preview else _("Merge with another person"),
            "profile": root,
            "other": other,
            "text": text,
            "found": [
                (
                    people[hit.profile_id],
                    ", ".join(str(people_search.reason_label(code)) for code in hit.reasons),
                )
                for hit in hits
                if hit.profile_id in people
            ],
            "preview": _lines(preview) if preview else [],
            "outlook": merge_outlook.of(root.pk, other.pk) if preview and other is not None else None,
        }
        return TemplateResponse(request, "crm/admin/merge.html", context)

    def _other(self, request: HttpRequest) -> Profile | None:
        text = request.POST.get("other") or request.GET.get("other") or ""
        if not text.isdecimal() or len(text) > 18:
            return None
        found = (
            Profile.objects.all().visible_to(request.user).filter(pk=int(text)).select_related("merged_into")
        )
        row = found.first()
        return (row.merged_into or row) if row is not None else None

    def notes_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Write a note, or change, pin or delete one."""
        rows = self._person(request, pk)  # type: ignore[attr-defined]
        if isinstance(rows, HttpResponse):
            return rows
        what, note = request.POST.get("what", "add"), None
        if what != "add":
            note = _among(ProfileNote, request.POST.get("note", ""), profile_id__in=[row.pk for row in rows])
        right = {"add": "crm.add_profilenote", "delete": "crm.add_profilenote"}.get(
            what, "crm.change_profilenote"
        )
        if not request.user.has_perm(right):
            raise PermissionDenied
        text, category = request.POST.get("text", ""), request.POST.get("category", "")
        if what == "add":
            call_service(
                request, _("The note is there."), notes.add, pk, text=text, category=category,
                is_pinned=bool(request.POST.get("pin")),
            )  # fmt: skip
        elif what == "change" and note is not None:
            call_service(
                request, _("The note was changed."), notes.change, note.pk, text=text, category=category
            )
        elif what in ("pin", "unpin") and note is not None:
            call_service(request, _("Done."), notes.change, note.pk, is_pinned=what == "pin")
        elif what == "delete" and note is not None:
            anybodys = request.user.has_perm("crm.delete_profilenote")
            call_service(request, _("The note is gone."), notes.delete, note.pk, anybodys=anybodys)
        else:
            raise Http404
        return HttpResponseRedirect(reverse("admin:crm_profile_change", args=[pk]) + "#notes")

    def links_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Link another person, or take a link away."""
        rows = self._person(request, pk)  # type: ignore[attr-defined]
        if isinstance(rows, HttpResponse):
            return rows
        if not request.user.has_perm("crm.add_profilelink"):
            raise PermissionDenied
        ids = [row.pk for row in rows]
        if request.POST.get("what") == "remove":
            row = _among(ProfileLink, request.POST.get("link", ""))
            if row.first_id not in ids and row.second_id not in ids:
                raise Http404
            call_service(request, _("The link is gone."), notes.unlink, row.pk)
        else:
            hits = people_search.people(request.POST.get("person", ""), limit=2)
            if len(hits) != 1:
                text = _("More than one person fits; give an e-mail, a phone number or #number.")
                messages.error(request, text if hits else _("Nobody found. Try an e-mail address or an ID."))
            else:
                call_service(
                    request, _("They are linked."), notes.link, pk, hits[0].profile_id,
                    kind=request.POST.get("kind", ""),
                )  # fmt: skip
        return HttpResponseRedirect(reverse("admin:crm_profile_change", args=[pk]))


def _among(model: type[Any], text: str, **conditions: Any) -> Any:
    if not text.isdecimal() or len(text) > 18:
        raise Http404
    found = model.objects.filter(pk=int(text), **conditions).first()
    if found is None:
        raise Http404
    return found


def _preview(request: HttpRequest, winner_id: int, loser_id: int) -> list[merges.FieldPreview] | None:
    try:
        return merges.preview(winner_id, loser_id)
    except DomainError as error:
        messages.error(request, str(error.message))
        return None


def _lines(preview: list[merges.FieldPreview]) -> list[dict[str, Any]]:
    """The preview as the page shows it: what differs first, each value in words with where it came from."""
    actors = names_of_actors.names(
        source["by"] for row in preview for source in (row.winner_source, row.loser_source) if "by" in source
    )

    def origin(source: Any) -> str:
        if "by" not in source:
            return ""
        return _("from %(source)s, %(day)s") % {
            "source": actors[source["by"]],
            "day": day_of(source.get("at")),
        }

    shown = [
        {
            "row": row,
            "label": row.name.removeprefix(merges.TRAIT)
            if row.name.startswith(merges.TRAIT)
            else Profile._meta.get_field(row.name).verbose_name,
            "winner": _value(row.name, row.winner),
            "loser": _value(row.name, row.loser),
            "winner_origin": origin(row.winner_source),
            "loser_origin": origin(row.loser_source),
        }
        for row in preview
        if row.winner not in (None, "", False) or row.loser not in (None, "", False)
    ]
    return sorted(shown, key=lambda line: not line["row"].differs)


def _value(name: str, value: Any) -> str:
    if name == "language" and value:
        from crm.states import Language

        return str(Language(value).label)
    if name == "country" and value:
        return countries.name(str(value))
    if hasattr(value, "isoformat"):
        from django.utils import formats

        return formats.date_format(value, "SHORT_DATE_FORMAT")
    return readable(value)
