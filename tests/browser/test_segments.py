"""A rule is built by keyboard alone, seen in words, corrected beside the mistake, and activated."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.urls import reverse

from crm.kernel import actors, clock, roles
from crm.models import Segment
from crm.services import profiles, touchpoints

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PASSWORD = "Correct-horse-7"
ACTOR = actors.system("test")


@pytest.fixture
def shop():
    """Three people of whom one, from China, bought tea."""
    roles.sync()
    now = clock.now()
    for name, country, kind in (
        ("Ann", "CN", "Order Completed"),
        ("Bea", "US", "Order Completed"),
        ("Cid", "CN", "page"),
    ):
        pk = profiles.resolve(
            [("user_id", name)], trust="server", actor=ACTOR, now=now, names={"name": f"{name} Example"}
        )
        profiles.update(pk, values={"country": country}, actor=ACTOR, now=now, trust="staff")
        properties = {"category": "tea", "revenue": "12.50"} if kind != "page" else {}
        event = touchpoints.Event(kind, now, f"{name}-1", profile_id=pk, properties=properties)
        touchpoints.record([event], source=None, actor=ACTOR, now=now)
    mei = get_user_model().objects.create_user(
        "mei", email="mei@example.com", password=PASSWORD, is_staff=True
    )
    mei.groups.add(Group.objects.get(name="lead"))


def focused(seen):
    return seen.page.evaluate("document.activeElement.id")


def until_focus(seen, ident):
    seen.page.wait_for_function(f"document.activeElement.id === '{ident}'")


def press(seen, *keys):
    for key in keys:
        seen.page.keyboard.press(key)


def tab_to(seen, ident):
    for _step in range(40):
        if focused(seen) == ident:
            return
        press(seen, "Tab")
    raise AssertionError(f"{ident} is not reached by keyboard")


def choose_by_typing(seen, words, value):
    """In a list; a browser begins anew when the letters come slowly, so once more if they did."""
    for _try in range(5):
        seen.page.keyboard.type(words)
        if seen.page.evaluate("document.activeElement.value") == value:
            return
        seen.page.wait_for_timeout(1_500)
    raise AssertionError(f"{words} is not chosen by its letters")


def test_a_rule_of_three_conditions_is_built_by_keyboard(open_page, shop):
    seen = open_page()
    seen.sign_in("mei", PASSWORD)
    seen.open(reverse("admin:crm_segment_add"))
    assert seen.faults() == []
    seen.page.locator("#id_name").focus()
    seen.page.keyboard.type("Tea lovers in China")
    tab_to(seen, "n1-search")
    seen.page.keyboard.type("did something")
    press(seen, "Enter")
    until_focus(seen, "n1-kind")
    seen.page.keyboard.type("Order Completed")
    press(seen, "Tab")  # asks for the properties of the kind; the next keys come before the answer
    tab_to(seen, "n1-filter")
    press(seen, "Enter")
    until_focus(seen, "n1-where-property-0")
    seen.page.keyboard.type("category")
    press(seen, "Tab", "Tab")
    seen.page.keyboard.type("tea")
    tab_to(seen, "n0-add")
    press(seen, "Enter")
    until_focus(seen, "n2-search")
    seen.page.keyboard.type("country")
    press(seen, "Enter")
    until_focus(seen, "n2-op")
    press(seen, "Tab")
    choose_by_typing(seen, "China", "CN")
    tab_to(seen, "n0-add")
    press(seen, "Enter")
    until_focus(seen, "n3-search")
    seen.page.keyboard.type("may be written")
    press(seen, "Enter")
    until_focus(seen, "n3-purpose")
    tab_to(seen, "n3-up")
    press(seen, "Enter")
    seen.page.wait_for_function(
        "[...document.querySelectorAll('.condition')].map(e => e.id).join() === 'n1,n3,n2'"
    )
    until_focus(seen, "n3-up")
    seen.page.locator("#n3-allowed").select_option("no")
    seen.page.locator("#outcome .count b").filter(has_text="1").wait_for()
    assert seen.page.locator("#outcome .people").inner_text().split() == ["Ann", "Example"]
    assert "tea" in seen.page.locator("#outcome .sentence").inner_text()
    seen.page.locator("h1").scroll_into_view_if_needed()
    assert seen.faults() == []
    for _step in range(60):
        press(seen, "Tab")
        if seen.page.evaluate("document.activeElement.value") == "activate":
            break
    press(seen, "Enter")
    seen.page.wait_for_url("**/change/", wait_until="load")
    row = Segment.objects.get()
    assert (row.name, row.status, row.key) == ("Tea lovers in China", "active", "tea-lovers-in-china")
    assert row.rule == {
        "all": [
            {
                "touchpoint": "Order Completed",
                "within_days": 30,
                "where": [{"property": "category", "op": "eq", "value": "tea"}],
            },
            {"consent": {"purpose": "marketing", "channel": "email"}, "allowed": False},
            {"fact": "profile.country", "op": "eq", "value": "CN"},
        ]
    }


def test_a_mistake_is_said_beside_it_and_nothing_is_lost(open_page, shop):
    seen = open_page(width=390, height=844)
    seen.sign_in("mei", PASSWORD)
    seen.open(reverse("admin:crm_segment_add") + "?from=twice")
    seen.page.fill("#id_name", "Twice")
    seen.page.fill("#id_description", "Those who came back")
    days = seen.page.locator("input[name$='-days']")
    days.fill("0")
    seen.page.locator("button[value=save]").click()
    seen.page.locator("#problem").wait_for()
    assert seen.page.locator(".condition .errors").inner_text() == "Days: must be 1 or more"
    assert seen.page.input_value("#id_description") == "Those who came back"
    assert seen.page.locator("input[name$='-days']").input_value() == "0"
    seen.complaints.clear()  # the browser reports the 400 itself
    assert seen.faults() == []
    assert seen.overflow() == 0
    assert not Segment.objects.exists()
