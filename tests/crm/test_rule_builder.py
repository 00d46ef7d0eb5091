"""Rules as a form: nothing is lost on the way there and back, and each mistake is said at its condition."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import QueryDict
from django.template.loader import render_to_string

from crm.conditions import builder, definition, starters
from crm.conditions.builder import Part
from crm.selectors import rule_choices

pytestmark = pytest.mark.django_db

RULES: list[dict[str, Any]] = [
    *(one.rule for one in starters.STARTERS),
    {"fact": "profile.country", "op": "in", "value": ["CN", "US"]},
    {"fact": "profile.birthday", "op": "between", "value": ["1990-01-01", "1999-12-31"]},
    {"fact": "purchases.orders", "op": "between", "value": [1, 3]},
    {"fact": "contact.email", "op": "eq", "value": False},
    {"fact": "trait:plan", "op": "eq", "value": "gold"},
    {"fact": "trait:seats", "op": "gte", "value": 2.5},
    {"not": {"fact": "profile.language", "op": "is_set"}},
    {
        "all": [
            {"any": [{"fact": "profile.name", "op": "contains", "value": "王"}, {"segment": "vip"}]},
            {"not": {"all": [{"touchpoint": "page"}, {"touchpoint": "screen"}]}},
        ]
    },
    {
        "touchpoint": "Order Completed",
        "between": ["2026-01-01", None],
        "times": {"op": "between", "value": [2, 5]},
        "where": [
            {"property": "products[].category", "op": "in", "value": ["tea", "cups"]},
            {"property": "coupon", "op": "is_not_set"},
        ],
        "sum": {"property": "revenue", "op": "gt", "value": 99.5, "currency": "USD"},
    },
    {"touchpoint": ["Order Completed", "Order Refunded"], "stage": "decision"},
    {"not": {"touchpoint": "page", "within_days": 7, "times": {"op": "gte", "value": 3}}},
    {
        "all": [
            {"segment": "vip", "member": False},
            {"consent": {"purpose": "survey", "channel": "sms"}, "allowed": True},
        ]
    },
]


def posted(root: Part) -> QueryDict:
    """What a browser would send: every field of the rendered form."""
    import re
    from html import unescape

    choices = rule_choices.Choices()
    context = {"root": rule_choices.dress(root, choices), "choices": choices, "builder_url": "/", "focus": ""}
    html = render_to_string("crm/admin/rule/_builder.html", context)
    data = QueryDict(mutable=True)
    for tag in re.finditer(r"<input\b[^>]*>|<select\b.*?</select>", html, re.S):
        text = tag.group()
        name = re.search(r'name="([^"]*)"', text)
        if name is None or ('type="checkbox"' in text and " checked" not in text):
            continue
        if text.startswith("<select"):
            options = re.findall(r'<option value="([^"]*)"( selected)?', text)
            chosen = next(
                (value for value, selected in options if selected), options[0][0] if options else None
            )
            if " multiple" in text:
                for value, selected in options:
                    if selected:
                        data.appendlist(name[1], unescape(value))
                continue
            if 'size="' in text or chosen is None:
                continue
            data.appendlist(name[1], unescape(chosen))
        else:
            value = re.search(r'value="([^"]*)"', text)
            data.appendlist(name[1], unescape(value[1]) if value else "")
    return data


def simple(node: Any) -> Any:
    """The same rule without groups of one."""
    if isinstance(node, definition.Not):
        return definition.Not(simple(node.part))
    if isinstance(node, (definition.All, definition.AnyOf)):
        parts = tuple(simple(part) for part in node.parts)
        return parts[0] if len(parts) == 1 else type(node)(parts)
    return node


@pytest.mark.parametrize("tree", RULES, ids=str)
def test_a_rule_survives_the_form(tree: dict[str, Any]) -> None:
    again = builder.build(builder.read(posted(builder.load(tree))))
    assert again is not None
    assert simple(definition.parse(again)) == simple(definition.parse(tree))


def test_buttons_change_the_tree() -> None:
    root = builder.blank()
    assert builder.act(root, "add:n0") == "n2-search"
    root.parts[1].values["field"] = ["did_not"]
    assert builder.act(root, "choose:n2") == "n2-kind"
    assert (root.parts[1].type, root.parts[1].value("did")) == ("did", "no")
    assert builder.act(root, "filter:n2") == "n2-where-property-0"
    assert builder.act(root, "unfilter:n2:0") == "n2-filter"
    assert builder.act(root, "up:n2") == "n2-up"
    assert [part.id for part in root.parts] == ["n2", "n1"]
    assert builder.act(root, "group:n0") == "n3-mode"
    assert [part.id for part in root.parts[2].parts] == ["n4"]
    assert builder.act(root, "remove:n2") == "n1-remove"
    assert builder.act(root, "remove:n99") == ""
    assert builder.act(root, "explode:n1") == ""
    root.parts[0].values["field"] = ["no.such"]
    builder.act(root, "choose:n1")
    assert root.parts[0].error == "Choose a field from the list."


@pytest.mark.parametrize(
    ("part", "error"),
    [
        (Part("n1", "blank"), "Choose a field, or remove the condition."),
        (Part("n1", "group", {"mode": ["any"]}), "Add a condition, or remove the group."),
        (Part("n1", "fact", {"field": ["purchases.orders"], "value": ["many"]}), "Value: must be a number"),
        (Part("n1", "fact", {"field": ["gone.fact"]}), "This field is no longer there; remove the condition."),
        (Part("n1", "did", {"did": ["yes"], "kind": [""]}), "What happened: must be a text"),
        (
            Part("n1", "did", {"did": ["no"], "kind": ["page"], "window": ["days"], "days": ["0"]}),
            "Days: must be 1 or more",
        ),
        (
            Part("n1", "did", {"kind": ["page"]}, filters=[{"property": "", "op": "eq", "value": "a", "value2": ""}]),
            "Filter 1: must be a text",
        ),
        (Part("n1", "raw", {"rule": ["{"]}), "This condition was damaged on its way; remove it."),
    ],
)  # fmt: skip
def test_a_mistake_is_said_at_its_condition(part: Part, error: str) -> None:
    root = Part("n0", "group", {"mode": ["all"]}, [part])
    assert builder.build(root) is None
    assert part.error == error
    assert error.split(":")[0] in render_to_string(
        "crm/admin/rule/_builder.html",
        {
            "root": rule_choices.dress(root, rule_choices.Choices()),
            "choices": rule_choices.Choices(),
            "focus": "",
        },
    )


def test_forged_forms_are_read_as_far_as_they_make_sense() -> None:
    data = QueryDict(mutable=True)
    for line in ("n0||group", "x|n0|fact", "n1|n7|fact", "n0||group", "n2|n0|script", "n3|n0|fact"):
        data.appendlist("node", line)
    root = builder.read(data)
    assert [part.id for part in root.walk()] == ["n0", "n3"]
    assert builder.read(QueryDict("node=n5|n0|fact")).parts == []
