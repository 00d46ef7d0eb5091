"""Message texts: every kind in both languages, as it will look, and a place to write one's own."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import get_language_info, gettext_lazy
from django.utils.translation import gettext as _

from crm.kernel.errors import DomainError, NotFound
from crm.kernel.pages import PageAdmin
from lifecycle import registry
from lifecycle.models import MessageTemplate
from lifecycle.registry import MessageKind
from lifecycle.services import templates


class TextForm(forms.Form):
    """A subject and a text."""

    subject = forms.CharField(label=gettext_lazy("Subject"), max_length=200)
    body = forms.CharField(
        label=gettext_lazy("Text"),
        widget=forms.Textarea(attrs={"rows": 14}),
        max_length=templates.MAX_BODY,
        strip=False,
    )


@admin.register(MessageTemplate)
class MessageTemplateAdmin(PageAdmin):
    """The list is of kinds, not of rows: a built-in text is a text too."""

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """All kinds, or one text when `kind` and `language` are given."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if "kind" in request.GET:
            return self._text_page(request, request.GET["kind"], request.GET.get("language", "en"))
        kinds = [
            (
                kind,
                [
                    (
                        language,
                        get_language_info(language)["name_local"],
                        templates.template_of(kind, language)[1],
                    )
                    for language in templates.LANGUAGES
                ],
            )
            for kind in registry.all_kinds()
        ]
        return self.render(request, "lifecycle/admin/texts.html", {"kinds": kinds})

    def page_context(self, request: HttpRequest, row: MessageTemplate) -> dict[str, Any]:
        """Not used: rows are edited on the page of their kind."""
        return {}

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        """The page of the row's kind and language."""
        if object_id is None or not self.has_view_permission(request):
            raise PermissionDenied
        row = self.get_object(request, object_id)
        if row is None:
            return HttpResponseRedirect(self.list_url())
        return HttpResponseRedirect(f"{self.list_url()}?kind={row.kind}&language={row.language}")

    def _text_page(self, request: HttpRequest, code: str, language: str) -> HttpResponse:
        kind = registry.find(code)
        if kind is None or language not in templates.LANGUAGES:
            raise NotFound(_("There is no message kind of that name."))
        may_change = request.user.has_perm("lifecycle.change_messagetemplate")
        template, is_own = templates.template_of(kind, language)
        form = TextForm(
            request.POST or None,
            initial={"subject": template.subject, "body": template.body} if template is not None else None,
        )
        shown = None
        status = 200
        if request.method == "POST":
            if not may_change:
                raise PermissionDenied
            shown = self._post(request, kind, language, form)
            if isinstance(shown, HttpResponse):
                return shown
            status = 400 if form.errors else 200
        elif template is not None:
            shown = templates.preview(kind, language=language)
        context = {
            "title": f"{kind.label or kind.code} · {get_language_info(language)['name_local']}",
            "kind": kind,
            "language": language,
            "is_own": is_own,
            "form": form,
            "shown": shown,
            "names": templates.variable_names(kind),
            "may_change": may_change,
        }
        return self.render(request, "lifecycle/admin/text.html", context, status=status)

    def _post(self, request: HttpRequest, kind: MessageKind, language: str, form: TextForm) -> Any:
        here = request.get_full_path()
        try:
            if request.POST.get("action") == "reset":
                self.call(request, templates.reset, kind.code, language=language)
                messages.success(request, _("The built-in text is in force again."))
                return HttpResponseRedirect(here)
            if not form.is_valid():
                return None
            if request.POST.get("action") == "save":
                self.call(request, templates.save, kind.code, language=language, **form.cleaned_data)
                messages.success(request, _("Saved. The next message is written like this."))
                return HttpResponseRedirect(here)
            return templates.check(kind, language=language, **form.cleaned_data)
        except DomainError as error:
            form.add_error(error.field if error.field in form.fields else None, str(error.message))
            return None
