"""What identify calls and staff tell about a person, merged into the profile value by value.

Typed columns each remember who gave them and when; an older statement never replaces a newer one, and a public
browser key never replaces what a server or staff said. Everything without a column is a trait. E-mail and phone
become contact points as well, which are confirmed before they are written to unless their origin is trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import orjson

from crm import names
from crm.addresses import address_hash
from crm.kernel.actors import Actor
from crm.selectors import rules
from crm.services import changes, hotpath
from crm.states import Language, Trust

# An imported list fills gaps; it replaces nothing that a browser, a server or staff said.
RANK = {"hint": 0, "import": 0.5, Trust.BROWSER.value: 1, Trust.SERVER.value: 2, "staff": 3}
MOST_TRAITS = 300
# Dates that mean "not given": a card to everybody on New Year's Day is what they cause.
SENTINELS = {date(1, 1, 1), date(1900, 1, 1), date(1970, 1, 1), date(1753, 1, 1), date(1899, 12, 30)}
COLUMNS = (
    "display_name", "family_name", "given_name", "language", "time_zone", "birthday", "birthday_is_lunar",
    "country", "region",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Gift:
    """Traits for one person, as of a time. `hints` (time zone, locale of the device) fill only what is empty."""

    profile_id: int
    occurred_at: datetime
    traits: dict[str, Any]
    hints: dict[str, Any]


def merge(gifts: Sequence[Gift], *, trust: str, actor: Actor, now: datetime, quiet: bool = False) -> set[str]:
    """Merge gifts into their profiles, locked in id order. `trust` is server, browser or staff. Returns the names
    of the values that changed. `quiet`: nobody who follows people is told."""
    by_profile: dict[int, list[Gift]] = {}
    for gift in gifts:
        by_profile.setdefault(gift.profile_id, []).append(gift)
    rows = hotpath.fetch(
        "SELECT id, display_name, family_name, given_name, language, time_zone, birthday, birthday_is_lunar,"
        " country, region, traits::text, value_sources::text FROM crm_profile"
        " WHERE id = ANY(%s) AND erased_at IS NULL ORDER BY id FOR NO KEY UPDATE",
        [sorted(by_profile)],
    )
    updates: list[dict[str, Any]] = []
    contacts: list[tuple[int, str, str]] = []
    changed_names: set[str] = set()
    for row in rows:
        values = dict(zip(COLUMNS, row[1:10], strict=True))
        free, sources = orjson.loads(row[10]), orjson.loads(row[11])
        before = (dict(values), dict(free))
        for gift in sorted(by_profile[row[0]], key=lambda gift: gift.occurred_at):
            typed, loose, addresses = read(gift.traits)
            stamp = {"by": str(actor), "trust": trust, "at": gift.occurred_at.isoformat()}
            for name, value in typed.items():
                _put(values, sources, name, value, stamp)
            for name, value in read_hints(gift.hints).items():
                if not values[name]:
                    _put(values, sources, name, value, stamp | {"trust": "hint"})
            for name, value in loose.items():
                _put(free, sources, f"traits.{name}", value, stamp, key=name)
            contacts += [(row[0], channel, value) for channel, value in addresses]
        changed = {name for name in values if values[name] != before[0][name]}
        if changed or free != before[1]:
            changed_names |= changed or {"traits"}
            updates.append(
                {
                    "id": row[0],
                    **values,
                    "name_sort": names.sort_key(values["display_name"]),
                    "search_tokens": names.tokens(
                        values["display_name"], values["family_name"], values["given_name"]
                    ),
                    "traits": free,
                    "value_sources": sources,
                }
            )
    if updates:
        hotpath.fetch(
            """
            UPDATE crm_profile p
               SET display_name = u.display_name, family_name = u.family_name, given_name = u.given_name,
                   language = u.language, time_zone = u.time_zone, birthday = u.birthday,
                   birthday_is_lunar = u.birthday_is_lunar, country = u.country, region = u.region,
                   name_sort = u.name_sort, search_tokens = u.search_tokens, traits = u.traits,
                   value_sources = u.value_sources
              FROM jsonb_to_recordset(%s::jsonb) AS u(
                   id bigint, display_name text, family_name text, given_name text, language text,
                   time_zone text, birthday date, birthday_is_lunar boolean, country text, region text,
                   name_sort text, search_tokens text[], traits jsonb, value_sources jsonb)
             WHERE p.id = u.id
            """,
            [orjson.dumps(updates).decode()],
        )
    touched = {update["id"] for update in updates}
    if contacts:
        touched |= _add_contacts(contacts, origin=trust, now=now)
    if touched and not quiet:
        changes.tell(touched, now=now)
    return changed_names


def _add_contacts(contacts: list[tuple[int, str, str]], *, origin: str, now: datetime) -> set[int]:
    """Insert addresses, sorted; a server's word lifts the origin of an address a browser gave before. Returns whose
    addresses changed."""
    unique = sorted(set(contacts))
    rows = hotpath.fetch(
        """
        INSERT INTO crm_contactpoint AS c
               (profile_id, channel, value, value_hash, origin, is_primary, created_at)
        SELECT t.id, t.channel, t.value, t.hash, %(origin)s,
               NOT EXISTS (SELECT 1 FROM crm_contactpoint o WHERE o.profile_id = t.id
                              AND o.channel = t.channel AND o.is_primary), %(now)s
          FROM unnest(%(ids)s::bigint[], %(channels)s::text[], %(values)s::text[], %(hashes)s::text[])
               AS t(id, channel, value, hash)
         ORDER BY t.id, t.channel, t.value
        ON CONFLICT (profile_id, channel, value) DO UPDATE SET origin = EXCLUDED.origin
         WHERE EXCLUDED.origin IN ('server', 'staff') AND c.origin NOT IN ('server', 'staff')
        RETURNING c.profile_id
        """,
        {
            "origin": origin,
            "now": now,
            "ids": [profile_id for profile_id, _channel, _value in unique],
            "channels": [channel for _profile_id, channel, _value in unique],
            "values": [value for _profile_id, _channel, value in unique],
            "hashes": [address_hash(channel, value) for _profile_id, channel, value in unique],
        },
    )
    return {row[0] for row in rows}


def _put(
    target: dict[str, Any],
    sources: dict[str, Any],
    name: str,
    value: Any,
    stamp: dict[str, Any],
    *,
    key: str = "",
) -> None:
    """Set a value unless a better or newer statement is there."""
    key = key or name
    held = sources.get(name)
    if held is not None and target.get(key) not in (None, ""):
        if RANK.get(held.get("trust", ""), 0) > RANK[stamp["trust"]]:
            return
        if RANK.get(held.get("trust", ""), 0) == RANK[stamp["trust"]] and held.get("at", "") > stamp["at"]:
            return
    if target.get(key) != value:
        target[key] = value
        sources[name] = stamp


def read(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], list[tuple[str, str]]]:
    """Split traits into typed values, free traits and addresses. Unreadable typed values stay free traits."""
    typed: dict[str, Any] = {}
    loose: dict[str, Any] = {}
    addresses: list[tuple[str, str]] = []
    for name, value in list(given.items())[:MOST_TRAITS]:
        if value is None or value == "":
            continue
        if name == "email":
            address = rules.normalise("email", value)
            if address:
                addresses.append(("email", address))
                continue
        elif name == "phone":
            address = rules.normalise("phone", value)
            if address:
                addresses.append(("sms", address))
                continue
        column = _COLUMN_OF.get(name)
        good = _READERS[column](value) if column else None
        if column and good is not None:
            typed[column] = good
        elif name == "address" and isinstance(value, dict):
            _read_address(value, typed)
            loose[name] = value
        else:
            loose[name] = value
    if "display_name" not in typed and (typed.get("given_name") or typed.get("family_name")):
        typed["display_name"] = full_name(typed.get("family_name", ""), typed.get("given_name", ""))
    return typed, loose, addresses


def read_hints(hints: dict[str, Any]) -> dict[str, Any]:
    """What a device knows of its owner: time zone and language."""
    found: dict[str, Any] = {}
    zone, language = _zone(hints.get("timezone")), _language(hints.get("locale"))
    if zone:
        found["time_zone"] = zone
    if language:
        found["language"] = language
    return found


def full_name(family_name: str, given_name: str) -> str:
    """Family name first without a space when it is Chinese, given name first otherwise."""
    if names.sort_key(family_name + given_name) != names.fold(family_name + given_name):
        return f"{family_name}{given_name}"[:200]
    return f"{given_name} {family_name}".strip()[:200]


def _text(limit: int) -> Any:
    def reader(value: Any) -> str | None:
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            return None
        text = " ".join(str(value).split())
        return text[:limit] or None

    return reader


def _language(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    folded = value.casefold().replace("_", "-")
    if folded.startswith("zh") or folded in ("chinese", "中文"):
        return Language.CHINESE.value
    return Language.ENGLISH.value if folded.startswith("en") else None


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _zone(value: Any) -> str | None:
    if not isinstance(value, str) or value not in _zones():
        return None
    return ZoneInfo(value).key


def _birthday(value: Any) -> str | None:
    """An ISO date, also from a date-time; sentinels and the future are no birthdays."""
    if not isinstance(value, str):
        return None
    try:
        found = date.fromisoformat(value.strip()[:10])
    except ValueError:
        return None
    return None if found in SENTINELS or found.year < 1900 else found.isoformat()


def _bool(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _country(value: Any) -> str | None:
    if (
        isinstance(value, str)
        and len(value.strip()) == 2
        and value.strip().isascii()
        and value.strip().isalpha()
    ):
        return value.strip().upper()
    return None


def _read_address(value: dict[str, Any], typed: dict[str, Any]) -> None:
    for name, column in (("country", "country"), ("state", "region"), ("region", "region")):
        good = _READERS[column](value.get(name))
        if good is not None:
            typed.setdefault(column, good)


_READERS: dict[str, Any] = {
    "display_name": _text(200),
    "family_name": _text(100),
    "given_name": _text(100),
    "language": _language,
    "time_zone": _zone,
    "birthday": _birthday,
    "birthday_is_lunar": _bool,
    "country": _country,
    "region": _text(80),
}
_COLUMN_OF = {
    "name": "display_name", "displayName": "display_name", "display_name": "display_name",
    "firstName": "given_name", "first_name": "given_name", "given_name": "given_name",
    "lastName": "family_name", "last_name": "family_name", "family_name": "family_name",
    "language": "language", "locale": "language",
    "timezone": "time_zone", "timeZone": "time_zone", "time_zone": "time_zone",
    "birthday": "birthday", "birthday_is_lunar": "birthday_is_lunar", "birthdayIsLunar": "birthday_is_lunar",
    "country": "country", "region": "region",
}  # fmt: skip
