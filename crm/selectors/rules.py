"""Identity rules in force and the normal form of identifiers.

Rows of IdentityRule override the shipped defaults; every process reads them at most every five seconds.
Phones become E.164, e-mails are case-folded, everything else is stripped and kept as it is.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from functools import lru_cache

import phonenumbers
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from crm import rules as shipped
from crm.kernel import knobs
from crm.models import IdentityRule

CACHE_SECONDS = 5.0
LONGEST = 255
_rules: dict[str, RuleInForce] = {}
_read_at = float("-inf")


@dataclass(frozen=True, slots=True)
class RuleInForce:
    """A rule ready to be asked: blocked values case-folded, patterns compiled into one."""

    kind: str
    priority: int
    limit: int
    names_person: bool
    blocked: frozenset[str]
    pattern: re.Pattern[str] | None


def _ready(rule: shipped.Rule | IdentityRule) -> RuleInForce:
    sources = [f"(?:{pattern})" for pattern in rule.blocked_patterns]
    return RuleInForce(
        kind=rule.kind,
        priority=rule.priority,
        limit=rule.limit,
        names_person=rule.names_person,
        blocked=frozenset(value.casefold() for value in rule.blocked_values),
        pattern=re.compile("|".join(sources), re.IGNORECASE) if sources else None,
    )


_shipped = {rule.kind: _ready(rule) for rule in shipped.DEFAULTS}
_other = _ready(shipped.OTHER)


def in_force() -> dict[str, RuleInForce]:
    """All rules by kind; kinds without a rule use `rule()`'s default."""
    global _rules, _read_at
    if time.monotonic() - _read_at > CACHE_SECONDS:
        _rules = _shipped | {row.kind: _ready(row) for row in IdentityRule.objects.all()}
        _read_at = time.monotonic()
    return _rules


def forget() -> None:
    """Drop this process's cached rules."""
    global _read_at
    _read_at = float("-inf")


def rule(kind: str) -> RuleInForce:
    """The rule for a kind of identifier; external identifiers of unknown kinds share one."""
    return in_force().get(kind, _other)


def is_blocked(kind: str, value: str) -> bool:
    """True for values that belong to nobody: `null`, `guest`, zeros, and what staff added."""
    found = in_force().get(kind, _other)
    if value.casefold() in found.blocked:
        return True
    return found.pattern is not None and found.pattern.fullmatch(value) is not None


def normalise(kind: str, value: object) -> str | None:
    """The form in which an identifier is stored and compared; None when it cannot be one."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    text = str(value).strip()
    if not text or len(text) > LONGEST:
        return None
    if kind == "email":
        return email(text)
    if kind == "phone":
        return phone(text, region=knobs.get("crm.phone_region"))
    return text


@lru_cache(maxsize=4096)
def email(text: str) -> str | None:
    """A case-folded e-mail address, or None when it is not one."""
    folded = text.strip().casefold()
    try:
        validate_email(folded)
    except ValidationError:
        return None
    return folded


@lru_cache(maxsize=4096)
def phone(text: str, *, region: str) -> str | None:
    """A phone number in E.164, or None. Numbers without a country code are read as of `region`."""
    try:
        parsed = phonenumbers.parse(text, region or None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(parsed):
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def national(number: str) -> str:
    """The digits of an E.164 number without the code of its country; all of them when it is no number."""
    try:
        return str(phonenumbers.parse(number, None).national_number)
    except phonenumbers.NumberParseException:
        return number.lstrip("+")


def phone_prefix() -> str:
    """What numbers of the organisation's own region begin with in E.164, such as +86; empty without a region."""
    code = phonenumbers.country_code_for_region(knobs.get("crm.phone_region") or "")
    return f"+{code}" if code else ""
