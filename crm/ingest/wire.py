"""The Segment wire format: from one item of a batch to an Event, or to the reason why not.

Kinds: a track event keeps its `event` as it is; the other calls become `page`, `screen`, `identify`, `group` and
`alias`. Traits go to the profile, not onto the timeline. Unknown keys are tolerated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from crm.ingest import parsing
from crm.services.touchpoints import Event
from crm.states import Trust

TYPES = frozenset({"track", "identify", "page", "screen", "group", "alias"})
EVENT_LIMIT = 32 * 1024
MOST_ITEMS = 2_500
# Below this the difference of clocks is the way through the network, and times are kept as they were given.
LEAST_SKEW = timedelta(seconds=10)
_EXTERNAL_KIND = re.compile(r"[A-Za-z][A-Za-z0-9_.\-]{0,59}")
# Context that says nothing about the person or the moment.
NOTHING: dict[str, Any] = {}
_DROPPED_CONTEXT = frozenset({"library", "traits", "externalIds", "sessionStart"})


class Refused(Exception):
    """One item is not stored; its neighbours are."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


@dataclass(slots=True)
class Envelope:
    """What a request says about all its items."""

    trust: str
    now: datetime
    skew: timedelta | None = None
    context: dict[str, Any] = field(default_factory=dict)
    check_faults: bool = False
    check_size: bool = False

    @property
    def channel(self) -> str:
        """Where events came from that do not say."""
        return "server" if self.trust == Trust.SERVER else "web"


def skew_of(sent_at: Any, *, now: datetime) -> timedelta | None:
    """How far the sender's clock is off, None when it is unknown or too little to matter."""
    if type(sent_at) is not str:
        return None
    moment, _problem = read_time(sent_at)
    if moment is None:
        return None
    skew = now - moment
    return skew if abs(skew) >= LEAST_SKEW else None


def read_time(text: Any) -> tuple[datetime | None, str]:
    """An aware UTC time, or None and the code of the warning."""
    if type(text) is not str:
        return None, "time_unreadable"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None, "time_unreadable"
    if moment.tzinfo is None:
        return None, "time_without_zone"
    if moment.tzinfo is UTC:
        return moment, ""
    try:
        return moment.astimezone(UTC), ""
    except (OverflowError, ValueError):
        return None, "time_unreadable"


def read_event(item: Any, call: str, envelope: Envelope, warnings: list[tuple[str, str]]) -> Event:
    """Turn one item into an Event. `call` is the type a single-event route implies. Raises Refused; what was
    changed is appended to `warnings` as (code, detail)."""
    if type(item) is not dict:
        raise Refused("invalid_event", "an event is a JSON object")
    if envelope.check_faults:
        code = parsing.fault_in(item)
        if code:
            raise Refused(code, parsing.DETAILS[code])
    if envelope.check_size:
        _check_size(item)
    get = item.get
    kind = call or get("type")
    if type(kind) is not str or kind not in TYPES:
        kind = kind.lower() if type(kind) is str else ""
        if kind not in TYPES:
            raise Refused("invalid_event", f"type is one of {', '.join(sorted(TYPES))}")
    if kind == "alias" and envelope.trust != Trust.SERVER:
        raise Refused("not_allowed", "alias needs a server write key")
    context = get("context")
    if type(context) is not dict:
        context = envelope.context
    elif envelope.context:
        context = {**envelope.context, **context}
    traits = _traits(kind, item, context) if kind == "identify" or "traits" in context else NOTHING
    name, properties = _name_and_properties(kind, item, traits)
    occurred_at, original = _occurred_at(item, envelope, warnings)
    kept = {key: value for key, value in context.items() if key not in _DROPPED_CONTEXT} if context else {}
    if original is not None:
        kept["originalTimestamp"] = original
    hints = None
    if kind == "identify" and ("timezone" in kept or "locale" in kept):
        hints = {"timezone": kept.get("timezone"), "locale": kept.get("locale")}
    message_id = get("messageId")
    channel = get("channel") or context.get("channel")
    return Event(
        kind=name,
        occurred_at=occurred_at,
        message_id=message_id if type(message_id) is str else _message_id(message_id),
        identifiers=_identifiers(kind, item, context, traits, warnings),
        traits=traits if kind == "identify" else {},
        properties=properties,
        channel=channel if type(channel) is str and 0 < len(channel) <= 40 else envelope.channel,
        context=kept or None,
        hints=hints,
    )


def _check_size(item: dict[str, Any]) -> None:
    try:
        size = parsing.dump_size(item)
    except TypeError:
        # An integer beyond 64 bits, read by the guarded parser, or a depth the writer does not take.
        raise Refused("too_deep", parsing.DETAILS["too_deep"]) from None
    if size > EVENT_LIMIT:
        raise Refused("too_large", f"an event has at most {EVENT_LIMIT} bytes")


def _message_id(found: Any) -> str:
    if found is None:
        return ""
    if type(found) is int:
        return str(found)
    raise Refused("invalid_message_id", "messageId is text of at most 255 characters")


def _traits(kind: str, item: dict[str, Any], context: dict[str, Any]) -> dict[str, Any]:
    """The person's traits. Some SDKs put those of identify into context.traits only; group's are the group's."""
    inside = context.get("traits") if context else None
    found = inside if type(inside) is dict else {}
    if kind == "identify":
        own = item.get("traits")
        if type(own) is dict:
            found = {**found, **own} if found else own
        if len(found) > 300:
            raise Refused("too_many_traits", "identify takes at most 300 traits")
    return found


def _name_and_properties(
    kind: str, item: dict[str, Any], traits: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    properties = item.get("properties")
    if properties is None:
        properties = {}
    elif type(properties) is not dict:
        raise Refused("invalid_event", "properties is a JSON object")
    if kind == "track":
        name = item.get("event")
        if type(name) is not str or not name.strip():
            raise Refused("invalid_event", "a track event has its name in `event`")
        return name, properties
    if kind in ("page", "screen"):
        extra = {key: item[key] for key in ("name", "category") if type(item.get(key)) is str and item[key]}
        return kind, {**extra, **properties} if extra else properties
    if kind == "identify":
        return kind, {"traits": sorted(traits)} if traits else {}
    if kind == "group":
        group = item.get("groupId")
        if type(group) not in (str, int) or group == "":
            raise Refused("invalid_event", "group has a groupId")
        own = item.get("traits")
        return kind, {"groupId": group, **({"traits": own} if type(own) is dict and own else {})}
    if type(item.get("previousId")) not in (str, int) or item.get("previousId") == "":
        raise Refused("invalid_event", "alias has a previousId")
    return kind, {"previousId": item["previousId"]}


def _identifiers(
    kind: str,
    item: dict[str, Any],
    context: dict[str, Any],
    traits: dict[str, Any],
    warnings: list[tuple[str, str]],
) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    user_id, anonymous_id = item.get("userId"), item.get("anonymousId")
    if user_id is not None and user_id != "":
        found.append(("user_id", user_id))
    if traits:
        for name in ("email", "phone"):
            if traits.get(name):
                found.append((name, traits[name]))
    external = context.get("externalIds") if context else None
    if type(external) is list:
        for entry in external[:20]:
            if type(entry) is not dict or type(entry.get("type")) is not str or entry.get("id") in (None, ""):
                continue
            if _EXTERNAL_KIND.fullmatch(entry["type"]):
                found.append((entry["type"], entry["id"]))
            else:
                warnings.append(("illegal_identifier", "externalIds"))
    if anonymous_id is not None and anonymous_id != "":
        found.append(("anonymous_id", anonymous_id))
    if kind == "alias":
        found.append(("anonymous_id", item["previousId"]))
    return found


def _occurred_at(
    item: dict[str, Any], envelope: Envelope, warnings: list[tuple[str, str]]
) -> tuple[datetime | None, str | None]:
    """When it happened by our clock: timestamp = received - (sent - original). The original is returned when it was
    changed or could not be read."""
    given = item.get("originalTimestamp") or item.get("timestamp")
    if given is None or given == "":
        return None, None
    moment, problem = read_time(given)
    if moment is None:
        warnings.append((problem, "timestamp"))
        return None, given[:64] if type(given) is str else None
    skew = skew_of(item["sentAt"], now=envelope.now) if item.get("sentAt") else envelope.skew
    if skew is None:
        return moment, None
    try:
        return moment + skew, given[:64]
    except OverflowError:
        warnings.append(("time_unreadable", "timestamp"))
        return None, given[:64]
