"""Idempotency keys on routes that name a segment by its own `key`."""

import pytest
from rest_framework.test import APIClient

from crm.kernel import clock
from crm.models import Segment
from crm.services import segments, sources
from tests.crm.conftest import SYSTEM


@pytest.mark.django_db
def test_a_copy_is_made_once_per_key() -> None:
    segments.create("Tea", rule={"touchpoint": "Tea Tasted"}, actor=SYSTEM, now=clock.now())
    _row, text = sources.create_api_key("test", scopes=["crm.segment:write"], actor=SYSTEM, now=clock.now())
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}", HTTP_IDEMPOTENCY_KEY="once")
    answers = [client.post("/api/v1/segments/tea/duplicate/", {"name": "Tea again"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[1]["Idempotent-Replayed"] == "true"
    assert Segment.objects.count() == 2
    # A key belongs to its route: elsewhere it is new.
    assert client.post("/api/v1/segments/nobody/archive/").status_code == 404
