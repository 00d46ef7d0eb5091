"""Staff pages of lifecycle: every page opens in both languages, buttons call services, roles are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import time_machine
from django.contrib.auth.models import Group
from django.test import Client

from crm.kernel import roles, surfaces
from crm.models import StaffUser
from crm.services import touchpoints
from lifecycle.models import Delivery, Enrolment, Journey, MessageTemplate, OutboundMessage
from lifecycle.services import entries, journeys, messages
from tests.lifecycle.conftest import ACTOR, NOON

pytestmark = pytest.mark.django_db
TICKET = {"ticket": {"number": 7, "title": "<b>Lamp</b>"}}


@pytest.fixture(autouse=True)
def noon() -> Iterator[None]:
    with time_machine.travel(NOON, tick=False):
        yield


@pytest.fixture
def staff(db: None) -> Callable[[str], Client]:
    """A browser signed in with a role."""
    roles.sync()

    def make(role: str = "lead") -> Client:
        user = StaffUser.objects.create_user(f"{role}-user", password="x", is_staff=True)
        user.groups.add(Group.objects.get(name=role))
        client = Client()
        client.force_login(user)
        return client

    return make


@pytest.fixture
def history(person: Callable[..., int]) -> dict[str, int]:
    """One message of every decision, and somebody on a journey."""
    told, silent, late = person(name="Lin Xia"), person(email=None), person()
    for reader in (told, silent):
        messages.queue([messages.Item("tests.service", reader, "ticket:7", TICKET)], actor=ACTOR, now=NOON)
    messages.deliver(now=NOON)
    messages.queue([messages.Item("tests.service", late, "ticket:8", TICKET)], actor=ACTOR, now=NOON)
    journey = journeys.create_from_template("browsed_not_bought", actor=ACTOR, now=NOON)
    journeys.activate(journey.pk, actor=ACTOR, now=NOON)
    event = touchpoints.Event("Product Viewed", NOON, "v1", told, properties={"product_id": "p1"})
    touchpoints.record([event], source=None, actor=ACTOR, now=NOON, historical=True)
    from crm.kernel.reactions import Fact

    entries.enter([Fact("Product Viewed", told, NOON, None, {"product_id": "p1"})], now=NOON)
    return {"told": told, "journey": journey.pk}


def pages(history: dict[str, int]) -> list[str]:
    base = "/admin/lifecycle"
    found = [
        f"{base}/{name}/"
        for name in ("outboundmessage", "delivery", "journey", "enrolment", "messagetemplate")
    ]
    found += [
        f"{base}/outboundmessage/{pk}/change/" for pk in OutboundMessage.objects.values_list("pk", flat=True)
    ]
    found += [
        f"{base}/delivery/{Delivery.objects.get().pk}/change/",
        f"{base}/journey/{history['journey']}/change/",
    ]
    found += [f"{base}/enrolment/{Enrolment.objects.get().pk}/change/"]
    found += [
        f"{base}/messagetemplate/?kind=lifecycle.browsed_not_bought&language={code}"
        for code in ("en", "zh-hans")
    ]
    found += [
        f"{base}/outboundmessage/?{query}"
        for query in ("decision__exact=dropped", "reason__exact=no_address", "q=Lin", "kind=tests.service")
    ]
    return found


@pytest.mark.parametrize(
    ("role", "language"), [("agent", "en"), ("analyst", "zh-hans"), ("lead", "zh-hans"), ("admin", "en")]
)
def test_every_page_opens(
    staff: Callable[[str], Client], history: dict[str, int], role: str, language: str
) -> None:
    client = staff(role)
    client.cookies["django_language"] = language
    for path in pages(history):
        response = client.get(path)
        assert response.status_code == 200, path
        assert "<b>Lamp</b>" not in response.content.decode(), path


def test_the_detail_says_why(staff: Callable[[str], Client], history: dict[str, int]) -> None:
    message = OutboundMessage.objects.get(reason="no_address")
    page = staff("agent").get(f"/admin/lifecycle/outboundmessage/{message.pk}/change/").content.decode()
    assert "No address we may write to" in page
    assert "Fixed: &lt;b&gt;Lamp&lt;/b&gt;" in page


def test_a_lead_cancels_and_an_agent_may_not(staff: Callable[[str], Client], history: dict[str, int]) -> None:
    message = OutboundMessage.objects.get(decision="queued")
    path = f"/admin/lifecycle/outboundmessage/{message.pk}/change/"
    assert staff("agent").post(path, {"action": "cancel"}).status_code == 403
    assert OutboundMessage.objects.get(pk=message.pk).decision == "queued"
    assert staff("lead").post(path, {"action": "cancel"}).status_code == 302
    assert OutboundMessage.objects.get(pk=message.pk).reason == "cancelled"


def test_a_journey_from_template_to_active_without_json(staff: Callable[[str], Client]) -> None:
    client = staff("lead")
    assert client.get("/admin/lifecycle/journey/add/").status_code == 200
    client.post(
        "/admin/lifecycle/journey/add/", {"template": "browsed_not_bought", "name": "Second thoughts"}
    )
    journey = Journey.objects.get()
    path = f"/admin/lifecycle/journey/{journey.pk}/change/"
    page = client.get(path).content.decode()
    assert "Wait 30 minutes." in page
    numbers = {
        "action": "numbers", "holdout_percent": 5, "cap_entries": 1, "cap_hours": 48, "wait_0": 120,
        "value_2_coupon_code": "HELLO15", "value_2_percent": 15,
    }  # fmt: skip
    client.post(path, numbers)
    journey.refresh_from_db()
    assert journey.version == 2
    page = client.get(path).content.decode()
    assert "Wait 2 hours." in page and "5% of people" in page and "HELLO15" in page
    client.post(path, {"action": "activate"})
    journey.refresh_from_db()
    assert journey.status == "active"
    bad = client.post(path, {**numbers, "holdout_percent": 99}, follow=True)
    assert "Comparison group, percent" in bad.content.decode()
    assert Journey.objects.get().version == 2


def test_an_agent_sees_journeys_and_changes_none(
    staff: Callable[[str], Client], history: dict[str, int]
) -> None:
    client = staff("agent")
    path = f"/admin/lifecycle/journey/{history['journey']}/change/"
    assert client.post(path, {"action": "pause"}).status_code == 403
    assert client.get("/admin/lifecycle/journey/add/").status_code == 403
    assert Journey.objects.get().status == "active"


def test_a_text_is_previewed_saved_and_taken_back(staff: Callable[[str], Client]) -> None:
    client = staff("lead")
    path = "/admin/lifecycle/messagetemplate/?kind=tests.service&language=en"
    text = {"subject": "Done: {{ ticket.title }}", "body": "Hello {{ person.name }}"}
    page = client.post(path, {**text, "action": "preview"}).content.decode()
    assert "Done: Lamp flickers" in page and MessageTemplate.objects.count() == 0
    refused = client.post(path, {**text, "body": "{{ secret }}", "action": "save"})
    assert refused.status_code == 400 and "Unknown variable: secret" in refused.content.decode()
    assert MessageTemplate.objects.count() == 0
    client.post(path, {**text, "action": "save"})
    assert MessageTemplate.objects.get().subject == text["subject"]
    assert staff("agent").post(path, {**text, "action": "save"}).status_code == 403
    client.post(path, {"action": "reset"})
    assert MessageTemplate.objects.count() == 0


def test_cards_and_panels(staff: Callable[[str], Client], history: dict[str, int]) -> None:
    staff("lead")
    user = StaffUser.objects.get(username="lead-user")
    cards = {str(card.title): card for card in surfaces.home_cards(now=NOON, user=user)}
    assert (cards["Messages sent today"].value, str(cards["Messages sent today"].note)) == (
        1,
        "1 waiting, 1 not sent",
    )
    panels = {
        str(panel.title): panel
        for panel in surfaces.profile_panels(profile_ids=[history["told"]], now=NOON, user=user)
    }
    assert [str(value) for _label, value, _url in panels["Messages"].rows] == ["Sent"]


def test_a_delivery_names_its_person_and_says_how_it_fared(
    staff: Callable[[str], Client], history: dict[str, int]
) -> None:
    client = staff("lead")
    row = Delivery.objects.filter(message__profile_id=history["told"], channel="email").get()
    listed = client.get("/admin/lifecycle/delivery/").content.decode()
    assert f'<a href="/admin/crm/profile/{history["told"]}/change/">Lin Xia</a>' in listed
    page = client.get(f"/admin/lifecycle/delivery/{row.pk}/change/").content.decode()
    assert "Handed over" in page
    assert f'<a href="/admin/lifecycle/outboundmessage/{row.message_id}/change/">' in page
    assert "Interrupted" not in page
    assert (
        client.post(f"/admin/lifecycle/delivery/{row.pk}/change/", {"action": "anything"}).status_code == 403
    )
