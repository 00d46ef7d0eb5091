"""Touchpoint kinds that apps register: their label, and the type of each key of their payload.

Kinds that nobody registered (the events of a shop, say) are accepted as they are; registered kinds are checked
when the product itself records them, so that a receiver can rely on what it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crm import facts as facts


@dataclass(frozen=True, slots=True)
class TouchpointKind:
    """A registered kind. `stage` maps it to one of the five stages of the touchpoint map."""

    kind: str
    label: Any
    payload: Mapping[str, type | tuple[type, ...]]
    stage: str = ""


_kinds: dict[str, TouchpointKind] = {}
_channels: dict[str, Any] = {}
_properties: dict[str, Any] = {}
_property_values: dict[str, Callable[[str], Any]] = {}
_property_names: dict[tuple[str, str], PropertyNames] = {}


def register_kind(
    kind: str, *, label: Any, payload: Mapping[str, type | tuple[type, ...]] | None = None, stage: str = ""
) -> TouchpointKind:
    """Register a kind, in an app's ready(). Registering it again replaces it."""
    _kinds[kind] = TouchpointKind(kind, label, dict(payload or {}), stage)
    return _kinds[kind]


def kind_label(kind: str) -> Any:
    """What staff read for a kind; an unregistered kind is its own label."""
    found = _kinds.get(kind)
    return found.label if found else kind


def stage_of(kind: str) -> str:
    """The stage a kind belongs to, or an empty string."""
    found = _kinds.get(kind)
    return found.stage if found else ""


def register_channels(labels: Mapping[str, Any]) -> None:
    """Say what staff read for channels. Channels that nobody named are shown as they came."""
    _channels.update(labels)


def channels() -> dict[str, Any]:
    """All channels that have a name."""
    return dict(_channels)


def channel_label(channel: str) -> Any:
    """What staff read for a channel; an unregistered one is its own label."""
    return _channels.get(channel, channel)


def register_properties(labels: Mapping[str, Any]) -> None:
    """Say what staff read for the names of properties. Names that nobody registered are shown as they came."""
    _properties.update(labels)


def register_property_values(name: str, words: Callable[[str], Any]) -> None:
    """Say what staff read for the codes of a property: `words` gives None for a value that is no code of ours."""
    _property_values[name] = words


@dataclass(frozen=True, slots=True)
class PropertyNames:
    """How numbers and keys of a property are named on the timeline, in kinds that begin so. Without `rows` they say
    nothing to people and are left out."""

    name: str
    kinds: str
    rows: Callable[[], Any] | None
    key: str
    words: str
    said: Callable[[str], Any]


def register_property_names(
    name: str,
    *,
    kinds: str,
    rows: Callable[[], Any] | None = None,
    key: str = "pk",
    words: str = "name",
    said: Callable[[str], Any] = str,
) -> None:
    """Say what staff read for numbers and keys in a property of kinds that begin with `kinds`: `rows()` is a QuerySet
    with the value in its field `key` and the words in `words`, which `said` may still put into the reader's language.
    """
    _property_names[name, kinds] = PropertyNames(name, kinds, rows, key, words, said)


def property_names() -> list[PropertyNames]:
    """All that were registered."""
    return list(_property_names.values())


def property_value(name: str, value: Any) -> Any:
    """The words for a code, or the value as it came."""
    words = _property_values.get(name) if isinstance(value, str) else None
    found = words(value) if words is not None else None
    return value if found is None else found


def property_label(name: str) -> Any:
    """What staff read for the name of a property."""
    return _properties.get(name, name)


def kinds() -> dict[str, TouchpointKind]:
    """All registered kinds."""
    return dict(_kinds)


def check_payload(kind: str, properties: Mapping[str, Any]) -> str | None:
    """What is wrong with the payload of a registered kind, or None."""
    found = _kinds.get(kind)
    if found is None:
        return None
    for key, expected in found.payload.items():
        if key not in properties:
            return f"{kind} needs {key}"
        if not isinstance(properties[key], expected):
            return f"{key} of {kind} has the wrong type"
    return None


@dataclass(frozen=True, slots=True)
class AccountFigure:
    """A number that another app adds to the roll-up of accounts: `count(profile_ids)` per profile id."""

    key: str
    label: Any
    count: Callable[[Sequence[int]], Mapping[int, int]]


_account_figures: dict[str, AccountFigure] = {}


def register_account_figure(
    key: str, *, label: Any, count: Callable[[Sequence[int]], Mapping[int, int]]
) -> None:
    """Add a number to the roll-up of accounts, in an app's ready(): set-based, one call for many people."""
    _account_figures[key] = AccountFigure(key, label, count)


def account_figures() -> list[AccountFigure]:
    """What other apps count per account, by key."""
    return [_account_figures[key] for key in sorted(_account_figures)]


_relations: list[Callable[[Sequence[int]], list[tuple[int, Any]]]] = []


def register_relation(function: Callable[[Sequence[int]], list[tuple[int, Any]]]) -> None:
    """Add a way in which people belong together, such as referrals: `function(profile_ids)` gives (profile id,
    words). Registering it again changes nothing."""
    if function not in _relations:
        _relations.append(function)


def relations() -> list[Callable[[Sequence[int]], list[tuple[int, Any]]]]:
    """What other apps know of who belongs together."""
    return list(_relations)
