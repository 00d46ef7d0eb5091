"""The timeline: touchpoints of one person, read newest first in bounded windows.

Every read carries profile ids and a time range, so only the partitions of that window are planned and touched,
however long the history is; the bounds are the person's own first and last seen, and what is in the future.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from django.db import connection
from django.db.models import CharField, IntegerField, Max, Min, TextField, Value
from django.db.models.functions import Cast

from crm import readable
from crm.kernel import clock, knobs
from crm.kernel.reactions import Fact
from crm.models import Profile
from crm.registry import PropertyNames, channel_label, kind_label, property_names
from crm.registry import kinds as kinds_with_labels
from crm.selectors import profiles

Cursor = tuple[datetime, UUID]
# Kinds that staff look at together: names, and beginnings of names. Whatever is in none is `other`.
GROUPS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "shopping": (
        (), ("Product", "Order", "Cart", "Checkout", "Coupon", "Payment", "Promotion", "Wishlist", "Subscription"),
    ),
    "visits": (("page", "screen", "Page Viewed", "App Opened", "Signed In"), ("Application ",)),
    "messages": ((), ("lifecycle.", "Email ", "Message ")),
    "voice": ((), ("voc.",)),
    "loyalty": ((), ("members.",)),
    "profile": (("identify", "group", "alias"), ("crm.",)),
    "other": ((), ()),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TimelineItem:
    """One touchpoint as shown."""

    profile_id: int
    occurred_at: datetime
    id: UUID
    received_at: datetime
    kind: str
    channel: str
    source_id: int | None
    stage: str
    properties: dict[str, Any]
    # Words for numbers and keys among the properties: see `named`.
    words: Mapping[str, Any] | None = None

    @property
    def label(self) -> Any:
        """What staff read for its kind."""
        return kind_label(self.kind)

    @property
    def channel_label(self) -> Any:
        """What staff read for its channel."""
        return channel_label(self.channel)

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Its properties in words, nested ones in lines."""
        return readable.lines(self.properties, named=self.words)


def page(
    profile_ids: Sequence[int],
    *,
    before: Cursor | datetime | None = None,
    limit: int = 50,
    kinds: Sequence[str] | None = None,
    now: datetime | None = None,
    oldest: datetime | None = None,
    group: str = "",
    channel: str = "",
    source_id: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    text: str = "",
) -> list[TimelineItem]:
    """Up to `limit` touchpoints before the cursor (occurred_at, id), newest first.

    The window grows fourfold while the page is not full: a silence of years costs a few reads, not one per month.
    `oldest`, when the caller knows it (see `oldest_of`), saves the read of it. `group` is one of GROUPS; `until` is
    not included. `text` is looked for in the kind, in the reader's words for it, and in the properties.
    """
    if not profile_ids or limit < 1:
        return []
    cursor = before if isinstance(before, tuple) else (before, None) if before else None
    newest = cursor[0] if cursor else (now or clock.now()) + timedelta(days=31)
    oldest = oldest or _oldest(profile_ids)
    oldest = max(oldest, since) if since is not None else oldest
    newest = min(newest, until) if until is not None else newest
    extra = _extra(group, channel=channel, source_id=source_id, until=until, text=text)
    width = timedelta(days=knobs.get("crm.timeline_window_days"))
    if newest - oldest <= 2 * width:
        # A few years of partitions are planned faster than a second read is made.
        width = max(newest - oldest, width)
    found: list[TimelineItem] = []
    upper, inclusive = newest, True
    while len(found) < limit and upper >= oldest:
        lower = max(upper - width, oldest)
        found += _window(
            profile_ids, lower=lower, upper=upper, inclusive=inclusive, cursor=cursor,
            limit=limit - len(found), kinds=kinds, extra=extra,
        )  # fmt: skip
        if lower <= oldest:
            break
        upper, inclusive = lower, False
        width *= 4
    return found


def named(items: Sequence[TimelineItem]) -> list[TimelineItem]:
    """The same lines with names for the numbers and keys in them: one query for the whole page, whatever is in it."""
    words: dict[int, dict[str, Any]] = {}
    wanted: list[tuple[PropertyNames, dict[int, str]]] = []
    for finder in property_names():
        places = {
            place: str(item.properties[finder.name])
            for place, item in enumerate(items)
            if item.kind.startswith(finder.kinds) and _is_key(item.properties.get(finder.name))
        }
        if places and finder.rows is not None:
            wanted.append((finder, places))
        elif places:
            for place in places:
                words.setdefault(place, {})[finder.name] = ""
    found = _names(wanted)
    for number, (finder, places) in enumerate(wanted):
        for place, value in places.items():
            if (number, value) in found:
                words.setdefault(place, {})[finder.name] = finder.said(found[number, value])
    return [replace(item, words=words[place]) if place in words else item for place, item in enumerate(items)]


def _names(wanted: Sequence[tuple[PropertyNames, dict[int, str]]]) -> dict[tuple[int, str], str]:
    parts = []
    for number, (finder, places) in enumerate(wanted):
        assert finder.rows is not None
        key = finder.rows().model._meta.get_field("id" if finder.key == "pk" else finder.key)
        values = set(places.values())
        if not isinstance(key, (CharField, TextField)):
            values = {value for value in values if value.isdecimal() and len(value) < 18}
        rows = finder.rows().filter(**{f"{finder.key}__in": sorted(values)}).order_by()
        parts.append(
            rows.values_list(
                Value(number, output_field=IntegerField()),
                Cast(finder.key, TextField()),
                Cast(finder.words, TextField()),
            )
        )
    if not parts:
        return {}
    rows = parts[0].union(*parts[1:], all=True) if len(parts) > 1 else parts[0]
    return {(number, value): text for number, value, text in rows}


def _is_key(value: Any) -> bool:
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def _oldest(profile_ids: Sequence[int]) -> datetime:
    """No touchpoint of these profiles is older: the earliest of first seen and the making of the profile."""
    span = Profile.objects.filter(pk__in=list(profile_ids)).aggregate(
        seen=Min("first_seen_at"), made=Min("created_at")
    )
    known = [moment for moment in span.values() if moment is not None]
    return min(known) - timedelta(days=1) if known else datetime.max.replace(tzinfo=UTC)


def oldest_of(rows: Iterable[Profile]) -> datetime:
    """The same bound from rows already read: all profiles of the person."""
    known = [moment for row in rows for moment in (row.first_seen_at, row.created_at) if moment is not None]
    return min(known) - timedelta(days=1) if known else datetime.max.replace(tzinfo=UTC)


def _extra(
    group: str, *, channel: str, source_id: int | None, until: datetime | None, text: str
) -> tuple[list[str], list[Any]]:
    """What staff chose beyond people and time."""
    conditions: list[str] = []
    params: list[Any] = []
    if group:
        wanted = (
            [GROUPS[group]]
            if group != "other"
            else [known for key, known in GROUPS.items() if key != "other"]
        )
        fits = "(kind = ANY(%s) OR kind ^@ ANY(%s))"
        conditions.append(fits if group != "other" else f"NOT {fits}")
        params += [[kind for kinds, _prefixes in wanted for kind in kinds]]
        params += [[prefix for _kinds, prefixes in wanted for prefix in prefixes]]
    if channel:
        conditions.append("channel = %s")
        params.append(channel)
    if source_id is not None:
        conditions.append("source_id = %s")
        params.append(source_id)
    if until is not None:
        conditions.append("occurred_at < %s")
        params.append(until)
    if text:
        wanted_text = text.casefold()
        said = [
            kind for kind, known in kinds_with_labels().items() if wanted_text in str(known.label).casefold()
        ]
        # Properties are searched as they are stored, so what is looked for is written the same way.
        needle = orjson.dumps(text).decode()[1:-1]
        conditions.append(
            "(kind = ANY(%s) OR strpos(lower(kind), lower(%s)) > 0"
            " OR strpos(lower(properties::text), lower(%s)) > 0)"
        )
        params += [said, text, needle]
    return conditions, params


_COLUMNS = "profile_id, occurred_at, id, received_at, kind, channel, source_id, stage, properties::text"


def _window(
    profile_ids: Sequence[int],
    *,
    lower: datetime,
    upper: datetime,
    inclusive: bool,
    cursor: tuple[datetime, UUID | None] | None,
    limit: int,
    kinds: Sequence[str] | None,
    extra: tuple[list[str], list[Any]],
) -> list[TimelineItem]:
    conditions = ["profile_id = p.id", "occurred_at >= %s", f"occurred_at {'<=' if inclusive else '<'} %s"]
    params: list[Any] = [lower, upper]
    if cursor is not None:
        if cursor[1] is None:
            conditions.append("occurred_at < %s")
            params.append(cursor[0])
        else:
            conditions.append("(occurred_at, id) < (%s, %s)")
            params += [cursor[0], cursor[1]]
    if kinds is not None:
        conditions.append("kind = ANY(%s)")
        params.append(list(kinds))
    conditions += extra[0]
    params += extra[1]
    newest = "ORDER BY occurred_at DESC, id DESC LIMIT %s"
    with connection.cursor() as db:
        # Each id by itself: its index has the order and the scan ends with the page. For a list of ids everything
        # that ever happened to them would be read and sorted.
        db.execute(
            "SELECT t.* FROM unnest(%s::bigint[]) AS p(id) CROSS JOIN LATERAL"
            f" (SELECT {_COLUMNS} FROM crm_touchpoint WHERE {' AND '.join(conditions)} {newest}) t {newest}",
            [sorted(set(profile_ids)), *params, limit, limit],
        )
        return [TimelineItem(*(*row[:8], orjson.loads(row[8]))) for row in db.fetchall()]


def has(profile_ids: Sequence[int], kind: str, *, since: datetime, until: datetime) -> bool:
    """Whether a touchpoint of `kind` lies in [since, until]."""
    with connection.cursor() as db:
        db.execute(
            "SELECT EXISTS (SELECT 1 FROM crm_touchpoint WHERE profile_id = ANY(%s) AND kind = %s"
            " AND occurred_at >= %s AND occurred_at <= %s)",
            [list(profile_ids), kind, since, until],
        )
        return db.fetchone()[0]


def exists_many(questions: Sequence[tuple[int, datetime, datetime]], *, kinds: Sequence[str]) -> list[bool]:
    """For each (root id, since, until) whether the person, over all ids, had a touchpoint of one of `kinds` in
    [since, until]. One read, bounded by the earliest and latest time asked for."""
    if not questions:
        return []
    sets = profiles.id_sets({root_id for root_id, _since, _until in questions})
    numbers, members, sinces, untils = [], [], [], []
    for number, (root_id, since, until) in enumerate(questions):
        for member in sets[root_id]:
            numbers.append(number)
            members.append(member)
            sinces.append(since)
            untils.append(until)
    with connection.cursor() as db:
        db.execute(
            """
            SELECT DISTINCT q.number
              FROM unnest(%s::int[], %s::bigint[], %s::timestamptz[], %s::timestamptz[])
                   AS q(number, profile_id, since, until)
              JOIN crm_touchpoint t ON t.profile_id = q.profile_id AND t.occurred_at >= q.since
                   AND t.occurred_at <= q.until
             WHERE t.kind = ANY(%s) AND t.occurred_at >= %s AND t.occurred_at <= %s
               AND t.profile_id = ANY(%s)
            """,
            [numbers, members, sinces, untils, list(kinds), min(sinces), max(untils), sorted(set(members))],
        )
        found = {row[0] for row in db.fetchall()}
    return [number in found for number in range(len(questions))]


def load_facts(items: Sequence[Sequence[Any]]) -> list[Fact]:
    """Touchpoints by (profile id, occurred at, id, kind), as receivers get them: with the root of their person.

    Touchpoints that are gone (erased) are left out. Registered with the kernel as its loader.
    """
    keys = [(int(item[0]), datetime.fromisoformat(str(item[1])), str(item[2])) for item in items]
    if not keys:
        return []
    found = _facts(keys)
    missing = [key for key in keys if key[2] not in found]
    if missing:
        # An item may name its person by another id: the root, or one that was merged since.
        roots = profiles.roots([key[0] for key in missing])
        sets = profiles.id_sets(set(roots.values()))
        found |= _facts(
            [
                (member, occurred_at, ident)
                for profile_id, occurred_at, ident in missing
                if profile_id in roots
                for member in sets[roots[profile_id]]
                if member != profile_id
            ]
        )
    return [found[key[2]] for key in keys if key[2] in found]


def _facts(keys: Sequence[tuple[int, datetime, str]]) -> dict[str, Fact]:
    """Facts by the id of their touchpoint, for those that are stored under exactly these keys."""
    if not keys:
        return {}
    times = {key[2]: key[1] for key in keys}
    with connection.cursor() as db:
        db.execute(
            """
            SELECT t.id::text, t.kind, t.profile_id, COALESCE(p.merged_into_id, p.id), t.properties::text,
                   t.channel, t.source_id
              FROM unnest(%s::bigint[], %s::timestamptz[], %s::uuid[]) AS k(profile_id, occurred_at, id)
              JOIN crm_touchpoint t ON t.profile_id = k.profile_id AND t.occurred_at = k.occurred_at AND t.id = k.id
              JOIN crm_profile p ON p.id = t.profile_id
             WHERE t.occurred_at >= %s AND t.occurred_at <= %s AND t.profile_id = ANY(%s::bigint[])
            """,
            [
                _literal([key[0] for key in keys]),
                _literal([key[1].isoformat() for key in keys]),
                _literal([key[2] for key in keys]),
                min(times.values()),
                max(times.values()),
                _literal(sorted({key[0] for key in keys})),
            ],
        )
        return {
            row[0]: Fact(
                kind=row[1], profile_id=row[3], occurred_at=times[row[0]], id=UUID(row[0]),
                properties=orjson.loads(row[4]), channel=row[5], source_id=row[6], stored_id=row[2],
            )
            for row in db.fetchall()
        }  # fmt: skip


def _literal(values: Iterable[object]) -> str:
    """An array literal of numbers, moments or ids: nothing that would need quotes."""
    return "{" + ",".join(map(str, values)) + "}"


def last_seen(profile_ids: Iterable[int]) -> datetime | None:
    """When the person was last seen, to the hour."""
    return Profile.objects.filter(pk__in=list(profile_ids)).aggregate(last=Max("last_seen_at"))["last"]


def seen_since(
    profile_ids: Sequence[int], *, received_since: datetime
) -> tuple[datetime | None, datetime | None]:
    """The first and last moment of what sources sent about these profiles since then."""
    with connection.cursor() as db:
        db.execute(
            "SELECT min(occurred_at), max(occurred_at) FROM crm_touchpoint"
            " WHERE profile_id = ANY(%s) AND occurred_at >= %s AND occurred_at <= %s AND received_at >= %s"
            " AND source_id IS NOT NULL",
            [
                list(profile_ids),
                _oldest(profile_ids),
                clock.now() + timedelta(days=31),
                received_since,
            ],
        )
        return db.fetchone()
