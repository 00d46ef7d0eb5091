"""Purchases for staff: buyers with their scores, and the report with the RFM grid and repurchase by cohort."""

from __future__ import annotations

from copy import copy
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.admin.identity import NamedPeople
from crm.kernel import clock
from crm.kernel.admin import ServiceAdmin, call_service
from crm.kernel.money import Money
from crm.models import PurchaseReport, PurchaseSummary
from crm.registry import kind_label
from crm.selectors import computed, purchases
from crm.services import passes


class Score(admin.ChoicesFieldListFilter):
    """One to five. Asking the table which scores there are would read everybody."""

    def __init__(self, field: Any, *rest: Any, **more: Any) -> None:
        scored = copy(field)
        scored.choices = [(score, str(score)) for score in range(1, 6)]
        super().__init__(scored, *rest, **more)


@admin.register(PurchaseSummary)
class PurchaseSummaryAdmin(NamedPeople):
    """Buyers, newest people first."""

    people_fields = ("profile",)
    list_display = (
        "name", "orders", "amount", "last_order_at", "gap", "recency", "frequency", "monetary", "segment",
    )  # fmt: skip
    list_filter = ("segment", ("recency", Score), ("frequency", Score), ("monetary", Score))
    ordering = ("-profile_id",)
    sortable_by = ()
    list_display_links = None

    @admin.display(description=gettext_lazy("name"))
    def name(self, row: PurchaseSummary) -> str:
        """The linked name."""
        return self.person(row, "profile")

    @admin.display(description=gettext_lazy("spent"))
    def amount(self, row: PurchaseSummary) -> str:
        """The amount with its currency."""
        return str(Money(row.spent, row.currency))

    @admin.display(description=gettext_lazy("days between orders"))
    def gap(self, row: PurchaseSummary) -> str:
        """The median, in days."""
        return "–" if row.median_gap_days is None else f"{row.median_gap_days:.0f}"


@admin.register(PurchaseReport)
class PurchaseReportAdmin(ServiceAdmin):
    """The report instead of a list: the newest one."""

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The grid, the groups, the cohorts; a button counts everything again."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        may_recompute = request.user.has_perm("crm.recompute_purchases")
        if request.method == "POST":
            if not may_recompute:
                raise PermissionDenied
            call_service(request, _("Every order is being counted again."), passes.recompute_purchases)
            return HttpResponseRedirect(request.path)
        report = purchases.newest()
        run = computed.latest_run(None)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": str(self.opts.verbose_name_plural),
            "report": report,
            "kind_words": kind_label(report.kind) if report else "",
            "grid": purchases.grid(report) if report else [],
            "groups": purchases.groups(report) if report else [],
            "cohorts": purchases.cohorts(report) if report else [],
            "run": run if run is not None and run.status in passes.OPEN else None,
            "buyers_url": reverse("admin:crm_purchasesummary_changelist"),
            "may_recompute": may_recompute,
            "now": clock.now(),
        }
        request.current_app = self.admin_site.name  # type: ignore[attr-defined]
        return TemplateResponse(request, "crm/admin/purchases/report.html", context)

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """Older reports have no page of their own."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return HttpResponseRedirect(reverse("admin:crm_purchasereport_changelist"))
