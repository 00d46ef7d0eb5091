"""The log of actions for staff, in words."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from crm.kernel import action_words, actors
from crm.kernel.models import ActionLog
from crm.kernel.pages import Fact, RecordAdmin, link
from crm.kernel.templatetags.actors import actor_words


class ThingFilter(admin.SimpleListFilter):
    """By what it was done to. The choices are all things there are: the log is far too long to be asked."""

    title = _("what it was done to")
    parameter_name = "object_kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Everything that has a page."""
        return list(action_words.kinds())

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """The actions on the chosen kind of row."""
        return queryset.filter(object_kind=self.value()) if self.value() else queryset


@admin.register(ActionLog)
class ActionLogAdmin(RecordAdmin):
    """Who did what."""

    empty_hint = _("Whatever staff, programs and the product itself change is written here.")
    list_display = ("at", "who", "what", "done_to", "changed")
    search_fields = ("=object_id", "=actor")
    search_help_text = _("Exact object id, or actor such as staff:1")
    list_filter = (ThingFilter,)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The names of everybody on the page at once."""
        changelist = super().get_changelist_instance(request)
        named = actors.names({row.actor for row in changelist.result_list})
        for row in changelist.result_list:
            row.actor_name = named.get(row.actor)
        return changelist

    def page_title(self, row: ActionLog) -> str:
        """What was done to what."""
        return f"{action_words.thing(row.object_kind)} {row.object_id}: {action_words.verb(row.action)}"

    def facts(self, request: HttpRequest, row: ActionLog) -> list[Fact]:
        """Everything the log holds; the seal proves that nobody altered it."""
        return [
            (_("at"), row.at),
            (_("actor"), actors.names([row.actor]).get(row.actor) or actor_words(row.actor)),
            (_("action"), self.what(row)),
            (_("done to"), self.done_to(row)),
            (_("changed fields"), self.changed(row)),
            (_("code"), format_html("<code>{}</code> <code>{}</code>", row.action, row.actor)),
            (_("position"), row.position),
            (_("seal"), format_html("<code>{}</code>", row.seal) if row.seal else _("sealed within seconds")),
        ]

    @admin.display(description=_("actor"))
    def who(self, row: ActionLog) -> str:
        """By name."""
        return getattr(row, "actor_name", None) or actor_words(row.actor)

    @admin.display(description=_("action"), ordering="action")
    def what(self, row: ActionLog) -> str:
        """In a word."""
        return action_words.verb(row.action)

    @admin.display(description=_("done to"))
    def done_to(self, row: ActionLog) -> Any:
        """What it was done to, with the way to it."""
        words = f"{action_words.thing(row.object_kind)} {row.object_id}"
        return link(words, action_words.address(row.object_kind, row.object_id))

    @admin.display(description=_("changed fields"))
    def changed(self, row: ActionLog) -> str:
        """By the names that forms give them."""
        return action_words.fields(row.object_kind, row.fields)
