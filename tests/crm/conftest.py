"""Fixtures of crm: sources, a client that knocks at the door, and caches that forget between tests."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from crm.ingest import admission, keys
from crm.kernel import actors, clock, knobs
from crm.models import Source
from crm.selectors import catalogue, rules
from crm.services import partitions, sources
from crm.services.touchpoints import SourceRef

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SYSTEM = actors.system("test")


@pytest.fixture(autouse=True)
def forgetful_caches() -> Iterator[None]:
    """A row that a test rolled back must not live on in a cache of the process."""
    yield
    keys.forget()
    admission.forget()
    catalogue.forget()
    rules.forget()
    knobs.forget()
    partitions.forget()


@pytest.fixture
def server_source(db: None) -> Source:
    return sources.create("Shop", trust="server", actor=SYSTEM, now=clock.now())


@pytest.fixture
def browser_source(db: None) -> Source:
    return sources.create("Shop site", trust="browser", actor=SYSTEM, now=clock.now())


def ref(source: Source) -> SourceRef:
    return SourceRef(source.pk, source.trust, source.name)


Post = Callable[..., Any]


@pytest.fixture
def post(client: Client, server_source: Source) -> Post:
    """post(path, body, key=…, **headers) -> response; the body may be bytes or something for JSON."""

    def send(path: str, body: Any, *, key: str | None = None, **headers: str) -> Any:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        token = b64encode(f"{server_source.write_key if key is None else key}:".encode()).decode()
        headers.setdefault("content_type", "application/json")
        content_type = headers.pop("content_type")
        return client.post(
            path, raw, content_type=content_type, headers={"Authorization": f"Basic {token}", **headers}
        )

    return send
