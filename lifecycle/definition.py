"""What a journey is, as staff write it: JSON that is checked whole before it is kept.

    {"trigger": {"kind": "Product Viewed", "where": [{"property": "product_id", "op": "exists"}]},
     "entry_key": {"property": "product_id"},
     "goal": {"kind": "Order Completed"},
     "exits": [],
     "holdout_percent": 10,
     "cap": {"entries": 3, "hours": 24},
     "steps": [{"id": "think", "type": "wait", "minutes": 30},
               {"id": "offer", "type": "message", "kind": "…", "values": {"percent": 10}}]}

Steps run in order; a condition may jump, only forwards, so every journey ends. Pure Python: no database.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.utils.translation import gettext as _

from crm.kernel.errors import Invalid, NotFound
from lifecycle import registry

MAX_STEPS: Final = 50
MAX_WAIT_MINUTES: Final = 182 * 24 * 60
MAX_RULES: Final = 20
OPERATORS: Final = ("exists", "missing", "equals", "not_equals", "in", "greater", "less", "contains")
PER: Final = ("person", "day", "occurrence")
STEP_TYPES: Final = ("wait", "condition", "message", "end")


@dataclass(frozen=True, slots=True)
class Rule:
    """One comparison with a property of a touchpoint."""

    property: str
    op: str
    value: Any = None

    def matches(self, properties: Mapping[str, Any]) -> bool:
        """Whether it holds. A missing property matches `missing` and `not_equals` alone."""
        found = properties.get(self.property)
        if self.op == "exists":
            return found not in (None, "")
        if self.op == "missing":
            return found in (None, "")
        if self.op == "equals":
            return found is not None and _same(found, self.value)
        if self.op == "not_equals":
            return found is None or not _same(found, self.value)
        if self.op == "in":
            return found is not None and any(_same(found, value) for value in self.value)
        if self.op == "contains":
            return isinstance(found, (str, list)) and self.value in found
        number, bound = _number(found), _number(self.value)
        if number is None or bound is None:
            return False
        return number > bound if self.op == "greater" else number < bound


@dataclass(frozen=True, slots=True)
class Cue:
    """A kind of touchpoint, with rules on its properties."""

    kind: str
    where: tuple[Rule, ...] = ()

    def matches(self, kind: str, properties: Mapping[str, Any]) -> bool:
        """Whether a touchpoint is one."""
        return kind == self.kind and all(rule.matches(properties) for rule in self.where)


@dataclass(frozen=True, slots=True)
class Step:
    """One step. Which fields count depends on `type`."""

    id: str
    type: str
    minutes: int = 0
    kind: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    useful_hours: int = 0
    has: Cue | None = None
    within_hours: int = 0
    rules: tuple[Rule, ...] = ()
    then: str = ""
    otherwise: str = ""


@dataclass(frozen=True, slots=True)
class Definition:
    """A whole journey."""

    trigger: Cue
    key_property: str
    key_per: str
    goal: Cue | None
    exits: tuple[Cue, ...]
    holdout_percent: int
    cap_entries: int
    cap_hours: int
    conversion_hours: int
    steps: tuple[Step, ...]

    def step(self, step_id: str) -> Step | None:
        """The step of that id."""
        return next((step for step in self.steps if step.id == step_id), None)

    def after(self, step_id: str) -> str:
        """The id of the step behind it, empty at the end."""
        ids = [step.id for step in self.steps]
        place = ids.index(step_id) + 1
        return ids[place] if place < len(ids) else ""

    def leaving_kinds(self) -> set[str]:
        """Kinds that end the journey for somebody on the way."""
        return {cue.kind for cue in (self.goal, *self.exits) if cue is not None}

    def properties_needed(self) -> set[str]:
        """Properties of the trigger that later steps use; nothing else of it is kept."""
        names = {rule.property for step in self.steps for rule in step.rules}
        for step in self.steps:
            names |= {value["property"] for value in step.values.values() if isinstance(value, Mapping)}
        return names

    def entry_key(self, properties: Mapping[str, Any], *, occurred_at: datetime, fact_id: str) -> str:
        """The key under which a person enters once; empty when the property it needs is missing."""
        if self.key_property:
            value = properties.get(self.key_property)
            if value is None or isinstance(value, (dict, list, bool)) or str(value).strip() == "":
                return ""
            text = str(value).strip()
            return text if len(text) <= 100 else hashlib.sha256(text.encode()).hexdigest()
        if self.key_per == "day":
            return occurred_at.date().isoformat()
        return fact_id if self.key_per == "occurrence" else "-"

    def in_holdout(self, journey_id: int, profile_id: int) -> bool:
        """Whether this person is compared with: always the same answer for the same share."""
        digest = hashlib.sha256(f"{journey_id}:{profile_id}".encode()).digest()
        return int.from_bytes(digest[:4], "big") % 100 < self.holdout_percent

    def conversion_window(self) -> timedelta:
        """How long after the end a met goal still counts."""
        return timedelta(hours=self.conversion_hours)


def parse(data: Any) -> Definition:
    """Read and check a definition. Raises Invalid `invalid_definition` that names the place and what is allowed."""
    body = _mapping(
        data,
        "definition",
        {"trigger", "entry_key", "steps"},
        {"goal", "exits", "holdout_percent", "cap", "conversion_hours"},
    )
    steps = _steps(body["steps"])
    goal = body.get("goal")
    key = _mapping(body["entry_key"], "entry_key", set(), {"property", "per"})
    if len(key) != 1:
        raise _wrong("entry_key", _("Give either “property” or “per”."))
    if "per" in key and key["per"] not in PER:
        raise _wrong("entry_key.per", _("One of: %(allowed)s.") % {"allowed": ", ".join(PER)})
    cap = body.get("cap")
    cap_entries = cap_hours = 0
    if cap is not None:
        cap = _mapping(cap, "cap", {"entries", "hours"}, set())
        cap_entries = _whole(cap["entries"], "cap.entries", 1, 1000)
        cap_hours = _whole(cap["hours"], "cap.hours", 1, 8760)
    exits = body.get("exits") or []
    if not isinstance(exits, list) or len(exits) > MAX_RULES:
        raise _wrong("exits", _("A list of at most %(n)d rules.") % {"n": MAX_RULES})
    return Definition(
        trigger=_cue(body["trigger"], "trigger"),
        key_property=_text(key["property"], "entry_key.property") if "property" in key else "",
        key_per=str(key.get("per", "")),
        goal=_cue(goal, "goal") if goal is not None else None,
        exits=tuple(_cue(rule, f"exits[{place}]") for place, rule in enumerate(exits)),
        holdout_percent=_whole(body.get("holdout_percent", 0), "holdout_percent", 0, 90),
        cap_entries=cap_entries,
        cap_hours=cap_hours,
        conversion_hours=_whole(body.get("conversion_hours", 72), "conversion_hours", 1, 8760),
        steps=steps,
    )


def _steps(data: Any) -> tuple[Step, ...]:
    if not isinstance(data, list) or not 1 <= len(data) <= MAX_STEPS:
        raise _wrong("steps", _("A list of 1 to %(n)d steps.") % {"n": MAX_STEPS})
    steps = tuple(_step(step, f"steps[{place}]") for place, step in enumerate(data))
    ids = [step.id for step in steps]
    if len(set(ids)) < len(ids):
        raise _wrong("steps", _("Every step has an id of its own."))
    kinds = [step.kind for step in steps if step.type == "message"]
    if len(set(kinds)) < len(kinds):
        raise _wrong("steps", _("A journey sends each kind of message once."))
    for place, step in enumerate(steps):
        for name, target in (("then", step.then), ("else", step.otherwise)):
            if target and target not in ids[place + 1 :]:
                raise _wrong(
                    f"steps[{place}].{name}",
                    _("The id of a later step. Allowed: %(allowed)s.")
                    % {"allowed": ", ".join(ids[place + 1 :]) or "–"},
                )
    return steps


def _step(data: Any, at: str) -> Step:
    if not isinstance(data, Mapping) or data.get("type") not in STEP_TYPES:
        raise _wrong(f"{at}.type", _("One of: %(allowed)s.") % {"allowed": ", ".join(STEP_TYPES)})
    kind = data["type"]
    if kind == "wait":
        body = _mapping(data, at, {"id", "type", "minutes"}, set())
        minutes = _whole(body["minutes"], f"{at}.minutes", 0, MAX_WAIT_MINUTES)
        return Step(_identifier(body, at), kind, minutes=minutes)
    if kind == "message":
        return _message(_mapping(data, at, {"id", "type", "kind"}, {"values", "useful_hours"}), at)
    if kind == "condition":
        return _condition(_mapping(data, at, {"id", "type", "if"}, {"then", "else"}), at)
    return Step(_identifier(_mapping(data, at, {"id", "type"}, set()), at), kind)


def _message(body: Mapping[str, Any], at: str) -> Step:
    try:
        kind = registry.get(_text(body["kind"], f"{at}.kind"))
    except NotFound as error:
        raise _wrong(
            f"{at}.kind", _("One of: %(allowed)s.") % {"allowed": ", ".join(error.allowed)}
        ) from None
    values = body.get("values", {})
    if not isinstance(values, Mapping):
        raise _wrong(f"{at}.values", _("An object of names and values."))
    wanted = set(kind.variables)
    if set(values) != wanted:
        raise _wrong(
            f"{at}.values",
            _("Exactly these names: %(allowed)s.") % {"allowed": ", ".join(sorted(wanted)) or "–"},
        )
    for name, value in values.items():
        if isinstance(value, Mapping):
            source = _mapping(value, f"{at}.values.{name}", {"property"}, {"default"})
            _text(source["property"], f"{at}.values.{name}.property")
        elif isinstance(value, list) or (isinstance(value, str) and len(value) > 500):
            raise _wrong(
                f"{at}.values.{name}", _('A short text, a number, or {"property": …, "default": …}.')
            )
    useful = _whole(body.get("useful_hours", 0), f"{at}.useful_hours", 0, 8760)
    return Step(_identifier(body, at), "message", kind=kind.code, values=dict(values), useful_hours=useful)


def _condition(body: Mapping[str, Any], at: str) -> Step:
    test = _mapping(body["if"], f"{at}.if", set(), {"has", "within_hours", "where"})
    if ("has" in test) == ("where" in test):
        raise _wrong(f"{at}.if", _("Give either “has” (something happened) or “where” (how it began)."))
    then, otherwise = str(body.get("then", "") or ""), str(body.get("else", "") or "")
    return Step(
        _identifier(body, at),
        "condition",
        has=_cue(test["has"], f"{at}.if.has") if "has" in test else None,
        within_hours=_whole(test.get("within_hours", 0), f"{at}.if.within_hours", 0, 8760),
        rules=_rules(test["where"], f"{at}.if.where") if "where" in test else (),
        then=then,
        otherwise=otherwise,
    )


def _cue(data: Any, at: str) -> Cue:
    body = _mapping(data, at, {"kind"}, {"where"})
    return Cue(_text(body["kind"], f"{at}.kind"), _rules(body.get("where", []), f"{at}.where"))


def _rules(data: Any, at: str) -> tuple[Rule, ...]:
    if not isinstance(data, list) or len(data) > MAX_RULES:
        raise _wrong(at, _("A list of at most %(n)d rules.") % {"n": MAX_RULES})
    rules = []
    for place, item in enumerate(data):
        body = _mapping(item, f"{at}[{place}]", {"property", "op"}, {"value"})
        if body["op"] not in OPERATORS:
            raise _wrong(f"{at}[{place}].op", _("One of: %(allowed)s.") % {"allowed": ", ".join(OPERATORS)})
        needs_value = body["op"] not in ("exists", "missing")
        if needs_value != ("value" in body) or (
            body["op"] == "in" and not isinstance(body.get("value"), list)
        ):
            raise _wrong(
                f"{at}[{place}].value", _("A value where the comparison needs one, a list for “in”.")
            )
        rules.append(Rule(_text(body["property"], f"{at}[{place}].property"), body["op"], body.get("value")))
    return tuple(rules)


def _mapping(data: Any, at: str, required: set[str], optional: set[str]) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise _wrong(
            at, _("An object with: %(allowed)s.") % {"allowed": ", ".join(sorted(required | optional))}
        )
    missing, unknown = required - set(data), set(data) - required - optional
    if missing:
        raise _wrong(at, _("Missing: %(names)s.") % {"names": ", ".join(sorted(missing))})
    if unknown:
        raise _wrong(
            at,
            _("Unknown: %(names)s. Allowed: %(allowed)s.")
            % {
                "names": ", ".join(sorted(map(str, unknown)))[:200],
                "allowed": ", ".join(sorted(required | optional)),
            },
        )
    return data


def _whole(value: Any, at: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _wrong(at, _("A whole number from %(least)d to %(most)d.") % {"least": least, "most": most})
    return value


def _text(value: Any, at: str) -> str:
    if not isinstance(value, str) or not 0 < len(value.strip()) <= 200:
        raise _wrong(at, _("A text of 1 to 200 characters."))
    return value


def _identifier(body: Mapping[str, Any], at: str) -> str:
    value = body["id"]
    if (
        not isinstance(value, str)
        or not 0 < len(value) <= 40
        or not value.replace("_", "").replace("-", "").isalnum()
    ):
        raise _wrong(f"{at}.id", _("1 to 40 letters, digits, _ or -."))
    return value


def _wrong(at: str, message: str) -> Invalid:
    return Invalid(f"{at}: {message}", code="invalid_definition", field=at)


def _same(left: Any, right: Any) -> bool:
    """Numbers equal their text (SDKs send both); true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return left == right or str(left) == str(right)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
