"""Tickets: states, history, clock, followers."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction

from crm.kernel import knobs
from crm.kernel.errors import Conflict, Invalid, NotFound
from tests.voc import build
from tests.voc.build import AGENT, NOW
from voc.models import Ticket, TicketEvent, TicketFollower
from voc.selectors import clock
from voc.selectors import tickets as ticket_reads
from voc.services import tickets
from voc.states import TICKET_TRANSITIONS, TicketStatus, moves_by_hand

pytestmark = pytest.mark.django_db


def test_a_new_ticket_is_owed_in_seven_days() -> None:
    row = tickets.open(title="Invoice shows the wrong date", actor=AGENT, now=NOW)
    assert (row.status, row.due_at, row.round) == ("open", NOW + timedelta(days=7), 1)
    event = TicketEvent.objects.get(ticket=row)
    assert (event.kind, event.to_status, event.actor) == ("opened", "open", "system:test")


def test_the_promise_is_a_knob() -> None:
    knobs.set("voc.promise_days", 3, actor=AGENT, now=NOW)
    try:
        assert tickets.open(title="Late", actor=AGENT, now=NOW).due_at == NOW + timedelta(days=3)
    finally:
        knobs.reset("voc.promise_days", actor=AGENT, now=NOW)


@pytest.mark.parametrize(
    ("late", "text", "tone", "days"),
    [
        (timedelta(0), "7 days left", "good", 7),
        (timedelta(days=5), "2 days left", "warn", 2),
        (timedelta(days=6, hours=12), "due within a day", "warn", 0),
        (timedelta(days=7, hours=1), "overdue by 1 day", "bad", -1),
        (timedelta(days=9, hours=12), "overdue by 3 days", "bad", -3),
    ],
)
def test_the_clock_says_what_is_left(late: timedelta, text: str, tone: str, days: int) -> None:
    row = build.ticket("Slow")
    read = clock.read(row, now=NOW + late)
    assert (read.text, read.tone, read.days, read.is_overdue) == (text, tone, days, tone == "bad")


def test_lists_put_overdue_first_and_closed_last() -> None:
    fresh = build.ticket("fresh", now=NOW)
    late = build.ticket("late", now=NOW - timedelta(days=9))
    closed = build.ticket("closed", now=NOW - timedelta(days=20))
    tickets.move(closed.pk, to="declined", actor=AGENT, now=NOW)
    assert [row.pk for row in ticket_reads.overdue_first(Ticket.objects.all())] == [
        late.pk,
        fresh.pk,
        closed.pk,
    ]
    assert list(Ticket.objects.overdue(NOW)) == [late]


def test_every_allowed_move_is_written_with_its_event() -> None:
    row = build.ticket("Steps")
    for to in ("planned", "in_progress", "declined", "reopened"):
        tickets.move(row.pk, to=to, actor=AGENT, now=NOW, note=f"to {to}")
    row.refresh_from_db()
    assert (row.status, row.round, row.closed_at) == ("reopened", 2, None)
    events = TicketEvent.objects.filter(ticket=row, kind="moved").order_by("id")
    assert [(e.from_status, e.to_status, e.note) for e in events] == [
        ("open", "planned", "to planned"),
        ("planned", "in_progress", "to in_progress"),
        ("in_progress", "declined", "to declined"),
        ("declined", "reopened", "to reopened"),
    ]


@pytest.mark.parametrize(
    ("to", "code"),
    [
        ("resolved", "ship_a_release"),
        ("duplicate", "merge_instead"),
        ("reopened", "transition_not_allowed"),
        ("answered", "ship_a_release"),
    ],
)
def test_a_refused_move_writes_nothing(to: str, code: str) -> None:
    row = build.ticket("Refused")
    with pytest.raises(Conflict) as refused:
        tickets.move(row.pk, to=to, actor=AGENT, now=NOW)
    assert refused.value.code == code
    row.refresh_from_db()
    assert (row.status, TicketEvent.objects.filter(ticket=row).count()) == ("open", 1)


def test_an_unknown_status_or_ticket_is_refused() -> None:
    row = build.ticket("Known")
    with pytest.raises(Invalid):
        tickets.move(row.pk, to="nowhere", actor=AGENT, now=NOW)
    with pytest.raises(NotFound):
        tickets.move(row.pk + 1000, to="planned", actor=AGENT, now=NOW)


def test_a_question_may_be_answered_without_a_release() -> None:
    row = tickets.open(title="How do I?", kind="question", actor=AGENT, now=NOW)
    assert "answered" in moves_by_hand(row.status, row.kind)
    assert tickets.move(row.pk, to="answered", actor=AGENT, now=NOW).closed_at == NOW


def test_a_step_on_a_row_that_moved_on_is_refused() -> None:
    row = build.ticket("Race")
    stale = Ticket.objects.get(pk=row.pk)
    tickets.move(row.pk, to="planned", actor=AGENT, now=NOW)
    with pytest.raises(Conflict) as refused, transaction.atomic():
        tickets.apply(stale, to="in_progress", actor=AGENT, now=NOW)
    assert refused.value.code == "conflict"


@pytest.mark.parametrize("sql", ["UPDATE voc_ticketevent SET note = 'x'", "DELETE FROM voc_ticketevent"])
def test_the_history_cannot_be_changed(sql: str) -> None:
    build.ticket("History")
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(sql)
    assert TicketEvent.objects.count() == 1


def test_the_transition_table_names_only_known_statuses() -> None:
    assert set(TICKET_TRANSITIONS) == set(TicketStatus)
    assert all(set(targets) <= set(TicketStatus) for targets in TICKET_TRANSITIONS.values())


def test_following_twice_keeps_one_row_and_the_strongest_role() -> None:
    ann = build.person("Ann")
    row = build.ticket("Followed", ann)
    tickets.follow(row.pk, profile_id=ann, role="reported", may_name=True, actor=AGENT, now=NOW)
    tickets.follow(row.pk, profile_id=ann, role="voted", actor=AGENT, now=NOW)
    kept = TicketFollower.objects.get(ticket=row)
    assert (kept.profile_id, kept.role, kept.may_name) == (ann, "reported", True)


def test_leaving_and_coming_back() -> None:
    ann = build.person("Ann")
    row = build.ticket("Left", ann)
    assert tickets.unfollow(row.pk, profile_id=ann, actor=AGENT, now=NOW) == 1
    assert TicketFollower.objects.get(ticket=row).left_at == NOW
    tickets.follow(row.pk, profile_id=ann, role="asked", actor=AGENT, now=NOW)
    assert TicketFollower.objects.get(ticket=row).left_at is None


def test_an_unknown_person_cannot_follow() -> None:
    row = build.ticket("Nobody")
    with pytest.raises(NotFound):
        tickets.follow(row.pk, profile_id=10**12, role="asked", actor=AGENT, now=NOW)
    assert TicketFollower.objects.count() == 0


@pytest.mark.parametrize("title", ["", "  ", "two\nlines", "x" * 201])
def test_a_bad_title_opens_nothing(title: str) -> None:
    with pytest.raises(Invalid):
        tickets.open(title=title, actor=AGENT, now=NOW)
    assert Ticket.objects.count() == 0


@pytest.mark.parametrize("name", ["a@b.example", "http://x", "<b>", "x" * 41])
def test_a_name_to_credit_is_a_name(name: str) -> None:
    with pytest.raises(Invalid):
        tickets.credit(name)


def test_editing_logs_the_changed_fields() -> None:
    row = build.ticket("Old title")
    tickets.edit(row.pk, title="New title", severity="high", theme="", actor=AGENT, now=NOW)
    event = TicketEvent.objects.filter(ticket=row).first()
    assert (event.kind, event.data) == ("edited", {"fields": ["title", "severity"]})
    row.refresh_from_db()
    assert row.tokens == ["new", "title"]
