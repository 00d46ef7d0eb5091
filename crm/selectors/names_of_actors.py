"""Who did it, by name: staff, API keys, sources and people, for a whole page at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from django.db import connection

from crm.kernel.templatetags.actors import WORDS, actor_words
from crm.selectors import profiles


def names(texts: Iterable[str]) -> dict[str, str]:
    """Each stored actor (`staff:12`) with what staff read: one query, and two more when people are among them."""
    wanted: dict[str, set[int]] = defaultdict(set)
    given = set(texts)
    for text in given:
        kind, _colon, ident = str(text).partition(":")
        if ident.isdecimal() and len(ident) < 18:
            wanted[kind].add(int(ident))
    found: dict[tuple[str, int], str] = {}
    if wanted["staff"] or wanted["api_key"] or wanted["source"]:
        with connection.cursor() as cursor:
            cursor.execute(
                """
                SELECT 'staff', id, COALESCE(NULLIF(trim(first_name || ' ' || last_name), ''), username)
                  FROM crm_staffuser WHERE id = ANY(%s)
                 UNION ALL SELECT 'api_key', id, name FROM crm_apikey WHERE id = ANY(%s)
                 UNION ALL SELECT 'source', id, name FROM crm_source WHERE id = ANY(%s)
                """,
                [sorted(wanted["staff"]), sorted(wanted["api_key"]), sorted(wanted["source"])],
            )
            for kind, ident, name in cursor.fetchall():
                found[kind, ident] = f"{WORDS[kind]} {name}" if kind == "api_key" else name
    if wanted["person"]:
        found |= {("person", pk): card.name for pk, card in profiles.cards(wanted["person"]).items()}
    answer = {}
    for text in given:
        kind, _colon, ident = str(text).partition(":")
        name = found.get((kind, int(ident))) if ident.isdecimal() and len(ident) < 18 else None
        answer[text] = name or actor_words(text)
    return answer
