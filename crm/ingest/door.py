"""The door: from one request to events on timelines, and to an answer. It knows WSGI environments, no framework.

200 with counts and a list of refused items, after COMMIT; 400 only when no JSON can be read; 401 for a key that is
surely unknown; 413 above the size caps; 429 over a source's share; 503 with Retry-After while the database is away.
Whatever else goes wrong is logged and answered 500, which every SDK sends again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import InterfaceError, OperationalError

from crm.ingest import admission, answers, counters, groups, keys, kinds, parsing, recording, wire
from crm.ingest.answers import Answer
from crm.kernel import clock
from crm.services import warnings
from crm.services.retry import Raced
from crm.services.touchpoints import Event, RecordResult, Rejection, SourceRef
from crm.states import Trust

logger = logging.getLogger(__name__)

CALLS = {
    "identify": "identify", "i": "identify", "track": "track", "t": "track", "page": "page", "p": "page",
    "screen": "screen", "s": "screen", "group": "group", "g": "group", "alias": "alias", "a": "alias",
    "batch": "batch", "b": "batch", "import": "import",
}  # fmt: skip
MANY = frozenset({"batch", "import"})


def receive(environ: Mapping[str, Any], call: str, *, stream: parsing.Readable | None = None) -> Answer:
    """Answer one request to /v1/<call>. `stream` replaces the environment's own input."""
    method = environ["REQUEST_METHOD"]
    if method != "POST":
        return answers.preflight() if method == "OPTIONS" else answers.wrong_method("POST")
    try:
        return _receive(environ, CALLS[call], stream)
    except parsing.BodyError as error:
        return answers.problem(error.status, error.code, error.detail)
    except admission.OverShare as error:
        return answers.too_many(error.retry_after)
    except (OperationalError, InterfaceError, Raced) as error:
        # Raced: others were faster eight times, which only a crowd of newcomers can bring about.
        logger.warning("ingest refused: %s", type(error).__name__)
        return answers.unavailable()
    except Exception:
        logger.exception("ingest failed")
        return answers.problem(500, "internal_error", "something of ours broke; send it again")


def _receive(environ: Mapping[str, Any], name: str, stream: parsing.Readable | None) -> Answer:
    source = keys.of_header(environ.get("HTTP_AUTHORIZATION", ""))
    if source is None:
        # Some browsers' libraries name the key in the body alone.
        data, size, check_faults = _read(environ, name, stream)
        source = keys.find(_body_key(data))
        if source is None:
            return answers.unauthorised()
        with _place(source):
            return _serve(data, size, name, source, check_faults=check_faults)
    with _place(source):
        data, size, check_faults = _read(environ, name, stream)
        return _serve(data, size, name, source, check_faults=check_faults)


@contextmanager
def _place(source: SourceRef) -> Iterator[None]:
    """A place among the requests at work, before anything of the body is read where the source is known by then."""
    try:
        admission.enter(source)
        try:
            yield
        finally:
            admission.leave(source)
    except admission.OverShare:
        admission.sent_away(source)
        raise


def _read(
    environ: Mapping[str, Any], name: str, stream: parsing.Readable | None
) -> tuple[dict[str, Any], int, bool]:
    """The parsed body, its size, and whether its items must be searched for faults."""
    limit = parsing.BATCH_LIMIT if name in MANY else parsing.SINGLE_LIMIT
    body = parsing.read_request(environ, stream=stream, limit=limit)
    data, check_faults = parsing.load(body)
    if type(data) is not dict:
        raise parsing.BodyError(400, "invalid_json", "the body is a JSON object")
    return data, len(body), check_faults


def _serve(data: dict[str, Any], size: int, name: str, source: SourceRef, *, check_faults: bool) -> Answer:
    """Store what the body holds. Raises OverShare and the database's errors."""
    many = name in MANY
    items = data.get("batch") if many else [data]
    if type(items) is not list:
        raise parsing.BodyError(400, "invalid_json", "a batch is a JSON object with a list `batch`")
    if name == "import" and source.trust != Trust.SERVER:
        return answers.problem(403, "not_allowed", "import needs a server write key")
    admission.admit(source, count=len(items), size=size)
    envelope = _envelope(data, many=many, source=source, check_faults=check_faults, size=size)
    result = _take(items, "" if many else name, envelope, source, historical=name == "import")
    counters.took(accepted=result.accepted, duplicates=result.duplicates, rejected=len(result.rejected))
    return answers.stored(result)


def _envelope(
    data: dict[str, Any], *, many: bool, source: SourceRef, check_faults: bool, size: int
) -> wire.Envelope:
    """What the request says about all its items. A single event carries its own context and sentAt."""
    now = clock.now()
    context = data.get("context") if many else None
    if type(context) is not dict or (check_faults and parsing.fault_in(context)):
        context = {}
    return wire.Envelope(
        trust=source.trust,
        now=now,
        skew=wire.skew_of(data.get("sentAt"), now=now) if many else None,
        context=context,
        check_faults=check_faults,
        check_size=size > wire.EVENT_LIMIT,
    )


def _body_key(data: dict[str, Any]) -> str:
    """The write key inside a body: of the batch, or, from some browsers, of its events."""
    found = data.get("writeKey")
    if found is None and type(data.get("batch")) is list and data["batch"] and type(data["batch"][0]) is dict:
        found = data["batch"][0].get("writeKey")
    return found if type(found) is str else ""


def _take(
    items: list[Any], call: str, envelope: wire.Envelope, source: SourceRef, *, historical: bool
) -> RecordResult:
    """Read the items, record the good ones, and put the answers of both steps together by index."""
    events: list[Event] = []
    places: list[int] = []
    refused: list[Rejection] = []
    noticed: list[tuple[int, str, str]] = []
    for index, item in enumerate(items[: wire.MOST_ITEMS]):
        found: list[tuple[str, str]] = []
        try:
            event = wire.read_event(item, call, envelope, found)
            kinds.check(event, found)
        except wire.Refused as refusal:
            refused.append(Rejection(index, _safe_id(item), refusal.code, refusal.detail))
            continue
        if found:
            noticed += [(index, code, detail) for code, detail in found]
        events.append(event)
        places.append(index)
    for index in range(wire.MOST_ITEMS, len(items)):
        detail = f"a batch has at most {wire.MOST_ITEMS} events"
        refused.append(Rejection(index, _safe_id(items[index]), "too_large", detail))
    if call and events and groups.is_on():
        result = groups.record(events[0], source=source, now=envelope.now)
    else:
        result = recording.record(events, source=source, now=envelope.now, historical=historical)
    if refused or noticed:
        warnings.keep(
            items, rejected=refused, noticed=noticed, source_id=source.id, now=envelope.now, call=call
        )
    if refused or result.rejected:
        result.rejected = sorted(
            [
                *refused,
                *(Rejection(places[r.index], r.message_id, r.code, r.detail) for r in result.rejected),
            ],
            key=lambda rejection: rejection.index,
        )
    if noticed or result.warnings:
        result.warnings = noticed + [(places[index], code, detail) for index, code, detail in result.warnings]
    return result


def _safe_id(item: Any) -> str:
    """The message id of an item that was refused, fit for an answer."""
    found = item.get("messageId") if type(item) is dict else None
    if type(found) is not str:
        return ""
    return found[:100].replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
