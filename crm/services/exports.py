"""Lists that leave the house: asked for with a right of its own, written by a worker, fetched by who asked, and gone
after a day.

Whoever has rows to give registers a producer: its columns, and its rows in the order of a position, so a worker that
was killed goes on after the last part that was committed. Cells that a spreadsheet would run as a formula are quoted.
Who asked, and every download, is in the log of actions.
"""

from __future__ import annotations

import csv
import io
import uuid
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import translation
from django.utils.translation import gettext as _

from crm.kernel import actionlog, jobs, knobs
from crm.kernel.actors import Actor
from crm.kernel.errors import Conflict, DomainError, Gone, Invalid, NotFound
from crm.models import Export, ExportPart
from crm.states import FileStatus

TASK: Final = "crm.write_exports"
ROWS_PER_PART: Final = 2000
MOST_CLAIMS: Final = 5
MOST_COLUMNS: Final = 60
LEASE_SECONDS: Final = 360
# Also behind blanks, and as full-width signs.
FORMULA: Final = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n", "|")
RACE: Final = timedelta(minutes=2)
MARK: Final = "\ufeff"  # spreadsheets read UTF-8 by it


@dataclass(frozen=True, slots=True)
class Column:
    """A column that may be chosen."""

    key: str
    label: Any


# rows(subject, columns, after, limit): the next rows, each with its position, in rising order; None for a row that is
# left out but keeps its place.
Rows = Callable[[str, Sequence[str], int, int], list[tuple[int, list[Any] | None]]]


@dataclass(frozen=True, slots=True)
class Producer:
    """Somebody who has rows to give: of which columns, and which right it takes to have them."""

    kind: str
    permission: str
    columns: Callable[[str], list[Column]]
    rows: Rows


_producers: dict[str, Producer] = {}


def register(kind: str, *, permission: str, columns: Callable[[str], list[Column]], rows: Rows) -> None:
    """Register a producer, in an app's ready()."""
    _producers[kind] = Producer(kind, permission, columns, rows)


def producer(kind: str) -> Producer:
    """The producer of a kind. Raises KeyError."""
    return _producers[kind]


def request(
    kind: str,
    subject: str,
    *,
    title: str,
    columns: Sequence[str],
    language: str,
    actor: Actor,
    now: datetime,
) -> Export:
    """Ask for a file. The caller has seen to the right. Raises Invalid `invalid_columns`."""
    allowed = [column.key for column in _producers[kind].columns(subject)]
    chosen = list(dict.fromkeys(columns))
    known = set(allowed)
    odd = [key for key in chosen if key not in known]
    if odd or not 1 <= len(chosen) <= MOST_COLUMNS:
        raise Invalid(
            _("Choose 1 to %(number)s of the columns there are.") % {"number": MOST_COLUMNS},
            code="invalid_columns", field="columns", allowed=allowed[:200],
        )  # fmt: skip
    with transaction.atomic():
        row = Export.objects.create(
            kind=kind,
            subject=subject,
            title=title[:200],
            columns=chosen,
            language=language,
            requester=str(actor),
            created_at=now,
            expires_at=now + timedelta(hours=knobs.get("crm.export_file_hours")),
        )
        actionlog.write(actor, "crm.export.list_requested", row, fields=chosen, now=now)
        jobs.wake(TASK)
    row.refresh_from_db()
    return row


def find(public_id: Any, *, actor: Actor, now: datetime) -> Export:
    """An export of this requester. Raises NotFound, also for somebody else's, and Gone when it has expired."""
    row = Export.objects.filter(public_id=public_id, requester=str(actor)).first()
    if row is None:
        raise NotFound(_("There is no such export."))
    if row.status == FileStatus.EXPIRED or row.expires_at <= now:
        raise Gone(_("This file has expired; ask for a new one."), code="expired")
    return row


def download(public_id: Any, *, actor: Actor, now: datetime) -> tuple[Export, Iterator[bytes]]:
    """The file in pieces, for who asked for it; written down. Raises as `find`, and Conflict `not_ready`."""
    row = find(public_id, actor=actor, now=now)
    if row.status != FileStatus.READY:
        raise Conflict(_("This file is not ready yet."), code="not_ready")
    with transaction.atomic():
        Export.objects.filter(pk=row.pk).update(downloads=F("downloads") + 1)
        actionlog.write(actor, "crm.export.list_downloaded", row, now=now)
    return row, _parts(row.pk, row.parts.count())


def _parts(export_id: int, number: int) -> Iterator[bytes]:
    for place in range(number):
        body = (
            ExportPart.objects.filter(export_id=export_id, number=place)
            .values_list("body", flat=True)
            .first()
        )
        if body is not None:
            yield zlib.decompress(bytes(body))


def of(actor: Actor, *, kind: str, subject: str) -> list[Export]:
    """The newest exports of this requester about one subject."""
    rows = Export.objects.filter(requester=str(actor), kind=kind, subject=subject)
    return list(rows.order_by("-id")[:10])


def work(*, now: datetime) -> bool:
    """Claim one export and write its next part. False when there is nothing to do."""
    claimed = _claim()
    if claimed is None:
        return False
    row, token = claimed
    if row.claims > MOST_CLAIMS:
        _fail(row, "worker_died", now=now)
        return True
    try:
        _write_part(row, token, now=now)
    except (DomainError, KeyError) as error:
        _fail(row, type(error).__name__, now=now)
    return True


def _claim() -> tuple[Export, uuid.UUID] | None:
    token = uuid.uuid4()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE crm_export SET status = 'running', claims = claims + 1, claim_token = %s,
                   lease_until = clock_timestamp() + make_interval(secs => %s)
             WHERE id = (SELECT id FROM crm_export
                          WHERE status IN ('waiting', 'running')
                            AND (lease_until IS NULL OR lease_until < clock_timestamp())
                          ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
            RETURNING id
            """,
            [token, LEASE_SECONDS],
        )
        found = cursor.fetchone()
    return (Export.objects.get(pk=found[0]), token) if found else None


def _write_part(row: Export, token: uuid.UUID, *, now: datetime) -> None:
    """Write the next rows as one part; the last part makes the file ready."""
    limit = knobs.get("crm.export_rows")
    source = _producers[row.kind]
    with translation.override(row.language or None):
        wanted = min(ROWS_PER_PART, limit - row.row_count)
        # One more than is written, to know whether the list goes on.
        rows = source.rows(row.subject, row.columns, row.position, wanted + 1)
        more, rows = len(rows) > wanted, rows[:wanted]
        number = ExportPart.objects.filter(export_id=row.pk).count()
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\r\n")
        if number == 0:
            labels = {column.key: str(column.label) for column in source.columns(row.subject)}
            text.write(MARK)
            writer.writerow([cell(labels.get(key, key)) for key in row.columns])
        kept = [values for _position, values in rows if values is not None]
        writer.writerows([cell(value) for value in values] for values in kept)
    body = text.getvalue().encode()
    count = row.row_count + len(kept)
    is_cut = more and count >= limit
    done = not more or is_cut
    values: dict[str, Any] = {
        "position": rows[-1][0] if rows else row.position,
        "row_count": count,
        "byte_count": row.byte_count + len(body),
        "lease_until": None,
        "claim_token": None,
        "claims": 0,
    }
    if done:
        values |= {"status": FileStatus.READY, "finished_at": now, "is_cut": is_cut}
    with transaction.atomic():
        held = Export.objects.filter(pk=row.pk, claim_token=token, status=FileStatus.RUNNING)
        if held.update(**values):
            ExportPart.objects.create(export_id=row.pk, number=number, body=zlib.compress(body, 6))


def cell(value: Any) -> str:
    """A value as a cell of CSV. What a spreadsheet might run as a formula is quoted, also behind blanks; numbers that
    are numbers stay what they are."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if not isinstance(value, str):
        return str(value)
    stripped = value.lstrip(" \u00a0\u3000")
    return f"'{value}" if stripped.startswith(FORMULA) or value.startswith(FORMULA) else value


def _fail(row: Export, reason: str, *, now: datetime) -> None:
    with transaction.atomic():
        ExportPart.objects.filter(export_id=row.pk).delete()
        Export.objects.filter(pk=row.pk).update(
            status=FileStatus.FAILED, error=reason[:300], finished_at=now, lease_until=None, claim_token=None
        )


def expire(*, now: datetime) -> int:
    """Delete the files whose day is over; the line that they were there stays."""
    with transaction.atomic():
        rows = Export.objects.filter(~Q(status=FileStatus.EXPIRED), expires_at__lte=now)
        over = list(rows.values_list("pk", flat=True)[:100])
        ExportPart.objects.filter(export_id__in=over).delete()
        Export.objects.filter(pk__in=over).update(
            status=FileStatus.EXPIRED, lease_until=None, claim_token=None
        )
    return len(over)


def forget_everybody() -> int:
    """Somebody is erased, in this transaction: no file that was read before may be had after it. Ready ones expire;
    one that is being written begins anew, without its parts: whoever writes on it finds that it is theirs no more."""
    rows = Export.objects.filter(status__in=(FileStatus.WAITING, FileStatus.RUNNING, FileStatus.READY))
    # The locks first: a part that is committed while we wait is deleted with the others.
    held = dict(rows.select_for_update().order_by("pk").values_list("pk", "status"))
    ready = [pk for pk, status in held.items() if status == FileStatus.READY]
    begun = [pk for pk in held if pk not in ready]
    ExportPart.objects.filter(export_id__in=list(held)).delete()
    Export.objects.filter(pk__in=ready).update(status=FileStatus.EXPIRED)
    Export.objects.filter(pk__in=begun).update(
        status=FileStatus.WAITING, position=0, row_count=0, byte_count=0, lease_until=None, claim_token=None
    )
    return len(held)


def forget_around(moment: datetime) -> int:
    """Files that were asked for while an erasure was on its way to its commit: `forget_everybody` could not see them,
    and they could not see the tombstone. They expire, once."""
    asked = Export.objects.filter(
        created_at__range=(moment - RACE, moment + RACE), status__in=(FileStatus.RUNNING, FileStatus.READY)
    )
    with transaction.atomic():
        held = list(asked.select_for_update().order_by("pk").values_list("pk", flat=True))
        ExportPart.objects.filter(export_id__in=held).delete()
        return Export.objects.filter(pk__in=held).update(
            status=FileStatus.EXPIRED, lease_until=None, claim_token=None
        )


def is_due() -> bool:
    """Whether a file waits for a worker."""
    return Export.objects.filter(status__in=(FileStatus.WAITING, FileStatus.RUNNING)).exists()
