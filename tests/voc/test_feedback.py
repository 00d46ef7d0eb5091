"""Voices: who they belong to, what is decided, what is similar."""

from datetime import timedelta

import pytest

from crm.kernel.errors import Conflict, Invalid, NotFound, TooLarge
from crm.models import ContactPoint, Profile
from tests.voc import build
from tests.voc.build import AGENT, NOW
from voc import tokens
from voc.models import Feedback, TicketFollower
from voc.services import feedback, similarity, ticket_merges, tickets

pytestmark = pytest.mark.django_db


def test_tokens_of_both_languages() -> None:
    assert tokens.cut("客户服务") == ["客户", "户服", "服务"]
    assert tokens.cut("The INVOICE is ＷＲＯＮＧ, invoice 42") == ["invoice", "wrong", "42"]
    assert tokens.cut("订单abc退款 好") == ["订单", "abc", "退款", "好"]
    assert tokens.cut("!!! …") == []
    assert len(tokens.cut("".join(chr(0x4E00 + number) for number in range(2000)))) == tokens.MAX_TOKENS


def test_a_form_with_an_address_makes_an_unproven_person() -> None:
    known = build.person("Ann", email="ann@example.com")
    row = feedback.give(
        text="Hi",
        channel="portal",
        person=feedback.Person(email="ann@example.com"),
        trusted=False,
        actor=AGENT,
        now=NOW,
    )
    assert row.profile_id not in (None, known)
    contact = ContactPoint.objects.get(profile_id=row.profile_id)
    assert (contact.value, contact.origin, contact.verified_at) == ("ann@example.com", "form", None)
    again = feedback.give(
        text="Hi!",
        channel="portal",
        person=feedback.Person(email="Ann@Example.com"),
        trusted=False,
        actor=AGENT,
        now=NOW,
    )
    assert again.profile_id == row.profile_id


def test_an_anonymous_voice_belongs_to_nobody() -> None:
    row = feedback.give(text="Hi", channel="portal", trusted=False, actor=AGENT, now=NOW)
    assert (row.profile_id, Profile.objects.count()) == (None, 0)


def test_attaching_makes_a_follower_and_sets_the_clock_back() -> None:
    ann = build.person("Ann")
    row = build.voice("slow", ann, may_name=True, credit_name="Ann B.")
    later = tickets.open(title="Slow", actor=AGENT, now=NOW + timedelta(days=2))
    feedback.attach(row.pk, ticket_id=later.pk, actor=AGENT, now=NOW + timedelta(days=2))
    later.refresh_from_db()
    assert (later.first_voice_at, later.due_at) == (NOW, NOW + timedelta(days=7))
    kept = TicketFollower.objects.get()
    assert (kept.profile_id, kept.role, kept.may_name, kept.credit_name) == (ann, "reported", True, "Ann B.")


def test_attaching_to_a_merged_ticket_lands_on_the_root() -> None:
    kept, gone = build.ticket("kept"), build.ticket("gone")
    ticket_merges.merge(gone.pk, into=kept.pk, actor=AGENT, now=NOW)
    row = build.voice("x")
    assert feedback.attach(row.pk, ticket_id=gone.pk, actor=AGENT, now=NOW).ticket_id == kept.pk


def test_decisions_and_their_limits() -> None:
    row = build.voice("x")
    feedback.dismiss(row.pk, reason="spam", actor=AGENT, now=NOW)
    with pytest.raises(Conflict):
        feedback.dismiss(row.pk, reason="again", actor=AGENT, now=NOW)
    feedback.reconsider(row.pk, actor=AGENT, now=NOW)
    row.refresh_from_db()
    assert (row.status, row.decided_at, row.reason) == ("new", None, "")
    feedback.open_ticket(row.pk, actor=AGENT, now=NOW)
    with pytest.raises(Conflict):
        feedback.dismiss(row.pk, reason="late", actor=AGENT, now=NOW)
    with pytest.raises(NotFound):
        feedback.attach(row.pk, ticket_id=10**9, actor=AGENT, now=NOW)
    assert Feedback.objects.get(pk=row.pk).status == "attached"


def test_bad_texts_are_not_stored() -> None:
    for text, error in (("", Invalid), ("\ud800", Invalid), ("x" * 5001, TooLarge)):
        with pytest.raises(error):
            feedback.give(text=text, channel="api", actor=AGENT, now=NOW)
    with pytest.raises(Invalid):
        feedback.give(text="x", channel="fax", actor=AGENT, now=NOW)
    assert Feedback.objects.count() == 0


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("房间太吵了。晚上睡不着！", "房间太吵了。"),
        ("The app crashes. Every time.", "The app crashes."),
        ("one\ntwo", "one"),
        ("字" * 100, "字" * 79 + "…"),
    ],
)
def test_a_title_is_the_first_sentence(text: str, title: str) -> None:
    assert feedback.suggest_title(text) == title


def test_similar_tickets_best_first_in_both_languages() -> None:
    near = build.ticket("酒店房间隔音很差，晚上睡不着")
    far = build.ticket("酒店早餐不好吃")
    english = build.ticket("Invoice shows the wrong date")
    found = similarity.find("房间的隔音太差了，根本睡不着")
    assert found[0].ticket.pk == near.pk and far.pk not in {match.ticket.pk for match in found[:1]}
    assert [match.ticket.pk for match in similarity.find("wrong date on my invoice")] == [english.pk]
    assert similarity.find("Unrelated words entirely") == []
    assert similarity.find("？？") == []


def test_a_voice_makes_its_ticket_findable_and_closed_ones_are_not_offered() -> None:
    row = build.ticket("Acoustics")
    spoken = build.voice("隔音很差")
    feedback.attach(spoken.pk, ticket_id=row.pk, actor=AGENT, now=NOW)
    assert [(match.ticket.pk, match.score) for match in similarity.find("隔音很差")] == [(row.pk, 1.0)]
    tickets.move(row.pk, to="declined", actor=AGENT, now=NOW)
    assert similarity.find("隔音很差") == []


def test_the_engine_can_be_replaced() -> None:
    from crm.kernel import knobs

    row = build.ticket("Anything")
    similarity.register("always", lambda text, limit: [(row.pk, 0.5)])
    knobs.set("voc.similarity", "always", actor=AGENT, now=NOW)
    try:
        assert [match.ticket.pk for match in similarity.find("no words in common")] == [row.pk]
    finally:
        knobs.reset("voc.similarity", actor=AGENT, now=NOW)


def test_merging_is_one_hop_and_undone_exactly() -> None:
    a, b, c = build.ticket("a"), build.ticket("b"), build.ticket("c")
    ticket_merges.merge(a.pk, into=b.pk, actor=AGENT, now=NOW)
    ticket_merges.merge(b.pk, into=c.pk, actor=AGENT, now=NOW)
    for row in (a, b):
        row.refresh_from_db()
    assert (a.merged_into_id, b.merged_into_id) == (c.pk, c.pk)
    with pytest.raises(Conflict) as refused:
        ticket_merges.unmerge(a.pk, actor=AGENT, now=NOW)
    assert refused.value.code == "merged_further"
    ticket_merges.unmerge(b.pk, actor=AGENT, now=NOW)
    a.refresh_from_db()
    b.refresh_from_db()
    assert (a.merged_into_id, b.merged_into_id, b.status) == (b.pk, None, "open")
    ticket_merges.unmerge(a.pk, actor=AGENT, now=NOW)
    a.refresh_from_db()
    assert (a.merged_into_id, a.status) == (None, "open")
