"""From a cell to a value, or to the code of why not.

The two commonest identifiers have a fast path: a plain ASCII e-mail address and a mainland mobile number. Whatever
these do not recognise goes to the libraries; where they do, they answer the same (proven in the tests).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from crm.selectors import rules

LONGEST_CELL = 10_000
LONGEST_TEXT = 2_000
_EMAIL = re.compile(
    r"[a-z0-9_+-]{1,64}(?:\.[a-z0-9_+-]{1,64}){0,8}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,6}[a-z]{2,24}"
)
# 179 begins the number of a carrier (as in 17951), which the library takes off: left to the library.
_MOBILE = re.compile(r"1(?:[3-689][0-9]|7[0-8])[0-9]{8}")
_MOBILE_86 = re.compile(r"\+861(?:[3-689][0-9]|7[0-8])[0-9]{8}")
_LOST = re.compile(r"[0-9](?:[.,][0-9]+)?[eE]\+?[0-9]{1,3}")
_FLOAT = re.compile(r"([0-9]+)[.]0+")
_DATE = re.compile(
    r"([0-9]{4})\s*[-/.年]\s*([0-9]{1,2})\s*[-/.月]\s*([0-9]{1,2})\s*日?(?:[ T].*)?", re.DOTALL
)
_COMPACT = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")
_YEAR_LAST = re.compile(r"([0-9]{1,2})[-/.]([0-9]{1,2})[-/.]([0-9]{4})(?:[ T].*)?", re.DOTALL)
_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?")
_YES = frozenset(
    ("1", "y", "yes", "true", "t", "on", "是", "有", "对", "√", "✓", "同意", "已同意", "授权", "已授权", "订阅",
     "已订阅", "subscribed", "opted in", "opt-in", "opted-in")
)  # fmt: skip
_NO = frozenset(
    ("0", "n", "no", "false", "f", "off", "否", "无", "不", "×", "✗", "不同意", "未同意", "拒绝", "未授权", "取消授权",
     "退订", "已退订", "未订阅", "unsubscribed", "opted out", "opt-out", "opted-out")
)  # fmt: skip
_LANGUAGES = {
    "en": "en", "english": "en", "英文": "en", "英语": "en",
    "zh": "zh-hans", "chinese": "zh-hans", "中文": "zh-hans", "汉语": "zh-hans", "简体中文": "zh-hans",
    "普通话": "zh-hans",
}  # fmt: skip


class Bad(Exception):
    """A cell that cannot be read; `code` is one of reasons.VALUES."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def email(text: str) -> str:
    """A normal e-mail address. Raises Bad."""
    folded = text.lower()
    if len(folded) <= 254 and _EMAIL.fullmatch(folded):
        return folded
    if "@" not in text and _LOST.fullmatch(text):
        raise Bad("number_lost")
    found = rules.email(text) if len(text) <= rules.LONGEST else None
    if found is None:
        raise Bad("invalid_email")
    return found


def phone(text: str, *, region: str) -> str:
    """A phone number in E.164. Raises Bad."""
    if region == "CN" and _MOBILE.fullmatch(text):
        return f"+86{text}"
    if _MOBILE_86.fullmatch(text):
        return text
    text = text.lstrip("'’").strip()
    if _LOST.fullmatch(text):
        raise Bad("number_lost")
    whole = _FLOAT.fullmatch(text)
    if whole:
        text = whole.group(1)
    if region == "CN" and _MOBILE.fullmatch(text):
        return f"+86{text}"
    found = rules.phone(text, region=region) if 0 < len(text) <= rules.LONGEST else None
    if found is None:
        raise Bad("invalid_phone")
    return found


def identifier(text: str) -> str:
    """An ID as it is written. Raises Bad for one that a spreadsheet has shortened, or that is too long."""
    if _LOST.fullmatch(text):
        raise Bad("number_lost")
    whole = _FLOAT.fullmatch(text)
    if whole:
        text = whole.group(1)
    if len(text) > rules.LONGEST:
        raise Bad("illegal_identifier")
    return text


@lru_cache(maxsize=40_000)
def day(text: str, *, order: str = "") -> str:
    """An ISO date. Raises Bad."""
    year_last = None
    found = _DATE.fullmatch(text) or _COMPACT.fullmatch(text)
    if found is None:
        found = year_last = _YEAR_LAST.fullmatch(text)
    if found is None:
        raise Bad("invalid_date")
    first, second, third = (int(part) for part in found.groups())
    if year_last is not None:
        if not order and first <= 12 and second <= 12 and first != second:
            raise Bad("ambiguous_date")
        day_first = order == "dmy" or (not order and first > 12)
        first, second, third = (third, second, first) if day_first else (third, first, second)
    try:
        return date(first, second, third).isoformat()
    except ValueError:
        raise Bad("impossible_date") from None


def birthday(text: str, *, order: str, today: date) -> str:
    """A date of birth: neither a placeholder nor in the future. Raises Bad."""
    found = day(text, order=order)
    if found in _PLACEHOLDERS or not found[:4] >= "1900" or found > today.isoformat():
        raise Bad("impossible_date")
    return found


_PLACEHOLDERS = {"0001-01-01", "1900-01-01", "1970-01-01", "1753-01-01", "1899-12-30"}


@lru_cache(maxsize=4096)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def moment(text: str, *, order: str, zone: str) -> datetime:
    """An instant in UTC; without an offset it is a time of `zone`. Raises Bad `invalid_time`."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = _spelled(text, order)
    if found.tzinfo is None:
        found = found.replace(tzinfo=_zone(zone))
    try:
        return found.astimezone(UTC)
    except OverflowError:
        raise Bad("invalid_time") from None


def _spelled(text: str, order: str) -> datetime:
    if text.isascii() and text.isdigit() and len(text) in (10, 13):
        return datetime.fromtimestamp(int(text) / (1 if len(text) == 10 else 1000), UTC)
    first, _gap, rest = text.replace("T", " ", 1).partition(" ")
    try:
        found = datetime.fromisoformat(day(first, order=order))
    except Bad as error:
        raise Bad("ambiguous_date" if error.code == "ambiguous_date" else "invalid_time") from None
    rest = rest.strip()
    if not rest:
        return found
    parts = re.fullmatch(r"([0-9]{1,2})[:：时]([0-9]{1,2})(?:[:：分]([0-9]{1,2}))?(?:\.[0-9]+)?秒?分?", rest)
    if parts is None:
        raise Bad("invalid_time")
    try:
        return found.replace(hour=int(parts[1]), minute=int(parts[2]), second=int(parts[3] or 0))
    except ValueError:
        raise Bad("invalid_time") from None


def number(text: str) -> int | float:
    """A number, with or without thousands separators. Raises Bad."""
    if not _NUMBER.fullmatch(text):
        raise Bad("number_lost" if _LOST.fullmatch(text) else "invalid_number")
    plain = text.replace(",", "")
    if "." not in plain:
        if len(plain) > 16:
            raise Bad("invalid_number")
        return int(plain)
    if len(plain) > 30:
        raise Bad("invalid_number")
    found = float(plain)
    return int(found) if found == int(found) and abs(found) < 1e15 else found


def boolean(text: str) -> bool:
    """Yes or no, in the words of lists. Raises Bad."""
    folded = text.casefold()
    if folded in _YES:
        return True
    if folded in _NO:
        return False
    raise Bad("invalid_boolean")


def language(text: str) -> str:
    """A language we write in. Raises Bad."""
    folded = text.casefold().replace("_", "-")
    found = _LANGUAGES.get(folded) or _LANGUAGES.get(folded.partition("-")[0])
    if found is None:
        raise Bad("invalid_language")
    return found


def country(text: str) -> str:
    """Two letters. Raises Bad."""
    if text in ("中国", "China", "china"):
        return "CN"
    if len(text) == 2 and text.isascii() and text.isalpha():
        return text.upper()
    raise Bad("invalid_country")


def line(text: str, limit: int) -> str:
    """One line of text, shortened to what its column holds."""
    return " ".join(text.split())[:limit]
