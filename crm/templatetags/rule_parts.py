"""What the templates of the rule form need: one text of a part, and the input of a value."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.safestring import mark_safe

from crm.conditions.builder import Part

register = template.Library()
_WRONG = mark_safe(' aria-invalid="true"')


@register.filter
def one(part: Part, name: str) -> str:
    """The text of a field of a part."""
    return part.value(name)


@register.inclusion_tag("crm/admin/rule/_control.html")
def control(shown: Any, ident: str, first: str, second: str, part: Part, place: str) -> dict[str, Any]:
    """The input of a value; marked when the part's error is about it."""
    return {
        "control": shown,
        "ident": f"{ident}-{first}",
        "name": f"{ident}-{first}",
        "name2": f"{ident}-{second}",
        "many_name": f"{ident}-many",
        "value": part.value(first),
        "value2": part.value(second),
        "many": part.view.get("many", ()),
        "wrong": _WRONG if part.error_field.startswith(place) else "",
    }


@register.inclusion_tag("crm/admin/rule/_filter_value.html")
def filter_control(shown: dict[str, Any], ident: str, place: int) -> dict[str, Any]:
    """The input of a filter's value. Every row posts both values, so that rows stay aligned."""
    return {"ident": f"{ident}-where", "place": place, **shown}
