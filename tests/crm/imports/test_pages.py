"""The staff pages and the REST API of imports: every step, every refusal, both languages."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from crm.kernel import clock, roles
from crm.models import ImportRun, Profile, Segment, SegmentMembership
from crm.selectors import imports as reads
from crm.services import import_work, profiles, sources
from tests.crm.conftest import NOON, SYSTEM
from tests.crm.imports.conftest import AGREED, EVIDENCE, Lists
from tests.crm.imports.test_contacts import LIST

ADD = "/admin/crm/importrun/add/"


def signed_in(role: str) -> Client:
    roles.sync()
    user = get_user_model().objects.create_user(role, password="x", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def lead(db: None) -> Client:
    return signed_in("lead")


def page(run: ImportRun) -> str:
    return reverse("admin:crm_importrun_change", args=[run.pk])


def upload(client: Client, content: str | bytes, **more: Any) -> Any:
    raw = content.encode() if isinstance(content, str) else content
    return client.post(ADD, {"file": SimpleUploadedFile("fans.csv", raw), "kind": "contacts", **more})


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_a_list_comes_in_page_by_page(lead: Client, language: str) -> None:
    lead.cookies["django_language"] = language
    assert lead.get(ADD).status_code == 200
    answer = upload(lead, LIST + "坏,,bad,,,\n=1+1,,也坏,,,\n")
    run = ImportRun.objects.get()
    assert answer.status_code == 302 and answer["Location"] == page(run)
    shown = lead.get(page(run)).content.decode()
    assert "手机号" in shown and "王小明" in shown and 'value="phone" selected' in shown
    fields = {"action": "map"}
    for column in run.mapping:
        head, _colon, rest = column["target"].partition(":")
        fields |= {
            f"target-{column['index']}": head,
            f"name-{column['index']}": rest,
            f"type-{column['index']}": "text",
        }
    assert lead.post(page(run), fields)["Location"].endswith("?step=source")
    assert lead.get(f"{page(run)}?step=source").status_code == 200
    wrong = lead.post(
        page(run),
        {
            "action": "describe",
            "source": "Fans 2019",
            "tie_strength": "weak",
            "consent": "yes",
            "claims": ["marketing:sms"],
        },
    )
    assert wrong.status_code == 400 and 'value="Fans 2019"' in wrong.content.decode()
    told = {
        "action": "describe", "source": "Fans 2019", "tie_strength": "weak", "consent": "yes", "evidence": EVIDENCE,
        "claims": ["marketing:sms", "marketing:email"], "static_list": "Fans of 2019",
    }  # fmt: skip
    assert lead.post(page(run), told)["Location"] == page(run)
    shown = lead.get(page(run)).content.decode()
    assert "hx-get" in shown and "<progress" in shown
    assert import_work.work(run.pk, now=clock.now()) is False
    part = lead.get(reverse("admin:crm_importrun_progress", args=[run.pk]))
    assert part.headers["HX-Refresh"] == "true"
    shown = lead.get(page(run)).content.decode()
    assert Profile.objects.count() == 0 and 'value="start"' in shown
    lead.post(page(run), {"action": "start"})
    import_work.work(run.pk, now=clock.now())
    run.refresh_from_db()
    assert run.status == "done" and run.counters["created"] == 2
    kept = Segment.objects.get(name="Fans of 2019")
    assert SegmentMembership.objects.filter(segment_id=kept.pk).count() == 2
    shown = lead.get(page(run)).content.decode()
    assert reverse("admin:crm_importrun_rejects", args=[run.pk]) in shown
    answer = lead.get(reverse("admin:crm_importrun_rejects", args=[run.pk]))
    lines = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))
    assert [line[:3] for line in lines[1:]] == [["4", "邮箱", "bad"], ["5", "邮箱", "也坏"]]
    assert lines[0][0] == ("Row" if language == "en" else "行")


def test_refused_files_are_said_on_the_page(lead: Client) -> None:
    assert upload(lead, "").status_code == 400
    answer = upload(lead, b"%PDF-1.7")
    assert answer.status_code == 400 and "xlsx" in answer.content.decode()
    assert lead.post(ADD, {"kind": "contacts"}).status_code == 400
    assert ImportRun.objects.count() == 0


def test_formulas_in_the_reject_file_are_quoted(lead: Client, lists: Lists) -> None:
    run = lists.bring('email,name\n"=HYPERLINK(1)",A\n＠cmd,B\na@example.com,C\n')
    answer = lead.get(reverse("admin:crm_importrun_rejects", args=[run.pk]))
    lines = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))
    assert [line[2] for line in lines[1:]] == ["'=HYPERLINK(1)", "'＠cmd"]


@pytest.mark.parametrize("role", ["agent", "analyst"])
def test_others_see_figures_and_touch_nothing(lists: Lists, role: str) -> None:
    run = lists.bring(LIST + "x,,secret-value,,,\n")
    client = signed_in(role)
    shown = client.get(page(run)).content.decode()
    assert "secret-value" not in shown
    assert client.get(ADD).status_code == 403
    assert client.get(reverse("admin:crm_importrun_rejects", args=[run.pk])).status_code == 403
    assert client.post(page(run), {"action": "cancel"}).status_code == 403


def test_an_old_file_is_removed_and_its_values_with_it(lists: Lists, lead: Client) -> None:
    from datetime import timedelta

    run = lists.bring(LIST + "x,,secret-value,,,\n")
    assert import_work.tidy(now=NOON + timedelta(days=6)) == 0
    assert import_work.tidy(now=NOON + timedelta(days=8)) == 1
    run.refresh_from_db()
    assert run.file_removed_at is not None and "examples" not in run.counters and run.shape["sample"] == []
    assert not reads.rejects(run).exists()
    assert "secret-value" not in lead.get(page(run)).content.decode()
    assert import_work.tidy(now=NOON + timedelta(days=9)) == 0


def test_an_erasure_removes_the_files_a_person_came_with(lists: Lists) -> None:
    run = lists.bring(LIST + "x,,secret-value,,,\n")
    person = Profile.objects.get(display_name="王小明")
    assert import_work.forget_people([person.pk], now=NOON) == 1
    run.refresh_from_db()
    assert run.file_removed_at == NOON and not reads.rejects(run).exists()


def test_the_guide_counts_how_far_a_list_has_come(
    lists: Lists, lead: Client, django_assert_num_queries: Any
) -> None:
    from crm.services import consents as consent_services
    from crm.services import merges, touchpoints

    empty = lead.get(reverse("admin:crm_importrun_dormant"))
    assert empty.status_code == 200 and ADD in empty.content.decode()
    text = "email,phone,name\n" + "".join(f"p{n}@example.com,1380013800{n},P{n}\n" for n in range(6))
    run = lists.bring(text, consent={**AGREED, "claims": [["marketing", "email"]]})
    ids = [Profile.objects.get(display_name=f"P{n}").pk for n in range(6)]
    consent_services.record(
        ids[0],
        purpose="marketing",
        channel="email",
        granted=False,
        way="unsubscribe",
        text_version="",
        evidence={},
        actor=SYSTEM,
        now=NOON,
    )
    touchpoints.record(
        [touchpoints.Event("Order Completed", NOON, "m1", profile_id=ids[1])],
        source=None,
        actor=SYSTEM,
        now=NOON,
    )
    merges.merge(ids[2], ids[3], choices={}, actor=SYSTEM, now=NOON)
    profiles.resolve([("email", "new@example.com")], trust="server", actor=SYSTEM, now=NOON)
    with django_assert_num_queries(2):
        found = reads.funnel(run, now=clock.now())
    assert found == reads.Funnel(
        imported=5, new=5, reachable=5, asked=0, consented=4, withdrawn=1, warm=4, answered=1, returned=1
    )
    shown = lead.get(f"{reverse('admin:crm_importrun_dormant')}?run={run.pk}").content.decode()
    assert "fans.csv" in shown


@pytest.fixture
def api(db: None) -> Client:
    _key, text = sources.create_api_key(
        "lists", scopes=["crm.importrun:read", "crm.importrun:write"], actor=SYSTEM, now=clock.now()
    )
    return Client(headers={"Authorization": f"Bearer {text}"})


def post(client: Client, path: str, body: Any) -> Any:
    return client.post(f"/api/v1/imports/{path}", body, content_type="application/json")


def test_the_api_walks_the_same_steps(api: Client) -> None:
    made = api.post(
        "/api/v1/imports/", {"file": SimpleUploadedFile("fans.csv", (LIST + "x,,bad,,,\n").encode())}
    )
    assert made.status_code == 201, made.content
    run = made.json()
    assert (run["status"], run["encoding"], run["headers"][1]) == ("draft", "utf-8", "手机号")
    number = run["id"]
    again = api.post(
        "/api/v1/imports/", {"file": SimpleUploadedFile("fans.csv", (LIST + "x,,bad,,,\n").encode())}
    )
    assert again.json()["id"] == number
    assert post(api, f"{number}/mapping/", {"mapping": run["mapping"]}).status_code == 200
    assert post(api, f"{number}/start/", {}).json()["code"] == "source_needed"
    body = {
        "source": "Fans 2019", "tie_strength": "weak",
        "consent": {"given": True, "evidence": EVIDENCE, "claims": ["marketing:sms"], "agreed_on": "2019-05-21"},
    }  # fmt: skip
    assert post(api, f"{number}/source/", body).json()["source"] == "Fans 2019"
    assert post(api, f"{number}/start/", {}).json()["code"] == "not_checked"
    assert post(api, f"{number}/dry-run/", {}).status_code == 202
    import_work.work(number, now=clock.now())
    report = api.get(f"/api/v1/imports/{number}/").json()["report"]
    assert (report["created"], report["rejected"], report["contactable:sms"]) == (2, 1, 2)
    assert post(api, f"{number}/start/", {"force": False}).json()["status"] == "running"
    import_work.work(number, now=clock.now())
    done = api.get(f"/api/v1/imports/{number}/").json()
    assert (done["status"], done["progress"]["share"]) == ("done", 1.0)
    rejects = api.get(f"/api/v1/imports/{number}/rejects/").json()["results"]
    assert [(r["row"], r["column"], r["code"], r["excerpt"]) for r in rejects][-1] == (
        4,
        "邮箱",
        "no_identifier",
        "bad",
    )
    assert b"no_identifier" in b"".join(api.get(f"/api/v1/imports/{number}/reject-file/").streaming_content)
    assert api.get("/api/v1/imports/?status=done").json()["results"][0]["id"] == number


def test_the_api_is_strict(api: Client, lists: Lists) -> None:
    run = lists.upload(LIST)
    for path, body, status, code in (
        (
            f"{run.pk}/mapping/",
            {"mapping": [{"index": 0, "target": "email", "colour": 1}]},
            400,
            "unknown_field",
        ),
        (f"{run.pk}/mapping/", {"mapping": [{"index": 99, "target": "email"}]}, 400, "invalid_mapping"),
        (f"{run.pk}/mapping/", {"mapping": [{"index": 0, "target": "password"}]}, 400, "invalid_mapping"),
        (f"{run.pk}/mapping/", {"mapping": []}, 400, "empty"),
        (
            f"{run.pk}/source/",
            {"source": "A\r\nB", "tie_strength": "weak", "consent": {"given": False}},
            400,
            "invalid_character",
        ),
        (
            f"{run.pk}/source/",
            {"source": "A", "tie_strength": "iron", "consent": {"given": False}},
            400,
            "invalid_choice",
        ),
        (f"{run.pk}/source/", {"source": "A", "tie_strength": "weak"}, 400, "consent_needed"),
        (f"{run.pk}/start/", {"force": "maybe"}, 400, "invalid"),
        (f"{run.pk}/pause/", {}, 409, "conflict"),
        (f"{run.pk}/resume/", {}, 409, "conflict"),
        ("987654321/start/", {}, 404, "not_found"),
    ):
        answer = post(api, path, body)
        assert (answer.status_code, answer.json()["code"]) == (status, code), (path, body, answer.content)
    assert api.get("/api/v1/imports/?colour=red").json()["code"] == "unknown_filter"
    missing = api.post("/api/v1/imports/", {"kind": "contacts"})
    assert missing.status_code == 400
    odd = api.post(
        "/api/v1/imports/", {"file": SimpleUploadedFile("a.csv", b"email\na@b.cn\n"), "is_forced": "1"}
    )
    assert odd.json()["code"] == "unknown_field"
    empty = api.post("/api/v1/imports/", {"file": SimpleUploadedFile("a.csv", b"")})
    assert (empty.status_code, empty.json()["code"]) == (400, "empty_file")
    run.refresh_from_db()
    assert run.status == "draft" and run.digest == ""
