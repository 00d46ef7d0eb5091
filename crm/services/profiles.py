"""Profiles: find or make the person behind identifiers, lock people, and change what we know of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from crm.kernel import actionlog
from crm.kernel.actors import Actor
from crm.kernel.errors import Gone, Invalid, NotFound
from crm.models import Profile
from crm.selectors import rules
from crm.services import changes, identity, retry, traits, warnings
from crm.states import Trust


@retry.on_conflict
def resolve(
    identifiers: Sequence[tuple[str, str]],
    *,
    trust: str,
    actor: Actor,
    now: datetime,
    names: Mapping[str, Any] | None = None,
    source_id: int | None = None,
) -> int:
    """The root profile of these identifiers, made when new. `names` are traits to merge (name, language, …).

    With browser trust nobody known is ever joined: the weaker identifiers are left out instead. Raises Invalid
    `no_identifier` or `illegal_identifier`.
    """
    good: list[tuple[str, str]] = []
    for kind, raw in identifiers:
        value = rules.normalise(kind, raw)
        if value is not None and not rules.is_blocked(kind, value):
            good.append((kind, value))
    if not good:
        if identifiers:
            raise Invalid(_("These identifiers belong to nobody."), code="illegal_identifier")
        raise Invalid(_("At least one identifier is needed."), code="no_identifier")
    good = sorted(dict.fromkeys(good), key=lambda pair: rules.rule(pair[0]).priority)
    with transaction.atomic():
        found = identity.resolve(
            [identity.Claim(good, now)], trust=trust, source_id=source_id, actor=actor, now=now
        )
        root_id = found.root_ids[0]
        if found.created:
            changes.tell(found.created, now=now)
        if names:
            gift = traits.Gift(root_id, now, dict(names), {})
            traits.merge([gift], trust=Trust(trust).value, actor=actor, now=now)
        if found.warnings:
            first = {code: detail for _at, code, detail in reversed(found.warnings)}
            warnings.write(
                [
                    (code, 1, {"kind": "resolve", "detail": first[code], "stored": True})
                    for code in sorted(first)
                ],
                source_id=source_id,
                now=now,
            )
    return root_id


def lock_roots(ids: Iterable[int], *, wide: bool = False) -> dict[int, Profile]:
    """Each given id with its live root, row-locked in id order. Call inside a transaction.

    Roots may change while we wait. Then the locks are given back by a savepoint and taken anew, still in id order:
    holding some while asking for others is how deadlocks begin. Unknown ids are left out. FOR NO KEY UPDATE:
    writers of rows that merely refer to the profile are not held up. Traits, sources and search tokens are loaded
    only with `wide`: most callers lock hundreds of people to look at three values.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("lock_roots holds its locks only inside a transaction")
    wanted = sorted(set(ids))
    root_of = _roots(wanted)
    for _round in range(identity.MOST_ROUNDS):
        savepoint = transaction.savepoint()
        rows = Profile.objects.select_for_update(no_key=True)
        if not wide:
            rows = rows.defer("traits", "value_sources", "search_tokens")
        # Who was merged meanwhile is not held: the merge holds their root and writes to them.
        asked = set(root_of.values())
        locked = {row.pk: row for row in rows.filter(pk__any=asked, merged_into=None).order_by("pk")}
        found = _roots(wanted)
        if found == root_of and locked.keys() == asked:
            transaction.savepoint_commit(savepoint)
            return {profile_id: locked[root_id] for profile_id, root_id in root_of.items()}
        transaction.savepoint_rollback(savepoint)
        root_of = found
    raise retry.Raced


def _roots(ids: list[int]) -> dict[int, int]:
    return dict(Profile.objects.filter(pk__any=ids).values_list("pk", Coalesce("merged_into_id", "pk")))


def refuse_erased(profile: Profile) -> None:
    """Raise Gone for a tombstone."""
    if profile.erased_at is not None:
        raise Gone(_("This person's data was erased."), code="erased")


@retry.on_conflict
def update(
    profile_id: int, *, values: Mapping[str, Any], actor: Actor, now: datetime, trust: str = "staff"
) -> set[str]:
    """Set typed values or traits by staff or an API client. Returns the names of the columns that changed.
    Raises NotFound and Gone."""
    with transaction.atomic():
        locked = lock_roots([profile_id])
        if profile_id not in locked:
            raise NotFound(_("There is no such person."))
        root = locked[profile_id]
        refuse_erased(root)
        changed = traits.merge(
            [traits.Gift(root.pk, now, dict(values), {})], trust=trust, actor=actor, now=now
        )
        if changed:
            actionlog.write(actor, "crm.profile.changed", root, fields=sorted(changed), now=now)
    return changed
