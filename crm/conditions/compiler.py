"""A rule as one set-based SQL statement that yields the ids of living roots.

Each condition that is about other rows (touchpoints, contact points, facts of other apps…) is a derived table with one
row per person, joined from the left; the tree becomes a boolean expression over the joins. Negation is carried down to
the leaves, so the planner sees plain semi and anti joins. All conditions on touchpoints share one scan: each of them is
a filtered aggregate, and the scan is bounded by the widest window. Rows of merged people count for their root.

The statement may be restricted to given people: then every source is asked for their ids alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from django.db.models import QuerySet

from crm import facts
from crm.conditions import predicates
from crm.conditions.definition import (
    MONEY_PROPERTIES,
    TRAIT_PREFIX,
    Aggregate,
    All,
    Allowed,
    AnyOf,
    Compare,
    Happened,
    Known,
    Member,
    Node,
    Not,
    RuleError,
    leaves,
    normal,
)
from crm.conditions.fragments import FALSE, TRUE, Sql, both, either, join, param, put
from crm.conditions.predicates import Moment
from crm.kernel import knobs
from crm.states import OPT_IN_PURPOSES

# Whoever was merged into somebody: few rows, found by their own index, so the hash is small.
_MERGED: Final = (
    "LEFT JOIN (SELECT id, merged_into_id FROM crm_profile WHERE merged_into_id IS NOT NULL) m"
    " ON m.id = {}.profile_id"
)
_ROOT: Final = "COALESCE(m.merged_into_id, {}.profile_id)"
# From when, and before when; None is no bound.
_Span: TypeAlias = tuple[datetime | None, datetime | None]
_EVER: Final[_Span] = (None, None)


def moment(*, now: datetime) -> Moment:
    """The instant of a compilation with the organisation's zone, currency and first month."""
    year, month = (int(part) for part in knobs.get("crm.first_month").split("-"))
    try:
        zone = ZoneInfo(knobs.get("crm.time_zone"))
    except (ValueError, OSError):  # not a zone: staff may type anything
        zone = ZoneInfo("UTC")
    return Moment(now, zone, knobs.get("crm.currency"), datetime(year, month, 1, tzinfo=UTC))


def compile_rule(
    node: Node, *, at: Moment, roots: Sequence[int] | None = None, members: Sequence[int] | None = None
) -> Sql:
    """The statement for a rule: `SELECT p.id …`.

    With `roots`, only those people are looked at; `members` are all ids those people ever had (the id sets), which
    is what their rows elsewhere carry. Raises RuleError when a fact that the rule names is no longer there.
    """
    rule = normal(node)
    work = _Compilation(rule, at, None if roots is None else list(members if members is not None else roots))
    wanted = work.expression(rule, negated=False)
    parts = [Sql("p.merged_into_id IS NULL AND p.erased_at IS NULL")]
    if roots is not None:
        parts.append(put("p.id = ANY({})", param(list(roots), "bigint[]")))
    parts.append(wanted)
    return put("SELECT p.id FROM crm_profile p {} WHERE {}", join(" ", work.all_joins()), both(parts))


class _Compilation:
    """One statement in the making: its joins, and the aggregates of its scan over touchpoints."""

    def __init__(self, rule: Node, at: Moment, members: list[int] | None) -> None:
        self.at = at
        self.members = members
        self.joins: dict[Sql, str] = {}
        self.happened = list(dict.fromkeys(leaf for leaf in leaves(rule) if isinstance(leaf, Happened)))

    # -- the tree

    def expression(self, node: Node, *, negated: bool) -> Sql:
        """The node as a boolean expression. Where it is not negated, NULL stands for false."""
        if isinstance(node, Not):
            return self.expression(node.part, negated=not negated)
        if isinstance(node, (All, AnyOf)):
            parts = [self.expression(part, negated=negated) for part in node.parts]
            if isinstance(node, All) == (not negated):
                return put("({})", both(parts))
            return either(parts)
        if isinstance(node, Happened):
            return self._happened(node, negated)
        if isinstance(node, Known):
            return self._known(node, negated)
        if isinstance(node, Member):
            return self._in_segment(node, negated)
        return self._allowed(node, negated)

    def all_joins(self) -> list[Sql]:
        """Every derived table, the scan of touchpoints last."""
        found = [
            put(f"LEFT JOIN ({{}}) {alias} ON {alias}.root = p.id", table)
            for table, alias in self.joins.items()
        ]
        if self.happened:
            found.append(put("LEFT JOIN ({}) tp ON tp.root = p.id", self._scan()))
        return found

    def _table(self, table: Sql) -> str:
        """The alias of a derived table; the same table is joined once."""
        return self.joins.setdefault(table, f"j{len(self.joins)}")

    def _exists(self, table: Sql, negated: bool) -> Sql:
        return Sql(f"{self._table(table)}.root IS {'' if negated else 'NOT '}NULL")

    def _of_members(self, alias: str) -> Sql:
        """The restriction of a source to the people in question."""
        if self.members is None:
            return TRUE
        return put(f"{alias}.profile_id = ANY({{}})", param(self.members, "bigint[]"))

    # -- what is known

    def _known(self, node: Known, negated: bool) -> Sql:
        if node.fact.startswith(TRAIT_PREFIX):
            document = Sql("p.traits")
            path = (node.fact.removeprefix(TRAIT_PREFIX),)
            return _polar(predicates.loose(document, path, node.op, node.value, self.at), negated)
        fact = facts.find(node.fact)
        if fact is None:
            raise RuleError("", f"there is no fact {node.fact!r} any more")
        value = node.value
        if fact.type == facts.BOOLEAN and value is False:
            value, negated = True, not negated
        if fact.column:
            column = Sql(fact.column)
            found = predicates.typed(column, fact.type, node.op, value, self.at)
            if fact.key == "profile.birthday" and node.op == "anniversary_in_days":
                found = predicates.birthday(int(node.value), self.at)  # type: ignore[arg-type]
            return _polar(found, negated)
        return self._from_rows(fact, node.op, value, negated)

    def _from_rows(self, fact: facts.Fact, op: str, value: Any, negated: bool) -> Sql:
        assert fact.rows is not None
        source = _rows(fact.rows(self.at.now))
        root = _ROOT.format("f")
        start = put(
            f"FROM ({{}}) AS f(profile_id, value) {_MERGED.format('f')} WHERE {{}}",
            source,
            self._of_members("f"),
        )
        if fact.combine == "any":
            matching = predicates.typed(Sql("f.value"), fact.type, op, value, self.at)
            return self._exists(
                put(f"SELECT {root} AS root {{}} AND {{}} GROUP BY 1", start, matching), negated
            )
        table = put(f"SELECT {root} AS root, {fact.combine}(f.value) AS value {{}} GROUP BY 1", start)
        column = Sql(f"{self._table(table)}.value")
        if fact.default is not None and op != "is_set":
            column = put("COALESCE({}, {})", column, param(Decimal(fact.default), "numeric"))
        return _polar(predicates.typed(column, fact.type, op, value, self.at), negated)

    def _in_segment(self, node: Member, negated: bool) -> Sql:
        table = put(
            f"SELECT {_ROOT.format('s')} AS root FROM crm_segmentmembership s {_MERGED.format('s')}"
            " WHERE s.segment_id = (SELECT id FROM crm_segment WHERE key = {}) AND {} GROUP BY 1",
            param(node.segment, "text"), self._of_members("s"),
        )  # fmt: skip
        return self._exists(table, negated if node.member else not negated)

    def _allowed(self, node: Allowed, negated: bool) -> Sql:
        """As selectors.consents says: of each id the newest decision counts, one no outweighs any yes, a suppressed
        address of the channel silences it, and opt-in purposes need a yes."""
        purpose, channel = param(node.purpose, "text"), param(node.channel, "text")
        newest = put(
            f"SELECT {_ROOT.format('c')} AS root, bool_and(c.granted) AS granted FROM ("
            "SELECT DISTINCT ON (c.profile_id) c.profile_id, c.granted FROM crm_consentrecord c"
            " WHERE c.purpose = {} AND c.channel = {} AND {}"
            f" ORDER BY c.profile_id, c.occurred_at DESC, c.id DESC) c {_MERGED.format('c')} GROUP BY 1",
            purpose, channel, self._of_members("c"),
        )  # fmt: skip
        silenced = put(
            f"SELECT {_ROOT.format('a')} AS root FROM crm_contactpoint a"
            " JOIN crm_suppression s ON s.channel = a.channel AND s.value_hash = a.value_hash"
            f" AND s.purpose IN ('', {{}}) {_MERGED.format('a')} WHERE a.channel = {{}} AND {{}} GROUP BY 1",
            purpose, channel, self._of_members("a"),
        )  # fmt: skip
        said, barred = self._table(newest), self._table(silenced)
        consents = f"{said}.granted IS {'TRUE' if node.purpose in OPT_IN_PURPOSES else 'NOT FALSE'}"
        found = Sql(f"({consents} AND {barred}.root IS NULL)")
        wrong = negated if node.allowed else not negated
        return put("NOT {}", found) if wrong else found

    # -- what happened

    def _happened(self, node: Happened, negated: bool) -> Sql:
        """The condition as a column of the scan; a person without any row counts as nought."""
        nobody = self._of_nobody(node)
        if len(self.happened) == 1:
            # The scan yields those alone whom the condition tells from people to whom nothing happened.
            return Sql(f"tp.root IS {'NOT ' if negated == nobody else ''}NULL")
        column = f"tp.b{self.happened.index(node)}"
        if nobody:
            return Sql(f"{column} IS {'FALSE' if negated else 'NOT FALSE'}")
        return Sql(f"{column} IS NOT TRUE") if negated else Sql(column)

    def _of_nobody(self, node: Happened) -> bool:
        """Whether the condition holds for somebody to whom nothing happened."""
        if node.not_since_days or not predicates.holds(node.times, Decimal(0)):
            return False
        if node.aggregate is None:
            return True
        return node.aggregate.function == "sum" and predicates.holds(node.aggregate.compare, Decimal(0))

    def _scan(self) -> Sql:
        """One pass over the touchpoints of all conditions: a row per person with a column per condition."""
        root = _ROOT.format("t")
        head = f"SELECT {root} AS root"
        body = f" FROM crm_touchpoint t {_MERGED.format('t')} WHERE {{}} GROUP BY {root}"
        if len(self.happened) == 1:
            node = self.happened[0]
            verdict = self._verdict(node, Sql(""))
            if self._of_nobody(node):
                verdict = put("NOT {}", verdict)
            return put(
                f"{head}{body} HAVING {{}}", both([self._of_members("t"), self._rows_of(node)]), verdict
            )
        within = self._span()
        columns = [
            put(
                f"{{}} AS b{place}",
                self._verdict(node, put(" FILTER (WHERE {})", self._rows_of(node, within))),
            )
            for place, node in enumerate(self.happened)
        ]
        return put(
            f"{head}, {{}}{body}",
            join(", ", columns),
            both([self._of_members("t"), self._rows_of_any(within)]),
        )

    def _verdict(self, node: Happened, filtered: Sql) -> Sql:
        """Whether the aggregates of one person satisfy a condition; never NULL."""
        if node.not_since_days:
            limit = param(self.at.days_ago(node.not_since_days), "timestamptz")
            return put("COALESCE(max(t.occurred_at){} < {}, FALSE)", filtered, limit)
        parts = []
        if node.times != Compare("gte", Decimal(0)):
            parts.append(predicates.compare(put("count(*){}", filtered), node.times, whole=True))
        if node.aggregate is not None:
            number = self._aggregate(node.aggregate, filtered)
            parts.append(put("COALESCE({}, FALSE)", predicates.compare(number, node.aggregate.compare)))
        return put("({})", both(parts))

    def _aggregate(self, wanted: Aggregate, filtered: Sql) -> Sql:
        document = Sql("t.properties")
        number = predicates.numeric(document, wanted.path)
        currency = wanted.currency or (self.at.currency if wanted.path[-1] in MONEY_PROPERTIES else "")
        if currency:
            # Amounts of another currency are left out; an amount without one is in the organisation's. Most are
            # written as they are asked for, and then nothing has to be put into capitals.
            beside = (*wanted.path[:-1], "currency")
            said = put(
                "COALESCE(NULLIF({}, ''), {})",
                predicates.inner(Sql("t.properties"), beside, as_text=True),
                param(self.at.currency, "text"),
            )
            asked = param(currency, "text")
            number = put("CASE WHEN {} = {} OR upper({}) = {} THEN {} END", said, asked, said, asked, number)
        found = put(f"{wanted.function}({{}}){{}}", number, filtered)
        return put("COALESCE({}, 0)", found) if wanted.function == "sum" else found

    def _rows_of(self, node: Happened, within: _Span = _EVER) -> Sql:
        """Which touchpoints a condition counts, of those in the given span."""
        return both(
            [
                self._plain_rows_of(node, within),
                *(predicates.matches(Sql("t.properties"), f, self.at) for f in node.where),
            ]
        )

    def _plain_rows_of(self, node: Happened, within: _Span) -> Sql:
        low, high = self._bounds(node)
        return both(
            [
                _in_span(None if low == within[0] else low, None if high == within[1] else high),
                _kinds(node.kinds),
                put("t.stage = {}", param(node.stage, "text")) if node.stage else TRUE,
                put("t.channel = {}", param(node.channel, "text")) if node.channel else TRUE,
            ]
        )

    def _rows_of_any(self, within: _Span) -> Sql:
        """The union of every condition's rows, after the span that all of them are within: partitions are chosen by
        it. Nothing is said twice, for it is asked of every row there is."""
        plain = list(dict.fromkeys(self._plain_rows_of(node, within) for node in self.happened))
        return both([_in_span(*within), either(plain) if TRUE not in plain else TRUE])

    def _span(self) -> _Span:
        """The window that holds the windows of all conditions."""
        spans = [self._bounds(node) for node in self.happened]
        highs = [high for _low, high in spans if high]
        return min(low for low, _high in spans), max(highs) if len(highs) == len(spans) else None

    def _bounds(self, node: Happened) -> tuple[datetime, datetime | None]:
        """From when to before when a condition counts. Ever begins with the first month of history."""
        window = node.window
        if window.days:
            return self.at.days_ago(window.days), None
        low = self.at.start_of(window.first) if window.first else self.at.beginning
        high = self.at.start_of(window.last + timedelta(days=1)) if window.last else None
        return low, high


def _in_span(low: datetime | None, high: datetime | None) -> Sql:
    return both(
        [
            put("t.occurred_at >= {}", param(low, "timestamptz")) if low else TRUE,
            put("t.occurred_at < {}", param(high, "timestamptz")) if high else TRUE,
        ]
    )


def _kinds(kinds: tuple[str, ...]) -> Sql:
    if not kinds:
        return TRUE
    if len(kinds) == 1:
        return put("t.kind = {}", param(kinds[0], "text"))
    return put("t.kind = ANY({})", param(list(kinds), "text[]"))


def _polar(found: Sql, negated: bool) -> Sql:
    if not negated:
        return found
    return FALSE if found == TRUE else put("({}) IS NOT TRUE", found)


def _rows(rows: facts.Rows) -> Sql:
    """The rows of a fact as SQL."""
    if isinstance(rows, QuerySet):
        found = rows.query.sql_with_params()
        return Sql(found[0], tuple(found[1]))
    text, params = rows
    return Sql(text, tuple(params))
