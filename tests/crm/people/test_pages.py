"""Staff pages about people: the customer page and its actions, merging by hand, accounts, rules, search."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from crm.kernel import roles
from crm.models import (
    Account,
    AccountMembership,
    IdentityRule,
    MergeRecord,
    MergeSuggestion,
    Profile,
    ProfileLink,
    ProfileNote,
    Source,
    StaffUser,
)
from crm.rules import DEFAULTS
from crm.services import accounts, contacts, identity_rules, merges, notes, suggestions, touchpoints
from tests.crm.conftest import NOON, SYSTEM, ref
from tests.crm.people.conftest import Maker

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss(client: Client) -> StaffUser:
    user = StaffUser.objects.create_superuser(
        "boss", password="not-a-secret", first_name="Mei", last_name="Lin"
    )
    client.force_login(user)
    return user


@pytest.fixture
def rule(db: None) -> IdentityRule:
    """The row of user ids, also where a test with real transactions has emptied the tables."""
    shipped = next(rule for rule in DEFAULTS if rule.kind == "user_id")
    return IdentityRule.objects.get_or_create(
        kind="user_id",
        defaults={
            "priority": shipped.priority, "limit": shipped.limit,
            "blocked_values": list(shipped.blocked_values), "blocked_patterns": list(shipped.blocked_patterns),
        },
    )[0]  # fmt: skip


def signed_in(role: str) -> Client:
    roles.sync()
    user = StaffUser.objects.create_user(role, password="x", is_staff=True, first_name=role.title())
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


def url(name: str, *args: Any) -> str:
    return reverse(f"admin:{name}", args=args)


def page(client: Client, name: str, *args: Any, **query: Any) -> str:
    response = client.get(url(name, *args), query)
    assert response.status_code == 200
    return response.content.decode()


def history(shop: Source, user: str, number: int) -> None:
    events = [
        touchpoints.Event(
            "Order Completed", NOON - timedelta(days=n), "", identifiers=[("user_id", user)],
            properties={
                "revenue": 20.5, "currency": "CNY", "order_id": f"o-{n}",
                "products": [{"name": "Tieguanyin", "quantity": 2, "price": 9.5}],
                "address": {"city": "Hangzhou", "gate": {"code": 7}},
            },
        )
        for n in range(number)
    ]  # fmt: skip
    touchpoints.record(events, source=ref(shop), actor=SYSTEM, now=NOON)


def test_the_customer_page_costs_the_same_whatever_the_history(
    client: Client, boss: StaffUser, shop: Source, identify: Maker
) -> None:
    def rich(user: str, size: int) -> int:
        person = identify(user, name="张伟", phone=f"1380013{size:04d}")
        history(shop, user, size)
        for n in range(size // 4):
            other = identify(f"{user}-{n}", name="Other", shoe=n)
            merges.merge(person, other, actor=SYSTEM, now=NOON)
            notes.add(person, text=f"Note {n}", category="taste", actor=SYSTEM, now=NOON)
        return person

    def cost(person: int) -> int:
        page(client, "crm_profile_change", person)
        with CaptureQueriesContext(connection) as queries:
            page(client, "crm_profile_change", person)
        assert len(queries) <= 15, [query["sql"][:110] for query in queries]
        # Settings are read again every five seconds, by whatever page comes next.
        return len([query for query in queries if "kernel_knob" not in query["sql"]])

    assert cost(rich("small", 8)) == cost(rich("large", 60))


def test_nested_properties_are_words(client: Client, boss: StaffUser, shop: Source, identify: Maker) -> None:
    person = identify("a", name="张伟")
    history(shop, "a", 1)
    text = page(client, "crm_profile_change", person)
    assert "20.50 CNY" in text
    assert "Tieguanyin × 2 (9.50 CNY)" in text
    assert "Hangzhou" in text and "{" not in text.split('class="timeline"')[1].split("</ol>")[0]


def test_values_say_where_they_came_from(
    client: Client, boss: StaffUser, shop: Source, identify: Maker
) -> None:
    person = identify("a", name="张伟", shoe=38)
    text = page(client, "crm_profile_change", person)
    assert "from Automatic test, 1 Jun 2026" in text


def test_the_timeline_is_filtered(client: Client, boss: StaffUser, shop: Source, identify: Maker) -> None:
    person = identify("a")
    history(shop, "a", 40)
    every = url("crm_profile_change", person)
    assert client.get(every, {"group": "profile"}).content.decode().count("timeline-kind") == 1
    shopping = client.get(every, {"group": "shopping"}).content.decode()
    assert shopping.count("timeline-kind") == 30
    more = shopping.split('class="more" hx-get="')[1].split('"')[0].replace("&amp;", "&")
    assert "group=shopping" in more
    assert client.get(more).content.decode().count("timeline-kind") == 10
    day = {"since": "2026-05-20", "until": "2026-05-22"}
    assert client.get(every, day).content.decode().count("timeline-kind") == 3
    assert "Nothing fits these filters" in client.get(every, {"channel": "sms"}).content.decode()
    assert client.get(every, {"group": "x", "since": "x", "source": "x"}).status_code == 200


def test_notes_are_left_read_pinned_and_kept_by_their_author(identify: Maker) -> None:
    person = identify("a", name="Ann")
    one, other, lead = signed_in("agent"), signed_in("analyst"), signed_in("lead")
    address = url("crm_profile_notes", person)
    assert one.post(address, {"text": "Uses a wheelchair", "category": "accessibility"}).status_code == 302
    note = ProfileNote.objects.get()
    text = one.get(url("crm_profile_change", person)).content.decode()
    assert text.count("Uses a wheelchair") >= 2, "on top, and in the list"
    assert "Agent" in text
    assert other.post(address, {"text": "No", "category": "taste"}).status_code == 403
    assert (
        lead.post(
            address, {"what": "change", "note": note.pk, "text": "Mine", "category": "taste"}
        ).status_code
        == 302
    )
    note.refresh_from_db()
    assert note.text == "Uses a wheelchair", "only who wrote it changes it"
    lead.post(address, {"what": "pin", "note": note.pk})
    one.post(
        address,
        {"what": "change", "note": note.pk, "text": "Uses a wheelchair!", "category": "accessibility"},
    )
    note.refresh_from_db()
    assert (note.text, note.is_pinned) == ("Uses a wheelchair!", True)
    one.post(address, {"text": " ", "category": "taste"})
    one.post(address, {"text": "x", "category": "nonsense"})
    assert ProfileNote.objects.count() == 1
    assert one.post(address, {"what": "delete", "note": 10**9}).status_code == 404
    lead.post(address, {"what": "delete", "note": note.pk})
    assert not ProfileNote.objects.exists()


def test_related_people_and_accounts(client: Client, boss: StaffUser, shop: Source, identify: Maker) -> None:
    person, mother, other = (
        identify("a", name="Ann"),
        identify("b", name="Mother"),
        identify("c", name="Colleague"),
    )
    for one in (person, mother):
        contacts.add(one, channel="sms", value="13800138001", origin="staff", actor=SYSTEM, now=NOON)
    account = accounts.save("acme", values={"name": "Acme Tea"}, actor=SYSTEM, now=NOON)
    for one in (person, other):
        accounts.add_person(account.pk, profile_id=one, actor=SYSTEM, now=NOON)
    client.post(url("crm_profile_links", person), {"person": "b", "kind": "family"})
    assert ProfileLink.objects.get().kind == "family"
    with CaptureQueriesContext(connection) as queries:
        text = page(client, "crm_profile_related", person)
    assert len(queries) <= 12
    assert "Mother" in text and "same phone number" in text and "Family" in text
    assert "Colleague" in text and "Acme Tea" in text
    client.post(url("crm_profile_links", person), {"what": "remove", "link": ProfileLink.objects.get().pk})
    assert not ProfileLink.objects.exists()
    client.post(url("crm_profile_links", person), {"person": "a", "kind": "family"})
    assert not ProfileLink.objects.exists(), "nobody is linked to themselves"


def test_merging_by_hand_with_choices_swap_and_undo(
    client: Client, boss: StaffUser, shop: Source, identify: Maker
) -> None:
    one = identify("a", name="Ann", plan="gold")
    two = identify("b", name="Ann Example", plan="tin", birthday="1990-02-28")
    history(shop, "b", 3)
    merge = url("crm_profile_merge", one)
    assert "Ann Example" in client.get(merge, {"q": "ann exa"}).content.decode()
    text = client.get(merge, {"other": two}).content.decode()
    assert 'name="choice-display_name"' in text and 'name="choice-traits.plan"' in text
    assert f"{url('crm_profile_merge', two)}?other={one}" in text, "swap"
    assert "from Automatic test" in text
    client.post(merge, {"other": two, "choice-display_name": "loser", "choice-traits.plan": "loser"})
    row = Profile.objects.get(pk=one)
    assert (row.display_name, row.traits["plan"], str(row.birthday)) == ("Ann Example", "tin", "1990-02-28")
    record = MergeRecord.objects.get()
    assert "Mei Lin" in page(client, "crm_profile_change", one)
    assert client.post(url("crm_mergerecord_undo", record.pk)).status_code == 302
    row.refresh_from_db()
    assert (row.display_name, row.traits["plan"], row.birthday) == ("Ann", "gold", None)
    assert "Mei Lin" in page(client, "crm_mergerecord_changelist")


def test_the_page_of_a_merge_shows_both_sides_and_takes_it_apart_once(
    client: Client, boss: StaffUser, shop: Source, identify: Maker
) -> None:
    one, two = identify("a", name="Ann"), identify("b", name="Bea", plan="tin")
    record = merges.merge(one, two, actor=SYSTEM, now=NOON)
    text = page(client, "crm_mergerecord_change", record.pk)
    assert "Bea was merged into Ann" in text
    assert f'<a href="{url("crm_profile_change", one)}">' in text
    assert f'<a href="{url("crm_profile_change", two)}">' in text
    assert "Take apart again" in text
    answer = client.post(url("crm_mergerecord_change", record.pk), {"action": "undo"}, follow=True)
    assert "was undone" in answer.content.decode()
    record.refresh_from_db()
    assert record.undone_at is not None
    assert Profile.objects.get(pk=two).merged_into_id is None
    assert "Take apart again" not in page(client, "crm_mergerecord_change", record.pk)
    again = client.post(url("crm_mergerecord_change", record.pk), {"action": "undo"}, follow=True)
    assert "was undone" not in again.content.decode()


def test_merging_with_oneself_or_nobody_is_refused(client: Client, boss: StaffUser, identify: Maker) -> None:
    one = identify("a", name="Ann")
    for other in (one, 10**12, "x"):
        assert client.get(url("crm_profile_merge", one), {"other": other}).status_code == 200
        client.post(url("crm_profile_merge", one), {"other": other})
    assert not MergeRecord.objects.exists()


def test_suggestions_are_listed_with_their_reasons(client: Client, boss: StaffUser, identify: Maker) -> None:
    one, two = identify("a", name="张伟", phone="13800138001"), identify("b", name="张玮")
    contacts.add(two, channel="sms", value="13800138001", origin="staff", actor=SYSTEM, now=NOON)
    suggestions.find(now=NOON)
    text = page(client, "crm_mergesuggestion_changelist")
    assert "The same phone number; The same name" in text
    assert f"?other={two}" in text
    assert "The same phone number" in page(client, "crm_mergesuggestion_changelist", q=f"#{one}")
    assert "The same phone number" not in page(client, "crm_mergesuggestion_changelist", q="#99999999")
    row = MergeSuggestion.objects.get()
    client.post(url("crm_mergesuggestion_changelist"), {"action": "dismiss", "_selected_action": [row.pk]})
    row.refresh_from_db()
    assert (row.status, row.decided_by) == ("dismissed", f"staff:{boss.pk}")


def test_the_list_of_people_says_why_somebody_was_found(
    client: Client, boss: StaffUser, identify: Maker
) -> None:
    identify("a", name="张伟", email="zw@acme.example")
    assert "pinyin" in page(client, "crm_profile_changelist", q="zhangwei")
    assert "e-mail domain" in page(client, "crm_profile_changelist", q="acme")
    assert "found by" not in page(client, "crm_profile_changelist").casefold()


def test_accounts_have_a_page(client: Client, boss: StaffUser, shop: Source, identify: Maker) -> None:
    person = identify("a", name="Ann")
    history(shop, "a", 3)
    assert client.post(url("crm_account_add"), {"group_id": "acme", "name": "Acme 茶业"}).status_code == 302
    row = Account.objects.get()
    address = url("crm_account_change", row.pk)
    client.post(address, {"action": "add_person", "person": "a", "role": "Buyer"})
    client.post(address, {"action": "roll_up"})
    text = page(client, "crm_account_change", row.pk)
    assert "Buyer" in text and "61.50 CNY (3)" in text and "Open tickets" in text
    assert "Acme 茶业" in page(client, "crm_account_changelist", q="cha ye")
    client.post(address, {"action": "remove_person", "profile": person})
    assert AccountMembership.objects.get().until is not None
    assert client.post(address, {"action": "x"}).status_code == 403
    assert client.post(url("crm_account_add"), {"group_id": ""}).status_code == 200
    assert Account.objects.count() == 1


def test_identity_rules_are_explained_tried_and_kept(
    client: Client, boss: StaffUser, shop: Source, identify: Maker, rule: IdentityRule
) -> None:
    identify("tablet-1")
    event = touchpoints.Event("page", NOON, "", identifiers=[("user_id", "null"), ("anonymous_id", "d")])
    touchpoints.record([event], source=ref(shop), actor=SYSTEM, now=NOON)
    assert "One User ID per person" in page(client, "crm_identityrule_changelist")
    typed = {
        "priority": 1, "limit": 1, "names_person": "on", "why": "tablets in the shop",
        "blocked_values": "\n".join([*rule.blocked_values, "tablet-1"]),
        "blocked_patterns": "\n".join(rule.blocked_patterns),
    }  # fmt: skip
    address = url("crm_identityrule_change", rule.pk)
    text = client.post(address, {**typed, "action": "try"}).content.decode()
    assert "1 identifiers that were taken would be refused" in text
    rule.refresh_from_db()
    assert "tablet-1" not in rule.blocked_values
    assert client.post(address, {**typed, "action": "save"}).status_code == 302
    rule.refresh_from_db()
    assert rule.blocked_values[-1] == "tablet-1"
    assert rule.origins["tablet-1"]["by"] == f"staff:{boss.pk}"
    text = page(client, "crm_identityrule_change", rule.pk)
    assert "Mei Lin" in text and "tablets in the shop" in text and "shipped" in text
    for wrong in ({"limit": 0}, {"blocked_patterns": "("}, {"blocked_patterns": "(a+)+"}):
        assert client.post(address, {**typed, "action": "save", **wrong}).status_code == 200
    rule.refresh_from_db()
    assert (rule.limit, rule.blocked_patterns) == (1, [r"[0\-]*"])


def test_refusals_are_counted_per_kind(
    client: Client, boss: StaffUser, shop: Source, rule: IdentityRule
) -> None:
    from crm.kernel import clock
    from crm.selectors import identity_rules as reads

    now = clock.now()
    for kind in ("user_id", "user_id", "made_up"):
        event = touchpoints.Event("page", now, "", identifiers=[(kind, "null"), ("anonymous_id", "d")])
        touchpoints.record([event], source=ref(shop), actor=SYSTEM, now=now)
    assert reads.refused_counts(now=now) == {"user_id": 2, "*": 1}
    assert "People shop" in page(client, "crm_identityrule_change", rule.pk)


def test_a_rule_in_use_is_seen_by_the_next_event(identify: Maker, shop: Source, rule: IdentityRule) -> None:
    identity_rules.save(
        "user_id", actor=SYSTEM, now=NOON, priority=1, limit=1, names_person=True,
        blocked_values=[*rule.blocked_values, "tablet-2"], blocked_patterns=rule.blocked_patterns,
    )  # fmt: skip
    event = touchpoints.Event("page", NOON, "", identifiers=[("user_id", "TABLET-2")])
    assert [
        r.code for r in touchpoints.record([event], source=ref(shop), actor=SYSTEM, now=NOON).rejected
    ] == ["illegal_identifier"]
