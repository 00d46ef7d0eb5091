"""Repairs that make the theme's pages usable with a screen reader and a keyboard, and speak with one voice."""

from __future__ import annotations

import re
from typing import Any

from django import template
from django.utils.safestring import SafeString, mark_safe

from crm.kernel import surfaces

register = template.Library()
# The theme draws its page from plain boxes; these are the ones that have a meaning.
LANDMARKS = (('<div id="content"', '<div id="content" role="main" tabindex="-1"'),)
LIST = re.compile(r".*/(?P<app>[a-z_]+)/(?P<model>[a-z_]+)/")


@register.filter
def as_in_sidebar(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The way to a page in the words of the sidebar: the group, the list, the row.

    The theme names the app and the model instead, which staff have never heard of.
    """
    if len(parts) < 2:
        return parts
    found = LIST.fullmatch(str(parts[1]["link"]))
    named = surfaces.page_name(f"{found['app']}.{found['model']}") if found else None
    if named is None:
        return parts
    group, title = named
    return [{"title": group, "link": ""}, {**parts[1], "title": title}, *parts[2:]]


@register.filter(is_safe=True)
def landmarks(html: SafeString) -> SafeString:
    """The rendered page with its main part marked as such."""
    text = str(html)
    for plain, marked in LANDMARKS:
        text = text.replace(plain, marked, 1)
    return mark_safe(text)  # noqa: S308 - a rendered template, only attributes are added
