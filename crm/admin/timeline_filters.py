"""What staff chose above a timeline: groups of kinds, channel, source, days and words, read from the address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from crm.selectors import sources, timeline

LONGEST_SEARCH = 100
MOST_SOURCES = 100
LABELS = {
    "shopping": _("Shopping"),
    "visits": _("Visits"),
    "messages": _("Messages"),
    "voice": _("Feedback and tickets"),
    "loyalty": _("Points"),
    "profile": _("Profile and consent"),
    "other": _("Everything else"),
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """The choices as typed, and as the selector takes them."""

    values: Mapping[str, str] = field(default_factory=dict)
    conditions: dict[str, Any] = field(default_factory=dict)

    @property
    def query(self) -> str:
        """The choices as a query string, to be carried on."""
        return urlencode(self.values)

    @property
    def groups(self) -> list[tuple[str, Any, bool]]:
        """Each group of kinds: key, label, whether it is chosen."""
        return [(key, label, self.values.get("group") == key) for key, label in LABELS.items()]

    @property
    def channels(self) -> list[tuple[str, Any, bool]]:
        """Each channel the same way."""
        from crm.registry import channels

        return [(key, label, self.values.get("channel") == key) for key, label in channels().items()]

    @property
    def sources(self) -> list[tuple[str, str, bool]]:
        """Each source by name, at most so many; one that was chosen is there in any case. One query."""
        return [
            (str(pk), name, self.values.get("source") == str(pk))
            for pk, name in sources.names(most=MOST_SOURCES, beside=self.conditions.get("source_id"))
        ]


def read(given: Mapping[str, str]) -> Chosen:
    """Choices that can be understood; the others are left out."""
    values: dict[str, str] = {}
    conditions: dict[str, Any] = {}
    group = given.get("group", "")
    if group in timeline.GROUPS:
        values["group"] = conditions["group"] = group
    channel = given.get("channel", "")[:40].replace("\x00", "")
    if channel:
        values["channel"] = conditions["channel"] = channel
    text = given.get("search", "")[:LONGEST_SEARCH].replace("\x00", "").strip()
    if text:
        values["search"] = conditions["text"] = text
    source = given.get("source", "")
    if source.isdecimal() and len(source) < 18:
        values["source"], conditions["source_id"] = source, int(source)
    since, until = _day(given.get("since", "")), _day(given.get("until", ""))
    if since is not None:
        values["since"], conditions["since"] = since.isoformat(), _midnight(since)
    if until is not None:
        values["until"], conditions["until"] = until.isoformat(), _midnight(until + timedelta(days=1))
    return Chosen(values, conditions)


def _day(text: str) -> date | None:
    try:
        found = date.fromisoformat(text[:10])
    except ValueError:
        return None
    return found if 1900 < found.year < 2200 else None


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))
