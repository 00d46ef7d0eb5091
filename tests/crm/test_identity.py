"""Identity rules, as a table: what arrives in which order, and which people there are afterwards."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from uuid import uuid4

import pytest

from crm.kernel import actors
from crm.kernel.errors import Invalid
from crm.models import Identity, IdentityRule, IngestionWarning, MergeRecord, MergeSuggestion, Profile, Source
from crm.selectors import profiles as profile_selectors
from crm.selectors import rules
from crm.services import profiles, touchpoints
from tests.crm.conftest import NOON, SYSTEM, ref

pytestmark = pytest.mark.django_db

U1, U2 = ("user_id", "u1"), ("user_id", "u2")
A1, A2 = ("anonymous_id", "a1"), ("anonymous_id", "a2")
E1, E2 = ("email", "one@example.com"), ("email", "two@example.com")
P1 = ("phone", "+8613800138000")


def people() -> set[frozenset[tuple[str, str]]]:
    """The identifiers of each live person."""
    found: dict[int, set[tuple[str, str]]] = defaultdict(set)
    root_of = profile_selectors.roots(Profile.objects.values_list("pk", flat=True))
    for kind, value, profile_id in Identity.objects.values_list("kind", "value", "profile_id"):
        found[root_of[profile_id]].add((kind, value))
    return {frozenset(identifiers) for identifiers in found.values()}


def send(source: Source, *events: list[tuple[str, str]], batched: bool = False) -> list[tuple[int, str, str]]:
    """Record one event per list of identifiers, one by one or as a batch. Returns the warnings."""
    made = [
        touchpoints.Event("page", NOON + timedelta(seconds=n), uuid4().hex, identifiers=identifiers)
        for n, identifiers in enumerate(events)
    ]
    warnings: list[tuple[int, str, str]] = []
    for group in [made] if batched else [[event] for event in made]:
        result = touchpoints.record(group, source=ref(source), actor=actors.source(source.pk), now=NOON)
        assert (result.accepted, result.rejected) == (len(group), [])
        warnings += result.warnings
    return warnings


SERVER_TABLE = [
    ("one id", [[U1]], [{U1}], []),
    ("known visitor", [[A1], [U1, A1]], [{U1, A1}], []),
    ("visitor after login", [[U1], [A1], [U1, A1]], [{U1, A1}], []),
    ("two devices", [[U1, A1], [U1, A2]], [{U1, A1, A2}], []),
    ("shared tablet", [[U1, A1], [U2, A1]], [{U1, A1}, {U2}], ["identity_limit"]),
    ("same e-mail, new user", [[U1, E1], [U2, E1]], [{U1, E1}, {U2}], ["identity_limit"]),
    ("e-mail joins a device", [[A1, E1], [A2, E1]], [{A1, A2, E1}], []),
    ("e-mail first, account later", [[E1], [U1, E1]], [{U1, E1}], []),
    ("two known people, no rule broken", [[E1, A1], [P1], [E1, P1]], [{E1, P1, A1}], []),
    ("account joins two strangers", [[E1], [P1], [U1, E1, P1]], [{U1, E1, P1}], []),
    ("two accounts never join", [[U1, E1], [U2, E2], [U1, E2]], [{U1, E1}, {U2, E2}], ["identity_limit"]),
    ("weak link between accounts", [[U1, E1], [U2, E2], [E1, E2]], [{U1, E1}, {U2, E2}], ["identity_limit"]),
]  # fmt: skip


@pytest.mark.parametrize("batched", [False, True], ids=["one by one", "one batch"])
@pytest.mark.parametrize(
    ("events", "expected", "codes"), [row[1:] for row in SERVER_TABLE], ids=[row[0] for row in SERVER_TABLE]
)
def test_server_trust(
    server_source: Source, events: list, expected: list, codes: list[str], batched: bool
) -> None:
    warnings = send(server_source, *events, batched=batched)
    assert people() == {frozenset(identifiers) for identifiers in expected}
    assert [code for _index, code, _detail in warnings] == codes
    assert sum(IngestionWarning.objects.values_list("count", flat=True)) == len(codes)


BROWSER_TABLE = [
    ("visitor becomes known", [[A1], [U1, A1]], [{U1, A1}], 0),
    ("weaker ids are added", [[U1], [U1, E1]], [{U1, E1}], 0),
    ("two known people are never joined", [[U1], [E1], [U1, E1]], [{U1}, {E1}], 1),
    ("an e-mail does not give an account away", [[E1], [U2, E1]], [{E1}, {U2}], 0),
    ("a device does not give a person away", [[U1, A1], [E2, A1]], [{U1, A1}, {E2}], 0),
]


@pytest.mark.parametrize(
    ("events", "expected", "suggestions"),
    [row[1:] for row in BROWSER_TABLE],
    ids=[row[0] for row in BROWSER_TABLE],
)
def test_browser_trust(browser_source: Source, events: list, expected: list, suggestions: int) -> None:
    send(browser_source, *events)
    assert people() == {frozenset(identifiers) for identifiers in expected}
    assert MergeSuggestion.objects.count() == suggestions
    assert not MergeRecord.objects.filter(cause="automatic").exclude(loser__display_name="").exists()


def test_the_history_of_a_visitor_joins_and_stays_where_it_was_written(server_source: Source) -> None:
    send(server_source, [A1], [U1], [U1, A1])
    loser, winner = Profile.objects.order_by("pk")
    assert (loser.merged_into_id, winner.merged_into_id) == (winner.pk, None)
    from crm.models import Touchpoint

    rows = list(
        Touchpoint.objects.filter(kind="page").order_by("occurred_at").values_list("profile_id", flat=True)
    )
    assert rows == [loser.pk, winner.pk, winner.pk]
    assert profile_selectors.id_sets([winner.pk]) == {winner.pk: [loser.pk, winner.pk]}


def test_identifiers_are_normalised(server_source: Source) -> None:
    send(server_source, [("email", " One@Example.COM ")], [("email", "one@example.com")])
    send(server_source, [("phone", "138 0013 8000")], [("phone", "+86 138-0013-8000")])
    assert people() == {frozenset({E1}), frozenset({P1})}


def test_an_address_that_is_none_is_left_out_with_a_warning(server_source: Source) -> None:
    warnings = send(server_source, [U1, ("email", "not an address"), ("phone", "12")])
    assert sorted(warnings) == [(0, "illegal_identifier", "email"), (0, "illegal_identifier", "phone")]
    assert people() == {frozenset({U1})}


def test_the_sixth_address_is_left_out_and_the_device_still_joins(server_source: Source) -> None:
    for number in range(5):
        send(server_source, [U1, ("email", f"{number}@example.com")])
    warnings = send(server_source, [U1, ("email", "5@example.com"), A1])
    assert warnings == [(0, "identity_limit", "email")]
    assert people() == {frozenset({U1, A1, *(("email", f"{n}@example.com") for n in range(5))})}


def test_rules_are_rows(server_source: Source) -> None:
    IdentityRule.objects.update_or_create(
        kind="user_id", defaults={"priority": 1, "limit": 2, "blocked_values": ["Demo"]}
    )
    rules.forget()
    send(server_source, [U1, A1], [U2, A1])
    assert people() == {frozenset({U1, U2, A1})}
    event = touchpoints.Event("page", NOON, "x", identifiers=[("user_id", "demo")])
    result = touchpoints.record([event], source=ref(server_source), actor=SYSTEM, now=NOON)
    assert [r.code for r in result.rejected] == ["illegal_identifier"]


def test_resolve_makes_a_person_once_and_merges_names() -> None:
    first = profiles.resolve(
        [E1], trust="browser", actor=SYSTEM, now=NOON, names={"name": "Ann Example", "language": "zh-CN"}
    )
    assert profiles.resolve([("email", "ONE@example.com")], trust="server", actor=SYSTEM, now=NOON) == first
    row = Profile.objects.get()
    assert (row.pk, row.display_name, row.language) == (first, "Ann Example", "zh-hans")


@pytest.mark.parametrize(
    ("identifiers", "code"), [([], "no_identifier"), ([("user_id", "null")], "illegal_identifier")]
)
def test_resolve_refuses(identifiers: list[tuple[str, str]], code: str) -> None:
    with pytest.raises(Invalid) as refusal:
        profiles.resolve(identifiers, trust="server", actor=SYSTEM, now=NOON)
    assert refusal.value.code == code
    assert not Profile.objects.exists()


def test_a_browser_never_replaces_what_a_server_said(server_source: Source, browser_source: Source) -> None:
    for source, name, seconds in (
        (server_source, "Ann Example", 0),
        (browser_source, "Mallory", 5),
        (server_source, "Ann B.", -5),
    ):
        event = touchpoints.Event(
            "identify",
            NOON + timedelta(seconds=seconds),
            f"t{seconds}",
            identifiers=[U1],
            traits={"name": name},
        )
        touchpoints.record([event], source=ref(source), actor=actors.source(source.pk), now=NOON)
    row = Profile.objects.get()
    assert row.display_name == "Ann Example"
    assert row.value_sources["display_name"]["by"] == f"source:{server_source.pk}"


def test_names_are_found_by_prefix_pinyin_and_han(server_source: Source) -> None:
    one = profiles.resolve([U1], trust="server", actor=SYSTEM, now=NOON, names={"name": "张伟明"})
    two = profiles.resolve(
        [U2], trust="server", actor=SYSTEM, now=NOON, names={"firstName": "Zoë", "lastName": "Muster"}
    )
    for text, expected in {
        "张伟": [one], "伟明": [one], "zhang": [one], "zhangwei": [one], "zwm": [one], "wei": [one],
        "zoe": [two], "mus zo": [two], "Zoë Muster": [two], "u2": [two], "张明伟": [], "xyz": [],
    }.items():  # fmt: skip
        assert list(profile_selectors.search(text).values_list("pk", flat=True)) == expected, text
    assert list(Profile.objects.order_by("name_sort").values_list("pk", flat=True)) == [one, two]
