"""Facts about people: what conditions may ask, registered by the app that knows the answer.

A fact has a key, words for staff, a type, and a source: a column of the profile (crm's own), or rows
`(profile_id, value)` as an SQL text with parameters or a QuerySet. Facts of one person's several ids are combined
as the fact says. Families answer keys that are data, such as `computed:<key>`. Nothing here asks the database
until a rule is compiled or a page wants the choices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

TEXT: Final = "text"
NUMBER: Final = "number"
DATE: Final = "date"
MOMENT: Final = "moment"
BOOLEAN: Final = "boolean"
CHOICE: Final = "choice"
LIST: Final = "list"
# Loose values of JSON: traits and properties. The value of the condition says how they are compared.
ANY: Final = "any"

SET_OPS: Final = ("is_set", "is_not_set")
_DATES: Final = (
    "on", "before", "after", "between", "in_last_days", "in_next_days", "more_than_days_ago", "anniversary_in_days",
)  # fmt: skip
_NUMBERS: Final = ("eq", "ne", "gt", "gte", "lt", "lte", "between")
OPERATORS: Final[dict[str, tuple[str, ...]]] = {
    TEXT: ("eq", "ne", "in", "not_in", "contains", "not_contains", "starts_with", *SET_OPS),
    NUMBER: (*_NUMBERS, *SET_OPS),
    DATE: (*_DATES, *SET_OPS),
    MOMENT: (*_DATES, *SET_OPS),
    BOOLEAN: ("eq",),
    CHOICE: ("eq", "ne", "in", "not_in", *SET_OPS),
    LIST: ("contains", "not_contains", "contains_any", *SET_OPS),
    ANY: (
        "eq", "ne", "in", "not_in", "contains", "not_contains", "starts_with", "gt", "gte", "lt", "lte", "between",
        "on", "before", "after", "in_last_days", "in_next_days", "more_than_days_ago", "anniversary_in_days",
        *SET_OPS,
    ),
}  # fmt: skip
COMBINE: Final = ("any", "sum", "max", "min")

# Rows of a fact: an SQL text with its parameters, or a QuerySet of (profile_id, value).
Rows = tuple[str, Sequence[Any]] | QuerySet[Any, Any]
Choices = Sequence[tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is known of people.

    `column`: an SQL expression over the root's profile row `p` (crm alone). `rows(now)`: everybody else; `value` is
    numeric, text, boolean, date, timestamptz or text[] according to the type, and a profile may have several rows.
    `combine`: `any` row of any of the person's ids may match, or the `sum`, `max` or `min` of all of them counts.
    `default`: the number of a person without rows. `changed_by`: kinds of touchpoints or published facts after which
    the value may be another. `phrases`: per operator a whole clause instead of the usual one, such as
    `{"eq": _("lives in %(value)s"), "not eq": _("does not live in %(value)s")}`.
    """

    key: str
    label: Any
    type: str
    group: Any = ""
    help: Any = ""
    unit: Any = ""
    column: str = ""
    rows: Callable[[datetime], Rows] | None = None
    combine: str = "any"
    default: Any = None
    choices: Callable[[], Choices] | Choices = ()
    changed_by: tuple[str, ...] = ()
    phrases: tuple[tuple[str, Any], ...] = ()
    operators: tuple[str, ...] = ()

    def allowed_operators(self) -> tuple[str, ...]:
        """The operators a condition on this fact may use."""
        return self.operators or OPERATORS[self.type]

    def choice_list(self) -> list[tuple[str, Any]]:
        """The choices as they are now: fixed ones, or values that were seen."""
        return list(self.choices() if callable(self.choices) else self.choices)

    def choice_label(self, value: Any) -> Any:
        """What staff read for a value; a value nobody named is its own label."""
        if self.type == CHOICE:
            for key, label in self.choice_list():
                if key == value:
                    return label
        return value


@dataclass(frozen=True, slots=True)
class Family:
    """Facts whose keys are data: `prefix` and what answers for a key behind it. `listing` names those there are."""

    prefix: str
    label: Any
    find: Callable[[str], Fact | None]
    listing: Callable[[], list[Fact]]


_facts: dict[str, Fact] = {}
_families: dict[str, Family] = {}


def register(key: str, **spec: Any) -> Fact:
    """Register a fact, in an app's ready(); see Fact for the arguments. Registering it again replaces it."""
    phrases = spec.pop("phrases", {})
    fact = Fact(key=key, phrases=tuple(dict(phrases).items()), **spec)
    if fact.type not in OPERATORS:
        raise ValueError(f"{key}: {fact.type!r} is none of {', '.join(OPERATORS)}")
    if fact.combine not in COMBINE:
        raise ValueError(f"{key}: {fact.combine!r} is none of {', '.join(COMBINE)}")
    if bool(fact.column) == (fact.rows is not None):
        raise ValueError(f"{key}: a fact has either a column or rows")
    _facts[key] = fact
    return fact


def register_family(
    prefix: str, *, label: Any, find: Callable[[str], Fact | None], listing: Callable[[], list[Fact]]
) -> Family:
    """Register facts whose keys are data, such as `computed:<key>`. Registering it again replaces it."""
    _families[prefix] = Family(prefix, label, find, listing)
    return _families[prefix]


def find(key: str) -> Fact | None:
    """The fact of a key, or None when there is none (any more)."""
    found = _facts.get(key)
    if found is None and ":" in key:
        prefix, _colon, rest = key.partition(":")
        family = _families.get(prefix)
        if family is not None and rest:
            return family.find(rest)
    return found


def all_facts() -> list[Fact]:
    """Every fact there is, registered ones first, then those of families."""
    found = [_facts[key] for key in sorted(_facts)]
    for prefix in sorted(_families):
        found += _families[prefix].listing()
    return found


def group_label(fact: Fact) -> Any:
    """Under which heading a builder lists the fact."""
    return fact.group or _("Other")
