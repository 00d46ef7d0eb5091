"""The staff pages: they call the services the API calls, and offer what the role may do."""

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse

from crm.kernel import clock, surfaces
from lifecycle.models import OutboundMessage
from tests.voc import build
from tests.voc.build import NOW
from voc.models import Feedback, Release, Ticket
from voc.services import telling, tickets

pytestmark = pytest.mark.django_db


def page(kind: str, row: Any) -> str:
    return reverse(f"admin:voc_{kind}_change", args=[row.pk])


@pytest.mark.parametrize("kind", ["feedback", "ticket", "release"])
@pytest.mark.parametrize("role", ["agent", "lead", "analyst", "admin"])
def test_lists_are_there_when_empty(staff: Any, kind: str, role: str) -> None:
    assert staff(role).get(reverse(f"admin:voc_{kind}_changelist")).status_code == 200


def test_the_inbox_suggests_and_attaches(staff: Any) -> None:
    agent = staff("agent")
    near = build.ticket("房间隔音很差")
    row = build.voice("房间的隔音太差", build.person("Ann"))
    listed = agent.get(reverse("admin:voc_feedback_changelist")).content.decode()
    assert "房间的隔音太差" in listed and "Ann" in listed
    shown = agent.get(page("feedback", row)).content.decode()
    assert f"Attach to #{near.pk}" in shown
    answer = agent.post(page("feedback", row), {"action": "attach", "ticket": str(near.pk)})
    assert answer.status_code == 302
    row.refresh_from_db()
    assert (row.status, row.ticket_id, row.decided_by) == ("attached", near.pk, f"staff:{agent.user.pk}")
    assert "房间的隔音太差" not in agent.get(reverse("admin:voc_feedback_changelist")).content.decode()
    assert (
        "房间的隔音太差"
        in agent.get(reverse("admin:voc_feedback_changelist") + "?decision=all").content.decode()
    )


def test_a_ticket_is_opened_with_one_click(staff: Any) -> None:
    agent = staff("agent")
    row = build.voice("Broken. Really.")
    answer = agent.post(page("feedback", row), {"action": "open", "title": "Broken."})
    ticket = Ticket.objects.get()
    assert (answer["Location"], ticket.title) == (page("ticket", ticket), "Broken.")
    shown = agent.get(page("ticket", ticket)).content.decode()
    assert f"#{ticket.pk} Broken." in shown and "Broken. Really." in shown


def test_a_hotline_call_is_typed_in(staff: Any) -> None:
    agent = staff("agent")
    form = {
        "channel": "hotline",
        "text": "Heizung kalt",
        "name": "Hanna",
        "phone": "+4930123456",
        "email": "",
    }
    assert agent.get(reverse("admin:voc_feedback_add")).status_code == 200
    answer = agent.post(reverse("admin:voc_feedback_add"), form)
    row = Feedback.objects.get()
    assert (answer.status_code, row.channel) == (302, "hotline")
    assert row.profile_id is not None
    assert agent.post(reverse("admin:voc_feedback_add"), {**form, "text": ""}).status_code == 400


def test_the_ticket_page_moves_edits_notes_and_merges(staff: Any) -> None:
    lead = staff("lead")
    row, other = build.ticket("One", build.person("Ann")), build.ticket("Two")
    path = page("ticket", row)
    assert lead.get(path).status_code == 200
    lead.post(path, {"action": "move", "to": "planned", "note": "soon"})
    lead.post(path, {"action": "note", "note": "asked the vendor"})
    lead.post(
        path,
        {
            "action": "edit",
            "title": "One!",
            "description": "",
            "kind": "bug",
            "severity": "high",
            "theme": "",
            "assignee": "",
        },
    )
    row.refresh_from_db()
    assert (row.status, row.title, row.kind, row.severity) == ("planned", "One!", "bug", "high")
    assert "asked the vendor" in lead.get(path).content.decode()
    assert lead.post(path, {"action": "merge", "into": f"#{other.pk}"})["Location"] == page("ticket", other)
    assert lead.get(path).status_code == 200
    lead.post(path, {"action": "unmerge"})
    row.refresh_from_db()
    assert row.status == "planned"
    refused = lead.post(path, {"action": "move", "to": "resolved"}, follow=True).content.decode()
    assert "resolved by shipping a release" in refused


def test_a_lead_ships_and_reads_the_numbers(staff: Any) -> None:
    lead, agent = staff("lead"), staff("agent")
    ann, bo = build.person("Ann", email="ann@example.com"), build.person("Bo")
    row = build.ticket("Fix", ann, bo)
    lead.post(page("ticket", row), {"action": "add_to_release", "release": ""})
    release = Release.objects.get()
    path = page("release", release)
    preview = lead.get(path).content.decode()
    assert "2 people will be told" in preview and "1 of them has no confirmed" in preview
    assert "Ship and tell" not in agent.get(path).content.decode()
    assert agent.post(path, {"action": "ship", "confirmed": "yes"}).status_code == 403
    lead.post(path, {"action": "ship"})
    release.refresh_from_db()
    assert release.status == "draft"
    lead.post(path, {"action": "ship", "confirmed": "yes"})
    release.refresh_from_db()
    assert release.status == "shipped"
    telling.tell_followers(release.pk, now=NOW)
    OutboundMessage.objects.filter(profile_id=ann).update(decision="sent", decided_at=NOW)
    OutboundMessage.objects.filter(profile_id=bo).update(
        decision="dropped", reason="no_address", decided_at=NOW
    )
    shown = lead.get(path).content.decode()
    assert "told 1 of 2" in shown and "No address we may write to" in shown and "Bo" in shown
    lead.post(path, {"action": "withdraw", "reason": "broken"})
    release.refresh_from_db()
    assert release.status == "withdrawn"
    assert lead.get(path).status_code == 200


def test_analysts_read_only(staff: Any) -> None:
    analyst = staff("analyst")
    row = build.ticket("One")
    assert analyst.get(page("ticket", row)).status_code == 200
    assert analyst.post(page("ticket", row), {"action": "move", "to": "planned"}).status_code == 403
    assert analyst.get(reverse("admin:voc_ticket_add")).status_code == 403
    row.refresh_from_db()
    assert row.status == "open"


def test_the_home_page_counts(staff: Any) -> None:
    build.ticket("late")
    build.voice("new")
    lead = staff("lead")
    cards = {str(card.title): card for card in surfaces.home_cards(now=clock.now(), user=lead.user)}
    assert cards["Open promises"].value == 1
    assert (cards["Overdue"].value, cards["Overdue"].tone) == (1, "bad")
    assert cards["Feedback to decide"].value == 1


def test_the_customer_page_shows_voices_and_tickets(staff: Any) -> None:
    ann = build.person("Ann")
    row = build.ticket("Followed", ann)
    build.voice("Said", ann)
    panels = surfaces.profile_panels(profile_ids=[ann], now=NOW, user=staff("agent").user)
    panel = next(one for one in panels if str(one.title) == "Feedback and tickets")
    assert [str(label) for label, _value, _url in panel.rows] == [f"#{row.pk} Followed", "Said"]
    mine = surfaces.person_panels(profile_ids=[ann], now=NOW)
    assert any(one.rows and one.rows[0][0] == "Followed" for one in mine)


def test_the_ticket_list_puts_overdue_first_and_closed_last(staff: Any) -> None:
    closed = tickets.open(title="closed one", actor=build.AGENT, now=NOW)
    tickets.move(closed.pk, to="declined", actor=build.AGENT, now=NOW)
    tickets.open(title="late one", actor=build.AGENT, now=clock.now() - timedelta(days=30))
    tickets.open(title="fresh one", actor=build.AGENT, now=clock.now())
    listed = staff("agent").get(reverse("admin:voc_ticket_changelist")).content.decode()
    places = [listed.index(title) for title in ("late one", "fresh one", "closed one")]
    assert places == sorted(places)
    late = staff("lead").get(reverse("admin:voc_ticket_changelist") + "?clock=overdue").content.decode()
    assert "late one" in late and "fresh one" not in late
