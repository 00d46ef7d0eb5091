"""Registries by which an upper app appears on a page of a lower one.

Home cards are the numbers on the staff home page; profile panels stand beside the timeline of a person. A
provider that fails is shown as a failed card, never as a failed page.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext_lazy as _

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Card:
    """One number on the home page. `tone` is `neutral | good | warn | bad`."""

    title: Any
    value: Any
    note: Any = ""
    url: str = ""
    tone: str = "neutral"


@dataclass(frozen=True, slots=True)
class Panel:
    """A block on the customer page: rows of (label, value, url or "")."""

    title: Any
    rows: list[tuple[Any, Any, str]] = field(default_factory=list)
    url: str = ""
    empty_text: Any = ""


# What the sidebar calls the page of a model: `app.model` -> (group, title).
_page_names: dict[str, tuple[Any, Any]] = {}


def name_page(model: str, *, group: Any, title: Any) -> None:
    """Tell what the sidebar calls the list of `app.model` and the group it stands in."""
    _page_names[model] = (group, title)


def page_name(model: str) -> tuple[Any, Any] | None:
    """(group, title) of the list of `app.model`; None for a page that the sidebar does not name."""
    return _page_names.get(model)


_home_cards: dict[str, tuple[int, Callable[..., Any]]] = {}
_profile_panels: dict[str, tuple[int, Callable[..., Any]]] = {}
_person_panels: dict[str, tuple[int, Callable[..., Any]]] = {}


def home_card(key: str, *, order: int) -> Callable[..., Any]:
    """Register `fn(*, now, user) -> Card | list[Card] | None` for the staff home page."""
    return _registrar(_home_cards, key, order)


def profile_panel(key: str, *, order: int) -> Callable[..., Any]:
    """Register `fn(*, profile_ids, now, user) -> Panel | None` for the customer page of staff."""
    return _registrar(_profile_panels, key, order)


def person_panel(key: str, *, order: int) -> Callable[..., Any]:
    """Register `fn(*, profile_ids, now) -> Panel | None` for the person's own page in the portal."""
    return _registrar(_person_panels, key, order)


def home_cards(**context: Any) -> list[Card]:
    """The cards of all apps, in their order."""
    cards: list[Card] = []
    for card in _collect(_home_cards, lambda: Card(_("Not available"), "–", tone="warn"), context):
        cards.extend(card if isinstance(card, list) else [card])
    return cards


def profile_panels(**context: Any) -> list[Panel]:
    """The panels of all apps about one person, for staff."""
    return _collect(_profile_panels, lambda: Panel(_("Not available")), context)


def person_panels(**context: Any) -> list[Panel]:
    """The panels of all apps about one person, for that person."""
    return _collect(_person_panels, lambda: Panel(_("Not available")), context)


def _registrar(
    registry: dict[str, tuple[int, Callable[..., Any]]], key: str, order: int
) -> Callable[..., Any]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        if key in registry and registry[key][1].__qualname__ != function.__qualname__:
            raise ValueError(f"{key!r} is registered twice")
        registry[key] = (order, function)
        return function

    return register


def _collect(
    registry: dict[str, tuple[int, Callable[..., Any]]], failed: Callable[[], Any], context: dict[str, Any]
) -> list[Any]:
    shown = []
    for key, (_order, provider) in sorted(registry.items(), key=lambda entry: (entry[1][0], entry[0])):
        try:
            part = provider(**context)
        except Exception:
            logger.exception("surface %s failed", key)
            part = failed()
        if part is not None:
            shown.append(part)
    return shown
