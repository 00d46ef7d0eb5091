"""Segment's browser SDK, unmodified, in a real Chromium, on a page of another site than the door."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from crm.models import Identity, IngestionWarning, Profile, Source, Touchpoint

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = """<!doctype html><html><head><meta charset="utf-8"><title>Tea 茶</title></head>
<body><script src="/umd/index.js"></script></body></html>"""
LOAD = """async ([key, cdn, options]) => {
  const [analytics] = await window.AnalyticsNext.AnalyticsBrowser.load({ writeKey: key, cdnURL: cdn }, options);
  window.analytics = analytics;
}"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Nothing on stderr."""


@pytest.fixture
def shop(npm_version: Callable[[str], Path], tmp_path: Path) -> Iterator[str]:
    """The address of a page that carries the SDK's own bundle; another origin than the door's."""
    bundle = npm_version("@segment/analytics-next") / "dist" / "umd"
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "umd").symlink_to(bundle)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


class Visitor:
    """A browser on the shop's page, and every request it made to the door."""

    def __init__(self, page: Any, door: str) -> None:
        self.page, self.door = page, door
        self.asked: list[tuple[str, str, int]] = []
        self.sent: set[tuple[str, str]] = set()
        self.errors: list[str] = []
        page.on("request", lambda request: self.sent.add((request.method, request.url.removeprefix(door))))
        page.on("response", self._note)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _note(self, response: Any) -> None:
        if response.url.startswith(self.door):
            self.asked.append(
                (response.request.method, response.url.removeprefix(self.door), response.status)
            )

    def load(self, key: str, **options: Any) -> None:
        self.page.evaluate(LOAD, [key, self.door, options])

    def run(self, script: str) -> Any:
        return self.page.evaluate(f"async () => {{ {script} }}")


@pytest.fixture
def visitor(page: Any, live_server: Any, shop: str) -> Visitor:
    found = Visitor(page, live_server.url)
    page.goto(shop)
    return found


def stored(number: int) -> list[Touchpoint]:
    """The touchpoints, once `number` of them are there."""
    deadline = time.monotonic() + 20
    while Touchpoint.objects.exclude(kind="crm.profile.merged").count() < number:
        assert time.monotonic() < deadline, list(Touchpoint.objects.values_list("kind", "properties"))
        time.sleep(0.05)
    return list(Touchpoint.objects.exclude(kind="crm.profile.merged").order_by("occurred_at", "id"))


def test_a_visitor_becomes_a_customer(visitor: Visitor, browser_source: Source) -> None:
    visitor.load(browser_source.write_key)
    device = visitor.run("return window.analytics.user().anonymousId()")
    visitor.run("await window.analytics.page('Home')")
    visitor.run("await window.analytics.track('Product Viewed', { sku: 'tea-7', name: '龙井', price: 12.5 })")
    visitor.run("await window.analytics.identify('u-42', { email: 'lin@example.com', name: 'Lin Xia' })")
    visitor.run("await window.analytics.track('Order Completed', { revenue: 59.9, currency: 'CNY' })")
    visitor.run("await window.analytics.group('g-1', { name: 'Example Ltd' })")
    rows = stored(5)
    assert visitor.errors == []
    assert sorted(row.kind for row in rows) == [
        "Order Completed", "Product Viewed", "group", "identify", "page",
    ]  # fmt: skip
    viewed = next(row for row in rows if row.kind == "Product Viewed")
    assert viewed.properties == {"sku": "tea-7", "name": "龙井", "price": 12.5}
    assert (viewed.channel, viewed.context["page"]["title"]) == ("web", "Tea 茶")
    root = Profile.objects.roots().get()
    assert root.display_name == "Lin Xia"
    assert {("user_id", "u-42"), ("anonymous_id", device), ("email", "lin@example.com")} == set(
        Identity.objects.values_list("kind", "value")
    )
    posts = [(path, status) for method, path, status in visitor.asked if method == "POST"]
    assert sorted(posts) == [("/v1/g", 200), ("/v1/i", 200), ("/v1/p", 200), ("/v1/t", 200), ("/v1/t", 200)]
    assert ("GET", f"/v1/projects/{browser_source.write_key}/settings", 200) in visitor.asked
    # A public key makes no account of a company; staff are told so, and nothing else was wrong.
    assert list(IngestionWarning.objects.exclude(code="account_unknown").values_list("code", "sample")) == []


def test_batches_and_what_is_sent_while_the_page_goes_away(visitor: Visitor, browser_source: Source) -> None:
    strategy = {"strategy": "batching", "config": {"size": 3, "timeout": 60_000}}
    visitor.load(browser_source.write_key, integrations={"Segment.io": {"deliveryStrategy": strategy}})
    visitor.run("for (let n = 0; n < 4; n++) window.analytics.track('Looked', { n })")
    assert {row.properties["n"] for row in stored(3)} == {0, 1, 2}
    visitor.page.goto("about:blank")
    assert {row.properties["n"] for row in stored(4)} == {0, 1, 2, 3}
    assert {path for method, path in visitor.sent if method == "POST"} == {"/v1/b"}
    assert visitor.errors == []


def test_the_preflight_and_a_beacon(visitor: Visitor, browser_source: Source) -> None:
    """What fetch with an Authorization header and sendBeacon, which can send none, need from another origin."""
    key, door = browser_source.write_key, visitor.door
    answer = visitor.run(
        f"""const answer = await fetch('{door}/v1/t', {{ method: 'POST', headers: {{
              'Authorization': 'Basic ' + btoa('{key}:'), 'Content-Type': 'text/plain' }},
              body: JSON.stringify({{ event: 'Fetched', anonymousId: 'd-1' }}) }});
            return [answer.status, (await answer.json()).accepted]"""
    )
    assert answer == [200, 1]
    assert visitor.run(
        f"""return navigator.sendBeacon('{door}/v1/t',
              JSON.stringify({{ event: 'Beaconed', anonymousId: 'd-1', writeKey: '{key}' }}))"""
    )
    assert sorted(row.kind for row in stored(2)) == ["Beaconed", "Fetched"]


def test_a_switched_off_key_stores_nothing_and_breaks_no_page(
    visitor: Visitor, browser_source: Source
) -> None:
    Source.objects.filter(pk=browser_source.pk).update(is_active=False)
    visitor.page.evaluate(
        """async ([writeKey, cdnURL]) => {
             try { await window.AnalyticsNext.AnalyticsBrowser.load({ writeKey, cdnURL }) }
             catch (error) { window.refused = String(error) } }""",
        [browser_source.write_key, visitor.door],
    )
    assert ("GET", f"/v1/projects/{browser_source.write_key}/settings", 404) in visitor.asked
    assert visitor.errors == []
    assert Touchpoint.objects.count() == 0
