"""Privacy in a real browser: a person's own page and the staff pages, wide and phone, in both languages."""

from datetime import timedelta

import pytest

from crm.kernel import actors, clock, roles
from crm.models import ConsentRecord, Erasure, StaffUser
from crm.services import choices, consents, contacts, erasure, person_exports, profiles, reservations
from lifecycle.services import inbox, own_page
from tests.api.seeds import seed

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PHONE = {"width": 390, "height": 844}
WIDE = {"width": 1440, "height": 900}
ACTOR = actors.system("test")


@pytest.fixture
def lin():
    """Somebody with consents, addresses, a budget half spent; and somebody who was erased."""
    roles.sync()
    now = clock.now()
    seed()
    one = profiles.resolve(
        [("user_id", "lin-1"), ("email", "lin.xia@example.com")], trust="server", actor=ACTOR, now=now,
        names={"name": "Lin Xia", "language": "en", "country": "CN", "timezone": "Asia/Shanghai"},
    )  # fmt: skip
    contacts.add(one, channel="email", value="lin.xia@example.com", origin="server", actor=ACTOR, now=now)
    contacts.add(one, channel="email", value="lin@home.example", origin="form", actor=ACTOR, now=now)
    contacts.add(one, channel="sms", value="+8613912345678", origin="server", actor=ACTOR, now=now)
    for purpose, channel, granted in (
        ("marketing", "email", True),
        ("survey", "sms", True),
        ("care", "email", False),
    ):
        consents.record(
            one, purpose=purpose, channel=channel, granted=granted, way="form", text_version=f"{purpose}-1",
            language="en", evidence={"form": "checkout"}, actor=ACTOR, now=now,
        )  # fmt: skip
    for label in ("Spring banner", "How was it?"):
        reservations.ask(one, pressure_class="popup", label=label, actor=ACTOR, now=now)
    choices.set_quiet_hours(one, hours=(20, 10), actor=ACTOR, now=now)
    other = profiles.resolve([("user_id", "gone-1")], trust="server", actor=ACTOR, now=now)
    contacts.add(other, channel="email", value="gone@example.com", origin="server", actor=ACTOR, now=now)
    erasure.erase(other, actor=actors.Actor("staff", "1"), now=now)
    person_exports.request(one, language="en", actor=ACTOR, now=now)
    return one


def look(seen, path, *, save=None):
    """Open a page; what is wrong with it."""
    seen.complaints.clear()
    seen.open(path)
    if save:
        seen.page.screenshot(path=save, full_page=True)
    wrong = [f"{path}: {fault}" for fault in seen.faults()]
    if seen.overflow() > 0:
        wrong.append(f"{path}: {seen.overflow()} px wider than the window")
    return wrong


@pytest.mark.parametrize("language", ["en", "zh-hans"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_a_persons_own_pages_are_whole(open_page, lin, language, size):
    seen = open_page(**size, language=language)
    mine = inbox.link(lin).partition("/me/")[2]
    scheduled = erasure.request(
        profiles.resolve([("user_id", "soon-1")], trust="server", actor=ACTOR, now=clock.now()),
        actor=actors.person(1), needs_approval=False, now=clock.now() - timedelta(days=1),
    )  # fmt: skip
    done = Erasure.objects.filter(status="done").first()
    pages = {
        "preferences": f"/me/{mine}preferences/", "data": f"/me/{mine}data/", "erase": f"/me/{mine}data/erase/",
        "subscribe": "/subscribe/",
        "scheduled": own_page.erasure_link(scheduled.pk).partition("localhost:8000")[2],
        "certificate": own_page.erasure_link(done.pk).partition("localhost:8000")[2],
    }  # fmt: skip
    wrong = [fault for path in pages.values() for fault in look(seen, path)]
    assert not wrong, "\n".join(wrong)


def test_a_person_switches_something_off_with_the_keyboard(open_page, lin):
    seen = open_page(**PHONE, language="zh-hans")
    seen.open(f"/me/{inbox.link(lin).partition('/me/')[2]}preferences/")
    switch = seen.page.locator("#marketing-email")
    assert switch.is_checked()
    switch.focus()
    seen.page.keyboard.press("Space")
    seen.page.keyboard.press("Enter")
    seen.page.locator("[role=status] li").wait_for()
    assert ConsentRecord.objects.filter(profile_id=lin, purpose="marketing", granted=False).count() == 1
    assert not seen.page.locator("#marketing-email").is_checked()
    assert seen.faults() == []


@pytest.mark.parametrize("language", ["en", "zh-hans"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_the_staff_pages_of_privacy_are_whole(open_page, lin, language, size):
    StaffUser.objects.create_superuser("boss", "boss@example.com", "a-long-password-1", language=language)
    seen = open_page(**size, language=language)
    seen.sign_in("boss", "a-long-password-1")
    waiting, done = Erasure.objects.get(status="requested"), Erasure.objects.filter(status="done").first()
    pages = {
        "person": f"/admin/crm/erasure/person/{lin}/", "erasures": "/admin/crm/erasure/",
        "erasure": f"/admin/crm/erasure/{waiting.pk}/change/",
        "certificate": f"/admin/crm/erasure/{done.pk}/certificate/",
        "texts": "/admin/crm/consenttext/", "text-add": "/admin/crm/consenttext/add/?purpose=marketing",
        "register": "/admin/crm/consenttext/register/", "retention": "/admin/crm/retentionrun/",
        "exports": "/admin/crm/personexport/",
    }  # fmt: skip
    wrong = [fault for path in pages.values() for fault in look(seen, path)]
    assert not wrong, "\n".join(wrong)
