"""The evidence of a consent as staff read it: which list and row, who wrote what down, when it was confirmed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from crm import readable
from crm.kernel.templatetags.actors import actor_words
from crm.states import ConsentWay

LABELS: Final[dict[str, Any]] = {
    "note": _("How we know"),
    "evidence": _("How we know"),
    "source": pgettext_lazy("consent evidence", "List"),
    "import": _("Import"),
    "row": pgettext_lazy("consent evidence", "Row"),
    "page": pgettext_lazy("consent evidence", "Page"),
    "request": _("Number of the sign-up"),
    "asked_at": _("Asked"),
    "asked_by": pgettext_lazy("consent evidence", "Asked by way of"),
    "confirmed_at": _("Confirmed"),
    "confirmed_by": pgettext_lazy("consent evidence", "Confirmed by"),
    "link": pgettext_lazy("consent evidence", "Link"),
    "message_id": pgettext_lazy("consent evidence", "Link in message"),
    "undone_import": _("Import taken back"),
    "withdraws": _("Takes back record"),
    "ip": _("IP address"),
    "user_agent": _("Browser"),
    "url": pgettext_lazy("consent evidence", "Address of the page"),
}
_PAGES: Final[dict[str, Any]] = {"preferences": _("Own page: what we may send"), "sign-up": _("Sign-up")}


def lines(evidence: Mapping[str, Any]) -> list[tuple[Any, str]]:
    """Label and text of each part, in the order it was written; parts nobody named keep their own word."""
    return [
        (LABELS.get(name, name), _text(name, value))
        for name, value in evidence.items()
        if value not in ("", None)
    ]


def _text(name: str, value: Any) -> str:
    if name == "confirmed_by":
        return str(actor_words(str(value)))
    if name == "asked_by" and value in ConsentWay.values:
        return str(ConsentWay(value).label)
    if name == "page":
        return str(_PAGES.get(str(value), value))
    if name == "link":
        return str(_("in a message we sent"))
    if name in ("import", "request", "message_id", "undone_import", "withdraws"):
        return f"#{value}"
    return readable.text(value)
