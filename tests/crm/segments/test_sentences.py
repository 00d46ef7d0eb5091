"""What a rule says, in both languages."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import translation

from crm.conditions import definition, sentences
from crm.conditions.definition import RuleError

ORDER = "Order Completed"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("rule", "english", "chinese"),
    [
        (
            {
                "all": [
                    {
                        "touchpoint": ORDER,
                        "times": {"op": "gte", "value": 3},
                        "within_days": 90,
                        "where": [{"property": "category", "op": "eq", "value": "tea"}],
                    },
                    {"fact": "profile.country", "op": "eq", "value": "China"},
                    {"not": {"touchpoint": "Complaint"}},
                ]
            },
            "Everyone who bought tea at least 3 times in the last 90 days and lives in China, but has no “Complaint”.",
            "满足以下条件的客户：最近 90 天内购买tea至少 3 次，并且居住在China，但没有“Complaint”。",
        ),
        (
            {
                "touchpoint": ORDER,
                "within_days": 365,
                "sum": {"property": "revenue", "op": "gte", "value": 10000},
            },
            "Everyone who bought in the last 365 days with a total revenue of at least 10,000 CNY.",
            "满足以下条件的客户：最近 365 天内购买过，金额合计不低于 10,000 CNY。",
        ),
        (
            {"touchpoint": ORDER, "not_since_days": 60},
            "Everyone who bought, the last time more than 60 days ago.",
            "满足以下条件的客户：购买过，最近一次在 60 天以前。",
        ),
        (
            {
                "any": [
                    {"fact": "trait:plan", "op": "in", "value": ["plus", "pro"]},
                    {
                        "all": [
                            {"fact": "members.points", "op": "gte", "value": 100},
                            {"segment": "x", "member": False},
                        ]
                    },
                ]
            },
            "Everyone who has plan “plus” or “pro” or (has points balance of at least 100 points,"
            " but is not in the segment “x”).",
            "满足以下条件的客户：plan为“plus”或“pro”或（积分余额不低于 100 分，但不属于分群“x”）。",
        ),
        (
            {"consent": {"purpose": "marketing", "channel": "email"}, "allowed": False},
            "Everyone who does not allow Marketing by E-mail.",
            None,
        ),
        ({"all": []}, "Everyone.", "所有客户。"),
    ],
)
def test_a_rule_says_itself_in_both_languages(rule: Any, english: str, chinese: str | None) -> None:
    node = definition.parse(rule)
    with translation.override("en"):
        assert sentences.sentence(node) == english
    with translation.override("zh-hans"):
        said = sentences.sentence(node)
    assert said != english
    if chinese is not None:
        assert said == chinese


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ([], "rule: must be an object"),
        ({}, "rule: must have exactly one of these keys"),
        ({"all": [{"any": []}]}, "all[0].any: must have at least one condition"),
        (
            {"all": [{"all": []}, {"touchpoint": "A", "times": {"op": "gte", "value": -1}}]},
            "all[1].times.value: must be 0 or more",
        ),
        ({"touchpoint": "A", "within_days": 0}, "within_days: must be 1 or more"),
        ({"touchpoint": "A", "times": {"op": "gte", "value": 1.5}}, "times.value: must be a whole number"),
        (
            {"touchpoint": "A", "where": [{"property": "a..b", "value": 1}]},
            "where[0].property: must be a property such as category, address.city or products[].sku",
        ),
        ({"touchpoint": "A", "color": 1}, "color: there is no such key here"),
        (
            {"touchpoint": "A", "sum": {"property": "x", "op": "gte", "value": 1e400}},
            "sum.value: must be a finite number below 10^15",
        ),
        (
            {"fact": "profile.country", "op": "gte", "value": 1},
            "op: must be one of: eq, ne, in, not_in, is_set, is_not_set",
        ),
        (
            {"fact": "trait:a", "op": "contains", "value": "a\0"},
            "value: has a character that texts cannot have",
        ),
        ({"fact": "nothing"}, "fact: there is no fact “nothing”"),
        ({"all": [{"touchpoint": "A"}] * 101}, "all: must have at most 100 conditions"),
    ],
)
def test_a_refusal_names_the_place(rule: Any, message: str) -> None:
    with pytest.raises(RuleError) as caught:
        definition.parse(rule)
    assert str(caught.value) == message
    assert caught.value.code == "invalid_rule"


def test_a_tree_without_end_is_refused() -> None:
    rule: Any = {"touchpoint": "A"}
    for _level in range(9):
        rule = {"not": rule}
    with pytest.raises(RuleError, match="at most 8 deep"):
        definition.parse(rule)
