"""Reading imports: what they brought, what was left out, and what became of the people since."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from crm.imports import reasons
from crm.models import ImportMember, ImportReject, ImportRun
from crm.states import ImportStatus

STARTED = (
    ImportStatus.RUNNING, ImportStatus.PAUSED, ImportStatus.FAILED, ImportStatus.DONE, ImportStatus.UNDOING,
    ImportStatus.UNDO_FAILED,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. `seconds_left` is None while that cannot be told."""

    rows: int
    share: float
    rows_per_second: float
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason for leaving something out, with its first examples (row, column, value)."""

    code: str
    text: str
    number: int
    whole_row: bool
    examples: list[list[Any]] = field(default_factory=list)


def imported_before(run_id: int) -> ImportRun | None:
    """The run by which the same file came in with the same columns."""
    run = ImportRun.objects.filter(pk=run_id).first()
    if run is None or not run.digest:
        return None
    same = ImportRun.objects.filter(digest=run.digest, status__in=STARTED).exclude(started_at=None)
    return same.exclude(pk=run_id).order_by("-pk").first()


def progress(run: ImportRun) -> Progress:
    """How far a run is, by the bytes of its list."""
    rows = max(0, run.cursor_row - (1 if run.shape.get("has_header") else 0)) if run.cursor_row else 0
    if run.status in (ImportStatus.UNDOING, ImportStatus.UNDO_FAILED):
        done, whole = int(run.undo.get("done", 0)), int(run.undo.get("people", 0))
        return Progress(done, done / whole if whole else 1.0, 0.0, None)
    finished = run.status in (ImportStatus.DONE, ImportStatus.CHECKED, ImportStatus.UNDONE)
    if run.rows_total and run.status != ImportStatus.CHECKING:
        share = min(1.0, rows / run.rows_total)
    elif run.shape.get("direct") and run.file_size:
        share = min(1.0, run.cursor_offset / run.file_size)
    else:
        share = 0.0
    share = 1.0 if finished else share
    speed = rows / run.working_seconds if run.working_seconds else 0.0
    left = run.working_seconds * (1 - share) / share if 0 < share < 1 and run.working_seconds else None
    return Progress(rows, share, speed, left)


def reasons_of(counters: dict[str, Any]) -> list[Reason]:
    """Why rows and values were left out, the commonest first; whole rows before values."""
    examples = counters.get("examples", {})
    found = []
    for name, number in counters.items():
        prefix, _colon, code = name.partition(":")
        if prefix in ("reject", "value") and code:
            found.append(
                Reason(code, reasons.text(code), int(number), prefix == "reject", examples.get(code, []))
            )
    return sorted(found, key=lambda reason: (not reason.whole_row, -reason.number, reason.code))


def rejects(run: ImportRun) -> QuerySet[ImportReject]:
    """What was left out, in the order of the list."""
    return ImportReject.objects.filter(run=run).order_by("pk")


def reject_lines(run: ImportRun) -> Iterator[list[str]]:
    """The reject file: row, column, value, code, reason in the reader's language. Read in pages."""
    texts: dict[str, str] = {}
    last = 0
    while True:
        page = list(rejects(run).filter(pk__gt=last)[:5000])
        if not page:
            return
        last = page[-1].pk
        for row in page:
            text = texts.setdefault(row.code, reasons.text(row.code))
            yield [str(row.row), row.column, row.excerpt, "1" if row.whole_row else "0", row.code, text]


def lists_of(profile_ids: Iterable[int]) -> list[tuple[ImportRun, bool]]:
    """The lists that a person came with or was found in, newest first."""
    members = dict(
        ImportMember.objects.filter(profile_id__in=list(profile_ids))
        .order_by("-run_id")
        .values_list("run_id", "is_new")[:20]
    )
    runs = ImportRun.objects.select_related("source").in_bulk(list(members))
    return [(runs[run_id], members[run_id]) for run_id in members if run_id in runs]


@dataclass(frozen=True, slots=True)
class Funnel:
    """From a dormant list to people who came back. Every number is of living people, each counted once."""

    imported: int
    new: int
    reachable: int
    asked: int
    consented: int
    withdrawn: int
    warm: int
    answered: int
    returned: int


def funnel(run: ImportRun, *, now: datetime) -> Funnel:
    """What became of the people of a run: two bounded statements whatever the size of the log.

    Touchpoints are read by the ids of the run's people, from its start, for a year at most.
    """
    since = run.started_at or run.created_at
    until = min(now, since + timedelta(days=366))
    with connection.cursor() as cursor:
        cursor.execute(_PEOPLE_SQL, {"run": run.pk, "since": since})
        people = cursor.fetchone()
        cursor.execute(_BACK_SQL, {"run": run.pk, "since": since, "until": until + timedelta(minutes=1)})
        answered, returned = cursor.fetchone()
    imported, new, reachable, asked, consented, withdrawn, warm = people
    return Funnel(imported, new, reachable, asked, consented, withdrawn, warm, answered, returned)


_MEMBERS = """
    members AS MATERIALIZED (
        SELECT DISTINCT COALESCE(p.merged_into_id, p.id) AS id, bool_or(m.is_new) AS is_new
          FROM crm_importmember m JOIN crm_profile p ON p.id = m.profile_id
         WHERE m.run_id = %(run)s AND p.erased_at IS NULL GROUP BY 1)
"""
_PEOPLE_SQL = f"""
WITH {_MEMBERS}, decisions AS (
    SELECT DISTINCT ON (c.profile_id, c.channel) c.profile_id, c.channel, c.granted, c.way, c.occurred_at
      FROM members m JOIN crm_consentrecord c ON c.profile_id = m.id AND c.purpose = 'marketing'
     ORDER BY c.profile_id, c.channel, c.occurred_at DESC, c.id DESC
), points AS (
    SELECT c.profile_id, c.channel,
           c.verified_at IS NOT NULL OR c.origin IN ('server', 'staff', 'import_with_evidence') AS trusted,
           EXISTS (SELECT 1 FROM crm_suppression s WHERE s.channel = c.channel AND s.value_hash = c.value_hash
                      AND s.purpose IN ('', 'marketing')) AS barred
      FROM members m JOIN crm_contactpoint c ON c.profile_id = m.id AND c.bounced_at IS NULL AND c.removed_at IS NULL
), state AS (
    SELECT m.id, m.is_new,
           EXISTS (SELECT 1 FROM points p WHERE p.profile_id = m.id AND NOT p.barred) AS reachable,
           EXISTS (SELECT 1 FROM crm_consentrequest q WHERE q.profile_id = m.id AND q.asked_at >= %(since)s) AS asked,
           EXISTS (SELECT 1 FROM decisions d WHERE d.profile_id = m.id AND d.granted) AS consented,
           EXISTS (SELECT 1 FROM decisions d WHERE d.profile_id = m.id AND NOT d.granted) AS withdrawn,
           EXISTS (SELECT 1 FROM decisions d JOIN points p ON p.profile_id = d.profile_id AND p.channel = d.channel
                    WHERE d.profile_id = m.id AND d.granted AND p.trusted AND NOT p.barred) AS warm
      FROM members m
)
SELECT count(*), count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE reachable), count(*) FILTER (WHERE asked),
       count(*) FILTER (WHERE consented), count(*) FILTER (WHERE withdrawn), count(*) FILTER (WHERE warm)
  FROM state
"""
# The ids of those who are warm, for a list of them: takes the number of the run.
WARM_SQL = """
WITH members AS (
    SELECT DISTINCT COALESCE(p.merged_into_id, p.id) AS id
      FROM crm_importmember m JOIN crm_profile p ON p.id = m.profile_id
     WHERE m.run_id = %s AND p.erased_at IS NULL
), decisions AS (
    SELECT DISTINCT ON (c.profile_id, c.channel) c.profile_id, c.channel, c.granted
      FROM members m JOIN crm_consentrecord c ON c.profile_id = m.id AND c.purpose = 'marketing'
     ORDER BY c.profile_id, c.channel, c.occurred_at DESC, c.id DESC
)
SELECT DISTINCT d.profile_id FROM decisions d
  JOIN crm_contactpoint c ON c.profile_id = d.profile_id AND c.channel = d.channel
   AND c.bounced_at IS NULL AND c.removed_at IS NULL
   AND (c.verified_at IS NOT NULL OR c.origin IN ('server', 'staff', 'import_with_evidence'))
 WHERE d.granted AND NOT EXISTS (
       SELECT 1 FROM crm_suppression s WHERE s.channel = c.channel AND s.value_hash = c.value_hash
          AND s.purpose IN ('', 'marketing'))
"""
# Consents, imports, merges and what we send are our own doing; an answer is theirs.
_BACK_SQL = f"""
WITH {_MEMBERS}
SELECT count(*) FILTER (WHERE EXISTS (
           SELECT 1 FROM crm_touchpoint t WHERE t.profile_id = m.id AND t.occurred_at >= %(since)s
              AND t.occurred_at < %(until)s AND t.kind IN ('crm.consent.given', 'crm.consent.withdrawn',
                  'lifecycle.message.opened', 'lifecycle.message.clicked', 'voc.feedback.given',
                  'voc.survey.answered'))),
       count(*) FILTER (WHERE EXISTS (
           SELECT 1 FROM crm_touchpoint t WHERE t.profile_id = m.id AND t.occurred_at >= %(since)s
              AND t.occurred_at < %(until)s AND t.kind NOT LIKE 'crm.%%' AND t.kind NOT LIKE 'lifecycle.%%'
              AND t.kind NOT LIKE 'members.%%'))
  FROM members m
"""
