"""The door over a real socket: unmodified SDKs, and every purchase of the CDNOW file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
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
from crm.models import EventReceipt, Identity, Profile, Source, Touchpoint
from crm.services import sources
from tests.crm.conftest import SYSTEM

pytestmark = pytest.mark.django_db(transaction=True)

DATA = Path(os.environ.get("RENXIN_DATA") or settings.BASE_DIR.parent / "shared" / "data")
CDNOW = DATA / "cdnow" / "CDNOW_sample.txt"


@pytest.fixture
def source() -> Source:
    return sources.create("Shop", trust="server", actor=SYSTEM, now=clock.now())


def stored() -> list[tuple[str, dict[str, Any]]]:
    """What clients sent. Whether two ids met in one request or two is the SDK's choice, so merges are left out."""
    rows = Touchpoint.objects.exclude(kind="crm.profile.merged")
    return list(rows.order_by("kind", "occurred_at").values_list("kind", "properties"))


def test_the_python_sdk_of_segment(live_server: Any, source: Source) -> None:
    from segment.analytics.client import Client

    failures: list[Any] = []
    for gzip in (False, True):
        client = Client(
            source.write_key,
            host=live_server.url,
            gzip=gzip,
            max_retries=1,
            on_error=lambda *args: failures.append(args),
        )
        client.identify("u-1", {"email": "Ann@example.com", "name": "Ann Example", "plan": "gold"})
        client.track("u-1", "Order Completed", {"revenue": 29.33, "products": [{"sku": "茶"}]})
        client.page("u-1", "Shop", "Home")
        client.screen(anonymous_id="device-1", name="Start")
        client.group("u-1", "g-1", {"name": "Example Ltd"})
        client.alias("device-1", "u-1")
        client.flush()
        client.join()
    assert failures == []
    assert [kind for kind, _properties in stored()] == sorted(
        ["Order Completed", "alias", "group", "identify", "page", "screen"] * 2
    )
    root = Profile.objects.roots().get()
    assert (root.display_name, root.traits) == ("Ann Example", {"plan": "gold"})
    assert {("user_id", "u-1"), ("email", "ann@example.com"), ("anonymous_id", "device-1")} == set(
        Identity.objects.values_list("kind", "value")
    )


def test_the_python_sdk_of_rudderstack(live_server: Any, source: Source) -> None:
    from rudderstack.analytics.client import Client

    failures: list[Any] = []
    client = Client(
        source.write_key, host=live_server.url, max_retries=1, on_error=lambda *args: failures.append(args)
    )
    client.identify("u-1", {"email": "ann@example.com", "name": "Ann Example"})
    client.track("u-1", "Product Viewed", {"sku": "1"})
    client.flush()
    client.join()
    assert failures == []
    assert [kind for kind, _properties in stored()] == ["Product Viewed", "identify"]
    assert Profile.objects.get().display_name == "Ann Example"


NODE = """
const { Analytics } = require('@segment/analytics-node');
const analytics = new Analytics({ writeKey: process.env.KEY, host: process.env.HOST, maxRetries: 1 });
analytics.on('error', (error) => { console.error(error); process.exitCode = 1; });
analytics.identify({ userId: 'u-1', traits: { email: 'ann@example.com', name: 'Ann Example' } });
analytics.track({ userId: 'u-1', event: 'Product Viewed', properties: { sku: '1' } });
analytics.track({ anonymousId: 'd-1', event: 'Product Viewed', properties: { sku: '2' } });
analytics.page({ userId: 'u-1', anonymousId: 'd-1', name: 'Home' });
analytics.closeAndFlush().then(() => process.exit());
"""


def test_the_node_sdk_of_segment(live_server: Any, source: Source, tmp_path: Path) -> None:
    modules = os.environ.get("RENXIN_NODE_MODULES", "")
    if not shutil.which("node") or not (Path(modules) / "@segment" / "analytics-node").is_dir():
        pytest.skip("needs node, and RENXIN_NODE_MODULES: a node_modules folder with @segment/analytics-node")
    script = tmp_path / "send.js"
    script.write_text(NODE)
    environment = {**os.environ, "KEY": source.write_key, "HOST": live_server.url, "NODE_PATH": modules}
    done = subprocess.run(["node", str(script)], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert [kind for kind, _properties in stored()] == [
        "Product Viewed",
        "Product Viewed",
        "identify",
        "page",
    ]
    assert Profile.objects.roots().get().display_name == "Ann Example"


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
    # Purchases of another century trigger nothing.
    assert PendingReaction.objects.count() == 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_class WHERE relname ~ '^crm_touchpoint_y199[78]m[0-9]+$'")
        assert cursor.fetchone()[0] == 18
