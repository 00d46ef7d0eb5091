"""Accounts for staff: a list with their roll-up, and a page with people, figures and one bounded timeline."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.kernel import clock
from crm.kernel.admin import ServiceAdmin, call_service
from crm.models import Account
from crm.readable import text as readable
from crm.selectors import accounts as account_reads
from crm.selectors import names_of_actors
from crm.selectors import search as people_search
from crm.services import accounts


@admin.register(Account)
class AccountAdmin(ServiceAdmin):
    """Companies and teams."""

    list_display = (
        "shown_name",
        "group_id",
        "domain",
        "people",
        "touchpoints_lately",
        "order_words",
        "last_seen_at",
    )
    list_display_links = ("shown_name",)
    search_fields = ("name",)
    search_help_text = gettext_lazy("Name, pinyin, domain or group ID")
    ordering = ("-id",)
    sortable_by = ()

    @admin.display(description=gettext_lazy("name"))
    def shown_name(self, row: Account) -> str:
        """The name, or its key."""
        return str(row)

    @admin.display(description=gettext_lazy("orders"))
    def order_words(self, row: Account) -> str:
        """Sums by currency."""
        return "; ".join(account_reads.orders(row)) or "–"

    def get_queryset(self, request: HttpRequest) -> Any:
        """Those this user may see."""
        return Account.objects.all().visible_to(request.user)

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """By words of the index."""
        return account_reads.search(search_term, within=queryset), False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who may make accounts."""
        return request.user.has_perm("crm.add_account")

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """A new account by hand."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            row = self._save(request, request.POST.get("group_id", ""))
            if row is not None:
                return HttpResponseRedirect(reverse("admin:crm_account_change", args=[row.pk]))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("A new account"),
            "typed": request.POST,
        }
        return TemplateResponse(request, "crm/admin/account_add.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The page of an account, and what its buttons do."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if not object_id.isdecimal() or len(object_id) > 18:
            raise Http404
        row = self.get_queryset(request).filter(pk=int(object_id)).first()
        if row is None:
            raise Http404
        if request.method == "POST":
            return self._act(request, row)
        now = clock.now()
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": str(row),
            "account": row,
            "orders": account_reads.orders(row),
            "figures": account_reads.figures(row),
            "members": account_reads.members(row.pk),
            "traits": [
                (name, readable(value, name=name), row.value_sources.get(name, {}))
                for name, value in sorted(row.traits.items())
            ],
            "actors": names_of_actors.names(
                held["by"] for held in row.value_sources.values() if isinstance(held, dict) and "by" in held
            ),
            "items": account_reads.timeline_of(row.pk, now=now),
            "days": account_reads.TIMELINE_DAYS,
            "may_change": request.user.has_perm("crm.change_account"),
        }
        return TemplateResponse(request, "crm/admin/account.html", context)

    def _act(self, request: HttpRequest, row: Account) -> HttpResponse:
        if not request.user.has_perm("crm.change_account"):
            raise PermissionDenied
        action = request.POST.get("action", "")
        if action == "save":
            self._save(request, row.group_id)
        elif action == "add_person":
            hits = people_search.people(request.POST.get("person", ""), limit=2)
            if len(hits) == 1:
                call_service(
                    request, _("They belong to this account now."), accounts.add_person, row.pk,
                    profile_id=hits[0].profile_id, role=request.POST.get("role", "").strip(),
                )  # fmt: skip
            else:
                text = _("More than one person fits; give an e-mail, a phone number or #number.")
                messages.error(request, text if hits else _("Nobody found. Try an e-mail address or an ID."))
        elif action == "remove_person":
            text = request.POST.get("profile", "")
            if not text.isdecimal() or len(text) > 18:
                raise Http404
            call_service(
                request, _("They do not belong to this account any more."), accounts.remove_person, row.pk,
                profile_id=int(text),
            )  # fmt: skip
        elif action == "roll_up":
            accounts.roll_up([row.pk], now=clock.now())
        else:
            raise Http404
        return HttpResponseRedirect(reverse("admin:crm_account_change", args=[row.pk]))

    def _save(self, request: HttpRequest, group_id: str) -> Account | None:
        values = {name: request.POST.get(name, "").strip() for name in ("name", "domain")}
        given = {name: value for name, value in values.items() if value}
        return call_service(request, _("Saved."), accounts.save, group_id, values=given)
