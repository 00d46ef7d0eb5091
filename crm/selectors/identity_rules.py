"""The identity rules as staff see them: what each means, what it refused lately, and what another would refuse."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, Sum
from django.utils.translation import gettext as _

from crm import rules as shipped
from crm.models import Identity, IdentityRule, IngestionWarning
from crm.rules import BY_IDENTIFIER
from crm.states import IdentifierKind

DAYS = 30
MOST_LOOKED_AT = 200_000


@dataclass(frozen=True, slots=True)
class Blocked:
    """A value or pattern that belongs to nobody, and where it came from. `by` is empty for shipped ones."""

    value: str
    is_pattern: bool
    by: str
    at: str
    why: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """How often a rule refused something of one source lately."""

    code: str
    source: str
    count: int
    last: Any


@dataclass(frozen=True, slots=True)
class Effect:
    """What another limit or more blocked values would have met among the identifiers known today."""

    identifiers: int
    identifiers_lately: int
    people_over_limit: int
    is_cut: bool


def label(kind: str) -> Any:
    """What staff read for a kind of identifier."""
    return IdentifierKind(kind).label if kind in IdentifierKind.values else kind


def explain(rule: IdentityRule) -> str:
    """The rule in a sentence."""
    words = {"kind": label(rule.kind), "limit": rule.limit, "priority": rule.priority}
    if rule.limit == 1:
        text = (
            _("One %(kind)s per person: an event that would give somebody a second one is not joined.")
            % words
        )
    else:
        text = _("Up to %(limit)d of %(kind)s per person; beyond that it is left out of the match.") % words
    if rule.names_person:
        return text
    return text + " " + _("It names a device, not a person: who has nothing else is anonymous.")


def blocked(rule: IdentityRule) -> list[Blocked]:
    """Blocked values and patterns, those that staff added first."""
    found = []
    for is_pattern, values in ((False, rule.blocked_values), (True, rule.blocked_patterns)):
        for value in values:
            origin = rule.origins.get(value, {})
            found.append(
                Blocked(value, is_pattern, origin.get("by", ""), origin.get("at", ""), origin.get("why", ""))
            )
    return sorted(found, key=lambda one: (not one.by, one.is_pattern, one.value))


def is_shipped(kind: str, value: str) -> bool:
    """Whether a blocked value came with the product."""
    rule = next((rule for rule in shipped.DEFAULTS if rule.kind == kind), shipped.OTHER)
    return value in rule.blocked_values or value in rule.blocked_patterns


def refused(kind: str, *, now: datetime) -> list[Refusal]:
    """What the rule refused in the last thirty days, by source, from the warnings of the door."""
    rows = (
        IngestionWarning.objects.filter(
            code__in=BY_IDENTIFIER, subject=kind, seen_on__gt=now.date() - timedelta(days=DAYS)
        )
        .values("code", "source__name")
        .annotate(number=Sum("count"), last=Count("pk"))
        .order_by("-number")[:50]
    )
    return [Refusal(row["code"], row["source__name"] or "–", row["number"], row["last"]) for row in rows]


def refused_counts(*, now: datetime) -> dict[str, int]:
    """Refusals of the last thirty days per kind of identifier."""
    rows = (
        IngestionWarning.objects.filter(code__in=BY_IDENTIFIER, seen_on__gt=now.date() - timedelta(days=DAYS))
        .order_by()
        .values_list("subject")
        .annotate(number=Sum("count"))
    )
    return dict(rows)


def effect(kind: str, *, limit: int | None, values: Sequence[str], pattern: str, now: datetime) -> Effect:
    """What a rule with this limit, blocking these values and this pattern as well, would meet: identifiers that were
    taken and would be refused, those of them first seen in thirty days, and people who have more than the limit.
    Looks at the newest 200,000 identifiers of the kind at most. Raises re.error for a bad pattern."""
    wanted = [value.casefold() for value in values if value]
    compiled = re.compile(pattern, re.IGNORECASE) if pattern else None
    rows = Identity.objects.filter(kind=kind).order_by("-pk").values_list("value", "created_at")
    met = lately = looked = 0
    since = now - timedelta(days=DAYS)
    if wanted or compiled:
        for value, created_at in rows[:MOST_LOOKED_AT].iterator(chunk_size=5_000):
            looked += 1
            if value.casefold() in wanted or (compiled is not None and compiled.fullmatch(value)):
                met += 1
                lately += created_at >= since
    over = _over(kind, limit) if limit is not None else 0
    return Effect(met, lately, over, looked >= MOST_LOOKED_AT)


def _over(kind: str, limit: int) -> int:
    """People (over all ids) with more identifiers of the kind than this."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT count(*) FROM (
                SELECT 1 FROM (SELECT profile_id FROM crm_identity WHERE kind = %s ORDER BY id DESC LIMIT %s) i
                  JOIN crm_profile p ON p.id = i.profile_id
                 GROUP BY COALESCE(p.merged_into_id, p.id) HAVING count(*) > %s) AS over
            """,
            [kind, MOST_LOOKED_AT, limit],
        )
        return int(cursor.fetchone()[0])
