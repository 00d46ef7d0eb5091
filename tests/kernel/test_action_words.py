"""The log of actions speaks in words: every verb that the product writes, every row by its name."""

import ast
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from crm.kernel import action_words, actionlog
from crm.kernel.actors import Actor
from crm.kernel.models import ActionLog
from crm.states import ComputedStatus, ImportStatus, SegmentEventKind, SuggestionStatus
from lifecycle.states import JourneyStatus

ROOT = Path(__file__).resolve().parents[2]
APPS = ("crm", "lifecycle", "voc", "members", "config")
# What is written as f"…{to}": the values it may take.
FAMILIES = {
    "crm.computedtrait": set(ComputedStatus.values),
    "crm.consent": {"granted", "withdrawn"},
    "crm.import": set(ImportStatus.values),
    "crm.segment": set(SegmentEventKind.values),
    "crm.suggestion": set(SuggestionStatus.values) - {"open"},
    "crm.warning": {"resolved", "muted"},
    "lifecycle.journey": set(JourneyStatus.values),
}


def written() -> tuple[set[str], set[str]]:
    """(verbs, families) of all calls that write to the log."""
    verbs, families = set(), set()
    for app in APPS:
        for path in (ROOT / app).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                    continue
                if node.func.attr not in ("write", "write_many") or len(node.args) < 2:
                    continue
                if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "actionlog"):
                    continue
                match node.args[1]:
                    case ast.Constant(value=str(action)):
                        verbs.add(action.rpartition(".")[2])
                    case ast.JoinedStr(values=[ast.Constant(value=str(start)), *_]):
                        families.add(start.removesuffix("."))
    return verbs, families


def test_every_verb_has_a_word() -> None:
    verbs, families = written()
    assert len(verbs) > 40
    assert families == set(FAMILIES)
    for more in FAMILIES.values():
        verbs |= more
    assert sorted(verbs - set(action_words.VERBS)) == []


def test_no_verb_is_left_over() -> None:
    verbs, _families = written()
    for more in FAMILIES.values():
        verbs |= more
    assert sorted(set(action_words.VERBS) - verbs) == []


@pytest.mark.parametrize(
    ("kind", "words"),
    [("crm.erasure", "Erasure"), ("kernel.knob", "Knob"), ("gone.model", "gone.model"), ("plain", "plain")],
)
def test_rows_are_called_by_their_model(kind: str, words: str) -> None:
    with translation.override("en"):
        assert action_words.thing(kind) == words


def test_an_action_of_a_later_version_is_shown_as_written() -> None:
    assert action_words.verb("crm.thing.turned_around") == "turned around"


@pytest.fixture
def client(db: None) -> Client:
    signed_in = Client()
    signed_in.force_login(get_user_model().objects.create_superuser("ada", password="x"))
    return signed_in


def test_the_list_names_who_what_and_where(client: Client) -> None:
    staff = get_user_model().objects.create_user("wren", first_name="Wren", last_name="Demo")
    actionlog.write(
        Actor("staff", str(staff.pk)),
        "voc.ticket.moved",
        ("voc.ticket", 12),
        now=timezone.now(),
        fields=("status",),
    )
    page = client.get(reverse("admin:kernel_actionlog_changelist")).content.decode()
    assert "Wren Demo" in page
    assert "status changed" in page
    assert f'<a href="{reverse("admin:voc_ticket_change", args=[12])}">Ticket 12</a>' in page
    assert "voc.ticket.moved" not in page


def test_the_page_of_an_action_shows_codes_and_seal(client: Client) -> None:
    actionlog.write(
        Actor("system", "retention"), "crm.retention.finished", ("crm.retentionrun", 3), now=timezone.now()
    )
    row = ActionLog.objects.get()
    page = client.get(reverse("admin:kernel_actionlog_change", args=[row.pk])).content.decode()
    assert "finished" in page
    assert "crm.retention.finished" in page
    assert "sealed within seconds" in page
    assert actionlog.seal() == 1
    row.refresh_from_db()
    assert row.seal in client.get(reverse("admin:kernel_actionlog_change", args=[row.pk])).content.decode()


def test_the_list_is_narrowed_by_what_it_was_done_to(client: Client) -> None:
    now = timezone.now()
    actionlog.write(Actor("system", "x"), "voc.ticket.opened", ("voc.ticket", 1), now=now)
    actionlog.write(Actor("system", "x"), "crm.note.added", ("crm.note", 2), now=now)
    page = client.get(reverse("admin:kernel_actionlog_changelist"), {"object_kind": "voc.ticket"})
    assert [row.object_id for row in page.context["cl"].result_list] == ["1"]
