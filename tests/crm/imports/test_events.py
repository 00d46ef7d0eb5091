"""Lists of events: onto the timeline once, triggering nothing unless asked."""

from __future__ import annotations

from datetime import UTC, datetime

from crm.kernel.models import PendingReaction
from crm.models import Identity, ImportMember, ImportReject, MergeSuggestion, Profile, Touchpoint
from crm.services import profiles
from tests.crm.conftest import NOON, SYSTEM
from tests.crm.imports.conftest import Lists

TEXT = """event,time,user id,email,order id,revenue,渠道
Order Completed,2019-05-21 18:30:00,u1,a@example.com,o-1,12.50,store
Order Completed,2019-05-22T10:00:00Z,u1,,o-2,3,web
Order Refunded,2019/6/1,u2,,o-3,,
,2019-06-01,u2,,o-4,,
Order Completed,yesterday,u2,,o-5,,
Order Completed,1970-01-01,u2,,o-6,,
Order Completed,2019-06-01,,,o-7,,
Order Completed,2019-05-21 18:30:00,u1,a@example.com,o-1,12.50,store
"""


def everything() -> list[Touchpoint]:
    ids = list(Profile.objects.values_list("pk", flat=True))
    return list(Touchpoint.objects.filter(profile_id__in=ids).order_by("occurred_at"))


def test_events_of_the_past_come_onto_timelines(lists: Lists) -> None:
    run = lists.bring(
        TEXT, kind="events", source="Old shop", 渠道="channel", revenue="property:revenue/number"
    )
    rows = everything()
    assert [(t.kind, t.occurred_at, t.properties, t.channel) for t in rows] == [
        ("Order Completed", datetime(2019, 5, 21, 10, 30, tzinfo=UTC), {"revenue": 12.5}, "store"),
        ("Order Completed", datetime(2019, 5, 22, 10, 0, tzinfo=UTC), {"revenue": 3}, "web"),
        ("Order Refunded", datetime(2019, 5, 31, 16, 0, tzinfo=UTC), {}, ""),
    ]
    assert Identity.objects.get(kind="user_id", value="u1").profile_id == rows[0].profile_id
    assert (run.counters["stored"], run.counters["duplicates"], run.counters["rejected"]) == (3, 1, 4)
    assert list(ImportReject.objects.order_by("row").values_list("row", "code")) == [
        (5, "no_kind"),
        (6, "invalid_time"),
        (7, "time_out_of_range"),
        (8, "no_identifier"),
    ]
    assert ImportMember.objects.count() == 2
    assert not PendingReaction.objects.exclude(receiver__startswith="crm.receivers.compute").exists()


def test_events_without_ids_are_stored_once_as_well(lists: Lists) -> None:
    text = "event,time,email\nVisited,2019-05-21,a@example.com\nVisited,2019-05-22,a@example.com\n"
    lists.bring(text, kind="events", source="Gate")
    again = lists.bring(text + "Visited,2019-05-23,a@example.com\n", kind="events", source="Gate")
    assert len(everything()) == 3
    assert (again.counters["stored"], again.counters["duplicates"]) == (1, 2)


def test_a_list_of_events_joins_nobody_either(lists: Lists) -> None:
    first = profiles.resolve([("user_id", "u1")], trust="server", actor=SYSTEM, now=NOON)
    second = profiles.resolve([("email", "a@example.com")], trust="server", actor=SYSTEM, now=NOON)
    lists.bring(
        "event,time,user id,email\nVisited,2019-05-21,u1,a@example.com\n", kind="events", source="Gate"
    )
    assert Profile.objects.filter(merged_into__isnull=False).count() == 0
    assert [(s.first_id, s.second_id) for s in MergeSuggestion.objects.all()] == [(first, second)]
    assert [t.profile_id for t in everything()] == [first]
