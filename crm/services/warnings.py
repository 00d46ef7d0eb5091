"""Ingestion warnings: what a source sent that was refused or changed, counted and visible to staff.

One row per source, code, subject and day, written as the last thing of the batch's transaction so that its lock
is held for the shortest time. The sample names the event and the field, never a person's value. Codes in
`BY_KIND` are about one kind that staff know by name; theirs is the only subject, so that a sender of made-up kinds
cannot make rows without end. Refusals of the identity rules have the kind of identifier as their subject.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from crm.rules import BY_IDENTIFIER
from crm.selectors import rules
from crm.services import hotpath

BY_KIND = frozenset({"schema_violation", "kind_blocked"})


def keep(
    events: Sequence[Any],
    *,
    rejected: Sequence[Any] = (),
    noticed: Sequence[tuple[int, str, str]] = (),
    source_id: int | None,
    now: datetime,
    call: str = "",
) -> None:
    """Count the rejections (index, message_id, code, detail) and warnings (index, code, detail) of a batch. `call`
    is the type of the items when the request said it once for all."""
    if not rejected and not noticed:
        return
    found: dict[tuple[str, str], list[Any]] = {}
    for rejection in rejected:
        kind = _kind(events, rejection.index, call)
        sample = _sample(rejection.index, rejection.message_id, kind, rejection.detail, False)
        _add(found, rejection.code, sample)
    for index, code, detail in noticed:
        message_id = _message_id(events[index])
        _add(found, code, _sample(index, message_id, _kind(events, index, call), detail, True))
    write(
        [(code, number, sample, subject) for (code, subject), (number, sample) in sorted(found.items())],
        source_id=source_id,
        now=now,
    )


def write(
    entries: Sequence[tuple[str, int, dict[str, Any]] | tuple[str, int, dict[str, Any], str]],
    *,
    source_id: int | None,
    now: datetime,
) -> None:
    """Add (code, count, sample) or (code, count, sample, subject) entries, each pair of code and subject once, to
    today's rows."""
    hotpath.fetch(
        """
        INSERT INTO crm_ingestionwarning AS w
               (source_id, code, subject, seen_on, count, sample, first_seen_at, last_seen_at)
        SELECT %(source)s, code, subject, %(day)s, number, sample::jsonb, %(now)s, %(now)s
          FROM unnest(%(codes)s::text[], %(subjects)s::text[], %(numbers)s::bigint[], %(samples)s::text[])
               AS t(code, subject, number, sample)
         ORDER BY code, subject
        ON CONFLICT (source_id, code, subject, seen_on) DO UPDATE
           SET count = w.count + EXCLUDED.count, sample = EXCLUDED.sample, last_seen_at = EXCLUDED.last_seen_at
        """,
        {
            "source": source_id,
            "day": now.date(),
            "now": now,
            "codes": [entry[0] for entry in entries],
            "subjects": [entry[3] if len(entry) > 3 else "" for entry in entries],
            "numbers": [entry[1] for entry in entries],
            "samples": [orjson.dumps(entry[2]).decode() for entry in entries],
        },
    )


def _add(found: dict[tuple[str, str], list[Any]], code: str, sample: dict[str, Any]) -> None:
    subject = sample["kind"] if code in BY_KIND else ""
    if code in BY_IDENTIFIER:
        # The detail begins with the kind of identifier: kinds with a rule are counted apart, for the page of it.
        kind = sample["detail"].partition(" ")[0]
        subject = kind if kind in rules.in_force() else "*"
    entry = found.setdefault((code, subject), [0, sample])
    entry[0] += 1


def _kind(events: Sequence[Any], index: int, call: str) -> str:
    """The kind of an event, or of an item of the wire that never became one."""
    if not 0 <= index < len(events):
        return ""
    event = events[index]
    if type(event) is dict:
        name, kind = event.get("event"), call or event.get("type")
        kind = kind.lower() if type(kind) is str else ""
        return name if kind == "track" and type(name) is str else kind
    return str(getattr(event, "kind", ""))


def _message_id(event: Any) -> str:
    found = event.get("messageId") if type(event) is dict else getattr(event, "message_id", "")
    return found if type(found) is str else ""


def _clean(text: str, longest: int) -> str:
    """Text that the database takes, whatever was sent."""
    return text[:longest].replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _sample(index: int, message_id: str, kind: str, detail: str, stored: bool) -> dict[str, Any]:
    return {
        "index": index,
        "message_id": _clean(str(message_id), 100),
        "kind": _clean(kind, 200),
        "detail": _clean(str(detail), 200),
        "stored": stored,
    }
