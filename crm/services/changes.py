"""What is known of a person has changed: told to whoever follows it, in the transaction of the change.

Touchpoints tell of themselves; this is for what leaves none, such as a new trait, a new address or a new person. It
costs nothing while nobody listens.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from crm.kernel import reactions

PROFILE_CHANGED: Final = "crm.profile.changed"
PROFILE_SEEN: Final = "crm.profile.seen"
SUPPRESSION_CHANGED: Final = "crm.suppression.changed"
IDS_PER_ROW: Final = 1000


def tell(profile_ids: Iterable[int], *, now: datetime, kind: str = PROFILE_CHANGED) -> None:
    """Publish that these people changed. `kind` is another one where a registered fact names it."""
    if not reactions.receivers_for(kind):
        return
    ids = sorted(set(profile_ids))
    for start in range(0, len(ids), IDS_PER_ROW):
        reactions.publish(kind, ids[start : start + IDS_PER_ROW], now=now)
