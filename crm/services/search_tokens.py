"""Search tokens anew after the way names are read has changed: a pass over all people that may be stopped anywhere.

The position is written in the transaction of each chunk, so a pass that was killed goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import orjson
from django.db import transaction

from crm import names
from crm.models import Profile, ScanPosition
from crm.services import hotpath

CHUNK = 1_000
SAMPLE = 200


def job() -> str:
    """The pass for names as they are read now."""
    return f"names-{names.VERSION}"


def renew(*, now: datetime, until: Callable[[], bool], chunk: int = CHUNK) -> int:
    """Go on with the pass until it is done or `until()` says so. Returns how many people were changed."""
    position = ScanPosition.objects.filter(pk=job()).first()
    if position is None:
        # Where the oldest people are as they should be, all are: nothing has changed since they were made.
        position = ScanPosition(job=job(), finished_at=None if _renew(0, SAMPLE)[1] else now)
        position.save(force_insert=True)
    changed = 0
    while position.finished_at is None and not until():
        with transaction.atomic():
            position = ScanPosition.objects.select_for_update().get(pk=job())
            if position.finished_at is not None:
                break
            last, number = _renew(position.position, chunk)
            position.position = last or position.position
            position.finished_at = None if last else now
            position.save()
            changed += number
    return changed


def _renew(after: int, number: int) -> tuple[int, int]:
    """Tokens and sort keys of the next people. Returns the last id looked at (0: none left) and how many changed."""
    rows = list(
        Profile.objects.filter(pk__gt=after)
        .order_by("pk")
        .values_list("pk", "display_name", "family_name", "given_name", "name_sort", "search_tokens")[:number]
    )
    updates = []
    for pk, display_name, family_name, given_name, name_sort, tokens in rows:
        key, wanted = names.sort_key(display_name), names.tokens(display_name, family_name, given_name)
        if (key, wanted) != (name_sort, sorted(tokens)):
            updates.append({"id": pk, "was": display_name, "key": key, "tokens": wanted})
    if updates:
        hotpath.fetch(
            # Somebody who got another name meanwhile has their tokens from whoever gave it.
            "UPDATE crm_profile p SET name_sort = u.key, search_tokens = u.tokens"
            "  FROM jsonb_to_recordset(%s::jsonb) AS u(id bigint, was text, key text, tokens text[])"
            " WHERE p.id = u.id AND p.display_name = u.was",
            [orjson.dumps(updates).decode()],
        )
    return (rows[-1][0] if rows else 0), len(updates)
