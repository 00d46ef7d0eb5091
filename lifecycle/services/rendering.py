"""Templates into texts: a logic-limited Liquid that sees mappings only, with every way to grow without end capped.

The text is the truth and is not escaped; the HTML part is made from the rendered text (see services.mime), so no
value can ever bring markup of its own. A value that is missing raises TemplateFault: better held than wrong.
"""

from __future__ import annotations

import re
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from lifecycle.models import MessageTemplate
from lifecycle.registry import MessageKind, Template

MAX_OUTPUT: Final = 100_000
MAX_SUBJECT: Final = 200
CACHE_SECONDS: Final = 5.0
MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


class TemplateFault(Exception):
    """A template cannot be rendered: a value is missing, or it ran into a limit."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A one-line subject and a text, in `language`."""

    subject: str
    body: str
    language: str
    # A body shared by many readers, with marks where their own words go, and those words; see `render_shared`.
    shared_body: str = ""
    words: tuple[tuple[str, str], ...] = ()


_SEAM: Final = "\x1e\x1f\x1e"  # control characters that no text holds

_overrides: dict[tuple[str, str], Template] = {}
_read_at = float("-inf")


def render(
    kind: MessageKind,
    context: Mapping[str, Any],
    *,
    language: str,
    time_zone: str,
    default_language: str = "en",
) -> Rendered:
    """Render a kind for one reader. An override that fails falls back to the built-in text.

    Raises TemplateFault when that fails too.
    """
    language, templates = _choose(kind, language, default_language)
    values = dict(context)
    values["reader"] = {"language": language, "time_zone": time_zone}
    fault: Exception | None = None
    for template in templates:
        try:
            # one pass over both: a render costs more to set up than to run
            subject, _mark, body = (
                parse(f"{template.subject}{_SEAM}{template.body}").render(values).partition(_SEAM)
            )
            subject = one_line(subject)
            if not subject:
                raise TemplateFault("the subject is empty")
            return Rendered(subject, body.strip() + "\n", language)
        except Exception as error:  # whatever a template does must not reach its neighbours
            fault = error
    raise TemplateFault(type(fault).__name__)


# Private-use characters: no control characters, in no text people write, and kept by every step of rendering.
_MARKS: Final = {
    name: f"\ue001{number}\ue002" for number, name in enumerate(("name", "family_name", "given_name"))
}
# How a template may use a person's words and still be rendered once for many: printed as they are, asked for emptiness.
_PLAIN_USE: Final = re.compile(
    r"\{\{-?\s*person\.(?:name|family_name|given_name)\s*-?\}\}"
    r"|\{%-?\s*(?:if|elsif|unless)\s+person\.(?:name|family_name|given_name)\s*[!=]=\s*(?:''|\"\")\s*-?%\}"
)
_CODE: Final = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_shared: OrderedDict[tuple[Any, ...], Rendered | None] = OrderedDict()
SHARED_KEPT: Final = 256


def render_shared(
    kind: MessageKind,
    context: Mapping[str, Any],
    *,
    words: Mapping[str, str],
    key: tuple[Any, ...],
    language: str,
    time_zone: str,
    default_language: str = "en",
) -> Rendered | None:
    """As `render`, for a context that many readers share but for their own `words` (name, family_name, given_name).

    The templates run once per `key` (all else that the text depends on) with marks in place of the words; per reader
    only the marks are replaced. None when a template does more with a person than print their words or ask whether
    there are any: then each reader needs a rendering of their own. Raises TemplateFault.
    """
    if any("\ue001" in word for word in words.values()):
        return None
    _read_overrides()  # and with them forget what was rendered from other templates
    full = (kind.code, key, language, default_language, time_zone, *(bool(words[name]) for name in _MARKS))
    if full in _shared:
        found = _shared[full]
    else:
        _chosen, templates = _choose(kind, language, default_language)
        found = None
        if all(_is_plain(template.subject + template.body) for template in templates):
            marked = {name: mark if words[name] else "" for name, mark in _MARKS.items()}
            values = {**context, "person": marked}
            found = render(
                kind, values, language=language, time_zone=time_zone, default_language=default_language
            )
        _shared[full] = found
        if len(_shared) > SHARED_KEPT:
            _shared.popitem(last=False)
    if found is None:
        return None
    subject, body = found.subject, found.body
    own = []
    for name, mark in _MARKS.items():
        if words[name] and (mark in body or mark in subject):
            subject = subject.replace(mark, one_line(words[name]))
            body = body.replace(mark, words[name])
            own.append((mark, words[name]))
    return Rendered(subject[:MAX_SUBJECT], body, found.language, found.body, tuple(own))


@lru_cache(maxsize=1024)
def _is_plain(source: str) -> bool:
    code = _CODE.findall(_PLAIN_USE.sub("", source))
    return not any("person" in piece or "links" in piece for piece in code)


def forget() -> None:
    """Drop this process's cached overrides."""
    global _read_at
    _read_at = float("-inf")


def one_line(text: str) -> str:
    """One line without control and direction-override characters, at most MAX_SUBJECT long."""
    if not text.isascii() or not text.isprintable():
        text = "".join(
            " " if character in "\r\n\t\u2028\u2029\x85" else character
            for character in text
            if character in "\r\n\t" or unicodedata.category(character) not in ("Cc", "Cf")
        )
    return " ".join(text.split())[:MAX_SUBJECT]


@lru_cache(maxsize=1024)
def parse(source: str) -> Any:
    """The compiled template. Raises liquid's errors for bad syntax, unknown tags and unknown filters."""
    return environment().from_string(source)


def effective(kind: MessageKind, language: str) -> tuple[Template | None, bool]:
    """The template in force in exactly this language, and whether staff wrote it."""
    override = _read_overrides().get((kind.code, language))
    if override is not None:
        return override, True
    return kind.templates.get(language), False


def _choose(kind: MessageKind, language: str, default_language: str) -> tuple[str, list[Template]]:
    overrides = _read_overrides()
    for candidate in (language, default_language, "en"):
        override, built_in = overrides.get((kind.code, candidate)), kind.templates.get(candidate)
        found = [template for template in (override, built_in) if template is not None]
        if found:
            return candidate, found
    raise TemplateFault("no template")  # a kind has an English template, see registry.register


def _read_overrides() -> dict[tuple[str, str], Template]:
    global _read_at, _overrides
    if time.monotonic() - _read_at > CACHE_SECONDS:
        found = {
            (kind, language): Template(subject, body)
            for kind, language, subject, body in MessageTemplate.objects.values_list(
                "kind", "language", "subject", "body"
            )
        }
        if found != _overrides:
            _overrides = found
            _shared.clear()
        _read_at = time.monotonic()
    return _overrides


@cache
def environment() -> Any:
    """The one Liquid environment. Imported late: web workers that render nothing do not pay for it."""
    from liquid import Environment, FalsyStrictUndefined
    from liquid.exceptions import OutputStreamLimitError
    from liquid.filter import string_filter, with_context
    from liquid.stringify import to_liquid_string

    class HouseEnvironment(Environment):
        loop_iteration_limit = 2_000
        output_stream_limit = MAX_OUTPUT
        local_namespace_limit = 20_000
        context_depth_limit = 10

    house = HouseEnvironment(undefined=FalsyStrictUndefined)
    for tag in ("include", "render", "increment", "decrement", "tablerow"):
        house.tags.pop(tag, None)

    def capped(text: str) -> str:
        if len(text) > MAX_OUTPUT:
            raise OutputStreamLimitError("output limit reached", token=None)
        return text

    @string_filter
    def replace(value: str, seek: object, sub: object = "") -> str:
        old, new = to_liquid_string(seek, autoescape=False), to_liquid_string(sub, autoescape=False)
        count = value.count(old) if old else len(value) + 1
        if len(value) + count * len(new) > MAX_OUTPUT:
            raise OutputStreamLimitError("output limit reached", token=None)
        return value.replace(old, new)

    @string_filter
    def append(value: str, other: object) -> str:
        return capped(value + to_liquid_string(other, autoescape=False))

    @string_filter
    def prepend(value: str, other: object) -> str:
        return capped(to_liquid_string(other, autoescape=False) + value)

    @with_context
    def local_date(value: object, *, context: Any) -> str:
        reader = context.resolve("reader")
        return format_date(str(value), language=reader["language"], time_zone=reader["time_zone"])

    house.add_filter("replace", replace)
    house.add_filter("append", append)
    house.add_filter("prepend", prepend)
    house.add_filter("local_date", local_date)
    return house


def format_date(text: str, *, language: str, time_zone: str) -> str:
    """An ISO 8601 moment as a day in the reader's zone and language. Raises ValueError for anything else."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        moment = moment.astimezone(ZoneInfo(time_zone or "UTC"))
    if language.startswith("zh"):
        return f"{moment.year}年{moment.month}月{moment.day}日"
    return f"{moment.day} {MONTHS[moment.month - 1]} {moment.year}"
