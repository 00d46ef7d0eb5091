"""Everything about one person as a file: asked for, built in the worker, for whoever asked and nobody else, a day.

The file is a zip with a JSON and a CSV file per part, a manifest with counts and checksums, and a README in the
reader's language. It lies in private storage under a name nobody can guess; opening it is written into the log.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import secrets
import tempfile
import zipfile
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import IO, Any, Final
from uuid import UUID

from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.utils import translation
from django.utils.translation import gettext as _

from crm import privacy_registry
from crm.kernel import actionlog, jobs, knobs, reactions
from crm.kernel.actors import Actor
from crm.kernel.errors import Conflict, Gone, NotFound
from crm.models import PersonExport, Profile
from crm.selectors import profiles as people
from crm.services import profiles
from crm.states import ExportStatus

logger = logging.getLogger(__name__)

TASK: Final = "crm.prepare_exports"
MAX_CLAIMS: Final = 5
LEASE: Final = timedelta(minutes=10)
FOLDER: Final = "exports"
# A cell that a spreadsheet would run as a formula gets a quote in front; leading blanks and full-width signs too.
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def request(profile_id: int, *, language: str, actor: Actor, now: datetime) -> PersonExport:
    """Ask for the file. The same person asking again while one is being made, or is ready, gets that one. Raises
    NotFound, Gone (erased)."""
    with transaction.atomic():
        locked = profiles.lock_roots([profile_id])
        if profile_id not in locked:
            raise NotFound(_("There is no such person."))
        root = locked[profile_id]
        profiles.refuse_erased(root)
        ids = people.id_sets([root.pk])[root.pk]
        held = (
            PersonExport.objects.filter(
                profile_id__in=ids,
                requested_by=str(actor),
                status__in=(ExportStatus.QUEUED, ExportStatus.READY),
                expires_at__gt=now,
            )
            .order_by("-pk")
            .first()
        )
        if held is not None:
            return held
        row = PersonExport.objects.create(
            profile_id=root.pk,
            requested_by=str(actor),
            language=language or "en",
            requested_at=now,
            expires_at=now + timedelta(hours=knobs.get("crm.export_hours")),
        )
        actionlog.write(actor, "crm.export.requested", row, now=now)
        jobs.wake(TASK)
    row.refresh_from_db()
    return row


def prepare(*, now: datetime) -> int:
    """Build one file that waits. Returns 0 when there is none: call again until then. Not in a transaction."""
    row = _claim(now=now)
    if row is None:
        return 0
    if row.claims > MAX_CLAIMS:
        PersonExport.objects.filter(pk=row.pk).update(status=ExportStatus.FAILED, lease_until=None)
        return 1
    with tempfile.TemporaryFile() as built:
        digest = _build(row, built, now=now)
        size = built.seek(0, io.SEEK_END)
        built.seek(0)
        name = default_storage.save(f"{FOLDER}/{secrets.token_hex(16)}.zip", File(built))
    with transaction.atomic():
        root = profiles.lock_roots([row.profile_id])[row.profile_id]
        changed = 0
        if root.erased_at is None:
            changed = PersonExport.objects.filter(pk=row.pk, status=ExportStatus.QUEUED).update(
                status=ExportStatus.READY,
                file_name=name,
                size=size,
                sha256=digest,
                ready_at=now,
                lease_until=None,
            )
        if changed:
            reactions.publish("crm.export.ready", [row.pk], now=now)
    if not changed:
        # Erased, or made by somebody else meanwhile: this copy is one too many.
        default_storage.delete(name)
    return 1


def download(public_id: Any, *, actor: Actor, now: datetime) -> tuple[PersonExport, IO[bytes]]:
    """The open file, for whoever asked. Raises NotFound (also for anybody else), Conflict `not_ready`, Gone."""
    row = find(public_id, actor=actor)
    if row.status in (ExportStatus.EXPIRED, ExportStatus.FAILED) or row.expires_at <= now:
        raise Gone(_("This file was deleted. Ask for a new one."), code="expired")
    if row.status != ExportStatus.READY:
        raise Conflict(_("This file is still being prepared."), code="not_ready")
    try:
        opened = default_storage.open(row.file_name)
    except FileNotFoundError:
        raise Gone(_("This file was deleted. Ask for a new one."), code="expired") from None
    with transaction.atomic():
        PersonExport.objects.filter(pk=row.pk).update(downloads=row.downloads + 1)
        actionlog.write(actor, "crm.export.downloaded", row, now=now)
    return row, opened


def find(public_id: Any, *, actor: Actor) -> PersonExport:
    """An export of this requester. Raises NotFound."""
    try:
        wanted = UUID(str(public_id))
    except ValueError:
        raise NotFound(_("There is no such export.")) from None
    row = PersonExport.objects.filter(public_id=wanted, requested_by=str(actor)).first()
    if row is None:
        raise NotFound(_("There is no such export."))
    return row


def tidy(*, now: datetime) -> int:
    """Delete files past their time, and those that nobody knows of: a worker was killed between writing and settling,
    perhaps while its person was erased. Returns how many."""
    due = PersonExport.objects.filter(expires_at__lte=now).exclude(status=ExportStatus.EXPIRED)
    return sum(_expire(row) for row in due[:500]) + _sweep_orphans(now=now)


def _sweep_orphans(*, now: datetime) -> int:
    if not default_storage.exists(FOLDER):
        return 0
    _folders, files = default_storage.listdir(FOLDER)
    names = {f"{FOLDER}/{name}" for name in files if name.endswith(".zip")}
    known = PersonExport.objects.filter(file_name__in=names).values_list("file_name", flat=True)
    # Who still holds the claim may be about to settle.
    late = [name for name in names - set(known) if default_storage.get_modified_time(name) < now - LEASE]
    for name in late:
        default_storage.delete(name)
    return len(late)


def forget(profile_ids: list[int]) -> int:
    """Delete the files about an erased person. Returns how many."""
    due = PersonExport.objects.filter(profile_id__in=profile_ids).exclude(status=ExportStatus.EXPIRED)
    return sum(_expire(row) for row in due)


def _expire(row: PersonExport) -> bool:
    if row.file_name:
        default_storage.delete(row.file_name)
    return bool(
        PersonExport.objects.filter(pk=row.pk)
        .exclude(status=ExportStatus.EXPIRED)
        .update(status=ExportStatus.EXPIRED, file_name="", lease_until=None)
    )


def _claim(*, now: datetime) -> PersonExport | None:
    lease_and_now: list[Any] = [LEASE, now]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE crm_personexport SET claims = claims + 1, lease_until = clock_timestamp() + %s
             WHERE id = ANY (ARRAY (
                   SELECT id FROM crm_personexport
                    WHERE status = 'queued' AND expires_at > %s
                      AND (lease_until IS NULL OR lease_until < clock_timestamp())
                    ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED))
            RETURNING id
            """,
            lease_and_now,
        )
        found = cursor.fetchone()
    return PersonExport.objects.get(pk=found[0]) if found else None


def _build(row: PersonExport, target: IO[bytes], *, now: datetime) -> str:
    """Write the zip. Returns its SHA-256."""
    ids = people.ids_of(row.profile_id)
    with translation.override(row.language), zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        parts = []
        for exporter in privacy_registry.exporters():
            count, sums = _write_part(archive, exporter, ids)
            parts.append({"part": exporter.name, "title": str(exporter.label), "rows": count, "sha256": sums})
        public_id = str(Profile.objects.values_list("public_id", flat=True).get(pk=row.profile_id))
        manifest = {"person": public_id, "made_at": now.isoformat(), "language": row.language, "parts": parts}
        archive.writestr("manifest.json", json.dumps(manifest, ensure_ascii=False, indent=1))
        archive.writestr("README.txt", _readme(parts, row=row, now=now))
    target.seek(0)
    digest = hashlib.sha256()
    while block := target.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def _write_part(
    archive: zipfile.ZipFile, exporter: privacy_registry.Exporter, ids: list[int]
) -> tuple[int, dict[str, str]]:
    """One part as JSON, its CSV set aside meanwhile: a zip takes one file at a time, and the rows come once."""
    count = 0
    json_sum, csv_sum = hashlib.sha256(), hashlib.sha256()
    with tempfile.SpooledTemporaryFile(max_size=1 << 20, mode="w+", encoding="utf-8", newline="") as aside:
        writer = csv.writer(aside)
        writer.writerow(exporter.columns)
        with archive.open(f"json/{exporter.name}.json", "w") as out:
            for piece in _json_pieces(exporter, ids, writer):
                data = piece.encode()
                json_sum.update(data)
                out.write(data)
                count += piece.startswith(("[\n{", ",\n{"))
        aside.seek(0)
        with archive.open(f"csv/{exporter.name}.csv", "w") as out:
            # The mark tells spreadsheets that this is UTF-8.
            for piece in ("\ufeff", *iter(lambda: aside.read(1 << 16), "")):
                data = piece.encode()
                csv_sum.update(data)
                out.write(data)
    return count, {"json": json_sum.hexdigest(), "csv": csv_sum.hexdigest()}


def _json_pieces(exporter: privacy_registry.Exporter, ids: list[int], writer: Any) -> Any:
    mark = "[\n"
    for one in exporter.rows(ids):
        plain = {name: _plain(value) for name, value in one.items()}
        writer.writerow([_cell(plain.get(name)) for name in exporter.columns])
        yield mark + json.dumps(plain, ensure_ascii=False)
        mark = ",\n"
    yield "[]\n" if mark == "[\n" else "\n]\n"


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Decimal):
        return float(value) if value % 1 else int(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list | bool) else str(value)
    is_text = isinstance(value, str)
    return f"'{text}" if is_text and text.lstrip(" \u3000").startswith(FORMULA) else text


def _readme(parts: list[dict[str, Any]], *, row: PersonExport, now: datetime) -> str:
    lines = [
        _("Everything we keep about you"),
        "",
        _("Made on %(when)s.") % {"when": f"{now:%Y-%m-%d %H:%M} UTC"},
        _("Each part is there twice: as JSON for programs, and as CSV for spreadsheets."),
        _("Times are in UTC. The file manifest.json lists every part with its checksum."),
        "",
        _("Parts:"),
        *(f"- {part['title']} ({part['part']}): {part['rows']}" for part in parts),
        "",
        _("You may have wrong values corrected, withdraw any consent, and have your data erased, on your own page or"
          " by writing to us. This file is for you alone: keep it where nobody else can read it."),
    ]  # fmt: skip
    return "\r\n".join(lines) + "\r\n"
