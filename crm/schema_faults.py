"""What can be wrong with the properties of an event: said in English to the sender, and in the reader's language to
staff. What is kept with a warning is the sentence that the sender got, so that one is read back here. Pure Python.
"""

from __future__ import annotations

import re
from typing import Final

from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _

from crm.states import PropertyType

MISSING: Final = gettext_noop("%(name)s is missing")
WRONG_TYPE: Final = gettext_noop("%(name)s is not of type %(type)s")
NOT_ALLOWED: Final = gettext_noop("%(name)s has a value that is not allowed")
# Sentences of the door about whole events that staff read as examples of a warning.
OTHERS: Final = {
    "this kind of event is blocked": _("this kind of event is blocked"),
    "this name belongs to the product and is not taken from outside": _(
        "this name belongs to the product and is not taken from outside"
    ),
    "answered 429 with Retry-After": _("answered 429 with Retry-After"),
}


def _pattern(sentence: str) -> re.Pattern[str]:
    parts = re.split(r"%\((\w+)\)s", sentence)
    said = [re.escape(part) if place % 2 == 0 else f"(?P<{part}>.+)" for place, part in enumerate(parts)]
    return re.compile("".join(said), re.DOTALL)


_PATTERNS: Final = tuple((sentence, _pattern(sentence)) for sentence in (WRONG_TYPE, NOT_ALLOWED, MISSING))


def in_words(detail: str) -> str:
    """The sentence in the reader's language; one that is not about a schema stays as it is."""
    for sentence, pattern in _PATTERNS:
        found = pattern.fullmatch(detail)
        if found:
            values = found.groupdict()
            if values.get("type") in PropertyType.values:
                values["type"] = str(PropertyType(values["type"]).label)
            return gettext(sentence) % values
    return str(OTHERS.get(detail, detail))
