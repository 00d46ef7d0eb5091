"""An erased person is found nowhere: not in any column of any table, not in Redis, not in a file, not in a log.

Somebody with a telling name, address, phone and token goes through every surface of the product; somebody else with
the same family name does, too. After the erasure every text, JSON and array column of the database is read.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import zipfile
import zlib
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.conf import settings as django_settings
from django.core import mail
from django.db import connection
from django.test import Client

from crm.kernel import actors, clock, jobs, reactions
from crm.models import Erasure, Export, ExportPart, Suppression
from crm.selectors import profiles as people
from crm.services import (
    choices,
    consents,
    corrections,
    erasure,
    exports,
    import_work,
    imports,
    merges,
    notes,
    person_exports,
    reservations,
    segments,
    sources,
)
from crm.states import ErasureStatus
from lifecycle.models import OutboundMessage
from lifecycle.services import inbox, messages
from members.services import points
from voc.services import feedback, releases, tickets

pytestmark = pytest.mark.django_db
SYSTEM = actors.system("tests")
STAFF = actors.Actor("staff", "1")
CANARIES = {
    "name": "Wilhelmina Kanarienvogel",
    "chinese": "金丝雀",
    "email": "canary.bird@cage.example",
    "phone": "+8613912345678",
    "token": "tok-canary-5f3a9",
    "user_id": "canary-user-0042",
    "device": "device-canary-9b1c",
    "second": "second.canary@cage.example",
}


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(jobs, "_send", lambda name, ids: None)
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.DATA_DIR = tmp_path / "data"
    settings.DATA_DIR.mkdir()


def post(path: str, body: Any, *, write_key: str) -> Any:
    token = b64encode(f"{write_key}:".encode()).decode()
    return Client().post(
        path, json.dumps(body), content_type="application/json", headers={"Authorization": f"Basic {token}"}
    )


def react() -> None:
    for _round in range(3):
        for name in reactions.receiver_names():
            while reactions.run(name, now=clock.now()).claimed:
                pass
        while messages.deliver(now=clock.now()).claimed:
            pass


def canary_lives() -> int:
    """Through the door, the portal, the API's services and the hands of staff. Returns the root id."""
    now = clock.now()
    shop = sources.create("Canary shop", trust="server", actor=SYSTEM, now=now)
    site = sources.create("Canary site", trust="browser", actor=SYSTEM, now=now)
    traits = {
        "email": CANARIES["email"], "phone": CANARIES["phone"], "name": CANARIES["name"],
        "familyName": "Kanarienvogel", "givenName": "Wilhelmina", "favourite": CANARIES["token"],
        "address": {"street": CANARIES["token"], "country": "CN"}, "language": "en",
    }  # fmt: skip
    batch = [
        {"type": "track", "anonymousId": CANARIES["device"], "event": "Product Viewed",
         "properties": {"name": "Lamp", "referrer": CANARIES["email"]}},
        {"type": "identify", "userId": CANARIES["user_id"], "anonymousId": CANARIES["device"], "traits": traits},
        {"type": "group", "userId": CANARIES["user_id"], "groupId": "acme-birds", "traits": {"name": "Acme Birds"}},
        {"type": "track", "userId": CANARIES["user_id"], "event": "Order Completed",
         "properties": {"order_id": CANARIES["token"], "revenue": 10, "currency": "CNY", "email": CANARIES["email"]},
         "context": {"ip": "203.0.113.77", "traits": {"email": CANARIES["email"]}}},
        {"type": "track", "userId": CANARIES["user_id"], "messageId": f"m-{CANARIES['email']}", "event": "",
         "properties": {}},
        {"type": "track", "userId": CANARIES["user_id"], "messageId": f"late-{CANARIES['email']}", "event": "Old",
         "timestamp": "0001-01-01T00:00:00Z"},
    ]  # fmt: skip
    assert post("/v1/batch", {"batch": batch}, write_key=shop.write_key).status_code == 200
    body = {"userId": CANARIES["user_id"], "anonymousId": "x", "event": "Page seen", "type": "track"}
    post("/v1/track", {**body, "properties": {"who": CANARIES["chinese"]}}, write_key=site.write_key)
    [first] = people.owners("email", CANARIES["email"])
    post("/v1/identify", {"userId": "canary-2", "traits": {"email": CANARIES["second"], "name": CANARIES["chinese"]}},
         write_key=shop.write_key)  # fmt: skip
    [second] = people.owners("email", CANARIES["second"])
    merges.merge(first, second, choices={"display_name": "loser"}, actor=STAFF, now=now)
    consents.record(
        first, purpose="marketing", channel="email", granted=True, way="api", text_version="7",
        evidence={"signature": CANARIES["name"], "ip": "203.0.113.77"}, actor=STAFF, now=now,
    )  # fmt: skip
    for purpose in ("service", "care"):
        consents.record(
            second, purpose=purpose, channel="email", granted=True, way="staff", text_version="", language="zh-hans",
            evidence={"note": CANARIES["email"]}, actor=STAFF, now=now,
        )  # fmt: skip
    choices.set_frequency(first, frequency="fewer", actor=actors.person(first), now=now)
    reservations.ask(
        first,
        pressure_class="popup",
        label=f"Hello {CANARIES['name']}",
        key=CANARIES["token"],
        actor=STAFF,
        now=now,
    )
    corrections.correct(
        first, values={"region": CANARIES["token"]}, actor=STAFF, reason="person_asked", now=now
    )
    notes.add(
        first,
        text=f"Call {CANARIES['name']} at {CANARIES['phone']}",
        category="handover",
        actor=SYSTEM,
        now=now,
    )
    voices(first, now=now)
    points.credit(
        first, amount=5, key="canary-1", kind="granted", note=f"for {CANARIES['name']}", actor=STAFF, now=now
    )
    journey_and_messages(first, now=now)
    # An export that lies there, and one that nobody fetched.
    person_exports.request(first, language="zh-hans", actor=STAFF, now=now)
    while person_exports.prepare(now=now):
        pass
    lists_and_files(now=now)
    client = Client()
    client.get(f"{inbox.link(first).removeprefix('http://localhost:8000')}data/")
    react()
    return first


def lists_and_files(*, now: Any) -> None:
    """A list that brought them with a row nobody could read, one that lies there as a draft, an exported list that is
    ready, and one that is being written."""
    text = (
        "email,name,birthday\n"
        f"{CANARIES['email']},{CANARIES['name']},{CANARIES['token']}\n"
        f"not an address,139 1234 5678 {CANARIES['chinese']},\n"
        f"{CANARIES['second']} (139-1234-5678),x,\n"
    )
    for name in ("came.csv", "draft.csv"):
        run = imports.upload(
            name, [f"{text}{name}@cage.example,,\n".encode()], kind="contacts", actor=STAFF, now=now
        )
        if name == "draft.csv":
            continue
        imports.set_mapping(run.pk, mapping=run.mapping, actor=STAFF, now=now)
        imports.describe(
            run.pk,
            source="Bird fair",
            tie_strength="weak",
            consent={"given": False},
            options={},
            actor=STAFF,
            now=now,
        )
        for step in (imports.check, imports.start):
            step(run.pk, actor=STAFF, now=now)
            while import_work.work(run.pk, now=now):
                pass
        run.refresh_from_db()
        assert run.status == "done" and run.counters["rejected"] == 2
    everybody = segments.create("Everybody", actor=SYSTEM, now=now)
    segments.add_members(
        everybody.pk,
        profile_ids=people.owners("email", CANARIES["email"]),
        actor=SYSTEM,
        now=now,
        announce=False,
    )
    for title in ("ready", "half"):
        exports.request(
            "crm.segment", str(everybody.pk), title=title, columns=["display_name", "email"], language="en",
            actor=STAFF, now=now,
        )  # fmt: skip
        exports.work(now=now)
    half = Export.objects.get(title="half")
    Export.objects.filter(pk=half.pk).update(status="running", finished_at=None, claim_token=uuid4())


def files_of_lists() -> list[Path]:
    return [path for path in (Path(django_settings.DATA_DIR) / "imports").rglob("*") if path.is_file()]


def exported() -> str:
    return "".join(
        zlib.decompress(bytes(body)).decode() for body in ExportPart.objects.values_list("body", flat=True)
    )


def voices(profile_id: int, *, now: Any) -> None:
    """Feedback in the portal and by staff, a ticket that quotes them, a release that credits them."""
    Client().post(
        "/feedback/",
        {"text": f"I am {CANARIES['name']}, {CANARIES['phone']}", "email": CANARIES["email"], "name": CANARIES["name"],
         "may_name": "on"},
    )  # fmt: skip
    person = feedback.Person(profile_id=profile_id, name=CANARIES["name"])
    row = feedback.give(
        text=f"The lamp flickers, says {CANARIES['chinese']}", channel="hotline", person=person, trusted=True,
        credit_name=CANARIES["name"], may_name=True, reference=CANARIES["token"], actor=STAFF, now=now,
    )  # fmt: skip
    ticket = feedback.open_ticket(
        row.pk,
        title=f"Lamp of {CANARIES['name']}",
        description=f"Call {CANARIES['phone']}",
        actor=STAFF,
        now=now,
    )
    tickets.note(ticket.pk, text=f"Called {CANARIES['name']} at {CANARIES['phone']}", actor=STAFF, now=now)
    release = releases.create(title="Lamps", actor=STAFF, now=now)
    releases.add_items(release.pk, ticket_ids=[ticket.pk], actor=STAFF, now=now)
    releases.ship(release.pk, actor=STAFF, now=now)


def journey_and_messages(profile_id: int, *, now: Any) -> None:
    messages.queue(
        [
            messages.Item(
                "lifecycle.browsed_not_bought", profile_id, "canary-offer",
                {"product_name": CANARIES["token"], "product_url": "", "coupon_code": "C", "percent": 5},
            )
        ],
        actor=SYSTEM,
        now=now,
    )  # fmt: skip


def columns() -> Iterator[tuple[str, str]]:
    """Every column that can hold a text, of every table of ours."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT c.table_name, c.column_name FROM information_schema.columns c
              JOIN information_schema.tables t USING (table_schema, table_name)
             WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE'
               AND (c.data_type IN ('text', 'character varying', 'jsonb', 'json', 'character', 'ARRAY', 'bytea')
                    OR c.data_type = 'USER-DEFINED')
             ORDER BY 1, 2
            """
        )
        yield from cursor.fetchall()


def hits(words: dict[str, str]) -> set[str]:
    """`table.column: word` wherever one of the words stands, also as JSON writes it."""
    spoken = {
        name: [f"%{form.lower()}%" for form in {text, json.dumps(text)[1:-1], text.removeprefix("+")}]
        for name, text in words.items()
    }
    every = [pattern for patterns in spoken.values() for pattern in patterns]
    found = set()
    by_table: dict[str, list[str]] = {}
    for table, column in columns():
        by_table.setdefault(table, []).append(column)
    with connection.cursor() as cursor:
        for table, names in by_table.items():
            whole = " || ' ' || ".join(f"""coalesce("{name}"::text, '')""" for name in names)
            cursor.execute(
                f'SELECT EXISTS (SELECT 1 FROM "{table}" WHERE lower({whole}) LIKE ANY(%s))', [every]
            )
            if not cursor.fetchone()[0]:
                continue
            for column in names:
                for name, patterns in spoken.items():
                    cursor.execute(
                        f'SELECT EXISTS (SELECT 1 FROM "{table}" WHERE lower("{column}"::text) LIKE ANY(%s))',
                        [patterns],
                    )
                    if cursor.fetchone()[0]:
                        found.add(f"{table}.{column}: {name}")
    return found


def test_an_erased_person_is_found_nowhere(caplog: pytest.LogCaptureFixture, settings: Any) -> None:
    caplog.set_level(logging.DEBUG)
    root = canary_lives()
    other = people.owners("user_id", "nobody")
    assert other == []
    # The net is fine enough: the canary sings in every corner it was let into.
    before = hits(CANARIES)
    tables = {hit.split(".")[0] for hit in before}
    assert {
        "crm_profile", "crm_identity", "crm_contactpoint", "crm_consentrecord", "crm_pressurereservation",
        "crm_mergerecord",
        "crm_profilenote", "lifecycle_outboundmessage", "voc_feedback", "voc_ticket", "voc_ticketevent",
        "members_pointsentry", "crm_ingestionwarning", "crm_importreject", "crm_importrun",
    } <= tables  # fmt: skip
    assert any(table.startswith("crm_touchpoint_y") for table in tables)
    files = [path for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()]
    assert len(files) == 1
    assert len(files_of_lists()) == 2 and exported().count(CANARIES["email"]) == 2
    row = erasure.request(root, actor=STAFF, needs_approval=False, now=clock.now())
    caplog.clear()
    while erasure.work(now=clock.now()):
        pass
    react()
    row.refresh_from_db()
    assert row.status == ErasureStatus.DONE
    assert hits(CANARIES) == set()
    assert [path for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()] == []
    assert files_of_lists() == [] and exported() == ""
    assert dict(Export.objects.values_list("title", "status")) == {"ready": "expired", "half": "waiting"}
    # What was being written is written anew, of those who are left.
    while exports.work(now=clock.now()):
        pass
    assert Export.objects.get(title="half").status == "ready"
    assert [name for name, text in CANARIES.items() if text in exported()] == []
    logged = caplog.text
    assert [name for name, text in CANARIES.items() if text in logged] == []
    store = redis.Redis.from_url(django_settings.REDIS_URL)
    stored = b"".join(key + (store.dump(key) or b"") for key in store.scan_iter(count=1000))
    assert [name for name, text in CANARIES.items() if text.encode() in stored] == []


def test_the_certificate_proves_itself_and_tells_nothing() -> None:
    root = canary_lives()
    erasure.erase(root, actor=STAFF, now=clock.now())
    row = Erasure.objects.get(profile_id=root)
    assert row.certificate_hash == erasure.certificate_hash(row.certificate)
    text = json.dumps(row.certificate, ensure_ascii=False)
    assert [name for name, value in CANARIES.items() if value in text] == []
    assert row.certificate["suppressed_addresses"] == 3
    erased = {line["what"]: line["rows"] for line in row.certificate["erased"]}
    assert erased["crm.identities"] >= 5 and erased["crm.contacts"] >= 3 and erased["voc.feedback"] >= 1
    assert {"crm.tombstone", "crm.suppression", "members.ledger"} <= {
        line["what"] for line in row.certificate["kept"]
    }
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM kernel_actionlog WHERE action = 'crm.erasure.done' AND fields::text LIKE %s",
            [f"%{row.certificate_hash}%"],
        )
        assert cursor.fetchone()[0] == 1


def test_a_returning_address_stays_suppressed() -> None:
    root = canary_lives()
    erasure.erase(root, actor=STAFF, now=clock.now())
    mail.outbox.clear()
    shop = sources.create("Second shop", trust="server", actor=SYSTEM, now=clock.now())
    back = {"userId": "canary-returns", "traits": {"email": CANARIES["email"], "name": "Somebody"}}
    post("/v1/identify", back, write_key=shop.write_key)
    [again] = people.owners("email", CANARIES["email"])
    assert again != root
    consents.record(
        again, purpose="marketing", channel="email", granted=True, way="api", text_version="", evidence={},
        actor=SYSTEM, now=clock.now(),
    )  # fmt: skip
    journey_and_messages(again, now=clock.now())
    react()
    assert OutboundMessage.objects.get(profile_id=again, subject_key="canary-offer").reason in (
        "suppressed", "no_consent", "unsubscribed",
    )  # fmt: skip
    assert mail.outbox == []
    assert Suppression.objects.filter(reason="erased").count() == 3


def test_the_file_of_a_person_holds_all_of_it_once() -> None:
    root = canary_lives()
    export = person_exports.request(root, language="en", actor=actors.person(root), now=clock.now())
    while person_exports.prepare(now=clock.now()):
        pass
    _row, opened = person_exports.download(export.public_id, actor=actors.person(root), now=clock.now())
    archive = zipfile.ZipFile(io.BytesIO(opened.read()))
    manifest = json.loads(archive.read("manifest.json"))
    parts = {part["part"]: part for part in manifest["parts"]}
    whole = "".join(archive.read(name).decode() for name in archive.namelist() if name.startswith("json/"))
    assert [name for name, text in CANARIES.items() if text not in whole] == []
    for name, part in parts.items():
        rows = json.loads(archive.read(f"json/{name}.json"))
        table = list(csv.reader(io.StringIO(archive.read(f"csv/{name}.csv").decode("utf-8-sig"))))
        assert len(rows) == len(table) - 1 == part["rows"]
    assert parts["consents"]["rows"] == 3
    assert parts["touchpoints"]["rows"] >= 8
    readme = archive.read("README.txt").decode()
    assert "Everything we keep about you" in readme and "- Touchpoints" in readme
