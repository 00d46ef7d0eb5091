"""A rule in the reader's language.

Every clause is one template of its own with named places, so a translation orders the words as its language does:
`bought tea at least 3 times in the last 90 days` and `最近 90 天内购买茶至少 3 次` are the same clause. Clauses are
joined by templates too; a condition that is turned round has words of its own instead of a `not` in front.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

from django.utils import formats
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from crm import facts
from crm.conditions import verbs
from crm.conditions.definition import (
    MONEY_PROPERTIES,
    Aggregate,
    All,
    Allowed,
    AnyOf,
    Compare,
    Filter,
    Happened,
    Known,
    Member,
    Node,
    Not,
    normal,
)
from crm.kernel import knobs
from crm.registry import channel_label, kind_label, property_label
from crm.states import Channel, Purpose, Stage

MOST_VALUES: Final = 5
_NONE: Final = (Compare("eq", Decimal(0)), Compare("lt", Decimal(1)), Compare("lte", Decimal(0)))
_ONCE: Final = (Compare("gte", Decimal(1)), Compare("gt", Decimal(0)), Compare("ne", Decimal(0)))


def sentence(node: Node, *, names: Callable[[str], str] = str) -> str:
    """The whole rule as one sentence. `names` gives the name of a segment for its key."""
    rule = normal(node)
    if isinstance(rule, All) and not rule.parts:
        return _("Everyone.")
    return _("Everyone who %(clause)s.") % {"clause": clause(rule, names=names)}


def clause(node: Node, *, names: Callable[[str], str] = str) -> str:
    """A part of a rule as a clause, such as a builder shows beside the part."""
    return _Speaker(names).say(normal(node), False)


class _Speaker:
    """Says nodes; `negated` asks for the words of the opposite."""

    def __init__(self, names: Callable[[str], str]) -> None:
        self.names = names

    def say(self, node: Node, negated: bool) -> str:
        if isinstance(node, Not):
            return self.say(node.part, not negated)
        if isinstance(node, (All, AnyOf)):
            return self._group(node, negated)
        if isinstance(node, Happened):
            return _happened(node, negated)
        if isinstance(node, Known):
            return _known(node, negated)
        if isinstance(node, Member):
            inside = node.member != negated
            values = {"segment": self.names(node.segment)}
            return (
                _("is in the segment “%(segment)s”") if inside else _("is not in the segment “%(segment)s”")
            ) % values
        return _allowed(node, negated)

    def _group(self, node: All | AnyOf, negated: bool) -> str:
        """A group; one of several inside another one stands in brackets."""
        parts = node.parts
        if not parts:
            return _("is nobody") if negated else _("is anybody")
        if len(parts) == 1:
            return self.say(parts[0], negated)
        together = isinstance(node, All) != negated
        said = [self._part(part, negated) for part in parts]
        if not together:
            return _list(said, last=_("%(first)s or %(second)s"))
        # What somebody is or did comes first; what they did not follows with a `but`.
        without = [is_negative(part) != negated for part in parts]
        for_it = [text for text, no in zip(said, without, strict=True) if not no]
        against = [text for text, no in zip(said, without, strict=True) if no]
        both = _("%(first)s and %(second)s")
        if not for_it or not against:
            return _list(said, last=both)
        return _("%(clauses)s, but %(exceptions)s") % {
            "clauses": _list(for_it, last=both),
            "exceptions": _list(against, last=both),
        }

    def _part(self, node: Node, negated: bool) -> str:
        text = self.say(node, negated)
        inner = node
        while isinstance(inner, Not):
            inner = inner.part
        if isinstance(inner, (All, AnyOf)) and len(inner.parts) > 1:
            return _("(%(clause)s)") % {"clause": text}
        return text


def is_negative(node: Node) -> bool:
    """Whether a condition says what somebody did not do or is not."""
    if isinstance(node, Not):
        return not is_negative(node.part)
    if isinstance(node, Happened):
        return node.aggregate is None and node.times in _NONE
    if isinstance(node, Member):
        return not node.member
    if isinstance(node, Allowed):
        return not node.allowed
    return isinstance(node, Known) and node.value is False


def _list(parts: Sequence[str], *, last: str) -> str:
    """`a, b and c` by the separators of the language."""
    if len(parts) == 1:
        return parts[0]
    head = pgettext("separator of clauses", ", ").join(parts[:-1])
    return last % {"first": head, "second": parts[-1]}


# -- what happened


def _happened(node: Happened, negated: bool) -> str:
    if node.not_since_days:
        values = {"what": _what(node, False), "days": _days(node.not_since_days)}
        if negated:
            return _("never %(what)s or did so within the last %(days)s") % values
        return _("%(what)s, the last time more than %(days)s ago") % values
    if node.aggregate is not None:
        return _aggregate(node, node.aggregate, negated)
    never = node.times in _NONE
    once = node.times in _ONCE
    if never or once:
        text, window = _what(node, never != negated), _window(node)
        return _("%(what)s %(window)s") % {"what": text, "window": window} if window else text
    values = {"what": _what(node, False), "times": _times(node.times, negated), "window": _window(node)}
    if values["window"]:
        return _("%(what)s %(times)s %(window)s") % values
    return _("%(what)s %(times)s") % values


def _what(node: Happened, no: bool) -> str:
    """The verb with its object, or the name of the kind with its filters."""
    filters = list(node.where)
    verb = verbs.find(node.kinds[0]) if len(node.kinds) == 1 else None
    text = ""
    if verb is not None:
        text = str(verb.did_not if no else verb.did)
        thing = next(
            (one for one in filters if one.op in ("eq", "in") and one.path[-1] in verbs.OBJECTS), None
        )
        with_it = verb.did_not_it if no else verb.did_it
        if thing is not None and with_it is not None:
            filters.remove(thing)
            text = str(with_it) % {"object": _values(thing.value)}
    elif not node.kinds:
        text = _("had no touchpoint") if no else _("had a touchpoint")
    else:
        names = _list([_("“%(name)s”") % {"name": kind_label(kind)} for kind in node.kinds], last=_or())
        text = (_("has no %(kind)s") if no else _("has %(kind)s")) % {"kind": names}
    said = [_filter(one) for one in filters]
    if node.stage:
        said.append(_("stage: %(stage)s") % {"stage": Stage(node.stage).label})
    if node.channel:
        said.append(_("channel: %(channel)s") % {"channel": channel_label(node.channel)})
    if said:
        inner = pgettext("separator of filters", ", ").join(said)
        return _("%(what)s (%(filters)s)") % {"what": text, "filters": inner}
    return text


def _aggregate(node: Happened, wanted: Aggregate, negated: bool) -> str:
    """The number decides: how often is said only where it was asked."""
    name = str(property_label(wanted.path[-1]))
    templates = {
        "sum": _("with a total %(property)s of %(compared)s"),
        "avg": _("with an average %(property)s of %(compared)s"),
        "min": _("with a lowest %(property)s of %(compared)s"),
        "max": _("with a highest %(property)s of %(compared)s"),
    }
    number = {"property": name, "compared": _compared(wanted.compare, _money(wanted))}
    values = {
        "what": _what(node, False),
        "window": _window(node),
        "times": "",
        "number": templates[wanted.function] % number,
    }
    if node.times != Compare("gte", Decimal(0)):
        values["times"] = _times(node.times, False)
        text = (
            _("%(what)s %(times)s %(window)s %(number)s")
            if values["window"]
            else _("%(what)s %(times)s %(number)s")
        )
    else:
        text = _("%(what)s %(window)s %(number)s") if values["window"] else _("%(what)s %(number)s")
    said = text % values
    return _("does not match “%(clause)s”") % {"clause": said} if negated else said


def _money(wanted: Aggregate) -> str:
    if wanted.currency:
        return wanted.currency
    return str(knobs.get("crm.currency")) if wanted.path[-1] in MONEY_PROPERTIES else ""


def _times(how: Compare, negated: bool) -> str:
    if negated:
        turned = {"gte": "lt", "gt": "lte", "lt": "gte", "lte": "gt", "eq": "ne", "ne": "eq"}
        if how.op in turned:
            return _times(Compare(turned[how.op], how.value), False)
        low, high = how.value  # type: ignore[misc]
        return _("fewer than %(low)s or more than %(high)s times") % {
            "low": _number(low),
            "high": _number(high),
        }
    if isinstance(how.value, tuple):
        return _("%(low)s to %(high)s times") % {"low": _number(how.value[0]), "high": _number(how.value[1])}
    number = int(how.value)
    values = {"number": _number(how.value)}
    if how.op == "gte":
        return ngettext("at least %(number)s time", "at least %(number)s times", number) % values
    if how.op == "gt":
        return ngettext("more than %(number)s time", "more than %(number)s times", number) % values
    if how.op == "lte":
        return ngettext("at most %(number)s time", "at most %(number)s times", number) % values
    if how.op == "lt":
        return ngettext("fewer than %(number)s time", "fewer than %(number)s times", number) % values
    if how.op == "eq":
        return ngettext("exactly %(number)s time", "exactly %(number)s times", number) % values
    return ngettext("not exactly %(number)s time", "not exactly %(number)s times", number) % values


def _window(node: Happened) -> str:
    window = node.window
    if window.days:
        return _("in the last %(days)s") % {"days": _days(window.days)}
    if window.first and window.last:
        return _("from %(first)s to %(last)s") % {"first": _value(window.first), "last": _value(window.last)}
    if window.first:
        return _("since %(first)s") % {"first": _value(window.first)}
    return _("until %(last)s") % {"last": _value(window.last)} if window.last else ""


# -- what is known


def _known(node: Known, negated: bool) -> str:
    fact = facts.find(node.fact)
    name = str(fact.label) if fact else node.fact
    op, value = node.op, node.value
    if value is False and fact is not None and fact.type == facts.BOOLEAN:
        value, negated = True, not negated
    phrases = dict(fact.phrases) if fact else {}
    phrase = phrases.get(f"not {op}" if negated else op)
    said = _said(fact, op, value)
    if phrase is not None:
        return str(phrase) % {"value": said}
    if fact is not None and fact.type == facts.BOOLEAN:
        return (_("is not “%(fact)s”") if negated else _("is “%(fact)s”")) % {"fact": name}
    if fact is not None and fact.unit and op in ("gt", "gte", "lt", "lte", "eq", "between"):
        said = _("%(value)s %(unit)s") % {"value": said, "unit": fact.unit}
    if fact is not None and fact.type == facts.NUMBER and op == "eq":
        template = _("does not have %(fact)s of %(value)s") if negated else _("has %(fact)s of %(value)s")
    else:
        template = _fact_sayings()[op][1 if negated else 0]
    return template % {"fact": name, "value": said}


def _said(fact: facts.Fact | None, op: str, value: Any) -> str:
    if op in ("in_last_days", "in_next_days", "more_than_days_ago", "anniversary_in_days"):
        return _days(int(value))
    if fact is not None and fact.type == facts.CHOICE:
        many = value if isinstance(value, tuple) else (value,)
        return _values(tuple(str(fact.choice_label(one)) for one in many))
    if op == "between":
        return _("%(low)s and %(high)s") % {"low": _value(value[0]), "high": _value(value[1])}
    return _values(value, quoted=isinstance(value, (str, tuple)))


def _fact_sayings() -> dict[str, tuple[str, str]]:
    """Per operator how a fact is said, and how its opposite is."""
    return {
        "eq": (_("has %(fact)s %(value)s"), _("does not have %(fact)s %(value)s")),
        "in": (_("has %(fact)s %(value)s"), _("does not have %(fact)s %(value)s")),
        "contains": (_("has %(value)s in %(fact)s"), _("does not have %(value)s in %(fact)s")),
        "contains_any": (_("has %(value)s in %(fact)s"), _("does not have %(value)s in %(fact)s")),
        "starts_with": (
            _("has %(fact)s beginning with %(value)s"),
            _("does not have %(fact)s beginning with %(value)s"),
        ),
        "gt": (_("has %(fact)s above %(value)s"), _("does not have %(fact)s above %(value)s")),
        "gte": (_("has %(fact)s of at least %(value)s"), _("does not have %(fact)s of at least %(value)s")),
        "lt": (_("has %(fact)s below %(value)s"), _("does not have %(fact)s below %(value)s")),
        "lte": (_("has %(fact)s of at most %(value)s"), _("does not have %(fact)s of at most %(value)s")),
        "between": (_("has %(fact)s between %(value)s"), _("does not have %(fact)s between %(value)s")),
        "on": (_("has %(fact)s on %(value)s"), _("does not have %(fact)s on %(value)s")),
        "before": (_("has %(fact)s before %(value)s"), _("does not have %(fact)s before %(value)s")),
        "after": (_("has %(fact)s after %(value)s"), _("does not have %(fact)s after %(value)s")),
        "in_last_days": (
            _("has %(fact)s within the last %(value)s"),
            _("does not have %(fact)s within the last %(value)s"),
        ),
        "in_next_days": (
            _("has %(fact)s within the next %(value)s"),
            _("does not have %(fact)s within the next %(value)s"),
        ),
        "more_than_days_ago": (
            _("has %(fact)s more than %(value)s ago"),
            _("does not have %(fact)s more than %(value)s ago"),
        ),
        "anniversary_in_days": (
            _("has an anniversary of %(fact)s within the next %(value)s"),
            _("has no anniversary of %(fact)s within the next %(value)s"),
        ),
        "is_set": (_("has a known %(fact)s"), _("has no known %(fact)s")),
    }


def _filter(one: Filter) -> str:
    """A filter on a property, such as `category is tea`."""
    templates = {
        "eq": _("%(property)s is %(value)s"),
        "ne": _("%(property)s is not %(value)s"),
        "in": _("%(property)s is %(value)s"),
        "not_in": _("%(property)s is not %(value)s"),
        "contains": _("%(property)s contains %(value)s"),
        "not_contains": _("%(property)s does not contain %(value)s"),
        "starts_with": _("%(property)s begins with %(value)s"),
        "gt": _("%(property)s above %(value)s"),
        "gte": _("%(property)s at least %(value)s"),
        "lt": _("%(property)s below %(value)s"),
        "lte": _("%(property)s at most %(value)s"),
        "between": _("%(property)s between %(value)s"),
        "on": _("%(property)s on %(value)s"),
        "before": _("%(property)s before %(value)s"),
        "after": _("%(property)s after %(value)s"),
        "in_last_days": _("%(property)s within the last %(value)s"),
        "in_next_days": _("%(property)s within the next %(value)s"),
        "more_than_days_ago": _("%(property)s more than %(value)s ago"),
        "anniversary_in_days": _("anniversary of %(property)s within the next %(value)s"),
        "is_set": _("%(property)s is known"),
        "is_not_set": _("%(property)s is not known"),
    }
    keys = [key for key in one.path if key != "[]"]
    said = _said(None, one.op, one.value)
    return templates[one.op] % {"property": property_label(keys[-1]), "value": said}


def _allowed(node: Allowed, negated: bool) -> str:
    values = {"purpose": Purpose(node.purpose).label, "channel": Channel(node.channel).label}
    if node.allowed != negated:
        return _("allows %(purpose)s by %(channel)s") % values
    return _("does not allow %(purpose)s by %(channel)s") % values


# -- values


def _compared(how: Compare, unit: str) -> str:
    if isinstance(how.value, tuple):
        values = {"low": _amount(how.value[0], unit), "high": _amount(how.value[1], unit)}
        return _("between %(low)s and %(high)s") % values
    value = {"value": _amount(how.value, unit)}
    return {
        "eq": _("exactly %(value)s"),
        "ne": _("not exactly %(value)s"),
        "gt": _("more than %(value)s"),
        "gte": _("at least %(value)s"),
        "lt": _("less than %(value)s"),
        "lte": _("at most %(value)s"),
    }[how.op] % value


def _amount(number: Decimal, unit: str) -> str:
    return _("%(value)s %(unit)s") % {"value": _number(number), "unit": unit} if unit else _number(number)


def _number(number: Decimal) -> str:
    plain = number.normalize()
    places = max(0, -int(plain.as_tuple().exponent))
    return str(formats.number_format(number, decimal_pos=places, use_l10n=True, force_grouping=True))


def _days(days: int) -> str:
    return ngettext("%(number)s day", "%(number)s days", days) % {"number": _number(Decimal(days))}


def _or() -> str:
    return _("%(first)s or %(second)s")


def _values(value: Any, *, quoted: bool = False) -> str:
    """One value, or several joined by `or`; a long list is cut."""
    many = value if isinstance(value, tuple) else (value,)
    said = [
        _("“%(name)s”") % {"name": _value(one)} if quoted and isinstance(one, str) else _value(one)
        for one in many
    ]
    if len(said) > MOST_VALUES:
        rest = len(said) - MOST_VALUES
        more = ngettext("%(number)s other", "%(number)s others", rest) % {"number": rest}
        said = [*said[:MOST_VALUES], more]
    return _list(said, last=_or())


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, date):
        return str(formats.date_format(value, "DATE_FORMAT"))
    return str(value)
