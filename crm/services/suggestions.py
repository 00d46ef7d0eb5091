"""Merge suggestions: who may be one person, by which evidence, and how likely.

A pair is suggested once. Staff who dismiss it are not asked again until something new speaks for it: evidence is kept
as codes with a hash of what both share, never the value itself. The passes are set-based and bounded; a household
that shares a telephone under different names is related, not suggested.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any

import orjson
from django.db import connection, transaction

from crm import names
from crm.addresses import address_hash
from crm.kernel import actionlog, knobs
from crm.kernel.actors import Actor
from crm.models import MergeSuggestion
from crm.rules import FREE_MAIL
from crm.services import hotpath
from crm.states import SuggestionReason, SuggestionStatus

SCORES: Mapping[str, int] = {
    SuggestionReason.SAME_PHONE: 60,
    SuggestionReason.SAME_EMAIL: 55,
    SuggestionReason.BROWSER_CLAIM: 40,
    SuggestionReason.SAME_BIRTHDAY: 30,
    SuggestionReason.SAME_NAME: 25,
    SuggestionReason.SAME_DOMAIN: 20,
    SuggestionReason.SIMILAR_NAME: 15,
    SuggestionReason.SAME_REGION: 5,
}
# Two names that have nothing in common, or two birthdays: a family, most likely.
OTHER_NAME, OTHER_BIRTHDAY = 25, 35
BEST = 99
# An address of more people than this is an office's or a school's, and speaks for nothing.
MOST_SHARING = 6
LARGEST_FIRM = 200
LEAST_SIMILARITY = 0.6
Pair = tuple[int, int]


@dataclass(slots=True)
class Found:
    """What speaks for one pair: codes, each with the hash of what both share (or an empty text)."""

    evidence: set[tuple[str, str]] = field(default_factory=set)
    against: int = 0
    reason: str = ""

    @property
    def score(self) -> int:
        """How likely it is, 0 to 99."""
        total = sum(SCORES[code] for code in {code for code, _key in self.evidence}) - self.against
        return max(0, min(BEST, total))


def find(*, now: datetime, recent: timedelta | None = None) -> int:
    """Look for pairs, all over or among people with an address or a birthday learnt within `recent`. Returns how
    many suggestions are new or open again."""
    limit = knobs.get("crm.suggestions_per_pass")
    found: dict[Pair, Found] = defaultdict(Found)
    since = now - recent if recent is not None else None
    for channel, value, roots in _shared_addresses(limit, since=since):
        code = SuggestionReason.SAME_PHONE if channel == "sms" else SuggestionReason.SAME_EMAIL
        for pair in _pairs(roots):
            found[pair].evidence.add((code.value, address_hash(channel, value)[:16]))
    if since is None:
        for first, second, domain in _same_firm(limit):
            found[first, second].evidence.add((SuggestionReason.SAME_DOMAIN.value, _key(domain)))
        for roots in _same_birthday(limit):
            for pair in _pairs(roots):
                found[pair].evidence.add((SuggestionReason.SAME_BIRTHDAY.value, ""))
    _compare(found)
    least = knobs.get("crm.suggestion_least_score")
    likely = {pair: what for pair, what in found.items() if what.score >= least}
    best = sorted(likely.items(), key=lambda entry: (-entry[1].score, entry[0]))[:limit]
    return keep(dict(best), source_id=None, now=now)


def claim(pairs: Mapping[Pair, str], *, source_id: int | None, now: datetime) -> int:
    """Keep what a public browser key claimed: pair -> the kinds of identifier it named together."""
    found = {
        pair: Found({(SuggestionReason.BROWSER_CLAIM.value, "")}, reason=kinds)
        for pair, kinds in pairs.items()
    }
    return keep(found, source_id=source_id, now=now)


def keep(found: Mapping[Pair, Found], *, source_id: int | None, now: datetime) -> int:
    """Write pairs (lower id first), sorted. A dismissed pair opens again only by evidence it did not have."""
    if not found:
        return 0
    rows = [
        {
            "first_id": first,
            "second_id": second,
            "score": what.score,
            "reason": what.reason[:80],
            "evidence": [{"code": code, "key": key} for code, key in sorted(what.evidence)],
        }
        for (first, second), what in sorted(found.items())
    ]
    written = hotpath.fetch(
        """
        INSERT INTO crm_mergesuggestion AS s
               (first_id, second_id, reason, score, evidence, status, source_id, created_at, decided_by)
        SELECT first_id, second_id, reason, score, evidence, 'open', %(source)s, %(now)s, ''
          FROM jsonb_to_recordset(%(rows)s::jsonb)
               AS t(first_id bigint, second_id bigint, reason text, score smallint, evidence jsonb)
         ORDER BY first_id, second_id
        ON CONFLICT (first_id, second_id) DO UPDATE
           SET evidence = (SELECT jsonb_agg(DISTINCT e) FROM jsonb_array_elements(s.evidence || EXCLUDED.evidence) e),
               score = GREATEST(s.score, EXCLUDED.score), status = 'open', decided_at = NULL, decided_by = ''
         WHERE s.status IN ('open', 'dismissed') AND NOT s.evidence @> EXCLUDED.evidence
        RETURNING id
        """,
        {"rows": orjson.dumps(rows).decode(), "source": source_id, "now": now},
    )
    return len(written)


def settle_joined(ids: Iterable[int], *, actor: Actor, now: datetime) -> None:
    """These profiles are one person now: what was suggested among them is done."""
    members = sorted(set(ids))
    MergeSuggestion.objects.filter(first_id__in=members, second_id__in=members).exclude(
        status=SuggestionStatus.MERGED
    ).update(status=SuggestionStatus.MERGED, decided_at=now, decided_by=str(actor))


def settle_parted(one: Iterable[int], other: Iterable[int], *, actor: Actor, now: datetime) -> None:
    """Somebody took them apart: they are not suggested again until something new speaks for it."""
    left, right = sorted(set(one)), sorted(set(other))
    for first, second in ((left, right), (right, left)):
        MergeSuggestion.objects.filter(
            first_id__in=first, second_id__in=second, status=SuggestionStatus.MERGED
        ).update(status=SuggestionStatus.DISMISSED, decided_at=now, decided_by=str(actor))


def dismiss_many(ids: Sequence[int], *, actor: Actor, now: datetime) -> int:
    """Keep several pairs apart at once. Returns how many were open."""
    with transaction.atomic():
        rows = list(
            MergeSuggestion.objects.select_for_update()
            .filter(pk__in=list(ids), status=SuggestionStatus.OPEN)
            .order_by("pk")
        )
        for row in rows:
            actionlog.write(actor, "crm.suggestion.dismissed", row, fields=("status",), now=now)
        MergeSuggestion.objects.filter(pk__in=[row.pk for row in rows]).update(
            status=SuggestionStatus.DISMISSED, decided_at=now, decided_by=str(actor)
        )
    return len(rows)


def _key(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()


def _pairs(roots: Sequence[int]) -> Iterable[Pair]:
    ordered = sorted(set(roots))
    return ((one, two) for place, one in enumerate(ordered) for two in ordered[place + 1 :])


def _shared_addresses(limit: int, *, since: datetime | None) -> list[tuple[str, str, list[int]]]:
    """Addresses of two to six people, as contact point or identifier: (channel, value, root ids)."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH held AS (
                SELECT channel, value, profile_id FROM crm_contactpoint WHERE channel IN ('email', 'sms')
                UNION ALL
                SELECT CASE kind WHEN 'phone' THEN 'sms' ELSE 'email' END, value, profile_id
                  FROM crm_identity WHERE kind IN ('email', 'phone')
            ), wanted AS (
                {_RECENT if since is not None else "SELECT NULL AS channel, NULL AS value"}
            ), shared AS (
                SELECT h.channel, h.value FROM held h
                 {"JOIN wanted USING (channel, value)" if since is not None else ""}
                 GROUP BY 1, 2 HAVING min(h.profile_id) <> max(h.profile_id)
            )
            SELECT h.channel, h.value, array_agg(DISTINCT COALESCE(p.merged_into_id, p.id))
              FROM shared JOIN held h USING (channel, value) JOIN crm_profile p ON p.id = h.profile_id
             WHERE p.erased_at IS NULL
             GROUP BY 1, 2
            HAVING count(DISTINCT COALESCE(p.merged_into_id, p.id)) BETWEEN 2 AND %(most)s
             ORDER BY max(h.profile_id) DESC
             LIMIT %(limit)s
            """,
            {"since": since, "most": MOST_SHARING, "limit": 5 * limit},
        )
        return cursor.fetchall()


_RECENT = """
    SELECT DISTINCT channel, value FROM (
        SELECT channel, value, created_at FROM crm_contactpoint WHERE channel IN ('email', 'sms')
         ORDER BY id DESC LIMIT 5000) AS newest
     WHERE created_at >= %(since)s
"""


def _same_firm(limit: int) -> list[tuple[int, int, str]]:
    """Pairs with addresses of one company and the same or a similar name."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH person AS MATERIALIZED (
                SELECT DISTINCT split_part(c.value, '@', 2) AS domain, COALESCE(p.merged_into_id, p.id) AS id
                  FROM crm_contactpoint c JOIN crm_profile p ON p.id = c.profile_id
                 WHERE c.channel = 'email' AND p.erased_at IS NULL
            ), firm AS (
                SELECT domain FROM person WHERE domain <> ALL(%(free)s)
                 GROUP BY domain HAVING count(*) BETWEEN 2 AND %(largest)s
            ), named AS MATERIALIZED (
                SELECT f.domain, r.id, r.name_sort, r.display_name ~ '[一-鿿]' AS is_han
                  FROM firm f JOIN person USING (domain) JOIN crm_profile r ON r.id = person.id
                 WHERE r.name_sort <> ''
            )
            SELECT a.id, b.id, a.domain
              FROM named a JOIN named b ON a.domain = b.domain AND a.id < b.id
             WHERE (a.name_sort = b.name_sort
                    OR NOT a.is_han AND NOT b.is_han AND similarity(a.name_sort, b.name_sort) >= %(least)s)
               AND NOT EXISTS (SELECT 1 FROM crm_mergesuggestion s
                                WHERE s.first_id = a.id AND s.second_id = b.id AND s.status = 'dismissed')
             LIMIT %(limit)s
            """,
            {
                "free": list(FREE_MAIL),
                "largest": LARGEST_FIRM,
                "least": LEAST_SIMILARITY,
                "limit": 5 * limit,
            },
        )
        return cursor.fetchall()


def _same_birthday(limit: int) -> list[list[int]]:
    """People of the same name born on the same day, two to four of them."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT array_agg(id) FROM crm_profile
             WHERE merged_into_id IS NULL AND erased_at IS NULL AND birthday IS NOT NULL AND name_sort <> ''
             GROUP BY name_sort, birthday, birthday_is_lunar HAVING count(*) BETWEEN 2 AND 4
             LIMIT %s
            """,
            [5 * limit],
        )
        return [row[0] for row in cursor.fetchall()]


def _compare(found: dict[Pair, Found]) -> None:
    """Add what the names, birthdays and regions of each pair say for it or against it."""
    ids = sorted({profile_id for pair in found for profile_id in pair})
    rows = {
        row[0]: row[1:]
        for row in hotpath.fetch(
            "SELECT id, display_name, name_sort, birthday, country || '/' || region, region <> ''"
            "  FROM crm_profile WHERE id = ANY(%s)",
            [ids],
        )
    }
    for (first, second), what in found.items():
        if first in rows and second in rows:
            _compare_pair(rows[first], rows[second], what)


def _compare_pair(one: Sequence[Any], two: Sequence[Any], what: Found) -> None:
    codes = {code for code, _key_of in what.evidence}
    if one[1] and two[1]:
        if one[1] == two[1] or sorted(one[1].split()) == sorted(two[1].split()):
            what.evidence.add((SuggestionReason.SAME_NAME.value, _key(" ".join(sorted(one[1].split())))))
        elif not names.is_han(one[0] + two[0]) and _similarity(one[1], two[1]) >= LEAST_SIMILARITY:
            what.evidence.add((SuggestionReason.SIMILAR_NAME.value, ""))
        else:
            what.against += OTHER_NAME
    if one[2] is not None and two[2] is not None:
        if one[2] != two[2]:
            what.against += OTHER_BIRTHDAY
        elif SuggestionReason.SAME_BIRTHDAY.value not in codes:
            what.evidence.add((SuggestionReason.SAME_BIRTHDAY.value, ""))
    if one[4] and one[3] == two[3]:
        what.evidence.add((SuggestionReason.SAME_REGION.value, ""))


def _similarity(one: str, two: str) -> float:
    """The share of trigrams that two texts have in common, as pg_trgm counts it."""
    left, right = _trigrams(one), _trigrams(two)
    return len(left & right) / len(left | right) if left | right else 0.0


def _trigrams(text: str) -> set[str]:
    padded = (f"  {word} " for word in text.split())
    return {word[at : at + 3] for word in padded for at in range(len(word) - 2)}
