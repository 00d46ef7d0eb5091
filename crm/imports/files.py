"""Reading a list: its encoding and delimiter found, its rows streamed with the place to go on from.

Text in UTF-8 or an encoding whose line breaks are single bytes (GB18030, Big5, Latin) is read where it lies, and
every row knows the byte it ends at. Everything else (UTF-16, old Mac line breaks, XLSX) is first copied to UTF-8
CSV, in one stream.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _

from crm.imports import workbooks
from crm.kernel.errors import Invalid

LONGEST_FIELD = 4 * 1024 * 1024
LONGEST_LINE = 8 * 1024 * 1024
SAMPLE_BYTES = 256 * 1024
SAMPLE_ROWS = 50
MOST_COLUMNS = 500
DELIMITERS = (",", "\t", ";", "|")
# Encodings staff may choose from; the empty one is detected.
ENCODINGS = ("utf-8", "gb18030", "big5", "utf-16", "cp1252", "shift_jis")
_BLOCK = 1024 * 1024
csv.field_size_limit(LONGEST_FIELD)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a file turned out to be. `direct` says that its rows are read where they lie."""

    format: str
    encoding: str
    delimiter: str
    sheet: str
    sheets: tuple[str, ...]
    has_header: bool
    headers: tuple[str, ...]
    sample: tuple[tuple[str, ...], ...]
    direct: bool


@dataclass(slots=True)
class Row:
    """A record: its number as a spreadsheet shows it, its cells (None when unreadable), the byte it ends at."""

    number: int
    cells: list[str] | None
    end: int


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    found = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


def inspect(
    path: Path, *, encoding: str = "", delimiter: str = "", sheet: str = "", has_header: bool | None = None
) -> Shape:
    """What the file is, with its headers and first rows. Raises Invalid with a code: empty_file, file_type,
    zip_bomb, broken_workbook, unknown_encoding, too_many_columns."""
    size = path.stat().st_size
    if size == 0:
        raise Invalid(_("The file is empty."), code="empty_file", field="file")
    with path.open("rb") as stream:
        head = stream.read(SAMPLE_BYTES)
    sheets: tuple[str, ...] = ()
    if head[:4] == b"PK\x03\x04":
        book = workbooks.Workbook(path)
        sheets = book.sheets
        sheet = sheet if sheet in sheets else sheets[0]
        rows: Any = book.rows(sheet)
        form, encoding, delimiter, direct = "xlsx", "", "", False
    elif head[:4] in (b"\xd0\xcf\x11\xe0", b"%PDF", b"\x1f\x8b\x08\x00") or head[:2] == b"\x1f\x8b":
        raise Invalid(
            _("This is no list we can read: save it as .xlsx without a password, or as .csv."),
            code="file_type", field="file", allowed=["csv", "xlsx"],
        )  # fmt: skip
    else:
        encoding = encoding or detect_encoding(path, head)
        text = _decoded(head, encoding, cut=size > len(head))
        if "\x00" in text[:4096] and text.count("\x00") > 8 + len(text) // 100:
            raise Invalid(
                _("This is no list we can read: save it as .xlsx without a password, or as .csv."),
                code="file_type", field="file", allowed=["csv", "xlsx"],
            )  # fmt: skip
        direct = not encoding.startswith("utf-16") and not _has_old_line_breaks(text)
        lines = text.splitlines(keepends=True)
        if size > len(head) and len(lines) > 1:
            lines = lines[:-1]
        delimiter = delimiter or detect_delimiter(lines)
        rows = _lenient(csv.reader(lines, delimiter=delimiter))
        form = "csv"
    sample: list[tuple[str, ...]] = []
    for cells in rows:
        if len(sample) > SAMPLE_ROWS:
            break
        if cells or sample:
            sample.append(tuple(cells))
    if not sample or not any(cell.strip() for cell in sample[0]):
        raise Invalid(_("The first line is empty: no columns can be told."), code="empty_file", field="file")
    if len(sample[0]) > MOST_COLUMNS:
        raise Invalid(
            _("A list has at most %(n)d columns.") % {"n": MOST_COLUMNS},
            code="too_many_columns",
            field="file",
        )
    first = tuple(cell.strip() for cell in sample[0])
    header = looks_like_header(first) if has_header is None else has_header
    headers = first if header else tuple(_("Column %(n)d") % {"n": n} for n in range(1, len(first) + 1))
    body = [row for row in (sample[1:] if header else sample) if any(row)][:SAMPLE_ROWS]
    return Shape(form, encoding, delimiter, sheet, sheets, header, headers, tuple(body), direct)


def unique_headers(headers: tuple[str, ...] | list[str]) -> list[str]:
    """Headers made distinct: the second “Phone” becomes “Phone (2)”, a column without a name gets its number."""
    found: list[str] = []
    seen: dict[str, int] = {}
    for place, header in enumerate(headers, 1):
        name = header.strip()[:200] or _("Column %(n)d") % {"n": place}
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return found


def looks_like_header(cells: tuple[str, ...]) -> bool:
    """False when the first line has an e-mail address, a long number or a date where words should be."""
    return not any(
        re.search(r"\S@\S+\.\S|^\+?[\d\s-]{7,}$|^\d{4}[-/.]\d{1,2}[-/.]\d", cell) for cell in cells
    )


def detect_encoding(path: Path, head: bytes) -> str:
    """utf-8, utf-16, gb18030 or what the detector says. Reads the file to its end: its one odd line may be last."""
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    evens, odds = head[:4096:2].count(0), head[1:4096:2].count(0)
    if len(head) > 8 and max(evens, odds) > len(head[:4096]) // 5:
        return "utf-16-le" if odds > evens else "utf-16-be"
    bad = _first_bad(path, "utf-8")
    if bad is None:
        return "utf-8"
    with path.open("rb") as stream:
        stream.seek(max(0, bad - SAMPLE_BYTES // 2))
        stream.readline()
        window = stream.read(SAMPLE_BYTES) if stream.tell() <= bad else head
    if _reads(window, "utf-8") > 0.9:
        return "utf-8"  # UTF-8 with a damaged place: that row is refused, the others are read
    if _is_chinese(window):
        return "gb18030"
    from charset_normalizer import from_bytes

    guess = from_bytes(window[: SAMPLE_BYTES // 2]).best()
    name = codecs.lookup(guess.encoding).name if guess is not None else ""
    if name in ("gb2312", "gbk", "hz"):
        return "gb18030"
    if not name or name == "ascii" or name.startswith(("utf-7", "utf-32", "utf-16")):
        raise Invalid(
            _("The encoding of this file is unknown: save it as UTF-8."), code="unknown_encoding",
            field="file", allowed=list(ENCODINGS),
        )  # fmt: skip
    return name


def _reads(raw: bytes, encoding: str) -> float:
    """The share of characters beyond ASCII that an encoding can read."""
    text = raw.decode(encoding, "replace")
    odd = sum(char > "\x7f" for char in text)
    return 1 - text.count("\ufffd") / odd if odd else 1.0


def _is_chinese(raw: bytes) -> bool:
    """Whether the bytes read as common Chinese in GB18030."""
    if _reads(raw, "gb18030") < 0.9:
        return False
    odd = [char for char in raw.decode("gb18030", "ignore") if char > "\x7f"]
    common = sum(
        "\u4e00" <= char <= "\u9fff" or "\u3000" <= char <= "\u303f" or char >= "\uff00" for char in odd
    )
    # The first level of GB2312, where the everyday characters are, begins its bytes with B0 to D7.
    level = sum(0xB0 <= char.encode("gb18030")[0] <= 0xD7 for char in odd if "\u4e00" <= char <= "\u9fff")
    return bool(odd) and common >= 0.8 * len(odd) and level >= 0.6 * max(1, common)


def _first_bad(path: Path, encoding: str) -> int | None:
    """Where a file stops being valid in an encoding; None when it is valid to its end."""
    decoder = codecs.getincrementaldecoder(encoding)()
    at = 0
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                return at + max(0, error.start)
            at += len(block)
    try:
        decoder.decode(b"", True)
    except UnicodeDecodeError:
        return at
    return None


def _decoded(head: bytes, encoding: str, *, cut: bool) -> str:
    try:
        decoder = codecs.getincrementaldecoder(encoding)("replace")
    except LookupError:
        raise Invalid(
            _("There is no such encoding."),
            code="unknown_encoding",
            field="encoding",
            allowed=list(ENCODINGS),
        ) from None
    return decoder.decode(head, not cut).lstrip("\ufeff")


def _has_old_line_breaks(text: str) -> bool:
    return "\r" in text and "\n" not in text


def detect_delimiter(lines: list[str]) -> str:
    """The sign that cuts the first lines into the same number of cells, the more the better."""
    best, best_score = ",", 0.0
    for delimiter in DELIMITERS:
        widths = [len(cells) for cells in _lenient(csv.reader(lines[:200], delimiter=delimiter)) if cells]
        if not widths or widths[0] < 2:
            continue
        same = sum(width == widths[0] for width in widths) / len(widths)
        score = same * (1 + min(widths[0], 50) / 50)
        if score > best_score + 1e-9:
            best, best_score = delimiter, score
    return best


def _lenient(reader: Any) -> Iterator[list[str]]:
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield []


def convert(path: Path, target: Path, *, encoding: str, delimiter: str, sheet: str) -> None:
    """Copy a workbook, UTF-16 or old Mac text to UTF-8 CSV, row by row. Repeatable: the target appears whole."""
    draft = target.with_suffix(".part")
    with draft.open("w", encoding="utf-8", newline="") as stream:
        write = csv.writer(stream).writerow
        if encoding:
            with path.open("r", encoding=encoding, errors="replace", newline=None) as text:
                for cells in _lenient(csv.reader(_without_bom(text), delimiter=delimiter)):
                    write(cells)
        else:
            for cells in workbooks.Workbook(path).rows(sheet):
                write(cells)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(target)


def _without_bom(text: Iterable[str]) -> Iterator[str]:
    for place, line in enumerate(text):
        yield line.lstrip("\ufeff") if place == 0 else line


def rows(path: Path, *, encoding: str, delimiter: str, offset: int = 0, number: int = 0) -> Iterator[Row]:
    """The records from a byte on; `number` is that of the record before it. Blank lines count, and are given."""
    with path.open("rb", buffering=_BLOCK) as stream:
        if offset == 0 and stream.read(3) == codecs.BOM_UTF8:
            offset = 3
        stream.seek(offset)
        place = [offset]
        readline = stream.readline

        def lines() -> Iterator[str]:
            while raw := readline(LONGEST_LINE):
                place[0] += len(raw)
                yield raw.decode(encoding, "replace")

        reader = csv.reader(lines(), delimiter=delimiter)
        while True:
            number += 1
            try:
                cells: list[str] | None = next(reader)
            except StopIteration:
                return
            except csv.Error:
                cells = None
            yield Row(number, cells, place[0])
