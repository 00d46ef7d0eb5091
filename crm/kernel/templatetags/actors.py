"""Who did it, as staff read it."""

from django import template
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

register = template.Library()

WORDS = {
    "staff": pgettext_lazy("actor", "Staff"),
    "api_key": _("API key"),
    "person": pgettext_lazy("actor", "Person"),
    "source": pgettext_lazy("actor", "Source"),
    "system": pgettext_lazy("actor", "Automatic"),
    "reaction": pgettext_lazy("actor", "Automatic"),
}

# What came with the product was written by nobody of the house.
WHOLE = {"system:installation": pgettext_lazy("actor", "Shipped with Renxin")}


@register.filter
def actor_words(text: str) -> str:
    """`staff:12` as “Staff 12”; what is no actor stays as it is."""
    if text in WHOLE:
        return str(WHOLE[text])
    kind, _colon, ident = str(text).partition(":")
    words = WORDS.get(kind)
    return f"{words} {ident}" if words and ident else str(text)


@register.filter
def actor_name(text: str, names: dict[str, str] | None) -> str:
    """The name of an actor out of those that were looked up for the page, or the words for it."""
    return (names or {}).get(text) or actor_words(text)
