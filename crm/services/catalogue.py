"""What staff decide about kinds: who owns one, what it is for, how long it is kept, what its properties must be, and
what the door does with an event that breaks that. Every decision is logged; doors obey within five seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from crm.kernel import actionlog
from crm.kernel.actors import Actor
from crm.kernel.errors import Conflict, Invalid, NotFound
from crm.models import EventKind, KindProperty, ObservedProperty, StaffUser
from crm.models.catalogue import DECISIONS, LONGEST_RETENTION
from crm.selectors import catalogue
from crm.states import PropertyType, Stage, ViolationAnswer

LONGEST_NAME = 200
MOST_PROPERTIES = 200
MOST_ALLOWED = 200
# A suggested line is required when nearly every event had it, and lists values when there are only a few.
NEARLY_ALWAYS = 0.98
FEW_VALUES = 5


@dataclass(frozen=True, slots=True)
class PropertyRule:
    """One line of a schema."""

    name: str
    type: str = PropertyType.ANY
    is_required: bool = False
    allowed_values: Sequence[str] = ()
    description: str = ""


def announce(name: str, *, actor: Actor, now: datetime) -> EventKind:
    """Enter a kind into the catalogue before its first event. Raises Invalid, Conflict `kind_known`."""
    clean = name.strip()
    if not clean or len(clean) > LONGEST_NAME or not clean.isprintable():
        raise Invalid(
            _("The name of a kind has 1 to %(most)d printable characters.") % {"most": LONGEST_NAME},
            code="invalid_name", field="name",
        )  # fmt: skip
    with transaction.atomic():
        kind, made = EventKind.objects.get_or_create(name=clean, defaults={"created_at": now})
        if not made:
            raise Conflict(_("This kind is in the catalogue already."), code="kind_known", field="name")
        actionlog.write(actor, "crm.event_kind.announced", kind, fields=("name",), now=now)
    return kind


def change(kind_id: int, *, values: Mapping[str, Any], actor: Actor, now: datetime) -> EventKind:
    """Set some of DECISIONS (`owner` as the id of a member of staff or None). Raises NotFound, Invalid."""
    clean = {name: _checked(name, value) for name, value in values.items()}
    with transaction.atomic():
        kind = _locked(kind_id)
        changed = [name for name, value in clean.items() if getattr(kind, _column(name)) != value]
        if changed:
            for name in changed:
                setattr(kind, _column(name), clean[name])
            kind.save(update_fields=changed)
            actionlog.write(actor, "crm.event_kind.changed", kind, fields=sorted(changed), now=now)
    catalogue.forget()
    return kind


def set_schema(kind_id: int, *, rules: Sequence[PropertyRule], actor: Actor, now: datetime) -> EventKind:
    """Replace the schema of a kind by these lines; an empty list removes it. Raises NotFound, Invalid."""
    wanted = {rule.name: rule for rule in _checked_rules(rules)}
    with transaction.atomic():
        kind = _locked(kind_id)
        present = {row.name: row for row in kind.properties.all()}
        changed = sorted(
            name
            for name in present.keys() | wanted.keys()
            if name not in wanted or name not in present or _differs(present[name], wanted[name])
        )
        KindProperty.objects.filter(kind=kind, name__in=present.keys() - wanted.keys()).delete()
        for name in changed:
            rule = wanted.get(name)
            if rule is not None:
                KindProperty.objects.update_or_create(
                    kind=kind, name=name,
                    defaults={
                        "type": rule.type, "is_required": rule.is_required,
                        "allowed_values": list(rule.allowed_values), "description": rule.description,
                    },
                )  # fmt: skip
        if changed:
            actionlog.write(actor, "crm.event_kind.schema", kind, fields=("properties",), now=now)
    catalogue.forget()
    return kind


def suggest(kind_id: int) -> list[PropertyRule]:
    """A schema as it could be read off what arrived: the types seen, required where nearly always there. Nothing is
    saved. Empty when nothing was learned yet."""
    kind = EventKind.objects.filter(pk=kind_id).first()
    if kind is None:
        raise NotFound(_("There is no such kind."))
    return [
        PropertyRule(
            name=row.name,
            type=one_type(row.types),
            is_required=kind.sampled > 0 and row.filled >= NEARLY_ALWAYS * kind.sampled,
        )
        for row in ObservedProperty.objects.filter(kind=kind).order_by("name")
        if row.filled
    ]


def one_type(types: Mapping[str, int]) -> str:
    """The type that all values seen have: a mixture of whole and other numbers is numbers, of times and texts is
    texts, anything else mixed is anything."""
    seen = {name for name, count in types.items() if count}
    if len(seen) == 1:
        return seen.pop()
    if seen == {PropertyType.INTEGER, PropertyType.NUMBER}:
        return PropertyType.NUMBER.value
    if seen == {PropertyType.TIME, PropertyType.STRING}:
        return PropertyType.STRING.value
    return PropertyType.ANY.value


def _locked(kind_id: int) -> EventKind:
    kind = EventKind.objects.select_for_update().filter(pk=kind_id).first()
    if kind is None:
        raise NotFound(_("There is no such kind."))
    return kind


def _column(name: str) -> str:
    return "owner_id" if name == "owner" else name


def _checked(name: str, value: Any) -> Any:
    if name not in DECISIONS:
        raise Invalid(
            _("There is no such decision."), code="unknown_field", field=name, allowed=list(DECISIONS)
        )
    if name == "owner":
        if value is not None and not StaffUser.objects.filter(pk=value, is_active=True).exists():
            raise Invalid(_("There is no such member of staff."), code="no_such_staff", field=name)
        return value
    if name == "retention_days":
        if value is not None and not 1 <= value <= LONGEST_RETENTION:
            raise Invalid(
                _("Events are kept for 1 to %(most)d days, or without a term of their own.")
                % {"most": LONGEST_RETENTION},
                code="invalid_retention", field=name,
                allowed={"minimum": 1, "maximum": LONGEST_RETENTION},
            )  # fmt: skip
        return value
    choices = {"stage": Stage.values, "on_violation": ViolationAnswer.values}.get(name)
    if choices is not None:
        if value not in choices:
            raise Invalid(
                _("This is not one of the choices."), code="invalid_choice", field=name, allowed=choices
            )
        return value
    if name == "is_blocked":
        return bool(value)
    longest: int = getattr(EventKind._meta.get_field(name), "max_length", 0)
    clean = " ".join(str(value).split())
    if len(clean) > longest:
        raise Invalid(
            _("At most %(most)d characters.") % {"most": longest},
            code="too_long",
            field=name,
            allowed=longest,
        )
    return clean


def _checked_rules(rules: Sequence[PropertyRule]) -> Iterable[PropertyRule]:
    names = [rule.name for rule in rules]
    if len(rules) > MOST_PROPERTIES:
        raise Invalid(
            _("A schema has at most %(most)d lines.") % {"most": MOST_PROPERTIES},
            code="too_many",
            field="properties",
        )
    for rule in rules:
        if not rule.name.strip() or rule.name != rule.name.strip() or len(rule.name) > LONGEST_NAME:
            raise Invalid(
                _("A property has a name of 1 to %(most)d characters.") % {"most": LONGEST_NAME},
                code="invalid_name", field="name",
            )  # fmt: skip
        if names.count(rule.name) > 1:
            raise Invalid(
                _("The property %(name)s is there twice.") % {"name": rule.name},
                code="duplicate",
                field="name",
            )
        if rule.type not in PropertyType.values:
            raise Invalid(
                _("This is not one of the choices."),
                code="invalid_choice",
                field="type",
                allowed=PropertyType.values,
            )
        if len(rule.allowed_values) > MOST_ALLOWED or any(
            not value or len(value) > LONGEST_NAME for value in rule.allowed_values
        ):
            raise Invalid(
                _("A property lists at most %(most)d values of at most %(long)d characters.")
                % {"most": MOST_ALLOWED, "long": LONGEST_NAME},
                code="invalid_values", field="allowed_values",
            )  # fmt: skip
        if len(rule.description) > 300:
            raise Invalid(
                _("At most %(most)d characters.") % {"most": 300}, code="too_long", field="description"
            )
    return rules


def _differs(row: KindProperty, rule: PropertyRule) -> bool:
    return (row.type, row.is_required, row.allowed_values, row.description) != (
        rule.type, rule.is_required, list(rule.allowed_values), rule.description,
    )  # fmt: skip
