"""Whether a person may be written to for a purpose: consent, suppression, and the most restrictive of all ids."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from crm.kernel.lookups import Many
from crm.models import ConsentRecord, ContactPoint, Suppression
from crm.selectors import profiles
from crm.states import OPT_IN_PURPOSES, Channel, ConsentWay, Purpose


def allowed(
    root_ids: Iterable[int],
    *,
    purpose: str,
    channel: str,
    members: Mapping[int, list[int]] | None = None,
) -> dict[int, bool]:
    """For each root whether `purpose` is allowed on `channel`. `members` saves the read of the id sets.

    Opt-in purposes need a yes; the others are allowed until withdrawn. Of everything the person ever was, the newest
    decision of each profile counts and a single no outweighs any yes. A suppressed
    address silences its channel for every person who has it.
    """
    roots = set(root_ids)
    sets = members if members is not None else profiles.id_sets(roots)
    root_of = {member: root for root in roots for member in sets[root]}
    decisions: dict[int, list[bool]] = {root: [] for root in roots}
    for profile_id, granted in _newest(root_of, purpose, channel):
        decisions[root_of[profile_id]].append(granted)
    blocked = _suppressed_roots(root_of, purpose, channel)
    opt_in = purpose in OPT_IN_PURPOSES
    return {
        root: root not in blocked and all(found) and (bool(found) or not opt_in)
        for root, found in decisions.items()
    }


def _newest(profile_ids: Collection[int], purpose: str, channel: str) -> list[tuple[int, bool]]:
    return list(
        ConsentRecord.objects.filter(profile_id__any=Many(profile_ids), purpose=purpose, channel=channel)
        .order_by("profile_id", "purpose", "channel", "-occurred_at", "-pk")
        .distinct("profile_id", "purpose", "channel")
        .values_list("profile_id", "granted")
    )


def _suppressed_roots(root_of: dict[int, int], purpose: str, channel: str) -> set[int]:
    """Roots with a suppressed address: most restrictive, one suppressed address silences the channel."""
    rows = list(
        ContactPoint.objects.filter(profile_id__any=Many(root_of), channel=channel).values_list(
            "profile_id", "value_hash"
        )
    )
    bad = suppressed({value_hash for _profile_id, value_hash in rows}, purpose=purpose, channel=channel)
    return {root_of[profile_id] for profile_id, value_hash in rows if value_hash in bad}


def suppressed(value_hashes: Iterable[str], *, purpose: str, channel: str) -> set[str]:
    """Those of the address hashes that must not be written to for this purpose."""
    return set(
        Suppression.objects.filter(
            Q(purpose="") | Q(purpose=purpose), channel=channel, value_hash__any=Many(set(value_hashes))
        ).values_list("value_hash", flat=True)
    )


def history(profile_ids: Iterable[int]) -> QuerySet[ConsentRecord]:
    """All decisions of one person, newest first."""
    return ConsentRecord.objects.filter(profile_id__in=list(profile_ids)).order_by("-occurred_at", "-pk")


def current(profile_ids: Iterable[int]) -> dict[tuple[str, str], tuple[bool, datetime]]:
    """The decision in force per (purpose, channel) of one person, for showing: a no of any id wins."""
    newest: dict[tuple[int, str, str], ConsentRecord] = {}
    for row in history(profile_ids):
        newest.setdefault((row.profile_id, row.purpose, row.channel), row)
    found: dict[tuple[str, str], tuple[bool, datetime]] = {}
    for row in newest.values():
        key = (row.purpose, row.channel)
        if key not in found or not row.granted:
            found[key] = (row.granted, row.occurred_at)
    return found


@dataclass(frozen=True, slots=True)
class Cell:
    """What is in force for one purpose on one channel. `at` is None when the person never decided."""

    purpose: str
    channel: str
    is_allowed: bool
    is_suppressed: bool
    at: datetime | None
    way: str
    text_version: str
    language: str
    record_id: int | None

    @property
    def way_label(self) -> str:
        """How the decision reached us, in words."""
        return str(ConsentWay(self.way).label) if self.way else ""


def grid(profile_ids: Sequence[int]) -> dict[tuple[str, str], Cell]:
    """Every purpose on every channel for one person: the strictest decision in force, and who or what barred it."""
    newest: dict[tuple[int, str, str], ConsentRecord] = {}
    for row in history(profile_ids):
        newest.setdefault((row.profile_id, row.purpose, row.channel), row)
    strictest: dict[tuple[str, str], ConsentRecord] = {}
    for row in newest.values():
        key = (row.purpose, row.channel)
        held = strictest.get(key)
        if held is None or (held.granted and not row.granted):
            strictest[key] = row
    barred = _barred(profile_ids)
    cells = {}
    for purpose in Purpose.values:
        for channel in Channel.values:
            found = strictest.get((purpose, channel))
            is_suppressed = bool({("", channel), (purpose, channel)} & barred)
            granted = found.granted if found else purpose not in OPT_IN_PURPOSES
            cells[(purpose, channel)] = Cell(
                purpose=purpose,
                channel=channel,
                is_allowed=granted and not is_suppressed,
                is_suppressed=is_suppressed,
                at=found.occurred_at if found else None,
                way=found.way if found else "",
                text_version=found.text_version if found else "",
                language=found.language if found else "",
                record_id=found.pk if found else None,
            )
    return cells


def _barred(profile_ids: Sequence[int]) -> set[tuple[str, str]]:
    """(purpose or "", channel) for which an address of the person must not be used."""
    held = dict(
        ContactPoint.objects.filter(profile_id__in=list(profile_ids)).values_list("value_hash", "channel")
    )
    rows = Suppression.objects.filter(value_hash__in=list(held)).values_list(
        "purpose", "channel", "value_hash"
    )
    return {(purpose, channel) for purpose, channel, value_hash in rows if held.get(value_hash) == channel}
