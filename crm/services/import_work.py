"""The work of imports: chunk after chunk under a claim, each chunk one transaction of which the cursor is a part.

A worker claims a run by a token and a lease. Whatever ends it, the next one goes on after the last chunk that was
committed, and the one that was thought dead cannot commit any more: its token no longer fits. After five claims
without progress the run stops and says so.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import islice
from typing import Any

import orjson
from django.db import connection, transaction

from crm.imports import columns, files
from crm.kernel import actionlog, actors, jobs, knobs, reactions
from crm.kernel.actors import Actor
from crm.kernel.errors import Conflict, DomainError
from crm.models import ImportReject, ImportRun
from crm.services import (
    changes,
    hotpath,
    import_contacts,
    import_events,
    import_files,
    import_undo,
    imports,
    retry,
    segments,
    touchpoints,
)
from crm.services.import_contacts import Job, Plan
from crm.services.import_rows import Draft, Identifier, Reader, Setting
from crm.states import ImportKind, ImportStatus

logger = logging.getLogger(__name__)
SLICE_SECONDS = 25.0
MAX_CLAIMS = 5
EXAMPLES = 5
ACTOR = actors.system("imports")
WORKING = (ImportStatus.CHECKING, ImportStatus.RUNNING, ImportStatus.UNDOING)


class _Lost(Exception):
    """The run was paused, cancelled or taken over: what this worker holds is rolled back."""


def work(run_id: int, *, now: datetime, seconds: float = SLICE_SECONDS) -> bool:
    """Work on a run for up to `seconds`. True when there is more to do and nobody else is at it."""
    run = _claim(run_id)
    if run is None:
        return False
    if run.claims > MAX_CLAIMS:
        _fail(run, error=run.error or "stopped again and again", now=now)
        return False
    started = time.monotonic()
    try:
        if run.status == ImportStatus.UNDOING:
            lease = float(knobs.get("crm.import_lease_seconds"))
            return bool(import_undo.go(run, now=now, until=started + seconds, lease=lease))
        return _Worker(run, now=now, until=started + seconds).go()
    except _Lost:
        return False
    except DomainError as error:
        _fail(run, error=f"{error.code}: {error}", now=now)
        return False
    except Exception as error:
        logger.exception("import %s: a chunk failed", run_id)
        _release(run, error=type(error).__name__)
        raise


def give_back(run_id: int) -> None:
    """A command was interrupted: what it holds of a run may be taken up at once."""
    ImportRun.objects.filter(pk=run_id).update(leased_until=None)


def sweep(*, now: datetime) -> int:
    """Wake a worker for every run that nobody holds. Returns how many."""
    rows = hotpath.fetch(
        "SELECT id FROM crm_importrun WHERE status IN ('checking', 'running', 'undoing')"
        " AND (leased_until IS NULL OR leased_until < clock_timestamp()) ORDER BY id LIMIT 100",
        [],
    )
    for (run_id,) in rows:
        with transaction.atomic():
            jobs.wake(imports.TASK, run=run_id)
    return len(rows)


def tidy(*, now: datetime) -> int:
    """Remove files, excerpts and examples of runs that ended, or were left alone, some days ago."""
    limit = now - timedelta(days=knobs.get("crm.import_file_days"))
    old = ImportRun.objects.filter(file_removed_at=None).exclude(status__in=[*WORKING, ImportStatus.PAUSED])
    number = 0
    for run in old.filter(created_at__lt=limit):
        if (run.finished_at or run.checked_at or run.created_at) < limit:
            _forget(run, now=now)
            number += 1
    return number


def forget_people(profile_ids: list[int], *, now: datetime) -> int:
    """Somebody is erased: the files and excerpts of ended runs that brought them go at once. Returns how many."""
    rows = hotpath.fetch(
        "SELECT DISTINCT run_id FROM crm_importmember WHERE profile_id = ANY(%s)", [list(profile_ids)]
    )
    runs = ImportRun.objects.filter(pk__in=[run_id for (run_id,) in rows], file_removed_at=None)
    number = 0
    for run in runs.filter(status__in=[ImportStatus.DONE, ImportStatus.CANCELLED, ImportStatus.UNDONE]):
        _forget(run, now=now)
        number += 1
    return number


def forget_texts(patterns: Sequence[str], *, runs: Sequence[int], now: datetime) -> int:
    """Somebody is erased whose words (small letters, as patterns) stand in examples or first rows of a run, or in a
    rejected row of `runs`: those go, and the file, unless somebody is at work on it. Returns how many runs."""
    rows = hotpath.fetch(
        "SELECT id FROM crm_importrun WHERE id = ANY(%s) OR lower(shape::text) LIKE ANY(%s)"
        " OR lower(report::text) LIKE ANY(%s) OR lower(counters::text) LIKE ANY(%s)",
        [list(runs), list(patterns), list(patterns), list(patterns)],
    )
    for run in ImportRun.objects.filter(pk__in=[run_id for (run_id,) in rows]).order_by("pk"):
        _forget(run, now=now, keep_file=run.status in (*WORKING, ImportStatus.PAUSED))
    return len(rows)


def _forget(run: ImportRun, *, now: datetime, keep_file: bool = False) -> None:
    if not keep_file:
        import_files.remove(run.public_id)
    with transaction.atomic():
        if not keep_file:
            ImportReject.objects.filter(run=run).delete()
        run.report.pop("examples", None)
        run.counters.pop("examples", None)
        run.shape["sample"] = []
        ImportRun.objects.filter(pk=run.pk).update(
            report=run.report, counters=run.counters, shape=run.shape,
            file_removed_at=run.file_removed_at if keep_file else run.file_removed_at or now,
        )  # fmt: skip
        if not keep_file and run.file_removed_at is None:
            actionlog.write(ACTOR, "crm.import.file_removed", run, now=now)


def _claim(run_id: int) -> ImportRun | None:
    token = uuid.uuid4()
    rows = hotpath.fetch(
        """
        UPDATE crm_importrun
           SET claim_token = %s, leased_until = clock_timestamp() + make_interval(secs => %s), claims = claims + 1
         WHERE id = %s AND status IN ('checking', 'running', 'undoing')
           AND (leased_until IS NULL OR leased_until < clock_timestamp())
        RETURNING id
        """,
        [token, float(knobs.get("crm.import_lease_seconds")), run_id],
    )
    return ImportRun.objects.select_related("source").get(pk=run_id) if rows else None


def _release(run: ImportRun, *, error: str = "") -> None:
    ImportRun.objects.filter(pk=run.pk, claim_token=run.claim_token).update(leased_until=None, error=error)


def _fail(run: ImportRun, *, error: str, now: datetime) -> None:
    with transaction.atomic():
        fresh = ImportRun.objects.select_for_update(of=("self",)).get(pk=run.pk)
        if fresh.status in WORKING and fresh.claim_token == run.claim_token:
            ended = ImportStatus.UNDO_FAILED if fresh.status == ImportStatus.UNDOING else ImportStatus.FAILED
            imports.move(
                fresh, ended, actor=ACTOR, now=now,
                error=error[:300], leased_until=None, claim_token=None,
            )  # fmt: skip


class _Worker:
    """One claim on one run."""

    def __init__(self, run: ImportRun, *, now: datetime, until: float) -> None:
        self.run, self.now, self.until = run, now, until
        self.dry = run.status == ImportStatus.CHECKING
        self.lease = float(knobs.get("crm.import_lease_seconds"))
        zone = knobs.get("crm.time_zone")
        region = run.options.get("region") or knobs.get("crm.phone_region")
        began = run.started_at or now
        claims = tuple((purpose, channel) for purpose, channel in run.consent.get("claims", ()))
        chosen = columns.load(run.mapping)
        self.reader = Reader(chosen, Setting(region, zone, began.date(), claims))
        self.is_events = run.kind == ImportKind.EVENTS
        self.job = job_of(run, now=now)
        self.counters: dict[str, Any] = dict(run.counters)

    def go(self) -> bool:
        run = self.run
        if self.dry and run.cursor_row and not _has_mark(run.pk):
            self._start_again()
        if self.dry and not run.cursor_row:
            _mark(run.pk)
        path, encoding, delimiter = import_files.readable(run.public_id, shape=run.shape)
        self._extend()
        rows = files.rows(
            path, encoding=encoding, delimiter=delimiter, offset=run.cursor_offset, number=run.cursor_row
        )
        if not run.cursor_row and run.shape["has_header"]:
            next(rows, None)
        size = knobs.get("crm.import_chunk_rows")
        while chunk := list(islice(rows, size)):
            started = time.monotonic()
            self._chunk(chunk)
            if len(chunk) < size:
                break
            if time.monotonic() > self.until or jobs.is_stopping():
                _release(run)
                return True
            # Leave others their share of the database between two chunks of a long list.
            time.sleep(min(0.02, (time.monotonic() - started) / 50))
        self._finish()
        return False

    def _chunk(self, chunk: list[files.Row]) -> None:
        started = time.monotonic()
        number, end = chunk[-1].number, chunk[-1].end
        drafts: list[Any]
        if self.is_events:
            read = [import_events.read(self.reader, row, now=self.now) for row in chunk]
            drafts = [one for one in read if one is not None]
            if not self.dry:
                import_events.prepare(drafts)
        else:
            drafts = [draft for row in chunk if (draft := self.reader.draft(row)) is not None]
        tries = 0

        @retry.on_conflict
        def commit() -> None:
            nonlocal tries
            tries += 1
            with transaction.atomic():
                if tries > touchpoints.OPTIMISTIC_TRIES and not self.dry:
                    from crm.services import identity

                    identity.take_turns()
                for one in drafts:
                    draft = one.draft if self.is_events else one
                    if draft.refused in _DECIDED_LATER:
                        draft.refused = draft.column = draft.excerpt = ""
                    draft.problems = [
                        problem for problem in draft.problems if problem.code not in _FOUND_LATER
                    ]
                found = self._decide(drafts)
                counters = _add(self.counters, found, blank=len(chunk) - len(drafts))
                self._save(number, end, counters, time.monotonic() - started)
            self.counters = counters

        commit()
        self.run.cursor_row, self.run.cursor_offset = number, end

    def _decide(self, drafts: list[Any]) -> Plan:
        if self.is_events:
            if self.dry:
                return import_events.check(drafts)
            return import_events.write(drafts, self.job, now=self.now)
        if self.dry:
            return _dry(drafts, self.run.pk)
        found = import_contacts.write(drafts, self.job, now=self.now)
        if self.job.trigger:
            _tell(found, self.job, now=self.now)
        return found

    def _save(self, number: int, end: int, counters: dict[str, Any], seconds: float) -> None:
        """Move the cursor; the row must still be ours."""
        rows = hotpath.fetch(
            """
            UPDATE crm_importrun
               SET cursor_row = %s, cursor_offset = %s, counters = %s::jsonb, claims = 0,
                   working_seconds = working_seconds + %s,
                   leased_until = clock_timestamp() + make_interval(secs => %s)
             WHERE id = %s AND status = %s AND claim_token = %s RETURNING 1
            """,
            [
                number, end, orjson.dumps(counters).decode(), seconds, self.lease, self.run.pk, self.run.status,
                self.run.claim_token,
            ],
        )  # fmt: skip
        if not rows:
            raise _Lost

    def _extend(self) -> None:
        """Making a copy of a workbook takes a while: begin the lease anew."""
        changed = hotpath.fetch(
            "UPDATE crm_importrun SET leased_until = clock_timestamp() + make_interval(secs => %s)"
            " WHERE id = %s AND claim_token = %s RETURNING 1",
            [self.lease, self.run.pk, self.run.claim_token],
        )
        if not changed:
            raise _Lost

    def _start_again(self) -> None:
        """The notes of a dry run did not survive a crash of the database: begin it anew."""
        self.run.cursor_row = self.run.cursor_offset = 0
        self.counters = {}

    def _finish(self) -> None:
        run = self.run
        with transaction.atomic():
            fresh = ImportRun.objects.select_for_update(of=("self",)).get(pk=run.pk)
            if fresh.claim_token != run.claim_token or fresh.status != run.status:
                raise _Lost
            total = int(self.counters.get("rows", 0))
            if self.dry:
                hotpath.fetch("DELETE FROM crm_importseen WHERE run_id = %s", [run.pk])
                imports.move(
                    fresh, ImportStatus.CHECKED, actor=ACTOR, now=self.now,
                    report=self.counters, rows_total=total, checked_at=self.now, claim_token=None,
                    leased_until=None, error="",
                )  # fmt: skip
                return
            self._keep_as_list(fresh)
            imports.move(
                fresh, ImportStatus.DONE, actor=ACTOR, now=self.now,
                rows_total=total, finished_at=self.now, claim_token=None, leased_until=None, error="",
            )  # fmt: skip
            reactions.publish("crm.import.finished", [run.pk], now=self.now)

    def _keep_as_list(self, run: ImportRun) -> None:
        """The static list that was asked for, with everybody of the run; a name that is taken gets its number."""
        name = run.options.get("static_list")
        if not name or not hotpath.fetch(
            "SELECT 1 FROM crm_importmember WHERE run_id = %s LIMIT 1", [run.pk]
        ):
            return
        self.lease = max(self.lease, 900.0)
        self._extend()
        actor = Actor.parse(run.actor)
        try:
            segment = segments.create(name, actor=actor, now=self.now)
        except Conflict:
            segment = segments.create(f"{name} #{run.pk}", actor=actor, now=self.now)
        segments.add_import(segment.pk, run_id=run.pk, actor=actor, now=self.now)


# Set while deciding a chunk; a second try begins without them.
_DECIDED_LATER = ("conflict", "erased", "invalid_event")
_FOUND_LATER = ("identity_limit", "withdrawn")


def job_of(run: ImportRun, *, now: datetime) -> Job:
    """What the chunks of a run need to know. Values and decisions hold as of the start, whenever they are written."""
    began = run.started_at or now
    agreed_on = run.consent.get("agreed_on") or ""
    agreed_at = datetime.fromisoformat(agreed_on).replace(tzinfo=UTC) if agreed_on else began
    return Job(
        run_id=run.pk,
        source_id=run.source_id or 0,
        source_name=run.source.name if run.source else "",
        actor=Actor.parse(run.actor),
        stamp=began,
        trigger=bool(run.options.get("trigger")),
        tie_strength=run.tie_strength,
        replaces=run.options.get("existing") == "replace",
        has_evidence=bool(run.consent.get("given")),
        evidence=str(run.consent.get("evidence", "")),
        text_version=str(run.consent.get("text_version", "")),
        agreed_at=agreed_at,
    )


def _tell(found: Plan, job: Job, *, now: datetime) -> None:
    """Only where it was asked for: a touchpoint per person that journeys and segments hear."""
    events = [
        touchpoints.Event(
            kind="crm.profile.imported", occurred_at=now, message_id=f"crm.import:{job.run_id}:{person.root_id}",
            profile_id=person.root_id, properties={"import": job.run_id, "source": job.source_name},
        )
        for person in (*found.newcomers, *found.known)
        if not person.was_seen
    ]  # fmt: skip
    if events:
        touchpoints.record(events, source=None, actor=job.actor, now=now)
        changes.tell([person.root_id for person in (*found.newcomers, *found.known)], now=now)


# -- the notes of a dry run: who was named by which row, as digests, in a table that survives no crash


def _dry(drafts: list[Draft], run_id: int) -> Plan:
    owners = import_contacts.look_up(drafts)
    noted = _read_notes(drafts, owners, run_id)
    for pair, owner in noted.items():
        owners.setdefault(pair, owner)
    seen = set(noted.values())
    found = import_contacts.plan(
        drafts,
        owners=owners,
        counts=import_contacts.count_identifiers(drafts, owners),
        seen=seen,
        barred=import_contacts.barred_addresses(drafts),
        held=import_contacts.held_decisions(drafts, owners),
    )
    notes: dict[str, int] = {}
    for person in (*found.newcomers, *found.known):
        owner = person.root_id if person.root_id > 0 else -person.row
        notes[_key(("=", str(owner)))] = owner
        for draft in person.drafts:
            for pair in draft.identifiers:
                notes.setdefault(_key(pair), owners.get(pair, owner))
    hotpath.fetch(
        "INSERT INTO crm_importseen (run_id, key, owner) SELECT %s, key, owner"
        "  FROM unnest(%s::uuid[], %s::bigint[]) AS t(key, owner) ORDER BY key ON CONFLICT DO NOTHING",
        [run_id, hotpath.array(list(notes)), hotpath.array(list(notes.values()))],
    )
    return found


def _read_notes(drafts: list[Draft], owners: dict[Identifier, int], run_id: int) -> dict[Identifier, int]:
    pairs = {_key(pair): pair for draft in drafts if not draft.refused for pair in draft.identifiers}
    for root_id in set(owners.values()):
        pairs[_key(("=", str(root_id)))] = ("=", str(root_id))
    rows = hotpath.fetch(
        "SELECT s.key::text, s.owner FROM unnest(%s::uuid[]) AS t(key) JOIN crm_importseen s"
        "    ON s.run_id = %s AND s.key = t.key",
        [hotpath.array(list(pairs)), run_id],
    )
    return {pairs[key.replace("-", "")]: owner for key, owner in rows}


def _key(pair: Identifier) -> str:
    return blake2b(f"{pair[0]}\x1f{pair[1]}".encode(), digest_size=16).hexdigest()


_MARK = "0" * 32


def _mark(run_id: int) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM crm_importseen WHERE run_id = %s", [run_id])
        cursor.execute("INSERT INTO crm_importseen (run_id, key, owner) VALUES (%s, %s, 0)", [run_id, _MARK])


def _has_mark(run_id: int) -> bool:
    return bool(hotpath.fetch("SELECT 1 FROM crm_importseen WHERE run_id = %s AND key = %s", [run_id, _MARK]))


def _add(before: dict[str, Any], found: Plan, *, blank: int) -> dict[str, Any]:
    """The counters of the run with those of a chunk, and the first examples of each reason."""
    counters = dict(before)
    for name, number in found.counters.items():
        counters[name] = int(counters.get(name, 0)) + number
    if blank:
        counters["blank"] = int(counters.get("blank", 0)) + blank
    examples = {code: list(rows) for code, rows in counters.get("examples", {}).items()}
    for row, column, code, excerpt, _whole in found.rejects:
        kept = examples.setdefault(code, [])
        if len(kept) < EXAMPLES:
            kept.append([row, column, excerpt])
    if examples:
        counters["examples"] = examples
    return counters


def each_row(run: ImportRun) -> Iterator[files.Row]:
    """All rows of a run's list, for showing."""
    path, encoding, delimiter = import_files.readable(run.public_id, shape=run.shape)
    return files.rows(path, encoding=encoding, delimiter=delimiter)
