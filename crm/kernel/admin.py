"""Base classes of the staff tool: read-only but for services, and cheap however long the table."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db import connection
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from crm.kernel import actors, clock, reactions, surfaces
from crm.kernel.actors import Actor
from crm.kernel.errors import DomainError
from crm.kernel.models import PendingReaction


def request_actor(request: HttpRequest) -> Actor:
    """The signed-in member of staff as an actor."""
    return actors.staff(request.user)


class LargeTablePaginator(Paginator):
    """Counts exactly up to a bound, and beyond it takes the planner's estimate."""

    EXACT_UP_TO = 10_000

    @cached_property
    def count(self) -> int:
        """The number of rows; exact when small."""
        queryset: Any = self.object_list
        if not hasattr(queryset, "query"):
            return len(queryset)
        bounded = queryset.order_by()[: self.EXACT_UP_TO].count()
        if bounded < self.EXACT_UP_TO or queryset.query.where:
            return bounded
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass",
                [queryset.model._meta.db_table],
            )
            return max(bounded, cursor.fetchone()[0])


class ServiceAdmin(ModelAdmin):
    """A staff page over rows that services write: nothing is added, changed or deleted behind their back."""

    paginator = LargeTablePaginator
    show_full_result_count = False
    list_per_page = 50
    compressed_fields = True
    list_filter_submit = True
    warn_unsaved_form = True
    empty_hint: Any = ""  # how the first row comes to be, for an empty list

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """The list, titled by what it holds instead of by an order to choose."""
        return super().changelist_view(request, {"title": self.list_title(), **(extra_context or {})})

    def list_title(self) -> str:
        """What the sidebar calls the list."""
        named = surfaces.page_name(self.opts.label_lower)
        return str(named[1]) if named else capfirst(self.opts.verbose_name_plural)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows are made by services."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows are changed by services; pages offer them as actions."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is deleted by hand."""
        return False


def call_service(request: HttpRequest, done: Any, service: Any, *args: Any, **kwargs: Any) -> Any:
    """Call a service from an admin action and tell the user how it went. Returns its result or None."""
    try:
        result = service(*args, actor=request_actor(request), now=clock.now(), **kwargs)
    except DomainError as error:
        messages.error(request, str(error.message))
        return None
    messages.success(request, done)
    return result


class StateFilter(admin.SimpleListFilter):
    """Waiting or parked."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """The two choices."""
        return [("parked", _("parked")), ("waiting", _("waiting"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """The rows in the chosen state."""
        if self.value() == "parked":
            return queryset.exclude(parked_at=None)
        return queryset.filter(parked_at=None) if self.value() == "waiting" else queryset


@admin.register(PendingReaction)
class PendingReactionAdmin(ServiceAdmin):
    """What receivers have still to do, and what they gave up on."""

    list_display = ["receiver", "subject", "claims", "run_at", "parked_at", "last_error"]
    list_filter = [StateFilter]
    ordering = ["-parked_at", "run_at"]
    actions = ["replay", "discard"]

    @admin.display(description=_("subject"))
    def subject(self, row: PendingReaction) -> str:
        """What kind of thing waits, and how many of them."""
        return f"{row.kind or _('touchpoints')} × {len(row.items)}"

    @admin.action(description=_("Try again"), permissions=["replay"])
    def replay(self, request: HttpRequest, queryset: Any) -> None:
        """Give the chosen parked rows another five claims."""
        for row in queryset:
            call_service(request, _("Will be tried again."), reactions.replay, row.pk)

    @admin.action(description=_("Discard for good"), permissions=["replay"])
    def discard(self, request: HttpRequest, queryset: Any) -> None:
        """Throw the chosen parked rows away."""
        for row in queryset:
            call_service(request, _("Discarded."), reactions.discard, row.pk)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """Who may replay and discard."""
        return request.user.has_perm("kernel.change_pendingreaction")
