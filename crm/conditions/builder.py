"""A rule as a form: the tree that staff build without writing JSON, posted whole and rendered anew each time.

A form is a tree of parts. Every part posts one hidden `node` (its id, its group, its type) and fields named after its
id, so that a browser without scripts, a reload and a refusal all keep what was typed. `build` turns the parts into a
rule and hangs each refusal on the part it is about; `load` turns a rule into parts. What a form cannot say (a rule may
say more) stays as it is: it can be moved and removed, not changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from django.utils.translation import gettext as _

from crm import facts
from crm.conditions import definition
from crm.conditions.definition import RuleError

GROUPS: Final = ("all", "any", "none", "not_all")
MOST_PARTS: Final = 120
BLANK_FILTER: Final = {"property": "", "op": "eq", "value": "", "value2": ""}
BEHAVIOUR: Final = "did"
SEGMENT: Final = "segment"
CONSENT: Final = "consent"
_LISTED: Final = ("in", "not_in", "contains_any")
_UNVALUED: Final = facts.SET_OPS
_NUMERIC: Final = ("gt", "gte", "lt", "lte")


class Posted(Protocol):
    """What a form sent: a QueryDict, or anything that answers like one."""

    def getlist(self, key: str) -> list[str]: ...


@dataclass(slots=True)
class Part:
    """A group or a condition of the form. `values` are the texts as typed; `error` is shown beside it."""

    id: str
    type: str
    values: dict[str, list[str]] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)
    filters: list[dict[str, str]] = field(default_factory=list)
    error: str = ""
    error_field: str = ""
    view: Any = None

    def value(self, name: str, default: str = "") -> str:
        """One text of the part."""
        found = self.values.get(name)
        return found[0] if found else default

    def walk(self) -> Iterator[Part]:
        """This part and everything below it."""
        yield self
        for part in self.parts:
            yield from part.walk()


_SINGLE: Final = {
    "group": ("mode",),
    "blank": ("field", "search"),
    "fact": ("field", "op", "value", "value2"),
    BEHAVIOUR: (
        "did", "kind", "times_op", "times", "times2", "window", "days", "first", "last", "aggregate", "agg_property",
        "agg_op", "agg_value", "agg_value2", "agg_currency",
    ),
    SEGMENT: ("segment", "member"),
    CONSENT: ("purpose", "channel", "allowed"),
    "raw": ("rule",),
}  # fmt: skip


# -- what was posted


def read(data: Posted) -> Part:
    """The parts that a form posted; a form without any is one empty group."""
    root = Part("n0", "group", {"mode": ["all"]})
    known: dict[str, Part] = {}
    for line in data.getlist("node")[:MOST_PARTS]:
        ident, _bar, rest = line.partition("|")
        parent, _bar, kind = rest.partition("|")
        if not re.fullmatch(r"n\d{1,6}", ident) or kind not in _SINGLE or ident in known:
            continue
        part = Part(ident, kind)
        for name in _SINGLE[kind]:
            part.values[name] = data.getlist(f"{ident}-{name}")[:1]
        if kind == "fact":
            part.values["many"] = data.getlist(f"{ident}-many")[: definition.MOST_VALUES]
        if kind == BEHAVIOUR:
            part.filters = _read_filters(data, ident)
        if not known:
            if kind != "group":
                continue
            root = part
        elif parent in known and known[parent].type == "group":
            known[parent].parts.append(part)
        else:
            continue
        known[ident] = part
    return root


def _read_filters(data: Posted, ident: str) -> list[dict[str, str]]:
    columns = {name: data.getlist(f"{ident}-where-{name}") for name in BLANK_FILTER}
    number = min(len(columns["property"]), definition.MOST_FILTERS)
    return [
        {name: column[at] if at < len(column) else "" for name, column in columns.items()}
        for at in range(number)
    ]


# -- what a button does


def act(root: Part, do: str) -> str:
    """Apply a button: `add:n1`, `group:n1`, `remove:n5`, `up:n5`, `down:n5`, `choose:n5`, `filter:n5`,
    `unfilter:n5:0`. Returns the id of the element that is to have the focus; an unknown button changes nothing."""
    name, _colon, rest = do.partition(":")
    ident, _colon, place = rest.partition(":")
    found = {part.id: part for part in root.walk()}
    part = found.get(ident)
    if part is None:
        return ""
    if name in ("add", "group") and part.type == "group" and len(found) < MOST_PARTS:
        fresh = Part(_next_id(found), "blank" if name == "add" else "group")
        if name == "group":
            fresh.values["mode"] = ["any"]
            fresh.parts = [Part(f"n{int(fresh.id[1:]) + 1}", "blank")]
        part.parts.append(fresh)
        return f"{fresh.id}-search" if name == "add" else f"{fresh.id}-mode"
    if name == "choose" and part.type == "blank":
        return _choose(part)
    if name == "filter" and part.type == BEHAVIOUR and len(part.filters) < definition.MOST_FILTERS:
        part.filters.append(dict(BLANK_FILTER))
        return f"{part.id}-where-property-{len(part.filters) - 1}"
    if name == "unfilter" and place.isdecimal() and int(place) < len(part.filters):
        del part.filters[int(place)]
        return f"{part.id}-filter"
    return _rearrange(root, part, name)


def _rearrange(root: Part, part: Part, name: str) -> str:
    group = next((one for one in root.walk() if part in one.parts), None)
    if group is None or name not in ("remove", "up", "down"):
        return ""
    at = group.parts.index(part)
    if name == "remove":
        del group.parts[at]
        if not group.parts:
            return f"{group.id}-add"
        return f"{group.parts[min(at, len(group.parts) - 1)].id}-remove"
    other = at - 1 if name == "up" else at + 1
    if 0 <= other < len(group.parts):
        group.parts[at], group.parts[other] = group.parts[other], group.parts[at]
    return f"{part.id}-{name}"


def _choose(part: Part) -> str:
    """A blank condition becomes one about the chosen field."""
    chosen = part.value("field")
    if chosen in (BEHAVIOUR, "did_not"):
        part.type = BEHAVIOUR
        part.values = {"did": ["no" if chosen == "did_not" else "yes"], "window": ["days"], "days": ["30"]}
        return f"{part.id}-kind"
    if chosen == SEGMENT:
        part.type, part.values = SEGMENT, {"member": ["yes"]}
        return f"{part.id}-segment"
    if chosen == CONSENT:
        part.type, part.values = CONSENT, {"allowed": ["yes"]}
        return f"{part.id}-purpose"
    if facts.find(chosen) is None:
        part.error = _("Choose a field from the list.")
        return f"{part.id}-search"
    part.type, part.values = "fact", {"field": [chosen]}
    return f"{part.id}-op"


def _next_id(found: Mapping[str, Part]) -> str:
    return f"n{max(int(ident[1:]) for ident in found) + 1}"


# -- parts into a rule


def build(root: Part) -> dict[str, Any] | None:
    """The rule of a form, or None when a part is wrong: then `error` says at each part what is."""
    for part in root.walk():
        part.error = part.error_field = ""
    tree = _build(root)
    if tree is None or any(part.error for part in root.walk()):
        return None
    try:
        return definition.dump(definition.parse(tree))
    except RuleError as error:
        root.error = str(error.problem)
        return None


def _build(part: Part) -> dict[str, Any] | None:
    if part.type == "group":
        built = [_build(one) for one in part.parts]
        if not part.parts:
            part.error = _("Add a condition, or remove the group.")
            return None
        inner = [one for one in built if one is not None]
        mode = part.value("mode", "all")
        if mode in ("any", "none"):
            return {"not": {"any": inner}} if mode == "none" else {"any": inner}
        return {"not": {"all": inner}} if mode == "not_all" else {"all": inner}
    if part.type == "blank":
        part.error = _("Choose a field, or remove the condition.")
        return None
    leaf = _LEAVES[part.type](part)
    try:
        if leaf is not None:
            definition.parse(leaf)
    except RuleError as error:
        place = str(error.field or "").removeprefix("not.")
        part.error, part.error_field = _problem(part, place, error), place
        return None
    return leaf


def _problem(part: Part, place: str, error: RuleError) -> str:
    """What is wrong in words that fit the form: the name of the input, and what is allowed there."""
    names = {
        "value": _("Value"), "touchpoint": _("What happened"), "times": _("Times"), "within_days": _("Days"),
        "not_since_days": _("Days"), "between": _("Dates"), "segment": _("Segment"), "consent": _("Consent"),
        **dict.fromkeys(definition.AGGREGATES, _("Number")),
    }  # fmt: skip
    head = re.split(r"[.\[]", place)[0]
    number = re.match(r"where\[(\d+)\]", place)
    if number:
        return _("Filter %(number)s: %(problem)s") % {"number": int(number[1]) + 1, "problem": error.problem}
    return f"{names[head]}: {error.problem}" if head in names else str(error.problem)


def _fact(part: Part) -> dict[str, Any] | None:
    key = part.value("field")
    fact = facts.find(key)
    if fact is None:
        part.error = _("This field is no longer there; remove the condition.")
        return None
    operators = fact.allowed_operators()
    op = part.value("op") if part.value("op") in operators else operators[0]
    leaf: dict[str, Any] = {"fact": key, "op": op}
    many = [one for one in part.values.get("many", []) if one] or split(part.value("value"))
    return leaf | _value(fact.type, op, part.value("value"), part.value("value2"), many)


def _value(kind: str, op: str, first: str, second: str, many: Sequence[str]) -> dict[str, Any]:
    if op in _UNVALUED:
        return {}
    if op in _LISTED:
        return {"value": [_loose(kind, one, op) for one in many]}
    if op == "between":
        return {"value": [_loose(kind, first.strip(), op), _loose(kind, second.strip(), op)]}
    return {"value": _loose(kind, first.strip(), op)}


def _loose(kind: str, text: str, op: str) -> Any:
    """A typed text as a value of the rule. Where the type is open, what looks like a number is one."""
    if kind == facts.BOOLEAN:
        return text != "false"
    if op.endswith(("_days", "_ago")) or kind == facts.NUMBER or (kind == facts.ANY and op in _NUMERIC):
        return _number(text)
    if kind == facts.ANY and op in ("eq", "ne", "in", "not_in", "between"):
        if text in ("true", "false"):
            return text == "true"
        return _number(text)
    return text


def _number(text: str) -> Any:
    plain = text.replace(",", "").replace("，", "").strip()
    if re.fullmatch(r"-?\d{1,15}", plain, re.ASCII):
        return int(plain)
    return float(plain) if re.fullmatch(r"-?\d{1,15}\.\d{1,6}", plain, re.ASCII) else text


def split(text: str) -> list[str]:
    """Values typed into one box: separated by commas of either width, semicolons or lines."""
    return [one.strip() for one in re.split(r"[,，、;；\n]", text) if one.strip()]


def _did(part: Part) -> dict[str, Any] | None:
    leaf: dict[str, Any] = {"touchpoint": part.value("kind").strip()}
    window = part.value("window", "ever")
    if window == "days":
        leaf["within_days"] = _number(part.value("days"))
    elif window == "not_since":
        leaf["not_since_days"] = _number(part.value("days"))
    elif window == "between":
        leaf["between"] = [part.value("first") or None, part.value("last") or None]
    where = [
        {"property": one["property"].strip(), "op": one["op"]}
        | _value(facts.ANY, one["op"], one["value"], one["value2"], split(one["value"]))
        for one in part.filters
    ]
    if where:
        leaf["where"] = where
    if part.value("did") == "no":
        return {"not": leaf}
    if window != "not_since":
        op = part.value("times_op", "gte")
        times = _value(facts.NUMBER, op, part.value("times", "1"), part.value("times2"), [])
        if (op, times["value"]) != ("gte", 1):
            leaf["times"] = {"op": op} | times
        aggregate = part.value("aggregate")
        if aggregate in definition.AGGREGATES:
            op = part.value("agg_op", "gte")
            number = _value(facts.NUMBER, op, part.value("agg_value"), part.value("agg_value2"), [])
            leaf[aggregate] = {"property": part.value("agg_property").strip(), "op": op} | number
            if part.value("agg_currency"):
                leaf[aggregate]["currency"] = part.value("agg_currency").strip().upper()
    return leaf


def _segment(part: Part) -> dict[str, Any]:
    return {"segment": part.value("segment"), "member": part.value("member") != "no"}


def _consent(part: Part) -> dict[str, Any]:
    what = {"purpose": part.value("purpose"), "channel": part.value("channel")}
    return {"consent": what, "allowed": part.value("allowed") != "no"}


def _raw(part: Part) -> dict[str, Any] | None:
    try:
        tree = json.loads(part.value("rule"))
    except ValueError:
        part.error = _("This condition was damaged on its way; remove it.")
        return None
    return tree if isinstance(tree, dict) else {}


_LEAVES: Final = {"fact": _fact, BEHAVIOUR: _did, SEGMENT: _segment, CONSENT: _consent, "raw": _raw}


# -- a rule into parts


def load(tree: Mapping[str, Any]) -> Part:
    """The parts of a rule. The outermost part is always a group."""
    numbers = iter(range(1, 100_000))
    root = _load(definition.dump(definition.parse(tree)), numbers)
    if root.type != "group":
        root = Part("n0", "group", {"mode": ["all"]}, [root])
    root.id = "n0"
    return root


def blank() -> Part:
    """A form to begin with: one group with one condition to choose."""
    return Part("n0", "group", {"mode": ["all"]}, [Part("n1", "blank")])


def _load(tree: Mapping[str, Any], numbers: Iterator[int]) -> Part:
    ident = f"n{next(numbers)}"
    inner: Any = tree.get("not")
    for mode, held in (("all", tree), ("any", tree), ("not_all", inner), ("none", inner)):
        key = {"not_all": "all", "none": "any"}.get(mode, mode)
        if isinstance(held, Mapping) and key in held:
            return Part(ident, "group", {"mode": [mode]}, [_load(one, numbers) for one in held[key]])
    part = _leaf(ident, tree)
    if part is not None and _build(part) is not None:
        rebuilt = definition.parse(_build(part))
        if rebuilt == definition.parse(tree):
            return part
    if isinstance(inner, Mapping):
        return Part(ident, "group", {"mode": ["none"]}, [_load(inner, numbers)])
    return Part(ident, "raw", {"rule": [json.dumps(tree, ensure_ascii=False)]})


def _leaf(ident: str, tree: Mapping[str, Any]) -> Part | None:
    inner = tree.get("not")
    if "fact" in tree:
        values = _texts(tree.get("value"), tree["op"])
        return Part(ident, "fact", {"field": [tree["fact"]], "op": [tree["op"]], **values})
    if "segment" in tree:
        return Part(ident, SEGMENT, {"segment": [tree["segment"]], "member": [_yes(tree["member"])]})
    if "consent" in tree:
        what = tree["consent"]
        said = {
            "purpose": [what["purpose"]],
            "channel": [what["channel"]],
            "allowed": [_yes(tree["allowed"])],
        }
        return Part(ident, CONSENT, said)
    happened = inner if isinstance(inner, Mapping) else tree
    if "touchpoint" in happened and isinstance(happened["touchpoint"], str):
        return _load_did(ident, happened, did=happened is tree)
    return None


def _load_did(ident: str, tree: Mapping[str, Any], *, did: bool) -> Part:
    values: dict[str, list[str]] = {"did": [_yes(did)], "kind": [tree["touchpoint"]], "window": ["ever"]}
    for window, key in (("days", "within_days"), ("not_since", "not_since_days")):
        if key in tree:
            values |= {"window": [window], "days": [str(tree[key])]}
    if "between" in tree:
        first, last = tree["between"]
        values |= {"window": ["between"], "first": [first or ""], "last": [last or ""]}
    if "times" in tree:
        values |= _renamed("times", tree["times"]) | {"times_op": [tree["times"]["op"]]}
    for function in definition.AGGREGATES:
        if function in tree:
            wanted = tree[function]
            values |= _renamed("agg_value", wanted)
            values |= {
                "aggregate": [function],
                "agg_property": [wanted["property"]],
                "agg_op": [wanted["op"]],
            }
            values["agg_currency"] = [wanted.get("currency", "")]
    filters = []
    for one in tree.get("where", []):
        said = _texts(one.get("value"), one["op"])
        filters.append(
            {
                "property": one["property"],
                "op": one["op"],
                "value": said.get("value", [""])[0],
                "value2": said.get("value2", [""])[0],
            }
        )
    return Part(ident, BEHAVIOUR, values, filters=filters)


def _renamed(name: str, compare: Mapping[str, Any]) -> dict[str, list[str]]:
    said = _texts(compare["value"], compare["op"])
    return {name: said["value"], f"{name}2": said.get("value2", [""])}


def _texts(value: Any, op: str) -> dict[str, list[str]]:
    if value is None:
        return {}
    if op == "between":
        return {"value": [str(value[0])], "value2": [str(value[1])]}
    if isinstance(value, list):
        return {"value": [", ".join(_text(one) for one in value)], "many": [_text(one) for one in value]}
    return {"value": [_text(value)]}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _yes(said: Any) -> str:
    return "yes" if said else "no"
