"""What a form for rules offers: fields in groups, kinds and their properties as they arrive, segments, words for
operators. Everything is read once per page, bounded, and in the reader's language."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext, pgettext_lazy

from crm import facts, registry
from crm.conditions import builder, definition, sentences
from crm.conditions.builder import Part
from crm.models import EventKind, ObservedProperty, Segment
from crm.states import Channel, Purpose, SegmentStatus

MOST_KINDS: Final = 500
MOST_PROPERTIES: Final = 200

OPERATORS: Final = {
    "eq": pgettext_lazy("operator", "is"),
    "ne": pgettext_lazy("operator", "is not"),
    "in": pgettext_lazy("operator", "is one of"),
    "not_in": pgettext_lazy("operator", "is none of"),
    "contains": pgettext_lazy("operator", "contains"),
    "not_contains": pgettext_lazy("operator", "does not contain"),
    "contains_any": pgettext_lazy("operator", "contains one of"),
    "starts_with": pgettext_lazy("operator", "begins with"),
    "gt": pgettext_lazy("operator", "more than"),
    "gte": pgettext_lazy("operator", "at least"),
    "lt": pgettext_lazy("operator", "less than"),
    "lte": pgettext_lazy("operator", "at most"),
    "between": pgettext_lazy("operator", "between"),
    "on": pgettext_lazy("operator", "on the day"),
    "before": pgettext_lazy("operator", "before"),
    "after": pgettext_lazy("operator", "after"),
    "in_last_days": pgettext_lazy("operator", "in the last … days"),
    "in_next_days": pgettext_lazy("operator", "in the next … days"),
    "more_than_days_ago": pgettext_lazy("operator", "more than … days ago"),
    "anniversary_in_days": pgettext_lazy("operator", "has its anniversary in the next … days"),
    "is_set": pgettext_lazy("operator", "is known"),
    "is_not_set": pgettext_lazy("operator", "is not known"),
}
_NUMBER_WORDS: Final = {
    "eq": pgettext_lazy("operator", "exactly"),
    "ne": pgettext_lazy("operator", "not exactly"),
}
_DATES: Final = ("on", "before", "after")
MODES: Final = (
    ("all", gettext_lazy("All of these hold")),
    ("any", gettext_lazy("At least one of these holds")),
    ("none", gettext_lazy("None of these holds")),
    ("not_all", gettext_lazy("Not all of these hold")),
)
WINDOWS: Final = (
    ("days", gettext_lazy("in the last … days")),
    ("ever", gettext_lazy("ever")),
    ("between", gettext_lazy("between two dates")),
    ("not_since", gettext_lazy("but not in the last … days")),
)
AGGREGATES: Final = (
    ("", gettext_lazy("no further number")),
    ("sum", gettext_lazy("with a sum of")),
    ("avg", gettext_lazy("with an average of")),
    ("min", gettext_lazy("with a smallest")),
    ("max", gettext_lazy("with a largest")),
)


@dataclass(frozen=True, slots=True)
class Control:
    """How a value is typed: none, text, number, date, days, choice, many, yesno; `pair`: two of them."""

    kind: str
    pair: bool = False
    choices: tuple[tuple[str, Any], ...] = ()
    suggestions: tuple[str, ...] = ()
    unit: Any = ""


class Choices:
    """The offer of one page."""

    @cached_property
    def facts(self) -> list[facts.Fact]:
        """Every fact there is."""
        return facts.all_facts()

    @cached_property
    def fields(self) -> list[tuple[Any, list[tuple[str, Any]]]]:
        """The fields in groups, behaviour first."""
        groups: dict[str, list[tuple[str, Any]]] = {}
        for fact in self.facts:
            groups.setdefault(str(facts.group_label(fact)), []).append((fact.key, fact.label))
        first = [
            (_("Behaviour"), [("did", _("did something")), ("did_not", _("did not do something"))]),
            (
                _("Segments and consent"),
                [("segment", _("is in a segment")), ("consent", _("may be written to"))],
            ),
        ]
        return [*first, *((group, found) for group, found in sorted(groups.items()))]

    @cached_property
    def kinds(self) -> list[tuple[str, Any]]:
        """Kinds of touchpoints with their words: what arrived, and what the product records itself."""
        arrived = list(EventKind.objects.order_by("name").values_list("name", flat=True)[:MOST_KINDS])
        names = sorted({*arrived, *registry.kinds()}, key=str.casefold)
        return [(name, registry.kind_label(name)) for name in names]

    @cached_property
    def segments(self) -> list[tuple[str, str]]:
        """Segments that may be asked about."""
        rows = Segment.objects.exclude(status=SegmentStatus.ARCHIVED).order_by("name")
        return list(rows.values_list("key", "name")[:500])

    def properties(self, kind: str) -> list[tuple[str, Any]]:
        """The properties seen on a kind, the usual ones first."""
        if kind not in self._properties:
            seen = ObservedProperty.objects.filter(kind__name=kind).order_by("-filled", "name")
            rows = list(seen.values_list("name", "types")[:MOST_PROPERTIES])
            known = [*(name for name, _types in rows), *_payload(kind)]
            self._properties[kind] = [(name, registry.property_label(name)) for name in dict.fromkeys(known)]
        return self._properties[kind]

    @cached_property
    def _properties(self) -> dict[str, list[tuple[str, Any]]]:
        return {}


def _payload(kind: str) -> Iterable[str]:
    found = registry.kinds().get(kind)
    return found.payload if found else ()


def operators(kind: str, allowed: Iterable[str]) -> list[tuple[str, Any]]:
    """Operators with their words, as they read for this type."""
    words: dict[str, Any] = dict(OPERATORS) | (_NUMBER_WORDS if kind == facts.NUMBER else {})
    return [(op, words[op]) for op in allowed if op in words]


def control(
    kind: str, op: str, *, choices: Iterable[tuple[str, Any]] = (), unit: Any = "", is_open: bool = False
) -> Control:
    """What to type the value of an operator into. Of open choices others than those may be typed."""
    found = tuple(choices)
    pair = op == "between"
    if op in facts.SET_OPS:
        return Control("none")
    if op.endswith(("_days", "_ago")):
        return Control("days", unit=pgettext("unit", "days"))
    if op in _DATES or (pair and kind in (facts.DATE, facts.MOMENT)):
        return Control("date", pair)
    if kind == facts.BOOLEAN:
        return Control("yesno")
    if kind == facts.NUMBER or (kind == facts.ANY and op in ("gt", "gte", "lt", "lte", "between")):
        return Control("number", pair, unit=unit)
    if op in ("in", "not_in", "contains_any"):
        fixed = kind == facts.CHOICE and not is_open
        return Control("many", choices=found if fixed else (), suggestions=_texts(found))
    if kind == facts.CHOICE and found and not is_open:
        return Control("choice", choices=found)
    return Control("text", pair, suggestions=_texts(found))


def _texts(choices: Iterable[tuple[str, Any]]) -> tuple[str, ...]:
    return tuple(str(value) for value, _label in choices)


def dress(root: Part, choices: Choices) -> Part:
    """Give every part what its template shows: words, operators, controls. The position decides which buttons work."""
    for part in root.walk():
        for at, one in enumerate(part.parts):
            one.view = _view(one, choices) | {
                "is_first": at == 0, "is_last": at == len(part.parts) - 1, "parent": part.id, "place": at + 1,
            }  # fmt: skip
    root.view = _view(root, choices) | {"is_first": True, "is_last": True, "parent": "", "place": 1}
    return root


def _view(part: Part, choices: Choices) -> dict[str, Any]:
    if part.type == "group":
        mode = part.value("mode", "all")
        modes = [one for one in MODES if one[0] != "not_all" or mode == "not_all"]
        return {"modes": modes, "mode": mode}
    if part.type == "fact":
        return _fact_view(part)
    if part.type == builder.BEHAVIOUR:
        return _did_view(part, choices)
    if part.type == builder.SEGMENT:
        wanted = part.value("segment")
        gone = [] if not wanted or wanted in dict(choices.segments) else [(wanted, wanted)]
        return {"segments": [*choices.segments, *gone]}
    if part.type == builder.CONSENT:
        return {"purposes": Purpose.choices, "channels": Channel.choices}
    if part.type == "raw":
        return {"sentence": _clause(part)}
    return {}


def _fact_view(part: Part) -> dict[str, Any]:
    fact = facts.find(part.value("field"))
    if fact is None:
        return {"label": part.value("field"), "operators": [], "control": Control("none"), "op": ""}
    allowed = fact.allowed_operators()
    op = part.value("op") if part.value("op") in allowed else allowed[0]
    many = part.values.get("many", []) or builder.split(part.value("value"))
    shown = control(fact.type, op, choices=_offered(fact, many), unit=fact.unit, is_open=_is_open(fact))
    return {
        "label": fact.label,
        "group": facts.group_label(fact),
        "help": fact.help,
        "operators": operators(fact.type, allowed),
        "op": op,
        "control": shown,
        "many": many,
    }


def _is_open(fact: facts.Fact) -> bool:
    """Whether the choices are only what was seen so far, so that other values may be typed."""
    return callable(fact.choices) and all(str(value) == str(label) for value, label in fact.choice_list())


def _offered(fact: facts.Fact, chosen: list[str]) -> list[tuple[str, Any]]:
    """The choices, and those of the condition that are none any more: a form never drops a value."""
    found = fact.choice_list()
    known = {str(value) for value, _label in found}
    return (
        found if fact.type != facts.CHOICE else [*found, *((one, one) for one in chosen if one not in known)]
    )


def _did_view(part: Part, choices: Choices) -> dict[str, Any]:
    kind = part.value("kind")
    times_op, agg_op = part.value("times_op", "gte"), part.value("agg_op", "gte")
    return {
        "kind_label": registry.kind_label(kind) if kind else "",
        "windows": [one for one in WINDOWS if part.value("did") != "no" or one[0] != "not_since"],
        "window": part.value("window", "ever"),
        "numbers": operators(facts.NUMBER, definition.COMPARISONS),
        "times_op": times_op,
        "times_pair": times_op == "between",
        "aggregates": AGGREGATES,
        "agg_op": agg_op,
        "agg_pair": agg_op == "between",
        "properties": choices.properties(kind) if kind else [],
        "filters": [filter_view(one) for one in part.filters],
    }


def filter_view(one: dict[str, str]) -> dict[str, Any]:
    """One row of a filter on a property."""
    return {
        "row": one,
        "operators": operators(facts.ANY, facts.OPERATORS[facts.ANY]),
        "control": control(facts.ANY, one["op"]),
    }


def _clause(part: Part) -> str:
    leaf = builder._raw(part)
    try:
        return sentences.clause(definition.parse(leaf)) if leaf else ""
    except definition.RuleError as error:
        return str(error.problem)
