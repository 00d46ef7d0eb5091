"""From checked events to rows: a batch in one transaction, and, should the database refuse a value in it, its events
one by one, so that a bad one costs no neighbour its place."""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import DataError, InterfaceError, OperationalError, connection

from crm.kernel import actors
from crm.services import touchpoints, warnings
from crm.services.touchpoints import Event, RecordResult, Rejection, SourceRef

logger = logging.getLogger(__name__)

# SQLSTATE 54: a value that is too deep or too long for the database, which the driver calls operational.
LIMIT_EXCEEDED = "54"


def record(events: list[Event], *, source: SourceRef, now: datetime, historical: bool) -> RecordResult:
    """Store the events; they are committed when this returns. Raises the database's errors when it is away."""
    if not events:
        return RecordResult()
    if len(events) == 1:
        return _record_alone(events[0], source=source, now=now, historical=historical)
    try:
        return record_together(events, source=source, now=now, historical=historical)
    except (DataError, OperationalError) as error:
        if not _is_about_a_value(error):
            raise
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


def record_together(
    events: list[Event], *, source: SourceRef, now: datetime, historical: bool = False
) -> RecordResult:
    """Store the events in one transaction, or none of them. Raises whatever the database says."""
    actor = actors.source(source.id)
    return touchpoints.record(events, source=source, actor=actor, now=now, historical=historical)


def is_away(error: BaseException) -> bool:
    """Whether the database is not to be reached, which is nobody's fault; otherwise one event may be to blame."""
    if not isinstance(error, (OperationalError, InterfaceError)):
        return False
    raw = connection.connection
    return raw is None or raw.closed or raw.broken or isinstance(error, InterfaceError)


def _record_alone(event: Event, *, source: SourceRef, now: datetime, historical: bool) -> RecordResult:
    try:
        return record_together([event], source=source, now=now, historical=historical)
    except (DataError, OperationalError) as error:
        if not _is_about_a_value(error):
            raise
        refusal = Rejection(0, event.message_id, "invalid_event", "the event holds a value we cannot store")
        warnings.keep([event], rejected=[refusal], source_id=source.id, now=now)
        return RecordResult(rejected=[refusal], profile_ids=[None])


def _is_about_a_value(error: BaseException) -> bool:
    state = getattr(error.__cause__, "sqlstate", None) or ""
    return isinstance(error, DataError) or state.startswith(LIMIT_EXCEEDED)
