"""JSON in: strict, bounded, and clear about what is wrong."""

from __future__ import annotations

import json
import math
from typing import IO, Any

from django.utils.translation import gettext_lazy as _
from rest_framework.parsers import BaseParser

from crm.kernel.errors import Invalid, TooLarge

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 50
MAX_DIGITS = 30


def _number_refused(_text: str) -> Any:
    raise Invalid(
        _("Numbers are finite and have at most %(n)d digits.") % {"n": MAX_DIGITS}, code="number_out_of_range"
    )


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value) or len(text) > 400:
        _number_refused(text)
    return value


def _int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        _number_refused(text)
    return int(text)


def load(body: bytes) -> Any:
    """Parse a JSON body. Raises Invalid: invalid_json, number_out_of_range, too_deep, invalid_character."""
    try:
        value = json.loads(body, parse_constant=_number_refused, parse_float=_float, parse_int=_int)
    except RecursionError:
        raise Invalid(
            _("JSON may be nested %(n)d levels deep.") % {"n": MAX_DEPTH}, code="too_deep"
        ) from None
    except ValueError:
        raise Invalid(_("The body is not valid JSON in UTF-8."), code="invalid_json") from None
    _check(value)
    return value


def _check(value: Any) -> None:
    """Walk without recursion: depth, NUL and lone surrogates in every text and key."""
    stack = [(value, 1)]
    while stack:
        item, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise Invalid(_("JSON may be nested %(n)d levels deep.") % {"n": MAX_DEPTH}, code="too_deep")
        if isinstance(item, str):
            check_text(item)
        elif isinstance(item, dict):
            for key, inner in item.items():
                check_text(key)
                stack.append((inner, depth + 1))
        elif isinstance(item, list):
            stack.extend((inner, depth + 1) for inner in item)


def check_text(text: str) -> None:
    """Raises Invalid (invalid_character) for NUL and lone surrogates, which no database column can hold."""
    if "\x00" in text:
        raise Invalid(_("Text may not contain the NUL character."), code="invalid_character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Invalid(_("Text may not contain lone surrogates."), code="invalid_character") from None


class StrictJSONParser(BaseParser):
    """Bodies of `/api/v1`: JSON up to 1 MB."""

    media_type = "application/json"

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> Any:
        """The parsed body, or a DomainError that says what is wrong and what is allowed."""
        body = stream.read(MAX_BYTES + 1)
        if len(body) > MAX_BYTES:
            raise TooLarge(
                _("A body may have %(n)d bytes.") % {"n": MAX_BYTES}, code="too_large", allowed=MAX_BYTES
            )
        if not body.strip():
            raise Invalid(_("The body is not valid JSON in UTF-8."), code="invalid_json")
        return load(body)
