"""XLSX as a stream of rows of text, whatever its size.

A workbook is a zip of XML that anybody may have sent, so every part is bounded by what it really unpacks to,
documents with a DTD are refused, and shared strings live in a temporary file instead of memory. Dates come out in
ISO form; numbers that a spreadsheet holds with fewer digits than were typed come out as 1.23E+17, so that no reader
takes them for an identifier.
"""

from __future__ import annotations

import re
import tempfile
import zipfile
import zlib
from array import array
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import IO, Any
from xml.parsers import expat

from django.utils.translation import gettext as _

from crm.kernel.errors import Invalid

CHUNK = 128 * 1024
# A real list packs 5 to 30 to one.
MOST_RATIO = 200
RATIO_FROM = 20 * 1024 * 1024
MOST_UNPACKED = 4 * 1024**3
MOST_SMALL = 32 * 1024 * 1024
MOST_ENTRIES = 2000
LAST_ROW = 1_048_576
LAST_COLUMN = 16_384
_DATE_FORMATS = frozenset([*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)])
_QUOTED = re.compile(r'"[^"]*"|\\.|\[(?!h|m|s)[^\]]*\]', re.IGNORECASE)
_LETTERS = re.compile(r"[A-Z]{1,3}")


class Workbook:
    """An XLSX file: the names of its sheets, and the rows of one."""

    def __init__(self, path: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError):
            raise _broken() from None
        entries = self._zip.infolist()
        if len(entries) > MOST_ENTRIES:
            raise _bomb()
        self._names = {entry.filename: entry for entry in entries}
        if "xl/workbook.xml" not in self._names:
            raise Invalid(
                _("This archive is no workbook: save the list as .xlsx or .csv."), code="file_type",
                field="file", allowed=["csv", "xlsx"],
            )  # fmt: skip
        for entry in entries:
            if entry.flag_bits & 1:
                raise _broken()
            packed = max(1, entry.compress_size)
            if entry.file_size > MOST_UNPACKED or (
                entry.file_size > RATIO_FROM and entry.file_size / packed > MOST_RATIO
            ):
                raise _bomb()
        self._base_1904 = False
        self._sheets = self._read_sheets()
        if not self._sheets:
            raise _broken()

    @property
    def sheets(self) -> tuple[str, ...]:
        """The names of its sheets, in their order."""
        return tuple(self._sheets)

    def rows(self, sheet: str) -> Iterator[list[str]]:
        """The rows of one sheet; missing rows come as empty ones, so that numbers stay those of the sheet."""
        strings = self._read_strings()
        try:
            yield from _Rows(self._sheets[sheet], self, strings, self._read_styles()).read()
        finally:
            strings.close()

    def parse(self, name: str, *, small: bool = False, **handlers: Callable[..., Any]) -> Iterator[None]:
        """Feed one part to a parser; yields after each chunk. Raises Invalid when it is broken or a bomb."""
        entry = self._names.get(name)
        if entry is None:
            return
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.buffer_size = 64 * 1024
        parser.StartDoctypeDeclHandler = _no_doctype
        for handler, function in handlers.items():
            setattr(parser, handler, function)
        unpacked, packed = 0, max(1, entry.compress_size)
        try:
            with self._zip.open(entry) as stream:
                while block := stream.read(CHUNK):
                    unpacked += len(block)
                    if unpacked > (MOST_SMALL if small else MOST_UNPACKED) or (
                        unpacked > RATIO_FROM and unpacked / packed > MOST_RATIO
                    ):
                        raise _bomb()
                    parser.Parse(block, False)
                    yield
                parser.Parse(b"", True)
        except (
            expat.ExpatError,
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            NotImplementedError,
            RuntimeError,
        ):
            raise _broken() from None
        yield

    def _read_sheets(self) -> dict[str, str]:
        targets: dict[str, str] = {}
        found: list[tuple[str, str]] = []

        def relation(name: str, attributes: dict[str, str]) -> None:
            if _local(name) == "Relationship":
                target = attributes.get("Target", "")
                targets[attributes.get("Id", "")] = (
                    target.lstrip("/") if target[:1] == "/" else f"xl/{target}"
                )

        def sheet(name: str, attributes: dict[str, str]) -> None:
            local = _local(name)
            if local == "sheet":
                ident = next((value for key, value in attributes.items() if _local(key) == "id"), "")
                found.append((attributes.get("name", "")[:100], ident))
            elif local == "workbookPr":
                self._base_1904 = attributes.get("date1904") in ("1", "true")

        for _step in self.parse("xl/_rels/workbook.xml.rels", small=True, StartElementHandler=relation):
            pass
        for _step in self.parse("xl/workbook.xml", small=True, StartElementHandler=sheet):
            pass
        return {name: targets[ident] for name, ident in found if targets.get(ident) in self._names}

    def _read_styles(self) -> list[bool]:
        """Per cell style whether it shows a date."""
        custom: dict[str, bool] = {}
        styles: list[bool] = []
        inside = [False]

        def start(name: str, attributes: dict[str, str]) -> None:
            local = _local(name)
            if local == "numFmt":
                code = _QUOTED.sub("", attributes.get("formatCode", "")).lower()
                custom[attributes.get("numFmtId", "")] = (
                    bool(re.search(r"[ydh]|m{1,5}|ss", code)) and "#" not in code
                )
            elif local == "cellXfs":
                inside[0] = True
            elif local == "xf" and inside[0]:
                number = attributes.get("numFmtId", "0")
                styles.append(custom.get(number, number.isdigit() and int(number) in _DATE_FORMATS))

        def end(name: str) -> None:
            if _local(name) == "cellXfs":
                inside[0] = False

        for _step in self.parse(
            "xl/styles.xml", small=True, StartElementHandler=start, EndElementHandler=end
        ):
            pass
        return styles

    def _read_strings(self) -> _Strings:
        strings = _Strings()
        parts: list[str] = []
        state = {"text": False, "phonetic": False}

        def start(name: str, attributes: dict[str, str]) -> None:
            local = _local(name)
            if local == "t":
                state["text"] = not state["phonetic"]
            elif local == "si":
                parts.clear()
            elif local == "rPh":
                state["phonetic"] = True

        def end(name: str) -> None:
            local = _local(name)
            if local == "t":
                state["text"] = False
            elif local == "si":
                strings.add("".join(parts))
            elif local == "rPh":
                state["phonetic"] = False

        def data(text: str) -> None:
            if state["text"]:
                parts.append(text)

        for _step in self.parse(
            "xl/sharedStrings.xml",
            StartElementHandler=start,
            EndElementHandler=end,
            CharacterDataHandler=data,
        ):
            pass
        return strings

    def number(self, text: str, *, is_date: bool) -> str:
        """A number as staff see it: whole ones without a point, dates in ISO form."""
        try:
            value = float(text)
        except ValueError:
            return text
        if is_date:
            return _moment(value, base_1904=self._base_1904) or text
        if value != value or value in (float("inf"), float("-inf")):
            return text
        if abs(value) >= 1e15:
            return f"{value:.5E}"
        return str(int(value)) if value == int(value) else repr(value)


class _Strings:
    """The shared strings of a workbook, in a temporary file, read back block by block."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._ends = array("Q", [0])
        self._block, self._from = b"", 0

    def add(self, text: str) -> None:
        """Append the next string."""
        raw = text.encode("utf-8", "replace")
        self._file.write(raw)
        self._ends.append(self._ends[-1] + len(raw))

    def get(self, index: int) -> str:
        """The string of a number."""
        if not 0 <= index < len(self._ends) - 1:
            return ""
        start, end = self._ends[index], self._ends[index + 1]
        at = start - self._from
        if not at >= 0 or end > self._from + len(self._block):
            self._file.seek(start)
            self._block, self._from, at = self._file.read(max(CHUNK, end - start)), start, 0
        return self._block[at : at + end - start].decode("utf-8")

    def close(self) -> None:
        """Drop the temporary file."""
        self._file.close()


class _Rows:
    """The state of reading one sheet."""

    def __init__(self, part: str, book: Workbook, strings: _Strings, styles: list[bool]) -> None:
        self.part, self.book, self.strings, self.styles = part, book, strings, styles
        self.ready: list[list[str]] = []
        self.cells: list[str] = []
        self.last = 0
        self.column = -1
        self.kind, self.style, self.taking = "", 0, False
        self.parts: list[str] = []

    def read(self) -> Iterator[list[str]]:
        for _step in self.book.parse(
            self.part,
            StartElementHandler=self.start,
            EndElementHandler=self.end,
            CharacterDataHandler=self.data,
        ):
            if self.ready:
                yield from self.ready
                self.ready.clear()

    def start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(":")[2]
        if local == "v" or local == "t":
            self.taking = True
        elif local == "c":
            letters = _LETTERS.match(attributes.get("r", ""))
            self.column = _column(letters.group()) if letters else self.column + 1
            self.kind = attributes.get("t", "n")
            style = attributes.get("s", "")
            self.style = int(style) if style.isdigit() else 0
            self.parts.clear()
        elif local == "row":
            number = attributes.get("r", "")
            wanted = int(number) if number.isdigit() else self.last + 1
            if wanted > LAST_ROW or wanted <= self.last:
                raise _broken()
            self.ready.extend([] for _gap in range(wanted - self.last - 1))
            self.last = wanted
            self.cells = []
            self.column = -1

    def end(self, name: str) -> None:
        local = name.rpartition(":")[2]
        if local == "v" or local == "t":
            self.taking = False
        elif local == "c":
            if self.parts:
                self._put("".join(self.parts))
        elif local == "row":
            self.ready.append(self.cells)

    def data(self, text: str) -> None:
        if self.taking:
            self.parts.append(text)

    def _put(self, text: str) -> None:
        if self.column >= LAST_COLUMN:
            raise _broken()
        kind = self.kind
        if kind == "s":
            text = self.strings.get(int(text)) if text.isdigit() else ""
        elif kind == "n":
            is_date = self.style < len(self.styles) and self.styles[self.style]
            text = self.book.number(text, is_date=is_date)
        elif kind == "b":
            text = "TRUE" if text == "1" else "FALSE"
        elif kind == "e":
            text = ""
        cells = self.cells
        if self.column > len(cells):
            cells.extend("" for _gap in range(self.column - len(cells)))
        if self.column == len(cells):
            cells.append(text)
        else:
            cells[self.column] = text


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def _moment(value: float, *, base_1904: bool) -> str:
    """A serial number as ISO date, date and time, or time of day; empty when it is out of range."""
    if not 0 <= value < 2_958_466:
        return ""
    days = int(value)
    seconds = round((value - days) * 86_400)
    if days == 0 and seconds and not base_1904:
        return str((datetime(1900, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).time())
    if base_1904:
        first = date(1904, 1, 1)
    else:
        # Spreadsheets believe in 29 February 1900.
        first = date(1899, 12, 30) if days > 59 else date(1899, 12, 31)
    day = datetime.combine(first, time(), UTC).replace(tzinfo=None) + timedelta(days=days, seconds=seconds)
    return day.date().isoformat() if not seconds else day.isoformat(sep=" ")


def _no_doctype(*_arguments: Any) -> None:
    raise _broken()


def _broken() -> Invalid:
    return Invalid(
        _("This workbook cannot be read: it is damaged or protected. Save it anew as .xlsx, or as .csv."),
        code="broken_workbook", field="file", allowed=["csv", "xlsx"],
    )  # fmt: skip


def _bomb() -> Invalid:
    return Invalid(
        _("This workbook unpacks to far more than a list holds; it is not opened."),
        code="zip_bomb",
        field="file",
    )
