"""One chunk of a list of events: touchpoints of the past, by the one road onto a timeline.

They are recorded as historical, so they trigger nothing unless that was asked for. A list is believed as a browser
is: it makes people, and never joins two who are known. The same event is stored once, also when the list has no ids
for events: then its kind, time, person and properties are its id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

import orjson

from crm.imports.files import Row
from crm.imports.values import Bad
from crm.kernel import knobs
from crm.kernel.actors import Actor
from crm.services import hotpath, partitions, touchpoints
from crm.services.import_contacts import Job, Plan, look_up, note
from crm.services.import_rows import EXCERPT, Draft, Problem, Reader, moment
from crm.states import Trust

LARGEST = 32 * 1024


@dataclass(slots=True)
class EventDraft:
    """A row read as an event; `draft` has its person and its problems."""

    draft: Draft
    kind: str = ""
    occurred_at: datetime | None = None
    message_id: str = ""
    channel: str = ""


def read(reader: Reader, row: Row, *, now: datetime) -> EventDraft | None:
    """What a row says; None for a blank one."""
    draft = reader.draft(row)
    if draft is None:
        return None
    found = EventDraft(draft)
    if draft.refused or row.cells is None:
        return found
    cells = row.cells

    def cell(part: str) -> tuple[str, str, str]:
        place, header, order = reader.events.get(part, (-1, "", ""))
        return (cells[place].strip() if 0 <= place < len(cells) else ""), header, order

    kind, header, _order = cell("kind")
    if not kind or len(kind) > touchpoints.LONGEST_KIND:
        draft.refused, draft.column, draft.excerpt = "no_kind", header, kind[:EXCERPT]
        return found
    text, header, order = cell("occurred_at")
    try:
        found.occurred_at = moment(text, order=order, zone=reader.setting.zone)
    except Bad as error:
        draft.refused = "invalid_time"
        if error.code == "ambiguous_date":
            draft.problems.append(Problem(header, error.code, text[:EXCERPT]))
        draft.column, draft.excerpt = header, text[:EXCERPT]
        return found
    if not earliest() <= found.occurred_at <= now + timedelta(days=knobs.get("crm.future_days")):
        draft.refused, draft.column, draft.excerpt = "time_out_of_range", header, text[:EXCERPT]
        return found
    found.kind, found.channel = kind, cell("channel")[0][:60]
    properties = orjson.dumps(draft.free)
    if len(properties) > LARGEST:
        draft.refused = "too_large"
        return found
    found.message_id = cell("message_id")[0][: touchpoints.LONGEST_MESSAGE_ID]
    if not found.message_id:
        said = [kind, found.occurred_at.isoformat(), *map(list, draft.identifiers)]
        found.message_id = f"import:{blake2b(orjson.dumps(said) + properties, digest_size=16).hexdigest()}"
    return found


def earliest() -> datetime:
    """The first moment of history that is stored."""
    try:
        return datetime.strptime(knobs.get("crm.first_month"), "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        return datetime(1990, 1, 1, tzinfo=UTC)


def prepare(events: Sequence[EventDraft]) -> None:
    """Make the months of a chunk, before its transaction."""
    partitions.ensure(
        {
            (event.occurred_at.year, event.occurred_at.month)
            for event in events
            if event.occurred_at is not None and not event.draft.refused
        }
    )


def check(events: Sequence[EventDraft]) -> Plan:
    """What a chunk would do, without writing: which are refused, and whose people are known."""
    found = Plan()
    owners = look_up([event.draft for event in events])
    for event in events:
        _count(event.draft, found)
        if not event.draft.refused:
            known = any(pair in owners for pair in event.draft.identifiers)
            found.counters["of_known" if known else "of_new"] += 1
    return found


def write(events: Sequence[EventDraft], job: Job, *, now: datetime) -> Plan:
    """Record one chunk; call it inside the transaction that moves the cursor."""
    found = Plan()
    good = [event for event in events if not event.draft.refused]
    result = touchpoints.record(
        [
            touchpoints.Event(
                kind=event.kind,
                occurred_at=event.occurred_at,
                message_id=event.message_id,
                identifiers=event.draft.identifiers,
                properties=event.draft.free,
                channel=event.channel,
            )
            for event in good
        ],
        source=touchpoints.SourceRef(job.source_id, Trust.BROWSER.value, job.source_name),
        actor=Actor("source", str(job.source_id)),
        now=now,
        historical=not job.trigger,
    )
    for rejection in result.rejected:
        draft = good[rejection.index].draft
        draft.refused = "no_identifier" if rejection.code == "illegal_identifier" else "invalid_event"
        draft.excerpt = rejection.detail[:EXCERPT]
    for event in events:
        _count(event.draft, found)
    found.counters["stored"] = result.accepted
    found.counters["duplicates"] = result.duplicates
    for index, code, kind in result.warnings:
        if code in ("merge_not_allowed", "identity_limit"):
            found.counters["conflicts" if code == "merge_not_allowed" else "value:identity_limit"] += 1
            found.rejects.append((good[index].draft.number, kind, "identity_limit", "", False))
    people: dict[int, int] = {}
    for event, root_id in zip(good, result.profile_ids, strict=True):
        if root_id is not None:
            people.setdefault(root_id, event.draft.number)
    if people:
        hotpath.fetch(
            "INSERT INTO crm_importmember (run_id, profile_id, row, is_new)"
            " SELECT %s, id, row, false FROM unnest(%s::bigint[], %s::bigint[]) AS t(id, row) ORDER BY id"
            " ON CONFLICT DO NOTHING",
            [job.run_id, hotpath.array(list(people)), hotpath.array(list(people.values()))],
        )
    note(found, job)
    return found


def _count(draft: Draft, found: Plan) -> None:
    figures = found.counters
    figures["rows"] += 1
    if draft.refused:
        figures["rejected"] += 1
        figures[f"reject:{draft.refused}"] += 1
        found.rejects.append((draft.number, draft.column, draft.refused, draft.excerpt, True))
        return
    for problem in draft.problems:
        figures["values_left_out"] += 1
        figures[f"value:{problem.code}"] += 1
        found.rejects.append((draft.number, problem.column, problem.code, problem.excerpt, False))
