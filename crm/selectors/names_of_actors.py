"""Who did it, by name: staff, API keys, sources and people, for a whole page at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from crm.kernel.templatetags.actors import actor_words
from crm.models import ApiKey, Source, StaffUser
from crm.selectors import profiles


def names(texts: Iterable[str]) -> dict[str, str]:
    """Each stored actor (`staff:12`) with what staff read: one query per kind that occurs."""
    wanted: dict[str, set[int]] = defaultdict(set)
    given = set(texts)
    for text in given:
        kind, _colon, ident = str(text).partition(":")
        if ident.isdecimal() and len(ident) < 18:
            wanted[kind].add(int(ident))
    found: dict[tuple[str, int], str] = {}
    if wanted["staff"]:
        for user in StaffUser.objects.filter(pk__in=wanted["staff"]).only(
            "first_name", "last_name", "username"
        ):
            found["staff", user.pk] = user.get_full_name() or user.username
    if wanted["api_key"]:
        rows = ApiKey.objects.filter(pk__in=wanted["api_key"]).values_list("pk", "name")
        found |= {("api_key", pk): f"{actor_words('api_key:')} {name}" for pk, name in rows}
    if wanted["source"]:
        rows = Source.objects.filter(pk__in=wanted["source"]).values_list("pk", "name")
        found |= {("source", pk): name for pk, name in rows}
    if wanted["person"]:
        found |= {("person", pk): card.name for pk, card in profiles.cards(wanted["person"]).items()}
    answer = {}
    for text in given:
        kind, _colon, ident = str(text).partition(":")
        name = found.get((kind, int(ident))) if ident.isdecimal() and len(ident) < 18 else None
        answer[text] = name or actor_words(text)
    return answer
