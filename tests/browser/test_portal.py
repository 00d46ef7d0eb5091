"""Visitors in a real browser: they say something, find out what became of it, and read what shipped."""

import pytest

from crm.kernel import actors, clock, roles
from tests.api.seeds import seed
from voc.models import Feedback, Ticket
from voc.services import feedback, releases

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PHONE = {"width": 390, "height": 844}
WIDE = {"width": 1280, "height": 900}


@pytest.fixture
def shipped():
    """A voice on a ticket, and the release that resolved it."""
    roles.sync()
    rows = seed()
    actor, now = actors.system("test"), clock.now()
    feedback.attach(rows.feedback, ticket_id=rows.ticket, actor=actor, now=now)
    releases.add_items(rows.release, ticket_ids=[rows.ticket], actor=actor, now=now)
    releases.ship(rows.release, actor=actor, now=now)
    return rows


@pytest.mark.parametrize("language", ["en", "zh-hans"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_the_public_pages_are_whole(open_page, shipped, language, size):
    seen = open_page(**size, language=language)
    pages = [
        "/",
        "/feedback/",
        "/changelog/",
        f"/t/{Ticket.objects.get().token}/",
        f"/feedback/{Feedback.objects.get().token}/",
    ]
    wrong = []
    for path in pages:
        seen.complaints.clear()
        seen.open(path)
        wrong += [f"{path}: {fault}" for fault in seen.faults()]
        if seen.overflow() > 0:
            wrong.append(f"{path}: {seen.overflow()} px wider than the window")
    seen.complaints.clear()
    seen.open("/no/such/page/", status=404)
    seen.complaints.clear()
    wrong += [f"404: {fault}" for fault in seen.faults()]
    assert not wrong, "\n".join(wrong)


def test_feedback_is_given_on_a_phone_and_leads_to_its_own_page(open_page, transactional_db):
    roles.sync()
    seen = open_page(**PHONE, language="zh-hans")
    seen.open("/feedback/")
    seen.page.locator("button[type=submit].button").click()
    seen.page.locator("[aria-invalid=true]").first.wait_for()
    assert not Feedback.objects.exists()
    seen.complaints.clear()
    assert seen.faults() == []
    text = "礼品留言改一下规格就没了，请修一下。The gift note is lost."
    seen.page.locator("textarea").fill(text)
    seen.page.locator("button[type=submit].button").click()
    seen.page.wait_for_url("**/feedback/*/")
    row = Feedback.objects.get()
    assert (row.text, row.channel) == (text, "portal")
    assert row.token in seen.page.url
    seen.complaints.clear()
    seen.page.reload()
    assert seen.faults() == []


def test_the_language_of_the_portal_is_switched_and_kept(open_page, transactional_db):
    seen = open_page()
    seen.open("/changelog/")
    seen.page.get_by_role("button", name="简体中文").click()
    seen.page.wait_for_function("document.documentElement.lang === 'zh-hans'")
    assert seen.page.url.endswith("/changelog/")
    seen.open("/feedback/")
    assert seen.page.evaluate("document.documentElement.lang") == "zh-hans"
