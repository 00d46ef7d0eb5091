"""Where each app says what personal data it keeps: how it is exported, erased, and why it is there at all.

An exporter yields the rows of one person for the file they get. An eraser empties what an app keeps of them. A tag
names a field that holds personal data, with category, purpose, legal basis and retention: the register of
processing is generated from the tags, and a check names every field nobody has thought about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class Category(models.TextChoices):
    """Kinds of personal data, as the register lists them."""

    IDENTITY = "identity", pgettext_lazy("personal data", "Who they are")
    CONTACT = "contact", pgettext_lazy("personal data", "How to reach them")
    BEHAVIOUR = "behaviour", pgettext_lazy("personal data", "What they did")
    CONTENT = "content", pgettext_lazy("personal data", "What they said, and what we wrote to them")
    PREFERENCE = "preference", pgettext_lazy("personal data", "What they want and allowed")
    LEDGER = "ledger", pgettext_lazy("personal data", "What was booked for them")
    STAFF = "staff", pgettext_lazy("personal data", "About our own staff")


class Basis(models.TextChoices):
    """Legal bases: GDPR Art. 6(1), and the matching one of PIPL Art. 13."""

    CONSENT = "consent", _("Consent (GDPR 6(1)(a), PIPL 13(1))")
    CONTRACT = "contract", _("Contract (GDPR 6(1)(b), PIPL 13(2))")
    DUTY = "duty", _("Legal duty (GDPR 6(1)(c), PIPL 13(3))")
    INTEREST = "interest", _("Legitimate interest (GDPR 6(1)(f)); under PIPL, consent or contract")


class Kept(models.TextChoices):
    """How long a field is kept."""

    RELATION = "relation", _("As long as the relation lasts, or until erased")
    RETENTION = "retention", _("By the retention of its kind, or until erased")
    DAY = "day", _("A day")
    DAYS = "days", _("A few days")
    PROOF = "proof", _("Kept as proof, without what identifies the person")
    EMPLOYMENT = "employment", _("As long as they work here")


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom an early eraser erases: every id of the person, and every value that identifies them."""

    root_id: int
    ids: tuple[int, ...]
    public_ids: tuple[str, ...]
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Exporter:
    """`rows(profile_ids)` yields flat mappings with (some of) `columns`, without holding them all."""

    name: str
    label: Any
    columns: tuple[str, ...]
    rows: Callable[[Sequence[int]], Iterable[Mapping[str, Any]]]
    order: int


@dataclass(frozen=True, slots=True)
class Eraser:
    """`run` changes rows and returns how many. Late ones are called with `limit` until they return 0, each call in a
    transaction of its own, and may be repeated; early ones run with the tombstone and are given the values."""

    name: str
    label: Any
    run: Callable[..., int]
    is_early: bool
    count: Callable[[Sequence[int]], int] | None
    order: int


@dataclass(frozen=True, slots=True)
class Tag:
    """A field that holds personal data, or (`category` empty) one that somebody looked at and found free of it."""

    model: str
    field: str
    category: str = ""
    purpose: Any = ""
    basis: str = ""
    kept: str = ""
    survives: Any = ""

    @property
    def is_personal(self) -> bool:
        """Whether it goes into the register."""
        return bool(self.category)


_exporters: dict[str, Exporter] = {}
_erasers: dict[str, Eraser] = {}
_tags: dict[tuple[str, str], Tag] = {}
_kept: dict[str, tuple[Any, Any]] = {}
_causes: dict[str, Callable[[Sequence[str]], Mapping[str, tuple[Any, str]]]] = {}


def exporter(
    name: str, *, label: Any, columns: Sequence[str], order: int = 100
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register `rows(profile_ids) -> iterable of mappings` under a file name."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        _exporters[name] = Exporter(name, label, tuple(columns), function, order)
        return function

    return register


def eraser(
    name: str,
    *,
    label: Any,
    early: bool = False,
    count: Callable[[Sequence[int]], int] | None = None,
    order: int = 100,
) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Register a late eraser `run(profile_ids, *, limit, now)`, or an early one `run(subject, *, now)`.

    `count(profile_ids)` says beforehand how many rows would go, for the preview.
    """

    def register(function: Callable[..., int]) -> Callable[..., int]:
        _erasers[name] = Eraser(name, label, function, early, count, order)
        return function

    return register


def keeps(name: str, *, label: Any, why: Any) -> None:
    """Say what stays after an erasure, and why; it is on every certificate."""
    _kept[name] = (label, why)


def tag(
    model: str, *fields: str, category: str, purpose: Any, basis: str, kept: str, survives: Any = ""
) -> None:
    """Tag fields of `app.model` as personal. `survives` says why a field outlives an erasure."""
    for field in fields:
        key = (model.lower(), field)
        _tags[key] = Tag(*key, category, purpose, basis, kept, survives)


def nothing_personal(model: str, *fields: str) -> None:
    """Say that these fields were looked at and hold no personal data."""
    for field in fields:
        key = (model.lower(), field)
        _tags[key] = Tag(*key)


def pressure_cause(
    prefix: str,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register `labels(ids) -> {id: (label, url)}` for causes of contact pressure written `prefix:id`."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        _causes[prefix] = function
        return function

    return register


def exporters() -> list[Exporter]:
    """All exporters in the order of the file."""
    return sorted(_exporters.values(), key=lambda one: (one.order, one.name))


def erasers(*, early: bool) -> list[Eraser]:
    """The erasers of one stage, in order."""
    return sorted(
        (one for one in _erasers.values() if one.is_early == early), key=lambda one: (one.order, one.name)
    )


def label_of(name: str) -> Any:
    """What staff read for an eraser."""
    return _erasers[name].label if name in _erasers else name


def kept_things() -> dict[str, tuple[Any, Any]]:
    """What stays after an erasure: name -> (label, why)."""
    return dict(sorted(_kept.items()))


def tags() -> Iterator[Tag]:
    """All tags, by model and field."""
    for key in sorted(_tags):
        yield _tags[key]


def tag_of(model: str, field: str) -> Tag | None:
    """The tag of one field, or None when nobody looked at it."""
    return _tags.get((model.lower(), field))


def cause_labels(causes: Iterable[str]) -> dict[str, tuple[Any, str]]:
    """What staff read for causes of pressure, each with a link or an empty text; one look-up per app."""
    by_prefix: dict[str, list[str]] = {}
    for cause in causes:
        prefix, _colon, ident = cause.partition(":")
        by_prefix.setdefault(prefix, []).append(ident)
    found: dict[str, tuple[Any, str]] = {}
    for prefix, idents in by_prefix.items():
        named = _causes[prefix](idents) if prefix in _causes else {}
        found |= {f"{prefix}:{ident}": named.get(ident, (prefix, "")) for ident in idents}
    return found
