"""From the cells of one row to a draft of what it says: identifiers, values, addresses, decisions, and what was wrong.

A value that cannot be read is left out and noted; a row is refused only when it names nobody, cannot be read at all,
or is about an event without kind or time. Nothing here touches the database.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from typing import Any

from crm.imports import values
from crm.imports.columns import IDENTIFIERS, Column
from crm.imports.files import Row
from crm.imports.values import Bad
from crm.selectors import rules
from crm.services import traits
from crm.states import Channel

EXCERPT = 80
# Identifiers that are also an address, and on which channel.
CHANNELS = {"email": Channel.EMAIL.value, "phone": Channel.SMS.value, "wechat_openid": Channel.WECHAT.value}
Identifier = tuple[str, str]


@dataclass(slots=True)
class Problem:
    """A value that was left out: column, code, and the first characters of what was there."""

    column: str
    code: str
    excerpt: str


@dataclass(slots=True)
class Draft:
    """What one row says. `refused` is the code of why the row is left out, or empty."""

    number: int
    identifiers: list[Identifier] = field(default_factory=list)
    typed: dict[str, Any] = field(default_factory=dict)
    free: dict[str, Any] = field(default_factory=dict)
    addresses: list[tuple[str, str]] = field(default_factory=list)
    decisions: dict[tuple[str, str], bool] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    refused: str = ""
    column: str = ""
    excerpt: str = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the rows of a run are read with. `claims` are the consents the list as a whole vouches for."""

    region: str
    zone: str
    today: date
    claims: tuple[tuple[str, str], ...] = ()


class Reader:
    """The columns of a list, made ready to read many rows."""

    def __init__(self, columns: Sequence[Column], setting: Setting) -> None:
        self.setting = setting
        self.identifiers: list[tuple[int, str, str, Callable[[str], str]]] = []
        self.typed: list[tuple[int, str, str, Callable[[str], Any]]] = []
        self.free: list[tuple[int, str, str, Callable[[str], Any]]] = []
        self.decisions: list[tuple[int, str, tuple[str, str]]] = []
        self.events: dict[str, tuple[int, str, str]] = {}
        self.used: list[int] = []
        for column in columns:
            if column.target != "skip":
                self.used.append(column.index)
                self._add(column)
        self.identifiers.sort(key=lambda entry: rules.rule(entry[2]).priority)

    def _add(self, column: Column) -> None:
        target, place, header = column.target, column.index, column.header
        head, _colon, rest = target.partition(":")
        if target in IDENTIFIERS or head == "id":
            kind = rest if head == "id" else target
            read: Callable[[str], str] = values.identifier
            if kind == "email":
                read = values.email
            elif kind == "phone":
                read = partial(values.phone, region=self.setting.region)
            self.identifiers.append((place, header, kind, read))
        elif head in ("trait", "property"):
            self.free.append((place, header, rest, _free_reader(column)))
        elif head == "consent":
            purpose, _colon, channel = rest.partition(":")
            self.decisions.append((place, header, (purpose, channel)))
        elif target in ("kind", "occurred_at", "message_id", "channel"):
            self.events[target] = (place, header, column.order)
        else:
            self.typed.append((place, header, target, self._typed_reader(target, column.order)))

    def _typed_reader(self, target: str, order: str) -> Callable[[str], Any]:
        if target == "birthday":
            return partial(values.birthday, order=order, today=self.setting.today)
        readers: dict[str, Callable[[str], Any]] = {
            "language": values.language, "country": values.country, "time_zone": _zone,
            "display_name": partial(values.line, limit=200), "family_name": partial(values.line, limit=100),
            "given_name": partial(values.line, limit=100), "region": partial(values.line, limit=80),
        }  # fmt: skip
        return readers[target]

    def draft(self, row: Row) -> Draft | None:
        """What a row says; None for a blank one."""
        draft = Draft(row.number)
        cells = row.cells
        if cells is None:
            draft.refused = "broken_line"
            return draft
        if not cells or not any(cells):
            return None
        width = len(cells)
        for place in self.used:
            if place < width:
                cell = cells[place]
                if len(cell) > values.LONGEST_CELL:
                    draft.refused, draft.excerpt = "too_long", cell[:EXCERPT]
                    return draft
                if "\ufffd" in cell or "\x00" in cell:
                    draft.refused, draft.excerpt = "invalid_character", cell.replace("\x00", "␀")[:EXCERPT]
                    return draft
        self._read_identifiers(draft, cells, width)
        if not draft.identifiers:
            draft.refused = "no_identifier"
            if draft.problems:
                first = draft.problems[0]
                draft.column, draft.excerpt = first.column, first.excerpt
            return draft
        for place, header, name, read in self.typed:
            text = cells[place].strip() if place < width else ""
            if text:
                try:
                    draft.typed[name] = read(text)
                except Bad as error:
                    draft.problems.append(Problem(header, error.code, text[:EXCERPT]))
        for place, header, name, read in self.free:
            text = cells[place].strip() if place < width else ""
            if text:
                try:
                    draft.free[name] = read(text)
                except Bad as error:
                    draft.problems.append(Problem(header, error.code, text[:EXCERPT]))
        if not self.events:
            self._finish_person(draft, cells, width)
        return draft

    def _read_identifiers(self, draft: Draft, cells: list[str], width: int) -> None:
        identifiers = draft.identifiers
        for place, header, kind, read in self.identifiers:
            text = cells[place].strip() if place < width else ""
            if not text:
                continue
            try:
                value = read(text)
            except Bad as error:
                code = error.code
                if code != "number_lost" and rules.is_blocked(kind, text):
                    code = "illegal_identifier"
                draft.problems.append(Problem(header, code, text[:EXCERPT]))
                continue
            if rules.is_blocked(kind, value):
                draft.problems.append(Problem(header, "illegal_identifier", text[:EXCERPT]))
                continue
            if (kind, value) not in identifiers:
                identifiers.append((kind, value))
                channel = CHANNELS.get(kind)
                if channel is not None:
                    draft.addresses.append((channel, value))

    def _finish_person(self, draft: Draft, cells: list[str], width: int) -> None:
        typed = draft.typed
        if "display_name" not in typed and ("given_name" in typed or "family_name" in typed):
            typed["display_name"] = traits.full_name(
                typed.get("family_name", ""), typed.get("given_name", "")
            )
        channels = {channel for channel, _value in draft.addresses}
        for claim in self.setting.claims:
            if claim[1] in channels:
                draft.decisions[claim] = True
        for place, header, claim in self.decisions:
            text = cells[place].strip() if place < width else ""
            if not text:
                # The list has a column for it and this row says nothing: then nothing was agreed to.
                self._unsay(draft, claim)
                continue
            try:
                said = values.boolean(text)
            except Bad as error:
                self._unsay(draft, claim)
                draft.problems.append(Problem(header, error.code, text[:EXCERPT]))
                continue
            if not said:
                self._unsay(draft, claim)
            if not said or claim[1] in channels:
                draft.decisions[claim] = said

    def _unsay(self, draft: Draft, claim: tuple[str, str]) -> None:
        """Who does not say yes in a column said yes to nothing of that purpose, but where a column of its own says so:
        what the list as a whole is claimed to allow never outweighs the word of the person."""
        own = {said for _place, _header, said in self.decisions}
        for other in self.setting.claims:
            if other == claim or (other[0] == claim[0] and other not in own):
                draft.decisions.pop(other, None)


def _free_reader(column: Column) -> Callable[[str], Any]:
    if column.type == "number":
        return values.number
    if column.type == "boolean":
        return values.boolean
    if column.type == "date":
        return partial(values.day, order=column.order)
    return str


def _zone(text: str) -> str:
    found = traits.read_hints({"timezone": text}).get("time_zone")
    if found is None:
        raise Bad("invalid_time_zone")
    return str(found)


def moment(text: str, *, order: str, zone: str) -> datetime:
    """An instant of an event. Raises Bad."""
    return values.moment(text, order=order, zone=zone)
