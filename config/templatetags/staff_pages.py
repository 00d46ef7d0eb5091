"""Repairs that make the theme's pages usable with a screen reader and a keyboard."""

from django import template
from django.utils.safestring import SafeString, mark_safe

register = template.Library()
# The theme draws its page from plain boxes; these are the ones that have a meaning.
LANDMARKS = (('<div id="content"', '<div id="content" role="main" tabindex="-1"'),)


@register.filter(is_safe=True)
def landmarks(html: SafeString) -> SafeString:
    """The rendered page with its main part marked as such."""
    text = str(html)
    for plain, marked in LANDMARKS:
        text = text.replace(plain, marked, 1)
    return mark_safe(text)  # noqa: S308 - a rendered template, only attributes are added
