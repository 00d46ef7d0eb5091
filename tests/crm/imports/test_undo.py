"""Taking an import back: who goes, what is taken from the others, what stays and why."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from crm.kernel import roles
from crm.kernel.errors import Conflict, Invalid
from crm.kernel.models import ActionLog
from crm.models import (
    ConsentRecord,
    ContactPoint,
    Identity,
    ImportMember,
    ImportRun,
    Profile,
    Segment,
    SegmentMembership,
    StaffUser,
    Suppression,
)
from crm.selectors import consents as consent_reads
from crm.selectors import profiles as people
from crm.services import accounts, consents, import_undo, import_work, merges, notes, profiles, touchpoints
from tests.crm.conftest import NOON, SYSTEM
from tests.crm.imports.conftest import AGREED, NONE, STAFF, Lists
from tests.crm.test_api import Api

pytestmark = pytest.mark.django_db
HEAD = "email,name,city\n"
LATER = NOON + timedelta(days=2)


def whose(email: str) -> int | None:
    found = Identity.objects.filter(kind="email", value=email).values_list("profile_id", flat=True).first()
    return people.roots([found])[found] if found else None


def known(email: str, **names: Any) -> int:
    return profiles.resolve(
        [("email", email)], trust="server", actor=SYSTEM, now=NOON - timedelta(days=9), names=names
    )


def take_back(run: ImportRun, *, now: Any = LATER) -> ImportRun:
    import_undo.start(run.pk, confirm=str(run.pk), actor=STAFF, now=now)
    while import_work.work(run.pk, now=now):
        pass
    run.refresh_from_db()
    return run


def test_those_who_came_with_it_and_did_nothing_since_go(lists: Lists) -> None:
    run = lists.bring(
        HEAD + "ann@example.com,Ann,Hangzhou\nbea@example.com,Bea,\n", consent=AGREED, city="trait:city"
    )
    ids = [whose("ann@example.com"), whose("bea@example.com")]
    outlook = import_undo.outlook(run, now=LATER)
    assert (outlook.people, outlook.is_estimate, outlook.figures["gone"], outlook.figures["consents"]) == (
        2,
        False,
        2,
        2,
    )
    assert Identity.objects.count() == 2  # the report wrote nothing
    run = take_back(run)
    assert (run.status, run.undo["done"], run.undo["figures"]["gone"]) == ("undone", 2, 2)
    assert (Identity.objects.count(), ContactPoint.objects.count(), Suppression.objects.count()) == (0, 0, 0)
    for row in Profile.objects.filter(pk__in=ids):
        assert (row.erased_at, row.display_name, row.traits, row.value_sources, row.search_tokens) == (
            LATER, "", {}, {}, [],
        )  # fmt: skip
    rows = ConsentRecord.objects.filter(profile_id=ids[0]).order_by("pk")
    assert [(row.granted, row.way) for row in rows] == [(True, "import"), (False, "import")]
    assert rows[1].evidence == {"undone_import": run.pk, "withdraws": rows[0].pk}
    actions = ("crm.import.undoing", "crm.import.undone", "crm.profile.taken_back")
    logged = ActionLog.objects.filter(action__in=actions).values_list("action", flat=True)
    assert sorted(logged) == [*actions, "crm.profile.taken_back"]


def test_the_same_people_may_come_again_with_a_better_list(lists: Lists) -> None:
    wrong = lists.bring(HEAD + "ann@example.com,Anne,\n", consent=AGREED)
    first = whose("ann@example.com")
    take_back(wrong)
    right = lists.bring(HEAD + "ann@example.com,Ann,\n", consent=AGREED)
    assert right.counters["created"] == 1
    second = whose("ann@example.com")
    assert second not in (None, first)
    assert Profile.objects.get(pk=second).display_name == "Ann"
    assert consent_reads.allowed([second], purpose="marketing", channel="email") == {second: True}


def test_the_same_file_comes_in_again_after_it_was_taken_back(lists: Lists) -> None:
    text = HEAD + "ann@example.com,Ann,\n"
    take_back(lists.bring(text))
    assert lists.bring(text).counters["created"] == 1


def test_of_people_we_knew_only_what_the_list_said_goes(lists: Lists) -> None:
    ann = known("ann@example.com", name="Ann")
    run = lists.bring(
        "email,phone,name,city,plan\nann@example.com,+8613800138000,Wrong,Hangzhou,gold\n", consent=AGREED,
        city="trait:city", plan="trait:plan",
    )  # fmt: skip
    row = Profile.objects.get(pk=ann)
    assert (row.display_name, row.traits["city"], row.traits["tie_strength"]) == ("Ann", "Hangzhou", "weak")
    profiles.update(ann, values={"plan": "silver"}, actor=STAFF, now=NOON + timedelta(hours=1))
    assert consent_reads.allowed([ann], purpose="marketing", channel="email") == {ann: True}
    run = take_back(run)
    row.refresh_from_db()
    assert (row.erased_at, row.display_name, row.traits) == (None, "Ann", {"plan": "silver"})
    assert [key for key in row.value_sources if key != "display_name"] == ["traits.plan"]
    assert sorted(Identity.objects.values_list("kind", flat=True)) == ["email"]
    assert list(ContactPoint.objects.filter(channel="sms")) == []
    assert consent_reads.allowed([ann], purpose="marketing", channel="email") == {ann: False}
    expected = {
        "people": 1, "gone": 0, "kept": 0, "values": 2, "contacts": 2, "identities": 1, "consents": 2,
    }  # fmt: skip
    assert {name: run.undo["figures"].get(name, 0) for name in expected} == expected


def happened(profile_id: int) -> None:
    touchpoints.record(
        [touchpoints.Event("page", NOON + timedelta(hours=5), "", profile_id=profile_id)],
        source=None, actor=SYSTEM, now=NOON + timedelta(hours=5),
    )  # fmt: skip


@pytest.mark.parametrize(
    "what", ["touchpoint", "note", "account", "own word", "another list", "server", "merge"]
)
def test_whoever_has_a_life_stays(lists: Lists, what: str) -> None:
    run = lists.bring(HEAD + "ann@example.com,Ann,Hangzhou\n", consent=AGREED, city="trait:city")
    ann = whose("ann@example.com")
    assert ann is not None
    if what == "touchpoint":
        happened(ann)
    elif what == "note":
        notes.add(ann, text="Likes tea", category="taste", actor=SYSTEM, now=NOON)
    elif what == "account":
        row = accounts.save("acme", values={"name": "Acme"}, actor=STAFF, now=NOON)
        accounts.add_person(row.pk, profile_id=ann, role="", actor=STAFF, now=NOON)
    elif what == "own word":
        consents.record(
            ann, purpose="survey", channel="email", granted=True, way="preferences", text_version="", evidence={},
            actor=STAFF, now=NOON + timedelta(hours=1),
        )  # fmt: skip
    elif what == "another list":
        lists.bring(HEAD + "ann@example.com,Ann,\n", source="Another list")
    elif what == "server":
        known("ann@example.com", plan="gold")
    else:
        merges.merge(known("old@example.com", name="Old"), ann, actor=STAFF, now=NOON + timedelta(hours=1))
    figures = import_undo.outlook(ImportRun.objects.get(pk=run.pk), now=LATER).figures
    assert (figures.get("gone", 0), figures["kept"]) == (0, 1)
    run = take_back(run)
    root = whose("ann@example.com") or people.roots([ann])[ann]
    row = Profile.objects.get(pk=root)
    assert row.erased_at is None and "city" not in row.traits
    assert consent_reads.allowed([root], purpose="marketing", channel="email") == {root: False}


def test_who_came_back_is_still_found_by_what_the_list_brought(lists: Lists) -> None:
    run = lists.bring(HEAD + "ann@example.com,Ann,\n")
    ann = whose("ann@example.com")
    assert ann is not None
    happened(ann)
    run = take_back(run)
    assert whose("ann@example.com") == ann
    assert run.undo["figures"]["identities_kept"] == 1


def test_a_no_of_a_list_and_a_word_of_their_own_stay(lists: Lists) -> None:
    ann = known("ann@example.com")
    run = lists.bring(
        "email,ads\nann@example.com,no\n", consent={**AGREED, "claims": []}, ads="consent:marketing:email"
    )
    assert take_back(run).undo["figures"]["consents"] == 0
    assert [row.granted for row in ConsentRecord.objects.filter(profile_id=ann)] == [False]
    bea = known("bea@example.com")
    run = lists.bring(HEAD + "bea@example.com,Bea,\n", consent=AGREED)
    consents.record(
        bea, purpose="marketing", channel="email", granted=True, way="preferences", text_version="", evidence={},
        actor=STAFF, now=NOON + timedelta(hours=1),
    )  # fmt: skip
    take_back(run)
    assert consent_reads.allowed([bea], purpose="marketing", channel="email") == {bea: True}


def test_a_later_list_may_say_yes_again_but_not_after_their_own_no(lists: Lists) -> None:
    ann = known("ann@example.com")
    take_back(lists.bring(HEAD + "ann@example.com,Ann,\n", consent=AGREED))
    lists.bring(HEAD + "ann@example.com,Ann,x\n", consent=AGREED, source="Better list")
    assert ConsentRecord.objects.filter(profile_id=ann, channel="email").order_by("-pk")[0].granted
    consents.record(
        ann, purpose="marketing", channel="email", granted=False, way="unsubscribe", text_version="", evidence={},
        actor=STAFF, now=LATER,
    )  # fmt: skip
    again = lists.bring(HEAD + "ann@example.com,Ann,y\n", consent=AGREED, source="A third")
    assert again.counters["value:withdrawn"] == 1


def test_a_killed_worker_loses_and_repeats_nothing(lists: Lists, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_undo, "CHUNK", 2)
    run = lists.bring(HEAD + "".join(f"p{n}@example.com,P{n},\n" for n in range(7)), consent=AGREED)
    import_undo.start(run.pk, confirm=str(run.pk), actor=STAFF, now=LATER)
    assert import_work.work(run.pk, now=LATER, seconds=0) is True  # one chunk, then the time is up
    run.refresh_from_db()
    assert (run.status, run.undo["done"], run.undo["figures"]["gone"]) == ("undoing", 2, 2)
    claimed = import_work._claim(run.pk)  # a worker that dies: its lease is not over
    assert claimed is not None and import_work.work(run.pk, now=LATER) is False
    ImportRun.objects.filter(pk=run.pk).update(leased_until=NOON)
    while import_work.work(run.pk, now=LATER):
        pass
    assert import_undo._chunk(claimed, now=LATER, lease=60.0) is None  # the dead one wakes: its claim is gone
    run.refresh_from_db()
    assert (run.status, run.undo["done"], run.undo["figures"]["gone"], run.undo["figures"]["consents"]) == (
        "undone",
        7,
        7,
        7,
    )
    assert ConsentRecord.objects.filter(granted=False).count() == 7
    assert Profile.objects.filter(erased_at=LATER).count() == 7


def test_what_cannot_be_taken_back_is_refused_and_nothing_is_written(lists: Lists) -> None:
    events = lists.bring(
        "email,event,time\nann@example.com,Tea Bought,2020-01-01T10:00:00Z\n", kind="events", email="email",
        event="kind", time="occurred_at",
    )  # fmt: skip
    draft = lists.upload(HEAD + "zoe@example.com,Zoe,\n", name="draft.csv")
    good = lists.bring(HEAD + "ann2@example.com,Ann,\n")
    before = (
        Identity.objects.count(),
        ConsentRecord.objects.count(),
        Profile.objects.filter(erased_at=None).count(),
    )
    for run, code in ((events, "events_stay"), (draft, "nothing_to_undo")):
        with pytest.raises(Conflict) as refused:
            import_undo.start(run.pk, confirm=str(run.pk), actor=STAFF, now=LATER)
        assert refused.value.code == code
    with pytest.raises(Invalid) as typed:
        import_undo.start(good.pk, confirm="", actor=STAFF, now=LATER)
    assert typed.value.code == "confirm_needed"
    take_back(good)
    with pytest.raises(Conflict):
        import_undo.start(good.pk, confirm=str(good.pk), actor=STAFF, now=LATER)
    after = (
        Identity.objects.count(),
        ConsentRecord.objects.count(),
        Profile.objects.filter(erased_at=None).count(),
    )
    assert after == (before[0] - 1, before[1], before[2] - 1)


def test_the_report_of_a_long_list_is_an_estimate(lists: Lists, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_undo, "PREVIEWED", 4)
    run = lists.bring(HEAD + "".join(f"p{n}@example.com,P{n},\n" for n in range(8)))
    outlook = import_undo.outlook(run, now=LATER)
    assert (outlook.people, outlook.asked, outlook.is_estimate, outlook.figures["gone"]) == (8, 4, True, 8)
    assert ImportMember.objects.filter(run_id=run.pk).count() == 8


def signed_in(role: str) -> Client:
    roles.sync()
    user = StaffUser.objects.create_user(role, password="x", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


def test_the_page_says_before_what_goes_and_after_what_went(lists: Lists) -> None:
    run = lists.bring(HEAD + "ann@example.com,Ann,\n", consent=AGREED)
    client = signed_in("lead")
    page = reverse("admin:crm_importrun_change", args=[run.pk])
    undo = reverse("admin:crm_importrun_undo", args=[run.pk])
    assert undo in client.get(page).content.decode()
    before = client.get(undo)
    assert before.status_code == 200
    text = before.content.decode()
    assert "1 person" in text and f"Type {run.pk} to confirm" in text
    refused = client.post(undo, {"confirm": "no"}, follow=True).content.decode()
    run.refresh_from_db()
    assert run.status == "done" and "Nothing was taken back" in refused
    assert client.post(undo, {"confirm": str(run.pk)}).status_code == 302
    run.refresh_from_db()
    assert run.status == "undoing"
    assert "Being taken back" in client.get(page).content.decode()
    while import_work.work(run.pk, now=LATER):
        pass
    assert "Taken back" in client.get(page).content.decode()
    agent = signed_in("agent")
    assert (
        agent.get(undo).status_code == 403 and agent.post(undo, {"confirm": str(run.pk)}).status_code == 403
    )
    assert undo not in agent.get(page).content.decode()


def test_rest(client: Client, lists: Lists) -> None:
    run = lists.bring(HEAD + "ann@example.com,Ann,\n", consent=NONE)
    reader = Api(client, "crm.importrun:read")
    report = reader("get", f"imports/{run.pk}/undo/")
    assert report.json() == {
        "people": 1,
        "asked": 1,
        "is_estimate": False,
        "figures": {"people": 1, "gone": 1, "consents": 0},
    }
    assert reader("post", f"imports/{run.pk}/undo/", {"confirm": str(run.pk)}).status_code == 403
    writer = Api(client, "crm.importrun:write")
    refused = writer("post", f"imports/{run.pk}/undo/", {"confirm": "x"})
    assert (refused.status_code, refused.json()["code"]) == (400, "confirm_needed")
    begun = writer("post", f"imports/{run.pk}/undo/", {"confirm": str(run.pk)})
    assert (begun.status_code, begun.json()["status"]) == (202, "undoing")
    while import_work.work(run.pk, now=LATER):
        pass
    ended = reader("get", f"imports/{run.pk}/").json()
    assert (ended["status"], ended["undo"]["figures"]["gone"]) == ("undone", 1)
    assert json.dumps(ended["undo"]).count("example.com") == 0


def test_the_warm_up_list_holds_those_who_may_get_marketing(client: Client, lists: Lists) -> None:
    run = lists.bring(
        "email,ads\nann@example.com,yes\nbea@example.com,no\ncora@example.com,yes\n",
        consent={**AGREED, "claims": []}, ads="consent:marketing:email",
    )  # fmt: skip
    cora = whose("cora@example.com")
    ContactPoint.objects.filter(profile_id=cora).update(bounced_at=NOON)
    lead = signed_in("lead")
    url = reverse("admin:crm_importrun_warm_up", args=[run.pk])
    assert url in lead.get(f"{reverse('admin:crm_importrun_dormant')}?run={run.pk}").content.decode()
    assert lead.post(url).status_code == 302
    made = Segment.objects.get()
    assert (made.kind, made.size, made.name.startswith("Warm-up: Fans 2019, ")) == ("static", 1, True)
    assert list(made_of(made)) == [whose("ann@example.com")]
    again = Api(client, "crm.importrun:write")("post", f"imports/{run.pk}/warm-up/")
    assert (again.status_code, again.json()["size"]) == (201, 1)
    assert again.json()["name"] == f"{made.name} (2)"
    assert signed_in("agent").post(url).status_code == 403


def made_of(segment: Segment) -> Any:
    return SegmentMembership.objects.filter(segment_id=segment.pk).values_list("profile_id", flat=True)


def test_a_list_without_anybody_warm_makes_no_segment(client: Client, lists: Lists) -> None:
    run = lists.bring(HEAD + "ann@example.com,Ann,\n")
    refused = Api(client, "crm.importrun:write")("post", f"imports/{run.pk}/warm-up/")
    assert (refused.status_code, refused.json()["code"]) == (404, "nobody_warm")
    assert Segment.objects.count() == 0
