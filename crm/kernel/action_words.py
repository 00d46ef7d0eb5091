"""What staff read in the log of actions: `crm.erasure.requested` on `crm.erasure:2` as “Erasure 2 · requested”.

The last part of an action is its verb, and every verb that the product writes has a word here; the row it was done
to is called by its model and leads to its page, where it has one.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.urls import NoReverseMatch, reverse
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy, pgettext_lazy

VERBS: dict[str, Any] = {
    "activated": pgettext_lazy("logged action", "activated"),
    "active": pgettext_lazy("logged action", "activated"),
    "added": pgettext_lazy("logged action", "added"),
    "announced": pgettext_lazy("logged action", "announced"),
    "approved": pgettext_lazy("logged action", "approved"),
    "archived": pgettext_lazy("logged action", "archived"),
    "attached": pgettext_lazy("logged action", "attached to a ticket"),
    "bounced": pgettext_lazy("logged action", "could not be reached"),
    "cancelled": pgettext_lazy("logged action", "cancelled"),
    "changed": pgettext_lazy("logged action", "changed"),
    "checked": pgettext_lazy("logged action", "checked"),
    "checking": pgettext_lazy("logged action", "dry run started"),
    "corrected": pgettext_lazy("logged action", "corrected"),
    "created": pgettext_lazy("logged action", "created"),
    "credited": pgettext_lazy("logged action", "credited"),
    "debited": pgettext_lazy("logged action", "debited"),
    "deleted": pgettext_lazy("logged action", "deleted"),
    "discarded": pgettext_lazy("logged action", "discarded"),
    "dismissed": pgettext_lazy("logged action", "dismissed"),
    "done": pgettext_lazy("logged action", "done"),
    "downloaded": pgettext_lazy("logged action", "downloaded"),
    "draft": pgettext_lazy("logged action", "back to draft"),
    "edited": pgettext_lazy("logged action", "changed"),
    "erased": pgettext_lazy("logged action", "erased"),
    "failed": pgettext_lazy("logged action", "stopped by an error"),
    "file_removed": pgettext_lazy("logged action", "file removed"),
    "finished": pgettext_lazy("logged action", "finished"),
    "folded": pgettext_lazy("logged action", "balances joined"),
    "given": pgettext_lazy("logged action", "given"),
    "granted": pgettext_lazy("logged action", "granted"),
    "item_removed": pgettext_lazy("logged action", "ticket taken out"),
    "items_added": pgettext_lazy("logged action", "tickets added"),
    "key_revoked": pgettext_lazy("logged action", "old write key switched off"),
    "limited": pgettext_lazy("logged action", "limits changed"),
    "list_downloaded": pgettext_lazy("logged action", "list downloaded"),
    "list_requested": pgettext_lazy("logged action", "list requested"),
    "loaded": pgettext_lazy("logged action", "loaded"),
    "merged": pgettext_lazy("logged action", "merged"),
    "moved": pgettext_lazy("logged action", "status changed"),
    "muted": pgettext_lazy("logged action", "muted"),
    "opened": pgettext_lazy("logged action", "opened"),
    "pass_cancelled": pgettext_lazy("logged action", "pass cancelled"),
    "paused": pgettext_lazy("logged action", "paused"),
    "person_added": pgettext_lazy("logged action", "person added"),
    "person_removed": pgettext_lazy("logged action", "person removed"),
    "preferred": pgettext_lazy("logged action", "made the primary one"),
    "recomputed": pgettext_lazy("logged action", "computed again"),
    "reconsidered": pgettext_lazy("logged action", "put back among the undecided"),
    "removed": pgettext_lazy("logged action", "removed"),
    "reopened": pgettext_lazy("logged action", "reopened"),
    "replayed": pgettext_lazy("logged action", "tried again"),
    "requested": pgettext_lazy("logged action", "requested"),
    "reset": pgettext_lazy("logged action", "set back to the default"),
    "resolved": pgettext_lazy("logged action", "resolved"),
    "retried": pgettext_lazy("logged action", "tried again"),
    "revised": pgettext_lazy("logged action", "changed"),
    "revoked": pgettext_lazy("logged action", "revoked"),
    "rotated": pgettext_lazy("logged action", "new write key made"),
    "running": pgettext_lazy("logged action", "started"),
    "saved": pgettext_lazy("logged action", "saved"),
    "schema": pgettext_lazy("logged action", "schema changed"),
    "shipped": pgettext_lazy("logged action", "shipped"),
    "switched": pgettext_lazy("logged action", "switched on or off"),
    "taken_back": pgettext_lazy("logged action", "what an import gave taken back"),
    "undo_failed": pgettext_lazy("logged action", "taking back stopped by an error"),
    "undoing": pgettext_lazy("logged action", "taking back started"),
    "undone": pgettext_lazy("logged action", "taken back"),
    "unfolded": pgettext_lazy("logged action", "balances parted"),
    "unmerged": pgettext_lazy("logged action", "merge undone"),
    "uploaded": pgettext_lazy("logged action", "uploaded"),
    "verified": pgettext_lazy("logged action", "confirmed"),
    "withdrawn": pgettext_lazy("logged action", "withdrawn"),
    "written": pgettext_lazy("logged action", "written"),
}
# Things that are logged and are no rows.
THINGS: dict[str, Any] = {
    "config.demo": gettext_lazy("Demo company"),
    "kernel.knob": gettext_lazy("Knob"),
}


def verb(action: str) -> str:
    """The word for what was done; an action of some later version is shown as it is written."""
    last = action.rpartition(".")[2]
    return str(VERBS.get(last) or last.replace("_", " "))


def thing(object_kind: str) -> str:
    """What the row is called, such as “Erasure”."""
    if object_kind in THINGS:
        return str(THINGS[object_kind])
    try:
        return str(capfirst(apps.get_model(object_kind)._meta.verbose_name))
    except (LookupError, ValueError):
        return object_kind


def address(object_kind: str, object_id: str) -> str:
    """Where the row's page is, or nothing."""
    app, _dot, model = object_kind.partition(".")
    try:
        return reverse(f"admin:{app}_{model}_change", args=[object_id])
    except NoReverseMatch:
        return ""


def fields(object_kind: str, names: list[str]) -> str:
    """The changed fields by the names that forms give them."""
    try:
        options = apps.get_model(object_kind)._meta
    except (LookupError, ValueError):
        return ", ".join(names)
    words = []
    for name in names:
        try:
            words.append(str(getattr(options.get_field(name), "verbose_name", name)))
        except FieldDoesNotExist:
            words.append(str(name))
    return ", ".join(words)


def kinds() -> list[tuple[str, str]]:
    """(kind of row, what it is called) of all that may be in the log and has a page, by name."""
    known = [
        (model._meta.label_lower, thing(model._meta.label_lower))
        for model in apps.get_models()
        if address(model._meta.label_lower, "1")
    ]
    return sorted([*known, *((kind, str(word)) for kind, word in THINGS.items())], key=lambda pair: pair[1])
