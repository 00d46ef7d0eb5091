"""Sources for staff: what each one sends right now, its keys and limits, and what was wrong with it lately."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from crm.ingest import shares
from crm.kernel import clock
from crm.kernel.admin import call_service, request_actor
from crm.kernel.errors import Invalid
from crm.kernel.pages import PageAdmin
from crm.models import Source
from crm.selectors import profiles
from crm.selectors import sources as source_reads
from crm.selectors import warnings as warning_reads
from crm.services import sources
from crm.services.sources import MOST_EVENTS
from crm.states import Trust

WARNING_DAYS = 7


class SourceForm(forms.ModelForm):
    """Name and trust; the key is made by the service."""

    name = forms.CharField(label=gettext_lazy("name"), max_length=120, widget=UnfoldAdminTextInputWidget)
    trust = forms.ChoiceField(
        label=gettext_lazy("trust"), choices=Trust.choices, widget=UnfoldAdminSelectWidget,
        help_text=gettext_lazy(
            "A server key is secret and believed. A browser key may stand in a page; it never joins two known people."
        ),
    )  # fmt: skip

    class Meta:
        model = Source
        fields = ("name", "trust")


class RotateForm(forms.Form):
    """How long the old key goes on working."""

    overlap = forms.ChoiceField(
        label=gettext_lazy("The old key works"),
        choices=(
            ("7", gettext_lazy("for 7 more days")),
            ("1", gettext_lazy("for 1 more day")),
            ("30", gettext_lazy("for 30 more days")),
            ("until", gettext_lazy("until the time below")),
            ("0", gettext_lazy("not any more")),
        ),
    )
    until = forms.DateTimeField(
        label=gettext_lazy("Until"), required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )  # fmt: skip


class LimitsForm(forms.Form):
    """Limits of this source alone."""

    rate_limit = forms.IntegerField(
        label=gettext_lazy("Events per second"), min_value=1, max_value=MOST_EVENTS, required=False
    )
    burst_limit = forms.IntegerField(
        label=gettext_lazy("Burst, events"), min_value=1, max_value=MOST_EVENTS, required=False
    )


@admin.register(Source)
class SourceAdmin(PageAdmin):
    """Systems that send events."""

    list_display = ("name", "trust", "condition", "last_heard", "shown_key", "created_at")
    list_filter = ("trust", "is_active")
    ordering = ("name",)
    actions = ("switch_off_chosen", "switch_on_chosen")
    form = SourceForm
    fields = ("name", "trust")
    page_template = "crm/admin/source.html"
    page_actions = {
        "rotate": ("crm.change_source", "rotate"),
        "revoke_key": ("crm.change_source", "revoke_key"),
        "limits": ("crm.change_source", "limits"),
        "switch_off": ("crm.change_source", "switch_off"),
        "switch_on": ("crm.change_source", "switch_on"),
    }

    @display(
        description=gettext_lazy("state"),
        label={"off": "danger", "limited": "warning", "busy": "success", "quiet": "info"},
    )
    def condition(self, source: Source) -> tuple[str, Any]:
        """How it is, as a badge."""
        return condition_of(source, source.health)  # type: ignore[attr-defined]

    @admin.display(description=gettext_lazy("last event"))
    def last_heard(self, source: Source) -> Any:
        """When it was last heard."""
        return source.health.last_minute  # type: ignore[attr-defined]

    @admin.display(description=gettext_lazy("write key"))
    def shown_key(self, source: Source) -> str:
        """The key for those who may read it, its ends for the others."""
        if getattr(source, "shows_key", False):
            return format_html("<code>{}</code>", source.write_key)
        return ends(source.write_key)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """How all rows of the page are, in two reads, and whether this user may read their keys."""
        changelist = super().get_changelist_instance(request)
        rows = list(changelist.result_list)
        health = source_reads.health(rows, now=clock.now())
        for row in changelist.result_list:
            row.health = health[row.pk]
            row.shows_key = request.user.has_perm("crm.view_write_key")
        return changelist

    def get_urls(self) -> list[URLPattern]:
        """The live part of the page, fetched again and again."""
        view = self.admin_site.admin_view(self.live_view)
        return [path("<int:pk>/live/", view, name="crm_source_live"), *super().get_urls()]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who may connect a source."""
        return request.user.has_perm("crm.add_source")

    def save_model(self, request: HttpRequest, obj: Source, form: Any, change: bool) -> None:
        """Made by the service; its page then shows the key and how to use it."""
        made = sources.create(obj.name, trust=obj.trust, actor=request_actor(request), now=clock.now())
        obj.pk, obj.write_key, obj.created_at = made.pk, made.write_key, made.created_at

    def response_add(self, request: HttpRequest, obj: Source, post_url_continue: Any = None) -> HttpResponse:
        """On to the page of the new source."""
        from django.http import HttpResponseRedirect

        return HttpResponseRedirect(self.page_url(obj.pk))

    def page_context(self, request: HttpRequest, row: Source) -> dict[str, Any]:
        """Numbers, keys, limits, warnings, and how to send the first event."""
        now = clock.now()
        shows_key = request.user.has_perm("crm.view_write_key")
        today = now.date()
        rate, burst = shares.limits_of(row.pk)
        topics = warning_reads.topics(
            since=today - timedelta(days=WARNING_DAYS - 1), until=today, source_id=row.pk
        )
        return {
            "source": row,
            "shows_key": shows_key,
            "shown_key": row.write_key if shows_key else ends(row.write_key),
            "days": source_reads.per_day(row.pk, today=today),
            "retired_keys": source_reads.retired_keys(row.pk, now=now),
            "rotate_form": RotateForm(),
            "limits_form": LimitsForm(initial={"rate_limit": row.rate_limit, "burst_limit": row.burst_limit}),
            "rate": rate,
            "burst": burst,
            "topics": [topic for topic in topics if topic.state == warning_reads.OPEN][:5],
            "warnings_url": f"{reverse('admin:crm_ingestionwarning_changelist')}?source={row.pk}",
            "snippet_key": row.write_key if shows_key else _("YOUR_WRITE_KEY"),
            "base_url": settings.BASE_URL,
            **self._live_context(request, row),
        }

    def _live_context(self, request: HttpRequest, row: Source) -> dict[str, Any]:
        now = clock.now()
        may_see = request.user.has_perm("crm.view_touchpoint")
        events = source_reads.live(row.pk, now=now) if may_see else []
        cards = profiles.cards({event.profile_id for event in events})
        health = source_reads.health([row], now=now)[row.pk]
        return {
            "source": row,
            "events": [(event, cards.get(event.profile_id)) for event in events],
            "may_see_events": may_see,
            "minutes": source_reads.per_minute(row.pk, now=now),
            "health": health,
            "condition": condition_of(row, health),
            "asked_at": timezone.localtime(now),
            "live_url": reverse("admin:crm_source_live", args=[row.pk]),
        }

    def live_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The rate and the last events, for the page to put in place."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = Source.objects.filter(pk=pk).first()
        if row is None:
            raise Http404
        return TemplateResponse(request, "crm/admin/_live.html", self._live_context(request, row))

    def rotate(self, request: HttpRequest, row: Source) -> str:
        """A new key."""
        form = RotateForm(request.POST)
        if not form.is_valid():
            raise Invalid(_("Choose how long the old key goes on working."), field="overlap")
        overlap, now = form.cleaned_data["overlap"], clock.now()
        until = None
        if overlap == "until":
            until = form.cleaned_data["until"]
            if until is None:
                raise Invalid(_("Say until when the old key works."), field="until")
        elif overlap != "0":
            until = now + timedelta(days=int(overlap))
        sources.rotate(row.pk, works_until=until, actor=request_actor(request), now=now)
        return _("There is a new write key. Put it into the sender before the old one stops.")

    def revoke_key(self, request: HttpRequest, row: Source) -> str:
        """Close the door to a replaced key."""
        text = request.POST.get("key", "")
        keys = {key.id for key in source_reads.retired_keys(row.pk, now=clock.now())}
        if not text.isdecimal() or int(text) not in keys:
            raise Invalid(_("There is no such key."), field="key")
        self.call(request, sources.revoke_retired_key, int(text))
        return _("That key opens nothing any more.")

    def limits(self, request: HttpRequest, row: Source) -> str:
        """New limits."""
        form = LimitsForm(request.POST)
        if not form.is_valid():
            field, errors = next(iter(form.errors.items()))
            raise Invalid(f"{form.fields[field].label}: {errors[0]}", field=field)
        self.call(request, sources.set_limits, row.pk, **form.cleaned_data)
        return _("Saved. The door follows within seconds.")

    def switch_off(self, request: HttpRequest, row: Source) -> str:
        """Refuse its events."""
        self.call(request, sources.set_active, row.pk, active=False)
        return _("%(name)s is off.") % {"name": row}

    def switch_on(self, request: HttpRequest, row: Source) -> str:
        """Take its events again."""
        self.call(request, sources.set_active, row.pk, active=True)
        return _("%(name)s is on.") % {"name": row}

    @admin.action(description=gettext_lazy("Switch off"), permissions=["switch"])
    def switch_off_chosen(self, request: HttpRequest, queryset: Any) -> None:
        """Events of the chosen sources are refused."""
        for row in queryset:
            done = _("%(name)s is off.") % {"name": row}
            call_service(request, done, sources.set_active, row.pk, active=False)

    @admin.action(description=gettext_lazy("Switch on"), permissions=["switch"])
    def switch_on_chosen(self, request: HttpRequest, queryset: Any) -> None:
        """Events of the chosen sources are taken again."""
        for row in queryset:
            done = _("%(name)s is on.") % {"name": row}
            call_service(request, done, sources.set_active, row.pk, active=True)

    def has_switch_permission(self, request: HttpRequest) -> bool:
        """Who may switch sources."""
        return request.user.has_perm("crm.change_source")


def condition_of(source: Source, health: source_reads.Health) -> tuple[str, Any]:
    """How a source is: a word for the colour, and the words."""
    if not source.is_active:
        return "off", pgettext("source", "off")
    if health.limited_at is not None:
        return "limited", _("held back")
    return ("busy", _("receiving")) if health.is_busy else ("quiet", pgettext("source", "quiet"))


def ends(key: str) -> str:
    """Enough of a key to tell it from others."""
    return f"{key[:6]}…{key[-2:]}"
