"""All scopes that an API key can be given, read from the views themselves."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver


@cache
def known() -> tuple[str, ...]:
    """`<app>.<noun>:read` and `:write` for each noun of the API, sorted."""
    nouns = {scope for view in _views(get_resolver()) if (scope := getattr(view, "scope", ""))}
    return tuple(f"{noun}:{verb}" for noun in sorted(nouns) for verb in ("read", "write"))


def _views(resolver: URLResolver) -> Iterator[Any]:
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            yield from _views(entry)
        elif isinstance(entry, URLPattern):
            view = getattr(entry.callback, "cls", None)
            if view is not None:
                yield view
