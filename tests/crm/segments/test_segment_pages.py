"""The staff pages of segments: what they show, and that their buttons call the services."""

from __future__ import annotations

from datetime import date

import pytest
from django.test import Client
from django.urls import reverse

from crm.admin.segments import chart
from crm.models import Export, Segment, StaffUser
from crm.services import exports, profiles, segments
from tests.crm.segments.conftest import ACTOR, NOON, people, person, run_passes

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(StaffUser.objects.create_superuser("boss", "boss@example.com", "secret-secret"))
    return client


def test_a_segment_is_read_activated_and_exported(staff: Client) -> None:
    someone = person(display_name="Ann Buyer", country="CN")
    rule = {"fact": "profile.country", "op": "eq", "value": "CN"}
    row = segments.create("In China", rule=rule, actor=ACTOR, now=NOON)
    page = reverse("admin:crm_segment_change", args=[row.pk])
    assert "Everyone who lives in" in staff.get(page).content.decode()
    assert staff.post(page, {"action": "activate"}).status_code == 302
    run_passes()
    body = staff.get(page).content.decode()
    assert "Ann Buyer" in body
    assert "<polyline" in body
    assert " style=" not in body.split('class="door"')[1].split("</main>")[0]
    assert people(row) == {someone}
    staff.post(page, {"action": "export", "column": ["display_name"]})
    while exports.work(now=NOON):
        pass
    made = Export.objects.get()
    link = reverse("admin:crm_segment_export_file", args=[made.public_id])
    assert link in staff.get(page).content.decode()
    answer = staff.get(link)
    assert answer["Content-Disposition"].startswith("attachment")
    assert b"Ann Buyer" in b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    assert staff.get(reverse("admin:crm_segment_changelist")).status_code == 200


def test_pasted_people_go_onto_a_list_and_strangers_are_named(staff: Client) -> None:
    ann = profiles.resolve([("email", "ann@example.com")], trust="server", actor=ACTOR, now=NOON)
    row = segments.create("Guests", actor=ACTOR, now=NOON)
    page = reverse("admin:crm_segment_change", args=[row.pk])
    body = staff.post(
        page, {"action": "paste", "identifiers": "ann@example.com\nwho@example.com"}
    ).content.decode()
    assert "1 person added." in body
    assert "who@example.com" in body
    assert people(row) == {ann}
    staff.post(page, {"action": "remove", "person": [str(ann)]})
    assert people(row) == set()


def test_an_agent_sees_and_changes_nothing(client: Client) -> None:
    from django.contrib.auth.models import Group

    from crm.kernel import roles

    roles.sync()
    agent = StaffUser.objects.create_user("agent", "agent@example.com", "secret-secret", is_staff=True)
    agent.groups.add(Group.objects.get(name="agent"))
    client.force_login(agent)
    row = segments.create("All", rule={"all": []}, actor=ACTOR, now=NOON)
    page = reverse("admin:crm_segment_change", args=[row.pk])
    assert client.get(page).status_code == 200
    for button in ("activate", "archive", "duplicate", "export"):
        assert client.post(page, {"action": button, "name": "X"}).status_code == 403
    assert Segment.objects.get().status == "draft"
    assert Export.objects.count() == 0


def test_the_chart_stays_in_its_box() -> None:
    assert chart([]) is None
    drawn = chart([(date(2026, 5, 1), 0), (date(2026, 5, 2), 4), (date(2026, 5, 3), 2)])
    assert drawn is not None
    assert drawn.line == "0.0,100.0 150.0,8.0 300.0,54.0"
    assert drawn.ceiling == 4
