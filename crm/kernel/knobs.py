"""Knobs: the numbers of the product that staff may turn, in one typed registry.

An app registers a knob with its type, default, bounds, unit and help; a row exists only where staff changed
it. Reads come from a per-process cache that is at most five seconds old, so a change reaches every process
soon.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from crm.kernel import actionlog
from crm.kernel.actors import Actor
from crm.kernel.errors import Invalid, NotFound
from crm.kernel.models import Knob as KnobRow

CACHE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Knob:
    """A registered knob. `type` is int, float, Decimal, bool or str; bounds are inclusive."""

    name: str
    type: type
    default: Any
    label: Any
    help: Any = ""
    unit: Any = ""
    minimum: Any = None
    maximum: Any = None
    choices: tuple[Any, ...] = ()
    permission: str = "kernel.change_knob"

    def read(self, value: Any) -> Any:
        """Turn a form's or JSON's value into this knob's type. Raises Invalid that says what is allowed."""
        try:
            if self.type is bool:
                if str(value).lower() not in ("true", "false", "1", "0", "on", "off"):
                    raise ValueError(value)
                read: Any = str(value).lower() in ("true", "1", "on")
            elif isinstance(value, bool):
                raise ValueError(value)
            elif self.type is int:
                read = int(str(value).strip())
            elif self.type is float:
                read = float(str(value).strip())
            else:
                read = self.type(str(value).strip())
            if self.type in (float, Decimal) and not Decimal(str(read)).is_finite():
                raise ValueError(value)
        except (ValueError, InvalidOperation):
            raise self._refusal() from None
        too_low = self.minimum is not None and read < self.minimum
        too_high = self.maximum is not None and read > self.maximum
        if too_low or too_high or (self.choices and read not in self.choices):
            raise self._refusal()
        return read

    def _refusal(self) -> Invalid:
        if self.choices:
            allowed: Any = list(self.choices)
            text = _("%(name)s takes one of: %(allowed)s.") % {
                "name": self.label,
                "allowed": ", ".join(map(str, self.choices)),
            }
        elif self.minimum is not None or self.maximum is not None:
            allowed = {"minimum": self.minimum, "maximum": self.maximum}
            text = _("%(name)s takes a value from %(minimum)s to %(maximum)s.") % {
                "name": self.label,
                "minimum": "–∞" if self.minimum is None else self.minimum,
                "maximum": "∞" if self.maximum is None else self.maximum,
            }
        else:
            allowed = self.type.__name__
            text = _("%(name)s takes a value of type %(type)s.") % {"name": self.label, "type": allowed}
        return Invalid(text, code="invalid_knob", field=self.name, allowed=allowed)


_registry: dict[str, Knob] = {}
_values: dict[str, Any] = {}
_read_at = float("-inf")


def register(name: str, **spec: Any) -> Knob:
    """Register a knob, in an app's `knobs.py`; see Knob for the arguments."""
    knob = Knob(name=name, **spec)
    _registry[name] = knob
    return knob


def all_knobs() -> list[Knob]:
    """Every registered knob, by name."""
    return [_registry[name] for name in sorted(_registry)]


def describe(name: str) -> Knob:
    """The registered knob. Raises NotFound for an unknown name."""
    try:
        return _registry[name]
    except KeyError:
        raise NotFound(
            _("There is no knob of that name."), code="no_such_knob", allowed=sorted(_registry)
        ) from None


def get(name: str) -> Any:
    """The value in force: what staff set, else the default."""
    global _read_at, _values
    knob = _registry[name]
    if time.monotonic() - _read_at > CACHE_SECONDS:
        _values = dict(KnobRow.objects.values_list("name", "value"))
        _read_at = time.monotonic()
    if name not in _values:
        return knob.default
    value = _values[name]
    return Decimal(value) if knob.type is Decimal else value


def forget() -> None:
    """Drop this process's cached values."""
    global _read_at
    _read_at = float("-inf")


def set(name: str, value: Any, *, actor: Actor, now: datetime) -> Any:
    """Turn a knob. Returns the value as stored. Raises NotFound or Invalid; the change is logged."""
    knob = describe(name)
    read = knob.read(value)
    stored = str(read) if knob.type is Decimal else read
    with transaction.atomic():
        KnobRow.objects.update_or_create(
            name=name, defaults={"value": stored, "changed_at": now, "changed_by": str(actor)}
        )
        actionlog.write(actor, "kernel.knob.changed", ("kernel.knob", name), fields=("value",), now=now)
    forget()
    return read


def reset(name: str, *, actor: Actor, now: datetime) -> Any:
    """Back to the default. Returns it."""
    knob = describe(name)
    with transaction.atomic():
        KnobRow.objects.filter(name=name).delete()
        actionlog.write(actor, "kernel.knob.reset", ("kernel.knob", name), fields=("value",), now=now)
    forget()
    return knob.default
