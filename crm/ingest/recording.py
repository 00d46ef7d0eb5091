"""From checked events to rows: a batch in one transaction, and, should the database refuse a value in it, its events
one by one, so that a bad one costs no neighbour its place."""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import DataError

from crm.kernel import actors
from crm.services import touchpoints, warnings
from crm.services.touchpoints import Event, RecordResult, Rejection, SourceRef

logger = logging.getLogger(__name__)


def record(events: list[Event], *, source: SourceRef, now: datetime, historical: bool) -> RecordResult:
    """Store the events; they are committed when this returns. Raises the database's errors when it is away."""
    if not events:
        return RecordResult()
    actor = actors.source(source.id)
    try:
        return touchpoints.record(events, source=source, actor=actor, now=now, historical=historical)
    except DataError:
        logger.exception("a batch holds a value that the database refuses; taking it apart")
    total = RecordResult()
    for index, event in enumerate(events):
        one = _record_alone(event, source=source, now=now, historical=historical)
        total.accepted += one.accepted
        total.duplicates += one.duplicates
        total.rejected += [Rejection(index, r.message_id, r.code, r.detail) for r in one.rejected]
        total.warnings += [(index, code, detail) for _at, code, detail in one.warnings]
        total.profile_ids += one.profile_ids
    return total


def _record_alone(event: Event, *, source: SourceRef, now: datetime, historical: bool) -> RecordResult:
    actor = actors.source(source.id)
    try:
        return touchpoints.record([event], source=source, actor=actor, now=now, historical=historical)
    except DataError:
        refusal = Rejection(0, event.message_id, "invalid_event", "the event holds a value we cannot store")
        warnings.keep([event], rejected=[refusal], source_id=source.id, now=now)
        return RecordResult(rejected=[refusal], profile_ids=[None])
