"""Staff at work in a real browser: every page of the sidebar, in both languages, wide and on a phone."""

import re

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.urls import reverse

from crm.kernel import knobs, roles
from tests.api.seeds import seed

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PASSWORD = "Correct-horse-7"
PHONE = {"width": 390, "height": 844}
WIDE = {"width": 1280, "height": 900}
HAN = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture
def company():
    """A little of everything, and `mei`, who has the role admin."""
    roles.sync()
    rows = seed()
    mei = get_user_model().objects.create_user(
        "mei",
        email="mei@example.com",
        password=PASSWORD,
        is_staff=True,
        first_name="Mei",
        last_name="Example",
    )
    mei.groups.add(Group.objects.get(name="admin"))
    return rows


def row_pages(rows):
    return [
        reverse("admin:crm_profile_change", args=[rows.profile]),
        reverse("admin:crm_profile_merge", args=[rows.profile]),
        reverse("admin:voc_feedback_change", args=[rows.feedback]),
        reverse("admin:voc_ticket_change", args=[rows.ticket]),
        reverse("admin:voc_release_change", args=[rows.release]),
        reverse("admin:lifecycle_journey_change", args=[rows.journey]),
        reverse("admin:lifecycle_outboundmessage_change", args=[rows.outboundmessage]),
        reverse("admin:lifecycle_journey_add"),
        reverse("admin:voc_ticket_add"),
        reverse("admin:crm_staffuser_add"),
        reverse("admin:crm_staffuser_change", args=[get_user_model().objects.get(username="mei").pk]),
        reverse("admin:crm_source_add"),
        reverse("admin:password_change"),
    ]


@pytest.mark.long
@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_every_page_of_the_sidebar_is_whole_in_both_sizes(open_page, company, language):
    seen = open_page(**WIDE, language=language)
    seen.sign_in("mei", PASSWORD)
    links = seen.page.eval_on_selector_all(
        "#nav-sidebar a[href^='/admin/']", "all => all.map(a => a.getAttribute('href'))"
    )
    assert len(links) >= 15
    wrong = []
    for path in [*dict.fromkeys(links), *row_pages(company)]:
        seen.complaints.clear()
        seen.page.set_viewport_size(WIDE)
        seen.open(path)
        wrong += [f"{path} wide: {fault}" for fault in seen.faults()]
        if seen.overflow() > 0:
            wrong.append(f"{path} wide: {seen.overflow()} px wider than the window")
        seen.page.set_viewport_size(PHONE)
        wrong += [f"{path} phone: {fault}" for fault in seen.faults()]
        if seen.overflow() > 0:
            wrong.append(f"{path} phone: {seen.overflow()} px wider than the window")
    assert not wrong, "\n".join(dict.fromkeys(wrong))


def test_the_chinese_sidebar_speaks_chinese(open_page, company):
    seen = open_page(language="zh-hans")
    seen.sign_in("mei", PASSWORD)
    words = seen.page.eval_on_selector_all(
        "#nav-sidebar h2, #nav-sidebar li a > span:last-of-type", "all => all.map(e => e.innerText.trim())"
    )
    assert [word for word in words if word and not HAN.search(word)] == []


def test_the_home_page_is_readable_in_the_dark_too(open_page, company):
    seen = open_page()
    seen.page.emulate_media(color_scheme="dark")
    seen.sign_in("mei", PASSWORD)
    assert seen.page.evaluate("document.documentElement.className").split() == ["dark"]
    assert seen.faults() == []


def test_a_keyboard_reaches_the_content_first_and_sees_where_it_is(open_page, company):
    seen = open_page()
    seen.sign_in("mei", PASSWORD)
    seen.page.reload()
    seen.page.keyboard.press("Tab")
    first = seen.page.evaluate(
        "[document.activeElement.className, document.activeElement.getBoundingClientRect().top]"
    )
    assert first[0] == "skip-link"
    assert first[1] >= 0
    seen.page.keyboard.press("Enter")
    assert seen.page.evaluate("document.activeElement.id") == "content"
    hidden = []
    for _step in range(8):
        seen.page.keyboard.press("Tab")
        name, style, width = seen.page.evaluate(
            "(() => { const e = document.activeElement, s = getComputedStyle(e);"
            " return [e.outerHTML.slice(0, 80), s.outlineStyle, parseFloat(s.outlineWidth)] })()"
        )
        if style == "none" or width < 1:
            hidden.append(name)
    assert hidden == []


def test_the_menu_opens_on_a_phone_and_the_language_switch_is_remembered(open_page, company):
    seen = open_page(**PHONE)
    seen.sign_in("mei", PASSWORD)
    assert not seen.page.locator("#nav-sidebar").is_visible()
    seen.page.get_by_role("button", name="Open the menu").click()
    seen.page.locator("#nav-sidebar").wait_for(state="visible")
    seen.page.get_by_role("button", name="Account, language and theme").click()
    assert seen.faults() == []
    seen.page.get_by_role("button", name="简体中文").click()
    seen.page.wait_for_function("document.documentElement.lang === 'zh-hans'")
    assert get_user_model().objects.get(username="mei").language == "zh-hans"


def test_a_knob_is_turned_and_a_wrong_value_is_explained_in_place(open_page, company):
    seen = open_page()
    seen.sign_in("mei", PASSWORD)
    seen.open(reverse("admin:kernel_knob_changelist"))
    box = seen.page.locator("#knob-crm-future_days-value")
    box.fill("99")
    box.press("Enter")
    seen.page.locator("#knob-crm-future_days-error").wait_for()
    assert seen.page.locator("#knob-crm-future_days-value").get_attribute("aria-invalid") == "true"
    seen.page.wait_for_function("document.activeElement.id === 'knob-crm-future_days-value'")
    seen.complaints.clear()  # the browser reports the 400 itself
    seen.page.locator("h1").scroll_into_view_if_needed()
    assert seen.faults() == []
    box = seen.page.locator("#knob-crm-future_days-value")
    box.fill("5")
    box.press("Enter")
    seen.page.wait_for_url("**#knob-crm-future_days")
    knobs.forget()
    assert knobs.get("crm.future_days") == 5


def test_the_api_pages_work_without_asking_anybody_else(open_page, live_server):
    seen = open_page()
    hosts = set()
    seen.page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    seen.open("/api/docs/")
    seen.page.locator(".swagger-ui .info .title").wait_for()
    seen.page.locator(".opblock").first.wait_for()
    assert hosts == {live_server.url.split("/")[2]}
    assert seen.complaints == []
