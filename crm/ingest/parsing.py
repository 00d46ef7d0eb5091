"""From the bytes of a request to JSON, with memory and time bounded whatever was sent.

The fast parser takes nearly everything. When it refuses a body (NaN, 1e400, a lone surrogate, thousands of nested
brackets), a guarded second parse finds the bad values, so that one bad event never costs its neighbours their
place. Such values come out as Fault objects and are refused by `fault_in`.
"""

from __future__ import annotations

import json
import math
import re
import secrets
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import parse_qs

import orjson

MEBIBYTE = 1024 * 1024
BATCH_LIMIT = 4 * MEBIBYTE
SINGLE_LIMIT = MEBIBYTE
DEEPEST = 100
LONGEST_INTEGER = 25
CHUNK = 64 * 1024


class Readable(Protocol):
    """What a request body is read from."""

    def read(self, size: int, /) -> bytes: ...


class BodyError(Exception):
    """The body as a whole cannot be taken: an HTTP status, a code and a sentence that says what is allowed."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail


@dataclass(frozen=True, slots=True)
class Fault:
    """Stands in the parsed body where a value was that cannot be stored."""

    code: str


NUMBER = Fault("number_out_of_range")
DEEP = Fault("too_deep")
CHARACTER = Fault("invalid_character")
DETAILS = {
    "number_out_of_range": "numbers are finite, and integers have at most 25 digits",
    "too_deep": f"values are nested at most {DEEPEST} deep",
    "invalid_character": "text holds neither NUL nor lone surrogates",
}
_DEEP_MARK = f"too-deep-{secrets.token_hex(8)}"
_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)
_SURROGATE = re.compile("[\x00\ud800-\udfff]")


def read_request(environ: Mapping[str, Any], *, stream: Readable | None, limit: int) -> bytes:
    """The body of a WSGI request, decompressed, as long as it says or, when sent in chunks, to its end. Raises
    BodyError: 413 above the limit, 408 when the rest never came, 400 when it cannot be decompressed."""
    encoding = environ.get("HTTP_CONTENT_ENCODING", "")
    declared = environ.get("CONTENT_LENGTH") or ""
    size = int(declared) if declared.isascii() and declared.isdigit() else None
    if size is None and "chunked" not in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
        size = 0
    if size is not None and size > limit and "gzip" not in encoding.lower():
        raise _too_large(limit)
    source = environ["wsgi.input"] if stream is None else stream
    try:
        return read_body(
            _Declared(source, size) if size is not None else source, encoding=encoding, limit=limit
        )
    except OSError:
        raise BodyError(408, "incomplete_body", "the rest of the body did not come; send it again") from None


class _Declared:
    """An input that ends after the declared number of bytes: some servers would wait for more."""

    def __init__(self, stream: Readable, size: int) -> None:
        self._stream, self._left = stream, size

    def read(self, size: int, /) -> bytes:
        if self._left <= 0:
            return b""
        part = self._stream.read(min(size, self._left))
        self._left -= len(part)
        return part


def read_body(stream: Readable, *, encoding: str, limit: int) -> bytes:
    """The body, decompressed in chunks against `limit` bytes. Raises BodyError 413 or 400."""
    raw = _read(stream, limit)
    if encoding.strip().lower() == "gzip" or raw[:2] == b"\x1f\x8b":
        return _gunzip(raw, limit)
    if encoding.strip().lower() not in ("", "identity"):
        raise BodyError(400, "invalid_encoding", "a body is plain JSON or gzip")
    return raw


def _read(stream: Readable, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := stream.read(CHUNK):
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
    return b"".join(parts)


def _gunzip(raw: bytes, limit: int) -> bytes:
    """One layer of gzip; stops as soon as the output passes the limit."""
    inflater = zlib.decompressobj(wbits=31)
    parts: list[bytes] = []
    size = 0
    pending = raw
    try:
        while pending and not inflater.eof:
            part = inflater.decompress(pending, CHUNK)
            size += len(part)
            if size > limit:
                raise _too_large(limit)
            parts.append(part)
            pending = inflater.unconsumed_tail
    except zlib.error:
        raise BodyError(400, "invalid_encoding", "the body is not valid gzip") from None
    if not inflater.eof:
        raise BodyError(400, "invalid_encoding", "the gzip body is cut short")
    return b"".join(parts)


def _too_large(limit: int) -> BodyError:
    return BodyError(413, "too_large", f"a body has at most {limit} bytes, also after decompression")


def load(body: bytes) -> tuple[Any, bool]:
    """The parsed body, and whether its items must be searched for faults. Raises BodyError 400."""
    try:
        return orjson.loads(body), b"\\u0000" in body
    except orjson.JSONDecodeError:
        pass
    found = body if body[:1] in b"{[" else _from_form(body)
    if not found.strip():
        raise BodyError(400, "invalid_json", "the body is empty; send a JSON object")
    return _guarded(found), True


def _from_form(body: bytes) -> bytes:
    """JSON inside a form field, as some browsers' libraries send it."""
    stripped = body.lstrip(b"\xef\xbb\xbf \t\r\n")
    if stripped[:1] in (b"{", b"["):
        return stripped
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=10)
    except (UnicodeDecodeError, ValueError):
        return body
    for name in ("data", "payload", "body"):
        if name in fields:
            return fields[name][0].encode()
    return body


def _guarded(body: bytes) -> Any:
    """Python's parser with hooks: bad numbers become faults, too deep values are cut out first."""
    try:
        text = _without_depths(body).decode("utf-8")
    except UnicodeDecodeError:
        raise BodyError(400, "invalid_json", "the body is not valid UTF-8") from None
    try:
        return json.loads(text, parse_constant=_constant, parse_float=_float, parse_int=_integer)
    except RecursionError:
        raise BodyError(400, "too_deep", DETAILS["too_deep"]) from None
    except ValueError:
        raise BodyError(400, "invalid_json", "the body is not valid JSON") from None


def _without_depths(body: bytes) -> bytes:
    """Replace every value nested deeper than DEEPEST by a mark. Raises BodyError when brackets do not close."""
    depth, start, cuts = 0, -1, []
    for found in _STRUCTURE.finditer(body):
        sign = found.group()[:1]
        if sign in b"[{":
            depth += 1
            if depth == DEEPEST + 1:
                start = found.start()
        elif sign in b"]}":
            if depth == DEEPEST + 1:
                cuts.append((start, found.end()))
            depth -= 1
    if depth > DEEPEST:
        raise BodyError(400, "too_deep", DETAILS["too_deep"])
    if not cuts:
        return body
    parts, at = [], 0
    for begin, end in cuts:
        parts += [body[at:begin], f'"{_DEEP_MARK}"'.encode()]
        at = end
    return b"".join([*parts, body[at:]])


def _constant(_text: str) -> Fault:
    return NUMBER


def _float(text: str) -> float | Fault:
    number = float(text)
    return number if math.isfinite(number) else NUMBER


def _integer(text: str) -> int | Fault:
    return int(text) if len(text) <= LONGEST_INTEGER else NUMBER


def fault_in(value: Any) -> str:
    """The code of the first fault inside a parsed value, or an empty string. Not recursive."""
    stack = [value]
    while stack:
        item = stack.pop()
        kind = type(item)
        if kind is str:
            if item == _DEEP_MARK:
                return DEEP.code
            if _SURROGATE.search(item):
                return CHARACTER.code
        elif kind is dict:
            stack.extend(item)
            stack.extend(item.values())
        elif kind is list:
            stack.extend(item)
        elif kind is Fault:
            return item.code
    return ""


def dump_size(value: Any) -> int:
    """Bytes of a value as JSON. Raises TypeError when it cannot be written (too deep)."""
    return len(orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_DATACLASS))
