"""SDKs that run on servers: Segment for Python and Node, RudderStack for Python."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import pytest

from crm.models import Identity, IngestionWarning, Profile, Source, Touchpoint

pytestmark = pytest.mark.django_db(transaction=True)


def stored() -> list[str]:
    """Kinds as they arrived. Whether two ids met in one request or two is the SDK's choice, so merges are left out."""
    rows = Touchpoint.objects.exclude(kind="crm.profile.merged")
    return sorted(rows.values_list("kind", flat=True))


@pytest.mark.parametrize("gzip", [False, True], ids=["plain", "gzip"])
def test_segment_for_python(
    live_server: Any, server_source: Source, version: Callable[[str, str], None], gzip: bool
) -> None:
    from segment.analytics.client import Client

    version("segment-analytics-python", package_version("segment-analytics-python"))
    failures: list[Any] = []
    client = Client(
        server_source.write_key, host=live_server.url, gzip=gzip, max_retries=1,
        on_error=lambda *args: failures.append(args),
    )  # fmt: skip
    client.identify("u-1", {"email": "Ann@example.com", "name": "Ann Example", "plan": "gold"})
    client.track(
        "u-1", "Order Completed", {"revenue": 29.33, "products": [{"sku": "茶"}]}, integrations={"All": False}
    )
    client.page("u-1", "Shop", "Home")
    client.screen(anonymous_id="device-1", name="Start")
    client.group("u-1", "g-1", {"name": "Example Ltd"})
    client.alias("device-1", "u-1")
    client.flush()
    client.join()
    assert failures == []
    assert stored() == ["Order Completed", "alias", "group", "identify", "page", "screen"]
    root = Profile.objects.roots().get()
    assert (root.display_name, root.traits) == ("Ann Example", {"plan": "gold"})
    assert {("user_id", "u-1"), ("email", "ann@example.com"), ("anonymous_id", "device-1")} == set(
        Identity.objects.values_list("kind", "value")
    )
    assert IngestionWarning.objects.count() == 0


def test_rudderstack_for_python(
    live_server: Any, server_source: Source, version: Callable[[str, str], None]
) -> None:
    from rudderstack.analytics.client import Client

    version("rudder-sdk-python", package_version("rudder-sdk-python"))
    failures: list[Any] = []
    client = Client(
        server_source.write_key, host=live_server.url, max_retries=1,
        on_error=lambda *args: failures.append(args),
    )  # fmt: skip
    client.identify("u-1", {"email": "ann@example.com", "name": "Ann Example"})
    client.track("u-1", "Product Viewed", {"sku": "1"})
    client.flush()
    client.join()
    assert failures == []
    assert stored() == ["Product Viewed", "identify"]
    assert Profile.objects.get().display_name == "Ann Example"


NODE = """
const { Analytics } = require('@segment/analytics-node');
const analytics = new Analytics({ writeKey: process.env.KEY, host: process.env.HOST, maxRetries: 1 });
analytics.on('error', (error) => { console.error(error); process.exitCode = 1; });
analytics.identify({ userId: 'u-1', traits: { email: 'ann@example.com', name: 'Ann Example' } });
analytics.track({ userId: 'u-1', event: 'Product Viewed', properties: { sku: '1' } });
analytics.track({ anonymousId: 'd-1', event: 'Product Viewed', properties: { sku: '2' },
                  timestamp: new Date('2026-05-01T10:00:00Z'), integrations: { All: true } });
analytics.page({ userId: 'u-1', anonymousId: 'd-1', name: 'Home' });
analytics.screen({ userId: 'u-1', name: 'Start' });
analytics.group({ userId: 'u-1', groupId: 'g-1', traits: { name: 'Example Ltd' } });
analytics.alias({ userId: 'u-1', previousId: 'd-0' });
for (let n = 0; n < 40; n++) analytics.track({ userId: 'u-1', event: 'Looked', properties: { n } });
analytics.closeAndFlush().then(() => process.exit());
"""


def test_segment_for_node(
    live_server: Any, server_source: Source, npm_version: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = npm_version("@segment/analytics-node")
    script = tmp_path / "send.js"
    script.write_text(NODE)
    environment = {
        **os.environ, "KEY": server_source.write_key, "HOST": live_server.url,
        "NODE_PATH": str(folder.parent.parent),
    }  # fmt: skip
    done = subprocess.run(
        ["node", str(script)], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert stored() == sorted(
        ["Product Viewed", "Product Viewed", "alias", "group", "identify", "page", "screen"] + ["Looked"] * 40
    )
    root = Profile.objects.roots().get()
    assert root.display_name == "Ann Example"
    old = Touchpoint.objects.get(kind="Product Viewed", properties__sku="2")
    assert old.occurred_at.isoformat() == "2026-05-01T10:00:00+00:00"
    assert IngestionWarning.objects.count() == 0
