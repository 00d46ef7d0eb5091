"""Points accounts and the ledger; booking by hand goes through the service and needs its own permission."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from crm.kernel import actors, clock
from crm.kernel.admin import ServiceAdmin, request_actor
from crm.kernel.errors import DomainError
from crm.kernel.pages import Fact, RecordAdmin, link
from crm.kernel.templatetags.actors import actor_words
from crm.selectors import profiles as profile_reads
from crm.selectors import staff_links
from members.models import PointsAccount, PointsEntry
from members.services import points
from members.states import EntryKind

SHOWN = 100


class BookingForm(forms.Form):
    """A movement by hand. The key makes a double click one movement."""

    direction = forms.ChoiceField(
        label=gettext_lazy("What"),
        choices=[("credit", gettext_lazy("Give points")), ("debit", gettext_lazy("Take points back"))],
        widget=UnfoldAdminSelectWidget,
    )
    amount = forms.IntegerField(
        label=gettext_lazy("Points"), min_value=1, max_value=points.MOST, widget=UnfoldAdminIntegerFieldWidget
    )
    note = forms.CharField(label=gettext_lazy("Why"), max_length=200, widget=UnfoldAdminTextInputWidget)
    key = forms.UUIDField(widget=forms.HiddenInput)


@admin.register(PointsAccount)
class PointsAccountAdmin(ServiceAdmin):
    """What each person holds."""

    list_display = ["person", "balance", "created_at"]
    search_fields = ["=profile__id"]
    search_help_text = gettext_lazy("Internal number of the person")
    ordering = ["-id"]

    _people: dict[int, Any] = {}

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Read the names of one page at once."""
        changelist = super().get_changelist_instance(request)
        self._people = profile_reads.cards([row.profile_id for row in changelist.result_list])
        return changelist

    @display(description=gettext_lazy("Person"))
    def person(self, row: PointsAccount) -> str:
        """The name."""
        card = self._people.get(row.profile_id) or profile_reads.cards([row.profile_id]).get(row.profile_id)
        return card.name if card else f"#{row.profile_id}"

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The ledger of one account, and booking for those who may."""
        if object_id is None or not self.has_view_permission(request):
            raise PermissionDenied
        row = self.get_object(request, object_id)
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        may_book = request.user.has_perm("members.add_pointsentry")
        form = BookingForm(initial={"key": uuid.uuid4()})
        if request.method == "POST":
            if not may_book:
                raise PermissionDenied
            form = BookingForm(request.POST)
            if form.is_valid() and self._book(request, row, form):
                return HttpResponseRedirect(request.path)
        card = profile_reads.cards([row.profile_id]).get(row.profile_id)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": card.name if card else str(row),
            "account": row,
            "entries": list(row.entries.order_by("-pk")[:SHOWN]),
            "form": form,
            "may_book": may_book,
            "person_url": staff_links.profile_url(row.profile_id),
            "list_url": reverse("admin:members_pointsaccount_changelist"),
        }
        return TemplateResponse(
            request, "members/admin/account.html", context, status=400 if form.errors else 200
        )

    def _book(self, request: HttpRequest, row: PointsAccount, form: BookingForm) -> bool:
        data = form.cleaned_data
        service, kind = (
            (points.credit, EntryKind.GRANTED)
            if data["direction"] == "credit"
            else (points.debit, EntryKind.TAKEN)
        )
        try:
            service(
                row.profile_id,
                amount=data["amount"],
                key=f"staff:{data['key']}",
                kind=kind,
                note=data["note"],
                actor=request_actor(request),
                now=clock.now(),
            )
        except DomainError as error:
            form.add_error(error.field if error.field in form.fields else None, str(error.message))
            return False
        messages.success(request, _("Booked."))
        return True


@admin.register(PointsEntry)
class PointsEntryAdmin(RecordAdmin):
    """The ledger; nothing here can be changed."""

    empty_hint = gettext_lazy("Points are booked as thanks for what people helped to mend, and by staff.")
    list_display = ["created_at", "person", "kind", "signed", "balance_after", "note", "who"]
    list_filter = ["kind"]
    list_select_related = ["account"]
    search_fields = ["=idempotency_key", "=account__id"]
    search_help_text = gettext_lazy("Exact key, or number of the account")
    ordering = ["-id"]

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The people and the names of one page, read at once."""
        changelist = super().get_changelist_instance(request)
        people = staff_links.person_links([row.account.profile_id for row in changelist.result_list])
        named = actors.names({row.actor for row in changelist.result_list})
        for row in changelist.result_list:
            row.owner = people.get(row.account.profile_id)
            row.actor_name = named.get(row.actor)
        return changelist

    def page_title(self, row: PointsEntry) -> str:
        """What was booked for whom."""
        name, _url = staff_links.person_link(row.account.profile_id)
        return _("%(points)s points, %(name)s") % {"points": self.signed(row), "name": name}

    def facts(self, request: HttpRequest, row: PointsEntry) -> list[Fact]:
        """The whole entry."""
        name, _url = staff_links.person_link(row.account.profile_id)
        account = reverse("admin:members_pointsaccount_change", args=[row.account_id])
        return [
            (_("Account"), link(name, account)),
            (_("Kind"), row.get_kind_display()),
            (_("Points"), self.signed(row)),
            (_("Balance after"), row.balance_after),
            (_("Points missing after a merge was undone"), row.missing or ""),
            (_("Note"), row.note),
            (_("Expires"), row.expires_at),
            (_("By"), actors.names([row.actor]).get(row.actor) or actor_words(row.actor)),
            (_("Booked"), row.created_at),
            (_("Key"), row.idempotency_key),
        ]

    @display(description=gettext_lazy("Person"))
    def person(self, row: PointsEntry) -> Any:
        """Whose points."""
        return link(*(row.owner or (f"#{row.account.profile_id}", "")))

    @display(description=gettext_lazy("Points"), ordering="amount")
    def signed(self, row: PointsEntry) -> str:
        """With its sign."""
        return f"{row.amount:+d}"

    @display(description=gettext_lazy("By"))
    def who(self, row: PointsEntry) -> str:
        """By name."""
        return row.actor_name or actor_words(row.actor)
