"""Reading people: roots, the ids a person ever had, names, and the people search."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db.models import BigIntegerField, F, Func, IntegerField, Q, QuerySet, Value
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from crm.kernel.lookups import Many
from crm.models import Identity, MergeRecord, Profile
from crm.selectors import search as people_search

# A list of people found is a choice to make, not a report: the best of them.
MOST_FOUND = 200


@dataclass(frozen=True, slots=True)
class Card:
    """What a list shows of a person. `name` is never empty."""

    id: int
    public_id: str
    name: str
    language: str
    time_zone: str
    is_erased: bool

    def __str__(self) -> str:
        return self.name


def roots(ids: Iterable[int]) -> dict[int, int]:
    """Each profile id with the id of its live root; unknown ids are left out."""
    rows = Profile.objects.filter(pk__any=Many(set(ids))).values_list("pk", Coalesce("merged_into_id", "pk"))
    return dict(rows)


def id_sets(root_ids: Iterable[int]) -> dict[int, list[int]]:
    """Each root with all ids its person ever had, sorted, its own among them."""
    sets: dict[int, list[int]] = {root_id: [root_id] for root_id in root_ids}
    if not sets:
        return {}
    # One array instead of hundreds of parameters: this runs several times per batch of messages.
    for root_id, member in Profile.objects.filter(merged_into_id__any=Many(sets)).values_list(
        "merged_into_id", "pk"
    ):
        sets[root_id].append(member)
    return {root_id: sorted(ids) for root_id, ids in sets.items()}


def ids_of(profile_id: int) -> list[int]:
    """All ids of the person behind any of their ids; empty for an unknown id."""
    root_id = roots([profile_id]).get(profile_id)
    return id_sets([root_id])[root_id] if root_id is not None else []


def cards(ids: Iterable[int]) -> dict[int, Card]:
    """Each profile id with the card of its root: two queries, whatever the number."""
    root_of = roots(ids)
    rows = Profile.objects.filter(pk__in=set(root_of.values())).values_list(
        "pk", "public_id", "display_name", "language", "time_zone", "erased_at"
    )
    found = {
        pk: Card(pk, str(public_id), name or _fallback(pk, erased_at), language, zone, erased_at is not None)
        for pk, public_id, name, language, zone, erased_at in rows
    }
    return {profile_id: found[root_id] for profile_id, root_id in root_of.items()}


def own_names(ids: Iterable[int]) -> dict[int, str]:
    """What each of these profiles itself is called, merged or not; one query."""
    rows = Profile.objects.filter(pk__in=set(ids)).values_list("pk", "display_name", "erased_at")
    return {pk: name or _fallback(pk, erased_at) for pk, name, erased_at in rows}


def _fallback(pk: int, erased_at: Any) -> str:
    return _("Erased person") if erased_at else _("Person %(id)s") % {"id": pk}


def person(profile_id: int) -> Profile:
    """The row of one live root, for its own page. Raises Profile.DoesNotExist."""
    return Profile.objects.get(pk=profile_id)


def by_public_id(public_id: Any) -> Profile | None:
    """The profile of a public id, as it stands (perhaps merged or erased)."""
    return Profile.objects.filter(public_id=public_id).select_related("merged_into").first()


def search(text: str, *, within: QuerySet[Profile] | None = None) -> QuerySet[Profile]:
    """The people that the search finds, best first; all of them when nothing was typed."""
    people = (within if within is not None else Profile.objects.all()).roots()  # type: ignore[attr-defined]
    if not text.strip():
        return people
    return ranked(people, [hit.profile_id for hit in people_search.people(text, limit=MOST_FOUND)])


def ranked(people: QuerySet[Profile], ids: list[int]) -> QuerySet[Profile]:
    """Those of `people` with these ids, in the order of the ids."""
    place = Func(
        Value(ids, output_field=ArrayField(BigIntegerField())), F("pk"), function="array_position",
        output_field=IntegerField(),
    )  # fmt: skip
    return people.filter(pk__in=ids).order_by(place)


def identities(profile_ids: Iterable[int]) -> QuerySet[Identity]:
    """The identifiers of one person, strongest kinds first."""
    return Identity.objects.filter(profile_id__in=list(profile_ids)).order_by("kind", "pk")


def merges(profile_ids: Iterable[int]) -> QuerySet[MergeRecord]:
    """The merges a person was part of, newest first."""
    ids = list(profile_ids)
    return MergeRecord.objects.filter(Q(winner_id__in=ids) | Q(loser_id__in=ids)).order_by("-pk")


def counts_by_kind(profile_ids: Iterable[int]) -> dict[str, int]:
    """How many identifiers of each kind a person has."""
    counts: dict[str, int] = defaultdict(int)
    for kind in identities(profile_ids).values_list("kind", flat=True):
        counts[kind] += 1
    return dict(counts)


def owners(kind: str, value: str) -> list[int]:
    """The root id of the person with this identifier, in a list that is empty when there is none."""
    held = Identity.objects.filter(kind=kind, value=value).values_list("profile_id", flat=True)
    return sorted(set(roots(held).values()))
