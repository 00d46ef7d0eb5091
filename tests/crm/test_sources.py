"""Write keys that overlap, limits of a source, and what its page shows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from crm.ingest import keys
from crm.kernel import clock
from crm.kernel.errors import Invalid, NotFound
from crm.kernel.models import ActionLog
from crm.models import RetiredKey, Source, SourceMinute, StaffUser, Touchpoint
from crm.selectors import sources as reads
from crm.services import sources, tallies
from tests.crm.conftest import SYSTEM, Post

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(StaffUser.objects.create_superuser("boss", password="not-a-secret"))
    return client


def track(number: int = 1, **more: Any) -> dict[str, Any]:
    return {"event": "Product Viewed", "userId": "u-1", "messageId": f"m-{number}", **more}


def knock(post: Post, key: str, number: int) -> int:
    keys.forget()
    return int(post("/v1/track", track(number), key=key).status_code)


def test_a_replaced_key_works_until_its_time_and_says_when_it_was_used(
    post: Post, server_source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now()
    old = server_source.write_key
    new = sources.rotate(
        server_source.pk, works_until=now + timedelta(days=7), actor=SYSTEM, now=now
    ).write_key
    assert new != old
    assert [knock(post, key, n) for n, key in enumerate((new, old))] == [200, 200]
    assert Touchpoint.objects.filter(source_id=server_source.pk).count() == 2
    (key,) = reads.retired_keys(server_source.pk, now=now)
    assert (key.state, key.ends) == ("works", f"{old[:6]}…{old[-2:]}")
    assert key.last_used_at is not None
    (later,) = reads.retired_keys(server_source.pk, now=now + timedelta(days=7))
    assert later.state == "expired"
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(days=7))
    assert [knock(post, key, n + 2) for n, key in enumerate((new, old))] == [200, 401]


def test_revoking_closes_the_door_to_the_old_key_alone(post: Post, server_source: Source) -> None:
    now, old = clock.now(), server_source.write_key
    new = sources.rotate(
        server_source.pk, works_until=now + timedelta(days=1), actor=SYSTEM, now=now
    ).write_key
    sources.revoke_retired_key(RetiredKey.objects.get().pk, actor=SYSTEM, now=now)
    assert [knock(post, key, n) for n, key in enumerate((new, old))] == [200, 401]
    assert reads.retired_keys(server_source.pk, now=now)[0].state == "revoked"
    assert list(ActionLog.objects.order_by("id").values_list("action", flat=True)) == [
        "crm.source.created", "crm.source.rotated", "crm.source.key_revoked",
    ]  # fmt: skip


def test_without_a_time_the_old_key_stops(post: Post, server_source: Source) -> None:
    old = server_source.write_key
    sources.rotate(server_source.pk, actor=SYSTEM, now=clock.now())
    assert knock(post, old, 1) == 401
    assert Touchpoint.objects.count() == 0


def test_a_source_that_is_off_is_off_for_replaced_keys_too(post: Post, server_source: Source) -> None:
    now, old = clock.now(), server_source.write_key
    sources.rotate(server_source.pk, works_until=now + timedelta(days=1), actor=SYSTEM, now=now)
    sources.set_active(server_source.pk, active=False, actor=SYSTEM, now=now)
    assert knock(post, old, 1) == 401


@pytest.mark.parametrize("days", [0, -1, 91])
def test_the_overlap_is_bounded(server_source: Source, days: int) -> None:
    now = clock.now()
    with pytest.raises(Invalid) as caught:
        sources.rotate(server_source.pk, works_until=now + timedelta(days=days), actor=SYSTEM, now=now)
    assert caught.value.code == "invalid_time"
    assert RetiredKey.objects.count() == 0
    assert Source.objects.get().write_key == server_source.write_key


def test_unknown_rows(db: None) -> None:
    for call in (
        lambda: sources.rotate(987, actor=SYSTEM, now=clock.now()),
        lambda: sources.revoke_retired_key(987, actor=SYSTEM, now=clock.now()),
        lambda: sources.set_limits(987, rate_limit=1, burst_limit=1, actor=SYSTEM, now=clock.now()),
    ):
        with pytest.raises(NotFound):
            call()


def test_minutes_days_and_the_live_list(post: Post, server_source: Source, browser_source: Source) -> None:
    for number in range(3):
        post("/v1/track", track(number, properties={"sku": number}))
    post("/v1/track", track(9), key=browser_source.write_key)
    now = clock.now()
    before = (reads.per_minute(server_source.pk, now=now), reads.live(server_source.pk, now=now))
    assert tallies.fold() == 4
    after = (reads.per_minute(server_source.pk, now=now), reads.live(server_source.pk, now=now))
    assert before == after
    chart, events = after
    assert (chart.total, len(chart.bars)) == (3, 60)
    assert [event.properties["sku"] for event in events] == [2, 1, 0]
    assert reads.per_day(server_source.pk, today=now.date()).bars[-1].count == 3
    assert sorted(SourceMinute.objects.values_list("source_id", "count")) == sorted(
        [(server_source.pk, 3), (browser_source.pk, 1)]
    )
    health = reads.health([server_source, browser_source], now=now)
    assert [health[source.pk].is_busy for source in (server_source, browser_source)] == [True, True]
    assert tallies.forget_minutes(now=now + timedelta(days=8)) == 2


def test_the_page_of_a_source(staff: Client, post: Post, server_source: Source) -> None:
    url = reverse("admin:crm_source_change", args=[server_source.pk])
    empty = staff.get(url).content.decode()
    assert "Nothing arrived" in empty
    assert (
        f"curl -u &#x27;{server_source.write_key}:&#x27;" in empty
        or f"curl -u '{server_source.write_key}:'" in empty
    )
    for number in range(60):
        post("/v1/track", track(number))
    staff.get(url)
    with CaptureQueriesContext(connection) as queries:
        page = staff.get(url).content.decode()
    assert page.count('class="when"') == 50
    assert len(queries) <= 17, [query["sql"][:90] for query in queries]
    part = staff.get(reverse("admin:crm_source_live", args=[server_source.pk])).content.decode()
    assert part.count('class="when"') == 50
    assert "<html" not in part
    assert staff.get(reverse("admin:crm_source_live", args=[987])).status_code == 404


def test_the_buttons_of_a_source(staff: Client, server_source: Source) -> None:
    url = reverse("admin:crm_source_change", args=[server_source.pk])
    assert staff.post(url, {"action": "rotate", "overlap": "until"}).status_code == 302
    assert RetiredKey.objects.count() == 0
    until = (clock.now() + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M")
    staff.post(url, {"action": "rotate", "overlap": "until", "until": until})
    key = RetiredKey.objects.get()
    staff.post(url, {"action": "revoke_key", "key": key.pk})
    key.refresh_from_db()
    assert key.revoked_at is not None
    staff.post(url, {"action": "limits", "rate_limit": "50", "burst_limit": ""})
    assert Source.objects.values_list("rate_limit", "burst_limit").get() == (50, None)
    staff.post(url, {"action": "limits", "rate_limit": "0", "burst_limit": ""})
    assert Source.objects.get().rate_limit == 50
    staff.post(url, {"action": "switch_off"})
    assert Source.objects.get().is_active is False


def test_a_reader_sees_neither_keys_nor_buttons(client: Client, server_source: Source) -> None:
    from django.contrib.auth.models import Permission

    sources.rotate(
        server_source.pk, works_until=clock.now() + timedelta(days=1), actor=SYSTEM, now=clock.now()
    )
    user = StaffUser.objects.create_user("reader", password="not-a-secret", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_source"))
    client.force_login(user)
    url = reverse("admin:crm_source_change", args=[server_source.pk])
    page = client.get(url).content.decode()
    for key in (Source.objects.get().write_key, RetiredKey.objects.get().write_key):
        assert key not in page
    assert 'value="rotate"' not in page
    for action in ("rotate", "revoke_key", "limits", "switch_off"):
        assert client.post(url, {"action": action}).status_code == 403
    assert Source.objects.get().is_active is True
