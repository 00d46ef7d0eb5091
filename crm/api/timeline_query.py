"""REST: what a caller asks of a timeline, strictly read, and the opaque place in it."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from crm.kernel.api.parsers import check_text
from crm.kernel.errors import Invalid
from crm.selectors import timeline

LONGEST_SEARCH = 100
PARAMETERS = [
    OpenApiParameter("before", OpenApiTypes.STR, description="The `next` of the page before."),
    OpenApiParameter("limit", OpenApiTypes.INT, description="1 to 200, 50 when left out."),
    OpenApiParameter("kind", OpenApiTypes.STR, many=True, description="Only this kind; may be repeated."),
    OpenApiParameter("group", OpenApiTypes.STR, enum=list(timeline.GROUPS), description="Kinds that belong together."),
    OpenApiParameter("channel", OpenApiTypes.STR, description="Only this channel."),
    OpenApiParameter("source", OpenApiTypes.INT, description="Only what this source sent: its number."),
    OpenApiParameter("since", OpenApiTypes.STR, description="A day (from its midnight) or a moment with its offset."),
    OpenApiParameter(
        "until", OpenApiTypes.STR,
        description="A day (to its end) or a moment with its offset, which is not included.",
    ),
    OpenApiParameter(
        "search", OpenApiTypes.STR,
        description="Text in the kind, in its label in the reader's language, or in the properties.",
    ),
]  # fmt: skip
ALLOWED = tuple(one.name for one in PARAMETERS)


def encode_cursor(occurred_at: datetime, ident: UUID) -> str:
    """An opaque place in a timeline."""
    return urlsafe_b64encode(f"{occurred_at.isoformat()}|{ident}".encode()).decode().rstrip("=")


def decode_cursor(text: str) -> tuple[datetime, UUID]:
    """The place an opaque cursor names. Raises Invalid `invalid_cursor`."""
    try:
        moment, _bar, ident = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().partition("|")
        occurred_at = datetime.fromisoformat(moment)
        if occurred_at.tzinfo is None:
            raise ValueError(moment)
        return occurred_at, UUID(ident)
    except (binascii.Error, ValueError, UnicodeError):
        raise Invalid(_("This cursor is not valid."), code="invalid_cursor", field="before") from None


def read(request: Request) -> dict[str, Any]:
    """The arguments of `timeline.page`. Raises Invalid with the parameter that cannot be understood."""
    given = request.query_params
    for name in given:
        if name not in (*ALLOWED, "format"):
            raise Invalid(
                _("Unknown filter."), code="unknown_filter", field=name[:100], allowed=list(ALLOWED)
            )
    wanted: dict[str, Any] = {"limit": _limit(given.get("limit", "50"))}
    kinds = given.getlist("kind")
    for text in (*kinds, given.get("channel", ""), given.get("search", "")):
        check_text(text)
    wanted["kinds"] = kinds or None
    readers: dict[str, tuple[str, Callable[[str], Any]]] = {
        "before": ("before", decode_cursor),
        "group": ("group", _group),
        "channel": ("channel", str),
        "source": ("source_id", _number),
        "since": ("since", lambda text: _moment(text, field="since", days=0)),
        "until": ("until", lambda text: _moment(text, field="until", days=1)),
        "search": ("text", _search),
    }
    for name, (argument, reader) in readers.items():
        if given.get(name):
            wanted[argument] = reader(given[name])
    return wanted


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= 200):
        raise Invalid(_("limit is a whole number from 1 to 200."), code="invalid_limit", field="limit")
    return int(text)


def _group(text: str) -> str:
    if text not in timeline.GROUPS:
        raise Invalid(
            _("There is no such group of kinds."),
            code="invalid_choice",
            field="group",
            allowed=list(timeline.GROUPS),
        )
    return text


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 18):
        raise Invalid(_("source is the number of a source."), code="invalid_source", field="source")
    return int(text)


def _search(text: str) -> str:
    if len(text) > LONGEST_SEARCH:
        raise Invalid(
            _("At most %(number)s characters.") % {"number": LONGEST_SEARCH},
            code="max_length",
            field="search",
        )
    return text.strip()


def _moment(text: str, *, field: str, days: int) -> datetime:
    """A day in the zone of the caller, or a moment. `days` makes the end of a day of its beginning."""
    try:
        if len(text) == 10:
            day = date.fromisoformat(text)
            found = timezone.make_aware(datetime.combine(day + timedelta(days=days), time.min))
        else:
            # A plus sign in an address is a space.
            found = datetime.fromisoformat(
                text.replace(" ", "+") if text.count(" ") == 1 and "T" in text else text
            )
        if found.tzinfo is None or not 1900 < found.year < 2200:
            raise ValueError(text)
    except (ValueError, OverflowError):
        raise Invalid(
            _("A day like 2026-05-31, or a moment with its offset."), code="invalid_time", field=field
        ) from None
    return found
