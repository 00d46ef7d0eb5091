"""Warnings of the door: one topic per thing that keeps happening, in words, quiet as long as staff said."""

from __future__ import annotations

import ast
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from crm import warning_codes
from crm.kernel import clock
from crm.kernel.errors import Invalid, NotFound
from crm.kernel.models import ActionLog
from crm.models import IngestionWarning, Source, StaffUser, WarningDecision
from crm.selectors import warnings as reads
from crm.services import warning_decisions, warnings
from crm.surfaces import warnings_this_week
from tests.crm.conftest import NOON, SYSTEM, Post

pytestmark = pytest.mark.django_db


def happens(
    source: Source, *, at: Any = NOON, code: str = "invalid_event", count: int = 1, subject: str = ""
) -> int:
    sample = {"index": 0, "message_id": "m-1", "kind": "x", "detail": "event has no name", "stored": False}
    warnings.write([(code, count, sample, subject)], source_id=source.pk, now=at)
    return IngestionWarning.objects.latest("id").pk


def topics(**more: Any) -> list[tuple[str, str, int, str]]:
    day = NOON.date()
    found = reads.topics(since=day - timedelta(days=29), until=day + timedelta(days=40), **more)
    return [(topic.code, topic.subject, topic.count, topic.state) for topic in found]


def test_days_make_one_topic(server_source: Source, browser_source: Source) -> None:
    happens(server_source, at=NOON - timedelta(days=2), count=3)
    happens(server_source, count=2)
    happens(server_source, code="schema_violation", subject="Tea Tasted", at=NOON + timedelta(minutes=1))
    happens(server_source, code="schema_violation", subject="Tea Bought", at=NOON + timedelta(minutes=2))
    happens(browser_source, at=NOON - timedelta(hours=1), count=7)
    assert topics() == [
        ("schema_violation", "Tea Bought", 1, "open"),
        ("schema_violation", "Tea Tasted", 1, "open"),
        ("invalid_event", "", 5, "open"),
        ("invalid_event", "", 7, "open"),
    ]
    assert topics(source_id=browser_source.pk) == [("invalid_event", "", 7, "open")]
    (topic,) = reads.topics(since=NOON.date(), until=NOON.date(), source_id=browser_source.pk)
    assert (topic.source_name, topic.days, str(topic.meaning.title)) == (
        "Shop site", [(NOON.date(), 7)], "Not an event",
    )  # fmt: skip


def test_what_is_resolved_comes_back_when_it_happens_again(server_source: Source) -> None:
    ident = happens(server_source)
    warning_decisions.resolve(ident, note="mended in 2.1", actor=SYSTEM, now=NOON + timedelta(minutes=5))
    assert topics() == [("invalid_event", "", 1, "resolved")]
    assert topics(state="open") == []
    assert warnings_this_week(now=NOON).value == 0
    happens(server_source, at=NOON + timedelta(minutes=6))
    assert topics(state="open") == [("invalid_event", "", 2, "open")]
    assert warnings_this_week(now=NOON).value == 2


def test_what_is_muted_stays_quiet_for_its_days_and_comes_back_after(server_source: Source) -> None:
    ident = happens(server_source)
    warning_decisions.mute(ident, days=7, actor=SYSTEM, now=NOON)
    happens(server_source, at=NOON + timedelta(days=6))
    assert topics() == [("invalid_event", "", 2, "muted")]
    happens(server_source, at=NOON + timedelta(days=8))
    assert topics() == [("invalid_event", "", 3, "open")]


def test_a_decision_is_about_one_source_code_and_subject(
    server_source: Source, browser_source: Source
) -> None:
    ident = happens(server_source, code="schema_violation", subject="a")
    happens(server_source, code="schema_violation", subject="b")
    happens(browser_source, code="schema_violation", subject="a")
    warning_decisions.resolve(ident, actor=SYSTEM, now=NOON)
    assert len(topics(state="open")) == 2
    warning_decisions.reopen(ident, actor=SYSTEM, now=NOON)
    assert len(topics(state="open")) == 3
    logged = ActionLog.objects.filter(action__startswith="crm.warning.").order_by("id")
    assert list(logged.values_list("action", flat=True)) == [
        "crm.warning.resolved", "crm.warning.reopened",
    ]  # fmt: skip


def test_refusals(server_source: Source) -> None:
    ident = happens(server_source)
    for days in (0, 366, -1):
        with pytest.raises(Invalid):
            warning_decisions.mute(ident, days=days, actor=SYSTEM, now=NOON)
    with pytest.raises(Invalid):
        warning_decisions.resolve(ident, note="x" * 301, actor=SYSTEM, now=NOON)
    with pytest.raises(NotFound):
        warning_decisions.resolve(987, actor=SYSTEM, now=NOON)
    assert WarningDecision.objects.count() == 0


def test_the_sample_holds_no_value_of_a_person(post: Post) -> None:
    bad = {
        "type": "track",
        "userId": "ann-private",
        "properties": {"email": "ann@example.com"},
        "messageId": "m\u0000",
    }
    assert post("/v1/batch", {"batch": [bad]}).json()["rejected"][0]["index"] == 0
    text = str(IngestionWarning.objects.get().sample)
    assert "ann" not in text


def test_made_up_kinds_make_no_rows_without_end(post: Post) -> None:
    batch = [{"type": "track", "event": f"voc.made.up.{n}", "userId": "null"} for n in range(50)]
    post("/v1/batch", {"batch": batch})
    assert IngestionWarning.objects.count() == 1


def test_the_page_says_what_to_do_and_takes_decisions(
    client: Client, server_source: Source, browser_source: Source
) -> None:
    client.force_login(StaffUser.objects.create_superuser("boss", password="not-a-secret"))
    url = reverse("admin:crm_ingestionwarning_changelist")
    assert "No open warnings" in client.get(url).content.decode()
    now = clock.now()
    ident = happens(server_source, at=now, count=4)
    happens(browser_source, at=now, code="rate_limited")
    page = client.get(url).content.decode()
    assert "Not an event" in page
    assert "Read the detail of the sample" in page
    assert "4×" in page
    assert "Not an event" not in client.get(url, {"source": browser_source.pk}).content.decode()
    client.post(url, {"action": "mute", "id": ident, "days": "30"})
    assert WarningDecision.objects.get().state == "muted"
    assert "Not an event" not in client.get(url).content.decode()
    assert "Not an event" in client.get(url, {"state": "muted"}).content.decode()
    client.post(url, {"action": "reopen", "id": ident})
    client.post(url, {"action": "resolve", "id": "x"})
    client.post(url, {"action": "mute", "id": ident, "days": "x"})
    assert WarningDecision.objects.count() == 0


def test_readers_read(client: Client, server_source: Source) -> None:
    from django.contrib.auth.models import Permission

    user = StaffUser.objects.create_user("reader", password="not-a-secret", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_ingestionwarning"))
    client.force_login(user)
    ident = happens(server_source, at=clock.now())
    url = reverse("admin:crm_ingestionwarning_changelist")
    page = client.get(url).content.decode()
    assert "Not an event" in page
    assert 'value="resolve"' not in page
    assert client.post(url, {"action": "resolve", "id": ident}).status_code == 403
    assert WarningDecision.objects.count() == 0


def test_every_code_of_the_door_is_explained() -> None:
    """Codes in refusals and warnings of crm, found in the source text, have words."""
    found: set[str] = set()
    for folder in ("ingest", "services"):
        for path in (Path(settings.BASE_DIR) / "crm" / folder).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    found |= _codes(node)
    assert "schema_violation" in found
    assert found - set(warning_codes.CODES) == set()


def _codes(call: ast.Call) -> set[str]:
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
    texts = [arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
    if name == "Rejection":
        return set(texts[:1])
    owner = getattr(
        getattr(call.func, "value", None), "id", getattr(getattr(call.func, "value", None), "attr", "")
    )
    if name == "append" and owner == "warnings" and isinstance(call.args[0], ast.Tuple):
        first = call.args[0].elts[0]
        return {first.value} if isinstance(first, ast.Constant) and isinstance(first.value, str) else set()
    return set()
