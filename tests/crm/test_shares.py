"""A source's share of the door: a limit in events, and room for the others."""

from __future__ import annotations

import json
import threading
import time
from base64 import b64encode
from collections import Counter
from http.client import HTTPConnection
from typing import Any

import pytest

from crm.ingest import admission, shares
from crm.kernel import clock
from crm.models import IngestionWarning, Source, Touchpoint
from crm.services import sources, touchpoints
from tests.crm.conftest import SYSTEM, Post


def limit(source: Source, rate: int, burst: int) -> None:
    sources.set_limits(source.pk, rate_limit=rate, burst_limit=burst, actor=SYSTEM, now=clock.now())
    admission.forget()
    shares._redis().delete(f"renxin:share:{source.pk}")


def batch(number: int, first: int = 0) -> dict[str, Any]:
    return {
        "batch": [
            {"type": "track", "event": "x", "userId": "u-1", "messageId": f"m-{first + n}"}
            for n in range(number)
        ]
    }


@pytest.mark.django_db
def test_over_the_limit_is_429_with_a_time_and_a_warning(
    post: Post, server_source: Source, browser_source: Source
) -> None:
    limit(server_source, rate=1, burst=5)
    assert post("/v1/batch", batch(5)).status_code == 200
    refused = post("/v1/batch", batch(5, 10))
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
    assert 1 <= int(refused["Retry-After"]) <= 5
    assert refused["Access-Control-Allow-Origin"] == "*"
    assert post("/v1/track", {"event": "x", "userId": "u-2"}, key=browser_source.write_key).status_code == 200
    assert Touchpoint.objects.filter(source_id=server_source.pk).count() == 5
    warning = IngestionWarning.objects.get()
    assert (warning.source_id, warning.code, warning.count) == (server_source.pk, "rate_limited", 1)


@pytest.mark.django_db
def test_the_largest_batch_passes_the_smallest_limit_and_is_paid_for(
    post: Post, server_source: Source
) -> None:
    limit(server_source, rate=1, burst=1)
    assert post("/v1/batch", batch(300)).json()["accepted"] == 300
    refused = post("/v1/track", {"event": "x", "userId": "u-1"})
    assert refused.status_code == 429
    assert 290 <= int(refused["Retry-After"]) <= 300


@pytest.mark.django_db
def test_the_bucket_is_one_for_all_processes(server_source: Source) -> None:
    limit(server_source, rate=1, burst=5)
    shares.spend(server_source.pk, 5)
    shares.forget()  # another process knows nothing of what was spent here
    with pytest.raises(admission.OverShare):
        shares.spend(server_source.pk, 1)


@pytest.mark.django_db
def test_a_busy_source_asks_redis_once_in_many_requests(
    server_source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    take = shares._take
    monkeypatch.setattr(shares, "_take", lambda *args, **kwargs: calls.append(1) or take(*args, **kwargs))
    limit(server_source, rate=50_000, burst=500_000)
    for _ in range(400):
        shares.spend(server_source.pk, 10)
    assert len(calls) <= 3


@pytest.mark.django_db
def test_without_redis_each_process_counts_for_itself(
    server_source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(server_source, rate=1, burst=3)
    monkeypatch.setattr(shares, "_take", lambda *args, **kwargs: None)
    for _ in range(3):
        shares.spend(server_source.pk, 1)
    with pytest.raises(admission.OverShare):
        shares.spend(server_source.pk, 1)


@pytest.mark.django_db
def test_redis_away_refuses_nobody(post: Post, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    shares._redis.cache_clear()
    shares._script.cache_clear()
    try:
        assert post("/v1/batch", batch(50)).status_code == 200
    finally:
        shares._redis.cache_clear()
        shares._script.cache_clear()


def test_alone_a_source_may_hold_every_place_and_in_company_its_share(db: None) -> None:
    admission.forget()
    for _ in range(8):
        shares.enter(1)
    for _ in range(8):
        shares.leave(1)
    shares.enter(2)
    shares.leave(2)  # somebody else was here a moment ago
    for _ in range(6):
        shares.enter(1)
    with pytest.raises(admission.OverShare) as caught:
        shares.enter(1)
    assert caught.value.retry_after == 1
    shares.enter(2)  # there is room
    shares.leave(1)
    shares.leave(2)
    shares.enter(1)


def test_one_request_after_another_is_never_refused_a_place(db: None) -> None:
    admission.forget()
    for _ in range(50):
        for source_id in (1, 2):
            shares.enter(source_id)
            shares.leave(source_id)


@pytest.mark.django_db
def test_a_refused_request_gives_its_place_back(post: Post, server_source: Source) -> None:
    limit(server_source, rate=1, burst=1)
    post("/v1/track", {"event": "x", "userId": "u-1"})
    for _ in range(3):
        assert post("/v1/track", {"event": "x", "userId": "u-1"}).status_code == 429
    assert shares._state.at_work == 0
    assert post("/v1/track", b"not json").status_code == 400
    assert shares._state.at_work == 0


class Sender(threading.Thread):
    """One keep-alive client that sends until told to stop."""

    def __init__(self, url: str, key: str, body: bytes, stop: threading.Event, pause: float) -> None:
        super().__init__(daemon=True)
        host, _colon, port = url.removeprefix("http://").partition(":")
        self.connection = HTTPConnection(host, int(port), timeout=30)
        token = b64encode(f"{key}:".encode()).decode()
        self.headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
        self.body, self.stop, self.pause = body, stop, pause
        self.statuses: Counter[int] = Counter()
        self.waits: set[str | None] = set()

    def run(self) -> None:
        while not self.stop.is_set():
            self.connection.request("POST", "/v1/batch", self.body, self.headers)
            response = self.connection.getresponse()
            response.read()
            self.statuses[response.status] += 1
            if response.status == 429:
                self.waits.add(response.headers["Retry-After"])
            time.sleep(self.pause)
        self.connection.close()


@pytest.mark.django_db(transaction=True)
def test_a_flood_of_one_source_leaves_the_other_answered(
    live_server: Any, server_source: Source, browser_source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over HTTP: eight clients of one source, whose requests take long, and one client of another."""
    record = touchpoints.record

    def slowly(events: Any, **keywords: Any) -> Any:
        if keywords["source"].id == server_source.pk:
            time.sleep(0.05)
        return record(events, **keywords)

    monkeypatch.setattr(touchpoints, "record", slowly)
    stop = threading.Event()
    body = json.dumps(batch(20)).encode()
    flood = [Sender(live_server.url, server_source.write_key, body, stop, 0.0) for _ in range(8)]
    calm = Sender(live_server.url, browser_source.write_key, json.dumps(batch(1)).encode(), stop, 0.01)
    for sender in (*flood, calm):
        sender.start()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and (
        calm.statuses.total() < 10 or not any(sender.statuses[429] for sender in flood)
    ):
        time.sleep(0.02)
    stop.set()
    for sender in (*flood, calm):
        sender.join(30)
    total: Counter[int] = sum((sender.statuses for sender in flood), Counter())
    assert set(calm.statuses) == {200}
    assert calm.statuses[200] >= 10
    assert set(total) == {200, 429}
    assert set().union(*(sender.waits for sender in flood)) == {"1"}
    rows = IngestionWarning.objects.filter(code="rate_limited")
    assert {row.source_id for row in rows} == {server_source.pk}
