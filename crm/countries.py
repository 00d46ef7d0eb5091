"""Countries by name in the reader's language: the facts of CLDR, as Babel carries them. Codes are what is stored."""

from __future__ import annotations

from functools import lru_cache

from babel import Locale, UnknownLocaleError
from django.utils.translation import get_language, to_locale

from crm.names import sort_key

# Codes of CLDR that name no country: groups, outlying parts, places to test with.
_NO_COUNTRY = frozenset(["AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ"])


def name(code: str) -> str:
    """The name of a country; a code that nobody knows is its own name."""
    return _names(get_language() or "en").get(code.upper(), code)


def choices() -> list[tuple[str, str]]:
    """Every country with its name, in the order of the reader's alphabet."""
    return _sorted(get_language() or "en")


@lru_cache(maxsize=8)
def _names(language: str) -> dict[str, str]:
    try:
        locale = Locale.parse(to_locale(language))
    except (UnknownLocaleError, ValueError):
        locale = Locale("en")
    return {
        code: str(text)
        for code, text in locale.territories.items()
        if len(code) == 2 and code.isalpha() and code not in _NO_COUNTRY
    }


@lru_cache(maxsize=8)
def _sorted(language: str) -> list[tuple[str, str]]:
    return sorted(_names(language).items(), key=lambda entry: sort_key(entry[1]))
