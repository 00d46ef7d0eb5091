"""Computing: values of traits and summaries of purchases, written by one statement for one person or for thousands.

A value is always what its definition yields now, so computing again is harmless. Two writers of the same value take
turns: each locks its (trait, share of people) first and reads afterwards, so whoever writes last has read last. Events,
merges and erasures are followed by reactions, moved windows by a look at an index.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from django.db import connection, transaction

from crm import computed as definitions
from crm.conditions import compiler
from crm.kernel import reactions
from crm.kernel.reactions import Fact
from crm.models import ComputedTrait, ComputedValue, Profile, PurchaseSummary
from crm.selectors import computed, computing, profiles
from crm.selectors.computed import InForce
from crm.services import purchases
from crm.states import ComputedStatus

LOCK: Final = 0x52454E10
SHARES: Final = 32
PEOPLE_AT_ONCE: Final = 2000
HISTORY: Final = "crm.history"


# -- following what happens


def follow(facts: Sequence[Fact], *, now: datetime) -> int:
    """Compute again what these touchpoints may have changed. Returns the number of values that are another now."""
    by_kind: dict[str, set[int]] = {}
    for fact in facts:
        if fact.kind == HISTORY:
            kind, *ids = fact.ids
            by_kind.setdefault(str(kind), set()).update(map(int, ids))
        else:
            by_kind.setdefault(fact.kind, set()).add(fact.profile_id)
    root_of = profiles.roots({pk for ids in by_kind.values() for pk in ids})
    by_kind = {kind: {root_of[pk] for pk in ids if pk in root_of} for kind, ids in by_kind.items()}
    changed = 0
    for trait in computed.followed(by_kind):
        changed += refresh(trait, roots=by_kind[trait.definition.kind], now=now)
    buyers = by_kind.get(purchases.order_kind())
    if buyers:
        refresh_purchases(buyers, now=now)
    return changed


def regroup(profile_ids: Iterable[int], *, now: datetime) -> int:
    """People were merged or taken apart: compute everything of theirs again. Returns the number of changed values."""
    roots = set(profile_ids)
    changed = 0
    for trait in computed.followed():
        changed += refresh(trait, roots=roots, now=now)
    # Values of traits that do not follow at the moment stay with whoever is a root; nobody else keeps any.
    gone = Profile.objects.filter(pk__in=roots, merged_into__isnull=False).values("pk")
    ComputedValue.objects.filter(profile_id__in=gone).delete()
    refresh_purchases(roots, now=now)
    return changed


def clear_people(profile_ids: Sequence[int]) -> int:
    """Remove every value of erased people, after whoever is computing one of them has finished. Returns how many."""
    ids = sorted(set(profile_ids))
    with transaction.atomic():
        traits = list(ComputedTrait.objects.order_by("pk").values_list("pk", flat=True))
        for trait_id in [0, *traits]:
            take_turns(trait_id, {pk % SHARES for pk in ids})
        PurchaseSummary.objects.filter(pk__in=ids).delete()
        return ComputedValue.objects.filter(profile_id__in=ids).delete()[0]


def refresh(trait: InForce, *, roots: Iterable[int], now: datetime) -> int:
    """Compute one trait of these people, a few thousand at a time. Returns the number of changed values."""
    wanted = sorted({root for root in roots if root})
    changed = 0
    for start in range(0, len(wanted), PEOPLE_AT_ONCE):
        some = wanted[start : start + PEOPLE_AT_ONCE]
        with transaction.atomic():
            take_turns(trait.id, {root % SHARES for root in some})
            changed += write(trait, computing.scope_of(some), now=now)
    return changed


def refresh_purchases(roots: Iterable[int], *, now: datetime) -> int:
    """Sum up the orders of these people again. Returns the number of changed rows."""
    wanted = sorted({root for root in roots if root})
    changed = 0
    for start in range(0, len(wanted), PEOPLE_AT_ONCE):
        some = wanted[start : start + PEOPLE_AT_ONCE]
        with transaction.atomic():
            take_turns(0, {root % SHARES for root in some})
            changed += purchases.write(computing.scope_of(some), now=now)
    return changed


def move_windows(*, now: datetime, limit: int = 20_000) -> int:
    """Compute again where a touchpoint has left the window since. Reads the people whose window moved, nobody else.

    Returns how many people were looked at.
    """
    looked_at = 0
    for trait in computed.followed():
        if not trait.definition.window.days:
            continue
        while looked_at < limit:
            roots = list(
                ComputedValue.objects.filter(trait_id=trait.id, moves_at__lt=now)
                .order_by("moves_at")
                .values_list("profile_id", flat=True)[:PEOPLE_AT_ONCE]
            )
            if not roots:
                break
            refresh(trait, roots=roots, now=now)
            looked_at += len(roots)
            if len(roots) < PEOPLE_AT_ONCE:
                break
    return looked_at


def take_turns(trait_id: int, shares: Iterable[int]) -> None:
    """Wait for other writers of the same values; held until the transaction ends. Always in the same order."""
    keys = [trait_id * SHARES + share for share in sorted(shares)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, key) FROM unnest(%s::int[]) AS k(key)", [LOCK, keys])


def write(trait: InForce, scope: computing.Scope, *, now: datetime) -> int:
    """Write what the statement yields where it is another value, and remove what it no longer yields. The caller holds
    the turn; a definition that was changed since this process read it is read again."""
    current = ComputedTrait.objects.filter(pk=trait.id).values_list("version", "status").first()
    if current != (trait.version, trait.status):
        newer = computed.by_id(trait.id)
        if newer is None or newer.status not in (ComputedStatus.ACTIVE, ComputedStatus.PAUSED):
            return 0
        trait = newer
    query = computing.statement(trait.definition, at=compiler.moment(now=now), scope=scope)
    held = scope.covers("v.profile_id")
    sql = f"""
        WITH found AS MATERIALIZED ({query.text}),
        gone AS (
            DELETE FROM crm_computedvalue v WHERE v.trait_id = %s AND {held.text}
               AND NOT EXISTS (SELECT 1 FROM found WHERE found.root = v.profile_id)
            RETURNING v.profile_id
        ), kept AS (
            INSERT INTO crm_computedvalue AS v
                   (trait_id, profile_id, number, text, moment, list, computed_at, moves_at)
            SELECT %s, root, number, text, moment, list, %s, moves_at FROM found
             ORDER BY root
            ON CONFLICT (profile_id, trait_id) DO UPDATE
               SET number = EXCLUDED.number, text = EXCLUDED.text, moment = EXCLUDED.moment, list = EXCLUDED.list,
                   computed_at = EXCLUDED.computed_at, moves_at = EXCLUDED.moves_at
             WHERE (v.number, v.text, v.moment, v.list, v.moves_at) IS DISTINCT FROM
                   (EXCLUDED.number, EXCLUDED.text, EXCLUDED.moment, EXCLUDED.list, EXCLUDED.moves_at)
            RETURNING v.profile_id
        )
        SELECT profile_id FROM gone UNION ALL SELECT profile_id FROM kept
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, [*query.params, trait.id, *held.params, trait.id, now])
        changed = [row[0] for row in cursor.fetchall()]
    if changed:
        reactions.publish(definitions.CHANGED, sorted(changed), now=now)
    return len(changed)
