"""Imports: a list is uploaded, its columns are read, source, tie strength and consent are stated, a dry run tells
what would happen, and then it runs.

Every step is a guarded move of the run's status, and is logged. Nothing is written to people before `start`. The same
file read the same way is refused a second time unless that is asked for; the database holds that promise.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import formats, timezone
from django.utils.translation import gettext as _

from crm.imports import columns, files
from crm.kernel import actionlog, jobs
from crm.kernel.actors import Actor
from crm.kernel.errors import Conflict, Invalid, NotFound
from crm.models import ImportMapping, ImportRun, Segment, Source
from crm.selectors import imports as reads
from crm.services import import_files, segments, sources
from crm.states import (
    IMPORT_TRANSITIONS,
    Channel,
    ImportKind,
    ImportStatus,
    Purpose,
    TieStrength,
    Trust,
)

TASK = "crm.work_import"
EDITABLE = (ImportStatus.DRAFT, ImportStatus.CHECKED, ImportStatus.CHECKING)
LONGEST_EVIDENCE = 2000


def upload(
    file_name: str, chunks: Iterable[bytes], *, kind: str, actor: Actor, now: datetime, **reading: Any
) -> ImportRun:
    """Keep a list and look at it. The same file of the same actor gives their draft again.

    `reading` may hold encoding, delimiter, sheet and has_header where detection is not to be trusted. Raises Invalid
    with the code of what is wrong with the file, TooLarge; then nothing is kept.
    """
    if kind not in ImportKind.values:
        raise Invalid(
            _("There is no such kind."), code="invalid_choice", field="kind", allowed=ImportKind.values
        )
    public_id = uuid.uuid4()
    sha256, size = import_files.store(chunks, public_id=public_id)
    try:
        draft = ImportRun.objects.filter(
            sha256=sha256, kind=kind, status=ImportStatus.DRAFT, actor=str(actor), file_removed_at=None
        ).first()
        if draft is not None and not reading:
            import_files.remove(public_id)
            return draft
        shape = _look(import_files.original(public_id), reading)
        with transaction.atomic():
            run = ImportRun(
                public_id=public_id, kind=kind, file_name=Path(file_name).name[:200] or "list", file_size=size,
                sha256=sha256, actor=str(actor), created_at=now,
            )  # fmt: skip
            _take_shape(run, shape)
            run.save()
            actionlog.write(actor, "crm.import.uploaded", run, now=now)
    except BaseException:
        import_files.remove(public_id)
        raise
    return run


def reshape(run_id: int, *, kind: str, actor: Actor, now: datetime, **reading: Any) -> ImportRun:
    """Read the file in another way: encoding, delimiter, sheet, with or without a header, people or events."""
    if kind not in ImportKind.values:
        raise Invalid(
            _("There is no such kind."), code="invalid_choice", field="kind", allowed=ImportKind.values
        )
    with transaction.atomic():
        run = _editable(run_id)
        shape = _look(import_files.original(run.public_id), reading)
        run.kind = kind
        _take_shape(run, shape)
        import_files.original(run.public_id).with_name("rows.csv").unlink(missing_ok=True)
        run.save()
        actionlog.write(actor, "crm.import.changed", run, fields=("shape", "kind"), now=now)
    return run


def set_mapping(run_id: int, *, mapping: Any, actor: Actor, now: datetime) -> ImportRun:
    """Say what the columns mean, and remember it for lists with the same headers. Raises Invalid."""
    with transaction.atomic():
        run = _editable(run_id)
        chosen = columns.read(mapping, run.shape["headers"], kind=run.kind)
        columns.require(chosen, kind=run.kind)
        run.mapping = columns.plain(chosen)
        run.digest = columns.digest(run.sha256, chosen, kind=run.kind)
        run.save(update_fields=["mapping", "digest", "status", "report", "checked_at"])
        ImportMapping.objects.update_or_create(
            fingerprint=run.fingerprint, kind=run.kind,
            defaults={"mapping": run.mapping, "changed_at": now, "actor": str(actor)},
        )  # fmt: skip
        actionlog.write(actor, "crm.import.changed", run, fields=("mapping",), now=now)
    return run


def describe(
    run_id: int,
    *,
    source: str,
    tie_strength: str,
    consent: Mapping[str, Any],
    options: Mapping[str, Any],
    actor: Actor,
    now: datetime,
) -> ImportRun:
    """State where the list comes from, how well its people know us, and what they agreed to.

    `consent`: `given` (True or False), `evidence`, `text_version`, `agreed_on`, `claims` ([purpose, channel] pairs).
    `options`: `existing` (fill | replace), `trigger`, `static_list`, `region`. Raises Invalid.
    """
    with transaction.atomic():
        run = _editable(run_id)
        name = " ".join(str(source).split())
        if not name:
            raise Invalid(_("Say where this list comes from."), code="source_needed", field="source")
        if run.kind == ImportKind.CONTACTS:
            if tie_strength not in TieStrength.values:
                raise Invalid(
                    _("Say how well the people of this list know you."), code="tie_strength_needed",
                    field="tie_strength", allowed=TieStrength.values,
                )  # fmt: skip
            run.tie_strength = tie_strength
            run.consent = _read_consent(consent, run, now=now)
        run.options = _read_options(options)
        run.source = Source.objects.filter(name=name).first() or _new_source(name, actor=actor, now=now)
        run.save(
            update_fields=["source", "tie_strength", "consent", "options", "status", "report", "checked_at"]
        )
        actionlog.write(
            actor, "crm.import.changed", run, fields=("source", "tie_strength", "consent"), now=now
        )
    return run


def check(run_id: int, *, actor: Actor, now: datetime) -> ImportRun:
    """Begin the dry run: everything is read and compared, nothing is written. Raises Invalid, Conflict."""
    with transaction.atomic():
        run = _ready(run_id)
        if run.started_at is not None:
            raise Conflict(_("This import has begun; it can no longer be changed."), code="conflict")
        run = move(
            run, ImportStatus.CHECKING, actor=actor, now=now,
            report={}, counters={}, cursor_row=0, cursor_offset=0, claims=0, claim_token=None, leased_until=None,
            error="", working_seconds=0, started_at=None,
        )  # fmt: skip
        jobs.wake(TASK, run=run.pk)
    return run


def start(run_id: int, *, force: bool = False, actor: Actor, now: datetime) -> ImportRun:
    """Let a checked list in. Raises Conflict `imported_before` when this file was imported with these columns,
    `not_checked` without a dry run, Invalid `nothing_to_import`."""
    try:
        with transaction.atomic():
            run = _ready(run_id)
            if run.status != ImportStatus.CHECKED:
                raise Conflict(_("Do the dry run first."), code="not_checked")
            if not (run.rows_total or 0) - int(run.counters.get("rejected", 0)):
                raise Invalid(_("No row of this list can be imported."), code="nothing_to_import")
            run = move(
                run, ImportStatus.RUNNING, actor=actor, now=now,
                counters={}, cursor_row=0, cursor_offset=0, claims=0, claim_token=None, leased_until=None,
                error="", working_seconds=0, started_at=now, is_forced=force,
            )  # fmt: skip
            jobs.wake(TASK, run=run.pk)
    except IntegrityError:
        before = reads.imported_before(run_id)
        raise Conflict(
            _("This file was imported before (import %(id)s). Import it again only on purpose.")
            % {"id": before.pk if before else "–"},
            code="imported_before", field="force",
        ) from None  # fmt: skip
    return run


def pause(run_id: int, *, actor: Actor, now: datetime) -> ImportRun:
    """Stop after what is committed; `resume` goes on from there."""
    with transaction.atomic():
        return move(
            locked(run_id), ImportStatus.PAUSED, actor=actor, now=now, claim_token=None, leased_until=None
        )


def resume(run_id: int, *, actor: Actor, now: datetime) -> ImportRun:
    """Go on where a paused or failed run stopped."""
    with transaction.atomic():
        run = locked(run_id)
        if run.started_at is None:
            raise Conflict(_("This import has not begun."), code="conflict")
        run = move(
            run,
            ImportStatus.RUNNING,
            actor=actor,
            now=now,
            claims=0,
            claim_token=None,
            leased_until=None,
            error="",
        )
        jobs.wake(TASK, run=run.pk)
    return run


def cancel(run_id: int, *, actor: Actor, now: datetime) -> ImportRun:
    """End a run for good. Who came in stays; the rest of the list does not come. The file is removed later."""
    with transaction.atomic():
        return move(
            locked(run_id), ImportStatus.CANCELLED, actor=actor, now=now,
            finished_at=now, claim_token=None, leased_until=None,
        )  # fmt: skip


def make_warm_up_list(run_id: int, *, actor: Actor, now: datetime) -> Segment:
    """A static list of those of an import who said yes to marketing and have an address for it; asking again gives
    another list with those of that moment. Raises NotFound, also `nobody_warm`, and then no list is left."""
    with transaction.atomic():
        run = locked(run_id)
        name = _("Warm-up: %(source)s, %(day)s") % {
            "source": run.source.name if run.source else run.file_name,
            "day": formats.date_format(timezone.localtime(now), "SHORT_DATE_FORMAT"),
        }
        try:
            with transaction.atomic():
                segment = segments.create(name[:110], actor=actor, now=now)
        except Conflict:
            made = Segment.objects.filter(name__startswith=f"{name[:110]} (").count()
            segment = segments.create(f"{name[:110]} ({made + 2})", actor=actor, now=now)
        segments.add_warm(segment.pk, run_id=run.pk, actor=actor, now=now)
    segment.refresh_from_db()
    return segment


def move(run: ImportRun, to: str, *, actor: Actor, now: datetime, **values: Any) -> ImportRun:
    """The only writer of the status. Raises Conflict when the run is elsewhere by now."""
    if to not in IMPORT_TRANSITIONS[run.status]:
        raise Conflict(
            _("An import that is “%(from)s” cannot become “%(to)s”.")
            % {"from": run.get_status_display(), "to": ImportStatus(to).label},
            code="conflict", allowed=list(IMPORT_TRANSITIONS[run.status]),
        )  # fmt: skip
    changed = ImportRun.objects.filter(pk=run.pk, status=run.status).update(status=to, **values)
    if changed != 1:
        raise Conflict(_("Somebody else was faster; look again."), code="conflict")
    actionlog.write(actor, f"crm.import.{to}", run, fields=("status",), now=now)
    run.refresh_from_db()
    return run


def locked(run_id: int) -> ImportRun:
    """A run under its lock. Raises NotFound."""
    run = ImportRun.objects.select_for_update(of=("self",)).filter(pk=run_id).first()
    if run is None:
        raise NotFound(_("There is no such import."))
    return run


def _editable(run_id: int) -> ImportRun:
    """A run that has not begun, back to a draft: what it is about changes, so its dry run no longer holds."""
    run = locked(run_id)
    if run.status not in EDITABLE and not (run.status == ImportStatus.FAILED and run.started_at is None):
        raise Conflict(_("This import has begun; it can no longer be changed."), code="conflict")
    run.status, run.report, run.checked_at = ImportStatus.DRAFT, {}, None
    return run


def _ready(run_id: int) -> ImportRun:
    run = locked(run_id)
    if not run.mapping or not run.digest:
        raise Invalid(_("Say first what the columns mean."), code="mapping_needed", field="mapping")
    if run.source_id is None:
        raise Invalid(_("Say where this list comes from."), code="source_needed", field="source")
    if run.kind == ImportKind.CONTACTS:
        if not run.tie_strength:
            raise Invalid(
                _("Say how well the people of this list know you."), code="tie_strength_needed",
                field="tie_strength", allowed=TieStrength.values,
            )  # fmt: skip
        _read_consent(run.consent, run, now=run.created_at)
    import_files.original(run.public_id)
    return run


def _new_source(name: str, *, actor: Actor, now: datetime) -> Source:
    """A list is a source whose key opens no door until somebody switches it on."""
    made = sources.create(name, trust=Trust.SERVER, actor=actor, now=now)
    return sources.set_active(made.pk, active=False, actor=actor, now=now)


def _look(path: Path, reading: Mapping[str, Any]) -> files.Shape:
    allowed = {"encoding", "delimiter", "sheet", "has_header"}
    wanted = {name: value for name, value in reading.items() if name in allowed and value not in (None, "")}
    if wanted.get("delimiter", ",") not in files.DELIMITERS:
        raise Invalid(
            _("There is no such delimiter."),
            code="invalid_choice",
            field="delimiter",
            allowed=list(files.DELIMITERS),
        )
    return files.inspect(path, **wanted)


def _take_shape(run: ImportRun, shape: files.Shape) -> None:
    headers = files.unique_headers(shape.headers)
    run.shape = {
        "format": shape.format, "encoding": shape.encoding, "delimiter": shape.delimiter, "sheet": shape.sheet,
        "sheets": list(shape.sheets), "has_header": shape.has_header, "direct": shape.direct, "headers": headers,
        "sample": [[cell[:200].replace("\x00", "␀") for cell in row] for row in shape.sample[:5]],
    }  # fmt: skip
    run.fingerprint = columns.fingerprint(headers)
    remembered = ImportMapping.objects.filter(fingerprint=run.fingerprint, kind=run.kind).first()
    if remembered is not None:
        chosen = columns.load(remembered.mapping)
        for column, header in zip(chosen, headers, strict=True):
            column.header, column.guessed = header, False
        run.shape["remembered"] = True
    else:
        chosen = columns.guess(headers, shape.sample, kind=run.kind)
    run.mapping, run.digest = columns.plain(chosen), ""
    run.status, run.report, run.checked_at, run.rows_total = ImportStatus.DRAFT, {}, None, None


def _read_options(given: Mapping[str, Any]) -> dict[str, Any]:
    existing = given.get("existing") or "fill"
    if existing not in ("fill", "replace"):
        raise Invalid(
            _("Values of people you know are either filled or replaced."), code="invalid_choice", field="existing",
            allowed=["fill", "replace"],
        )  # fmt: skip
    region = str(given.get("region") or "").upper()
    if region and not (len(region) == 2 and region.isascii() and region.isalpha()):
        raise Invalid(_("A region has two letters, as CN."), code="invalid_choice", field="region")
    return {
        "existing": existing, "trigger": bool(given.get("trigger", False)), "region": region,
        "static_list": " ".join(str(given.get("static_list") or "").split())[:120],
    }  # fmt: skip


def _read_consent(given: Mapping[str, Any], run: ImportRun, *, now: datetime) -> dict[str, Any]:
    if not isinstance(given.get("given"), bool):
        raise Invalid(
            _("Say what these people agreed to, or that there is no consent."),
            code="consent_needed",
            field="consent",
        )
    has_columns = any(column["target"].startswith("consent:") for column in run.mapping)
    if not given["given"]:
        if has_columns:
            raise Invalid(
                _("A consent column says nothing without evidence: state it, or leave the column out."),
                code="evidence_needed", field="evidence",
            )  # fmt: skip
        return {"given": False}
    evidence = str(given.get("evidence") or "").strip()
    if not 10 <= len(evidence) <= LONGEST_EVIDENCE:
        raise Invalid(
            _("Evidence says where, when and how these people agreed, in 10 to 2,000 characters."),
            code="evidence_needed", field="evidence",
        )  # fmt: skip
    claims = []
    for claim in given.get("claims") or ():
        purpose, channel = (*claim, "", "")[:2]
        if purpose not in Purpose.values or channel not in Channel.values:
            raise Invalid(
                _("A claim is a purpose and a channel."), code="invalid_choice", field="claims",
                allowed={"purpose": Purpose.values, "channel": Channel.values},
            )  # fmt: skip
        if [purpose, channel] not in claims:
            claims.append([purpose, channel])
    if not claims and not has_columns:
        raise Invalid(_("Choose what these people agreed to receive."), code="consent_needed", field="claims")
    agreed_on = str(given.get("agreed_on") or "")
    if agreed_on:
        try:
            if date.fromisoformat(agreed_on) > now.date() and run.status == ImportStatus.DRAFT:
                raise ValueError(agreed_on)
        except ValueError:
            raise Invalid(
                _("The day of consent is a past day, as 2019-05-21."), code="invalid_date", field="agreed_on"
            ) from None
    return {
        "given": True, "evidence": evidence, "text_version": str(given.get("text_version") or "").strip()[:80],
        "agreed_on": agreed_on, "claims": claims,
    }  # fmt: skip
