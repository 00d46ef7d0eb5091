"""Identity rules changed by staff and API clients: checked, remembered with who and why, in force within seconds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from crm.kernel import actionlog
from crm.kernel.actors import Actor
from crm.kernel.errors import Invalid
from crm.models import IdentityRule
from crm.selectors import identity_rules, rules

MOST_VALUES = 1_000
MOST_PATTERNS = 50
LONGEST = 255
_KIND = re.compile(r"[A-Za-z][A-Za-z0-9_.\-]{0,59}")
# Repetition of a repetition: such a pattern can take for ever on one hostile value.
_NESTED = re.compile(r"[+*}]\s*\)\s*[+*{]")


def save(
    kind: str,
    *,
    actor: Actor,
    now: datetime,
    priority: int,
    limit: int,
    names_person: bool,
    blocked_values: Sequence[str],
    blocked_patterns: Sequence[str],
    why: str = "",
) -> IdentityRule:
    """Make or change the rule of one kind of identifier. Raises Invalid, which names the field."""
    if not _KIND.fullmatch(kind):
        raise Invalid(_("A kind is a word of Latin letters and digits."), code="invalid_kind", field="kind")
    if not 1 <= priority <= 1_000:
        raise Invalid(_("The priority is 1 to 1,000."), code="invalid_priority", field="priority")
    if not 1 <= limit <= 10_000:
        raise Invalid(_("The limit is 1 to 10,000."), code="invalid_limit", field="limit")
    values = _texts(blocked_values, most=MOST_VALUES, field="blocked_values")
    patterns = _texts(blocked_patterns, most=MOST_PATTERNS, field="blocked_patterns")
    for pattern in patterns:
        check_pattern(pattern)
    with transaction.atomic():
        row = IdentityRule.objects.select_for_update().filter(kind=kind).first() or IdentityRule(kind=kind)
        before = {name: getattr(row, name) for name in _FIELDS} if row.pk else {}
        origins = {
            value: origin for value, origin in row.origins.items() if value in values or value in patterns
        }
        known = {*row.blocked_values, *row.blocked_patterns}
        for value in (*values, *patterns):
            if value not in known and not identity_rules.is_shipped(kind, value):
                origins[value] = {"by": str(actor), "at": now.isoformat(), "why": why[:200]}
        row.priority, row.limit, row.names_person = priority, limit, names_person
        row.blocked_values, row.blocked_patterns, row.origins = values, patterns, origins
        row.save()
        changed = [name for name in _FIELDS if before.get(name) != getattr(row, name)]
        actionlog.write(actor, "crm.identity_rule.saved", row, fields=changed, now=now)
    rules.forget()
    return row


_FIELDS = ("priority", "limit", "names_person", "blocked_values", "blocked_patterns")


def check_pattern(pattern: str) -> None:
    """Raise Invalid for a pattern that is none, or that one value could keep busy for ever."""
    try:
        re.compile(pattern)
    except re.error:
        wrong = True
    else:
        wrong = bool(_NESTED.search(pattern))
    if wrong:
        raise Invalid(
            _("“%(pattern)s” is no pattern that can be used.") % {"pattern": pattern[:80]},
            code="invalid_pattern", field="blocked_patterns",
        )  # fmt: skip


def _texts(given: Sequence[str], *, most: int, field: str) -> list[str]:
    found = list(dict.fromkeys(text.strip() for text in given if text.strip()))
    if len(found) > most or any(len(text) > LONGEST or "\x00" in text for text in found):
        raise Invalid(_("Too many values, or one that is too long."), code="invalid_values", field=field)
    return found
