"""The warnings of the door for staff: one block per thing that keeps happening, in words, with what to do about it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.kernel import clock
from crm.kernel.admin import ServiceAdmin, call_service
from crm.models import EventKind, IngestionWarning, Source
from crm.selectors import warnings as reads
from crm.services import warning_decisions
from crm.states import QuietState

MUTE_DAYS = (1, 7, 30, 90)


class FilterForm(forms.Form):
    """Which warnings are shown."""

    state = forms.ChoiceField(
        label=gettext_lazy("State"), required=False,
        choices=(("", gettext_lazy("open")), *QuietState.choices, ("all", gettext_lazy("all"))),
    )  # fmt: skip
    source = forms.ModelChoiceField(
        label=gettext_lazy("Source"), queryset=Source.objects.order_by("name"), required=False,
        empty_label=gettext_lazy("all"),
    )  # fmt: skip
    days = forms.TypedChoiceField(
        label=gettext_lazy("Seen"), required=False, coerce=int, empty_value=30,
        choices=(("30", gettext_lazy("in 30 days")), ("7", gettext_lazy("in 7 days")), ("1", gettext_lazy("today"))),
    )  # fmt: skip


@admin.register(IngestionWarning)
class IngestionWarningAdmin(ServiceAdmin):
    """What sources sent that was refused or changed."""

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The blocks; a POST decides about one of them."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        may_decide = request.user.has_perm("crm.change_ingestionwarning")
        if request.method == "POST" and request.POST.get("action"):
            if not may_decide:
                raise PermissionDenied
            self._decide(request)
            return HttpResponseRedirect(request.get_full_path())
        form = FilterForm(request.GET)
        form.is_valid()
        asked = form.cleaned_data
        today = clock.now().date()
        source = asked.get("source")
        state = asked.get("state") or reads.OPEN
        days = asked.get("days") or 30
        topics = reads.topics(
            since=today - timedelta(days=days - 1), until=today, source_id=source.pk if source else None,
            state="" if state == "all" else state,
        )  # fmt: skip
        kinds = dict(
            EventKind.objects.filter(name__in=[t.subject for t in topics if t.subject]).values_list(
                "name", "pk"
            )
        )
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Ingestion warnings"),
            "form": FilterForm(initial={"state": asked.get("state"), "source": source, "days": str(days)}),
            "blocks": [
                (topic, bars(topic, days=days, today=today), kinds.get(topic.subject)) for topic in topics
            ],
            "is_filtered": bool(source or asked.get("state") or days != 30),
            "may_decide": may_decide,
            "mute_days": MUTE_DAYS,
        }
        return TemplateResponse(request, "crm/admin/warnings.html", context)

    def _decide(self, request: HttpRequest) -> None:
        text, action = request.POST.get("id", ""), request.POST["action"]
        ident = int(text) if text.isdecimal() and len(text) < 19 else 0
        note = request.POST.get("note", "")
        if action == "resolve":
            call_service(
                request,
                _("Resolved. It comes back when it happens again."),
                warning_decisions.resolve,
                ident,
                note=note,
            )
        elif action == "mute":
            days = request.POST.get("days", "")
            call_service(
                request, _("Muted. What happens after that opens it again."), warning_decisions.mute, ident,
                days=int(days) if days.isdecimal() and len(days) < 5 else 0, note=note,
            )  # fmt: skip
        elif action == "reopen":
            call_service(request, _("Open again."), warning_decisions.reopen, ident)


def bars(topic: reads.Topic, *, days: int, today: Any) -> list[tuple[int, int, int, Any]]:
    """(x, top, height, count) of a small chart over the days, 100 high."""
    counts = dict(topic.days)
    top = max(counts.values(), default=1) or 1
    found = []
    for place in range(days):
        day = today - timedelta(days=days - 1 - place)
        count = counts.get(day, 0)
        height = max(6, round(100 * count / top)) if count else 0
        found.append((place, 100 - height, height, count))
    return found
