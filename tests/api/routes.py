"""Every route of the URL table, as the matrix and the browser walk see them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
UNKNOWN_UUID = uuid.UUID("0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000")
UNKNOWN_NUMBER = 987_654_321
ARGUMENT = re.compile(r"<(?:(?P<converter>\w+):)?(?P<name>\w+)>")
GROUP = re.compile(r"\(\?P<(?P<name>\w+)>((?:[^()]|\([^()]*\))*)\)")


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the URL table. `methods` are those it answers; empty when only its view knows."""

    path: str
    name: str
    callback: Any
    methods: tuple[str, ...]

    @property
    def view(self) -> Any:
        """The class behind the callback, or the callback."""
        return getattr(self.callback, "cls", None) or getattr(self.callback, "view_class", self.callback)

    @property
    def scope(self) -> str:
        """The noun an API key needs a scope for."""
        return getattr(self.view, "scope", "")

    def address(self) -> str:
        """The path with ids and tokens that nobody has."""
        filled = GROUP.sub(lambda match: _matching(match["name"], match[2]), self.path)
        filled = ARGUMENT.sub(lambda match: _unknown(match["converter"] or "", match["name"]), filled)
        return "/" + filled.replace("/?", "/").replace("\\.", ".").rstrip("$").lstrip("^")


def _unknown(converter: str, name: str) -> str:
    if converter == "int":
        return str(UNKNOWN_NUMBER)
    if converter == "uuid" or name in ("public_id", "uuid"):
        return str(UNKNOWN_UUID)
    return "nobody-has-this"


def _matching(name: str, pattern: str) -> str:
    """A value for a named group of a regular expression."""
    if "|" in pattern:
        return pattern.split("|")[0]
    for candidate in (_unknown("", name), str(UNKNOWN_NUMBER), str(UNKNOWN_UUID), "nobody"):
        if re.fullmatch(pattern, candidate):
            return candidate
    raise AssertionError(f"no example for {name}: {pattern}")


def routes(under: str = "") -> list[Route]:
    """The routes below a prefix such as `api/v1/`; the admin's catch-all and format suffixes left out."""
    return [route for route in _walk(get_resolver().url_patterns, "", "") if route.path.startswith(under)]


def _walk(patterns: list[Any], before: str, namespace: str) -> Iterator[Route]:
    for entry in patterns:
        path = (before + str(entry.pattern).lstrip("^")).removesuffix("$").removesuffix("\\Z")
        if isinstance(entry, URLResolver):
            inner = f"{namespace}{entry.namespace}:" if entry.namespace else namespace
            yield from _walk(entry.url_patterns, path, inner)
        elif isinstance(entry, URLPattern):
            yield Route(path, f"{namespace}{entry.name or ''}", entry.callback, _methods(entry.callback))


def _methods(callback: Any) -> tuple[str, ...]:
    actions = getattr(callback, "actions", None)
    if actions:
        return tuple(method for method in METHODS if method.lower() in actions)
    view = getattr(callback, "view_class", None) or getattr(callback, "cls", None)
    if view:
        return tuple(method for method in METHODS if hasattr(view, method.lower()))
    return ()
