"""Accounts for staff: a list with their roll-up, and a page with people, figures and one bounded timeline."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.kernel import clock
from crm.kernel.admin import call_service
from crm.kernel.errors import Invalid
from crm.kernel.pages import PageAdmin
from crm.models import Account
from crm.readable import text as readable
from crm.selectors import accounts as account_reads
from crm.selectors import names_of_actors
from crm.selectors import search as people_search
from crm.services import accounts


@admin.register(Account)
class AccountAdmin(PageAdmin):
    """Companies and teams."""

    page_template = "crm/admin/account.html"
    add_permission = "crm.add_account"
    page_actions = {
        name: ("crm.change_account", name) for name in ("save", "add_person", "remove_person", "roll_up")
    }

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

    # -- pages

    def add_page(self, request: HttpRequest) -> HttpResponse:
        """A new account by hand."""
        if request.method == "POST":
            row = self._save(request, request.POST.get("group_id", ""))
            if row is not None:
                return HttpResponseRedirect(self.page_url(row.pk))
        context = {"title": _("A new account"), "typed": request.POST}
        return self.render(request, "crm/admin/account_add.html", context)

    def page_context(self, request: HttpRequest, row: Account) -> dict[str, Any]:
        """Figures, people, what is known, and the newest of their touchpoints."""
        return {
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
            "items": account_reads.timeline_of(row.pk, now=clock.now()),
            "days": account_reads.TIMELINE_DAYS,
        }

    # -- buttons

    def save(self, request: HttpRequest, row: Account) -> None:
        """Another name or domain."""
        self._save(request, row.group_id)

    def add_person(self, request: HttpRequest, row: Account) -> str:
        """Somebody belongs to it. Raises Invalid when it is not clear who."""
        hits = people_search.people(request.POST.get("person", ""), limit=2)
        if len(hits) != 1:
            raise Invalid(
                _("More than one person fits; give an e-mail, a phone number or #number.")
                if hits
                else _("Nobody found. Try an e-mail address or an ID."),
                code="unclear_person",
                field="person",
            )
        self.call(
            request, accounts.add_person, row.pk, profile_id=hits[0].profile_id,
            role=request.POST.get("role", "").strip(),
        )  # fmt: skip
        return _("They belong to this account now.")

    def remove_person(self, request: HttpRequest, row: Account) -> str:
        """Somebody does not belong to it any more."""
        text = request.POST.get("profile", "")
        if not text.isdecimal() or len(text) > 18:
            raise Http404
        self.call(request, accounts.remove_person, row.pk, profile_id=int(text))
        return _("They do not belong to this account any more.")

    def roll_up(self, request: HttpRequest, row: Account) -> str:
        """Count its figures now."""
        accounts.roll_up([row.pk], now=clock.now())
        return _("Counted.")

    def _save(self, request: HttpRequest, group_id: str) -> Account | None:
        values = {name: request.POST.get(name, "").strip() for name in ("name", "domain")}
        given = {name: value for name, value in values.items() if value}
        return call_service(request, _("Saved."), accounts.save, group_id, values=given)
