"""The door over a real socket: every purchase of the CDNOW file."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from datetime import UTC, datetime
from decimal import Decimal
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from crm.kernel import clock
from crm.kernel.models import PendingReaction
from crm.models import EventReceipt, Profile, Source, Touchpoint
from crm.services import sources
from tests.crm.conftest import SYSTEM

pytestmark = pytest.mark.django_db(transaction=True)

DATA = Path(os.environ.get("RENXIN_DATA") or settings.BASE_DIR.parent / "shared" / "data")
CDNOW = DATA / "cdnow" / "CDNOW_sample.txt"


@pytest.fixture
def source() -> Source:
    return sources.create("Shop", trust="server", actor=SYSTEM, now=clock.now())


class Door:
    """One keep-alive connection to the door."""

    def __init__(self, url: str, key: str) -> None:
        host, _colon, port = url.removeprefix("http://").partition(":")
        self.connection = HTTPConnection(host, int(port))
        token = b64encode(f"{key}:".encode()).decode()
        self.headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}

    def batch(self, events: list[dict[str, Any]]) -> dict[str, Any]:
        body = json.dumps({"batch": events, "sentAt": datetime.now(tz=UTC).isoformat()})
        self.connection.request("POST", "/v1/batch", body, self.headers)
        response = self.connection.getresponse()
        answer = json.loads(response.read())
        assert response.status == 200, answer
        return answer


def purchases() -> list[dict[str, Any]]:
    made = []
    for number, line in enumerate(CDNOW.read_text().splitlines()):
        _master, customer, day, quantity, dollars = line.split()
        made.append(
            {
                "type": "track",
                "event": "Order Completed",
                "userId": f"cdnow-{customer}",
                "messageId": f"cdnow-{number}",
                "timestamp": f"{day[:4]}-{day[4:6]}-{day[6:]}T12:00:00Z",
                "properties": {"revenue": dollars, "currency": "USD", "quantity": int(quantity)},
            }
        )
    return made


@pytest.mark.skipif(not CDNOW.is_file(), reason=f"needs the CDNOW file at {CDNOW}")
def test_every_purchase_of_cdnow_arrives_once(live_server: Any, source: Source) -> None:
    events = purchases()
    assert len(events) == 6_919
    door = Door(live_server.url, source.write_key)
    sent = events + events[::10]
    answers = [door.batch(sent[at : at + 500]) for at in range(0, len(sent), 500)]
    assert sum(answer["accepted"] for answer in answers) == 6_919
    assert sum(answer["duplicates"] for answer in answers) == 692
    assert [answer["rejected"] for answer in answers if answer["rejected"]] == []
    rows = list(Touchpoint.objects.values_list("kind", "profile_id", "occurred_at", "properties"))
    assert len(rows) == EventReceipt.objects.count() == 6_919
    assert {kind for kind, _profile_id, _at, _properties in rows} == {"Order Completed"}
    assert len({profile_id for _kind, profile_id, _at, _properties in rows}) == 2_357
    assert Profile.objects.roots().count() == 2_357
    assert sum(Decimal(properties["revenue"]) for *_rest, properties in rows) == Decimal("244091.94")
    days = [at for _kind, _profile_id, at, _properties in rows]
    assert (min(days), max(days)) == (
        datetime(1997, 1, 1, 12, tzinfo=UTC),
        datetime(1998, 6, 30, 12, tzinfo=UTC),
    )
    # Purchases of another century count as purchases, and trigger nothing: no journey hears of them.
    assert set(PendingReaction.objects.values_list("receiver", flat=True)) == {
        "crm.receivers.compute_after_touchpoints",
        "crm.receivers.roll_up_accounts_of",
    }
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_class WHERE relname ~ '^crm_touchpoint_y199[78]m[0-9]+$'")
        assert cursor.fetchone()[0] == 18
