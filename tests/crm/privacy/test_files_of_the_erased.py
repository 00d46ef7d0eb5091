"""Files that are being written while somebody is erased do not outlive the erasure."""

from __future__ import annotations

import os
import zlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from crm.kernel import clock
from crm.models import Export, ExportPart, Profile
from crm.services import erasure, exports, person_exports, segments
from crm.services import profiles as people
from tests.crm.conftest import SYSTEM

pytestmark = pytest.mark.django_db


def known(email: str) -> int:
    return people.resolve(
        [("email", email)],
        trust="server",
        actor=SYSTEM,
        now=clock.now(),
        names={"name": email.partition("@")[0]},
    )


def file_about(*ids: int) -> Export:
    listed = segments.create("Everybody", actor=SYSTEM, now=clock.now())
    segments.add_members(listed.pk, profile_ids=list(ids), actor=SYSTEM, now=clock.now(), announce=False)
    return exports.request(
        "crm.segment", str(listed.pk), title="All", columns=["display_name"], language="en", actor=SYSTEM,
        now=clock.now() - timedelta(hours=1),
    )  # fmt: skip


def written() -> str:
    bodies = ExportPart.objects.order_by("number").values_list("body", flat=True)
    return "".join(zlib.decompress(bytes(body)).decode() for body in bodies)


def test_a_list_that_is_being_written_begins_anew_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "ROWS_PER_PART", 1)
    canary, other, third = known("canary@example.com"), known("other@example.com"), known("third@example.com")
    row = file_about(canary, other, third)
    for _part in range(2):
        exports.work(now=clock.now())
    assert Export.objects.get(pk=row.pk).status == "running" and len(written().splitlines()) == 3
    erasure.erase(canary, actor=SYSTEM, now=clock.now())
    row.refresh_from_db()
    assert (row.status, row.position, row.row_count, row.byte_count, row.claim_token) == (
        "waiting",
        0,
        0,
        0,
        None,
    )
    assert written() == ""
    while exports.work(now=clock.now()):
        pass
    row.refresh_from_db()
    assert (row.status, row.row_count) == ("ready", 2)
    assert "canary" not in written() and "other" in written() and "third" in written()


def test_who_has_read_before_the_erasure_writes_nothing_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    canary = known("canary@example.com")
    row = file_about(canary, known("other@example.com"))
    claimed = exports._claim()
    assert claimed is not None
    source = exports.producer(row.kind)

    def read_then_erased(*asked: Any) -> Any:
        rows = source.rows(*asked)
        assert any("canary" in str(values) for _position, values in rows)
        erasure.erase(canary, actor=SYSTEM, now=clock.now())
        return rows

    late = exports.Producer(source.kind, source.permission, source.columns, read_then_erased)
    monkeypatch.setitem(exports._producers, row.kind, late)
    exports._write_part(*claimed, now=clock.now())
    row.refresh_from_db()
    assert (row.status, ExportPart.objects.count()) == ("waiting", 0)


def test_a_list_asked_for_in_the_very_moment_expires() -> None:
    moment = clock.now()
    row = file_about(known("other@example.com"))
    Export.objects.filter(pk=row.pk).update(created_at=moment)
    while exports.work(now=moment):
        pass
    assert exports.forget_around(moment + timedelta(hours=1)) == 0
    assert exports.forget_around(moment + timedelta(seconds=5)) == 1
    row.refresh_from_db()
    assert (row.status, ExportPart.objects.count()) == ("expired", 0)
    assert exports.forget_around(moment) == 0


def test_the_file_of_a_killed_worker_is_swept_up(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"
    one = person_exports.request(known("ann@example.com"), language="en", actor=SYSTEM, now=clock.now())
    while person_exports.prepare(now=clock.now()):
        pass
    one.refresh_from_db()
    orphan = default_storage.save("exports/orphan.zip", ContentFile(b"x"))
    assert person_exports.tidy(now=clock.now()) == 0, "somebody may be about to settle it"
    old = (clock.now() - timedelta(hours=1)).timestamp()
    for name in (orphan, one.file_name):
        os.utime(Path(settings.MEDIA_ROOT) / name, (old, old))
    assert person_exports.tidy(now=clock.now()) == 1
    assert not default_storage.exists(orphan) and default_storage.exists(one.file_name)
    assert Profile.objects.filter(erased_at=None).count() == 1
