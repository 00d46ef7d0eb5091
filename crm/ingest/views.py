"""The ingest door. What it answers:

200 with counts and a list of refused items, after COMMIT; 400 only when no JSON can be read; 401 for a key that is
surely unknown; 413 above the size caps; 503 with Retry-After while the database is away. Never a redirect.
"""

from __future__ import annotations

import logging
from typing import Any, Protocol, cast

import orjson
from django.db import DataError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from crm.ingest import keys, parsing, wire
from crm.kernel import actors, clock
from crm.services import touchpoints, warnings
from crm.services.touchpoints import Event, RecordResult, Rejection, SourceRef
from crm.states import Trust

logger = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = "5"
MOST_LISTED = 10_000
CALLS = {
    "identify": "identify", "i": "identify", "track": "track", "t": "track", "page": "page", "p": "page",
    "screen": "screen", "s": "screen", "group": "group", "g": "group", "alias": "alias", "a": "alias",
    "batch": "batch", "b": "batch", "import": "import",
}  # fmt: skip


class _Input(Protocol):
    def read(self, size: int, /) -> bytes: ...


@csrf_exempt
def receive(request: HttpRequest, call: str) -> HttpResponse:
    """POST /v1/<call>: one event, or a batch."""
    if request.method == "OPTIONS":
        return _cors(HttpResponse(status=204))
    if request.method != "POST":
        response = _problem(405, "method_not_allowed", "use POST")
        response["Allow"] = "POST, OPTIONS"
        return response
    name = CALLS[call]
    try:
        return _receive(request, name)
    except parsing.BodyError as error:
        return _problem(error.status, error.code, error.detail)
    except (OperationalError, InterfaceError) as error:
        logger.warning("ingest refused: %s", type(error).__name__)
        return _unavailable()


def _receive(request: HttpRequest, name: str) -> HttpResponse:
    many = name in ("batch", "import")
    limit = parsing.BATCH_LIMIT if many else parsing.SINGLE_LIMIT
    declared = request.META.get("CONTENT_LENGTH") or ""
    compressed = "gzip" in request.META.get("HTTP_CONTENT_ENCODING", "").lower()
    if declared.isdigit() and int(declared) > limit and not compressed:
        raise parsing.BodyError(
            413, "too_large", f"a body has at most {limit} bytes, also after decompression"
        )
    body = parsing.read_body(
        _stream(request), encoding=request.META.get("HTTP_CONTENT_ENCODING", ""), limit=limit
    )
    header_key = keys.from_header(request.META.get("HTTP_AUTHORIZATION", ""))
    source = keys.find(header_key) if header_key else None
    data, check_faults = parsing.load(body)
    if type(data) is not dict:
        raise parsing.BodyError(400, "invalid_json", "the body is a JSON object")
    if source is None:
        source = keys.find(_body_key(data))
        if source is None:
            return _unauthorised()
    items = data.get("batch") if many else [data]
    if type(items) is not list:
        raise parsing.BodyError(400, "invalid_json", "a batch is a JSON object with a list `batch`")
    now = clock.now()
    envelope = wire.Envelope(
        trust=source.trust,
        now=now,
        # A single event carries its own sentAt.
        skew=wire.skew_of(data.get("sentAt"), now=now) if many else None,
        context=data["context"] if many and type(data.get("context")) is dict else {},
        check_faults=check_faults,
        check_size=len(body) > wire.EVENT_LIMIT,
    )
    if check_faults and envelope.context and parsing.fault_in(envelope.context):
        envelope.context = {}
    if name == "import" and source.trust != Trust.SERVER:
        return _problem(403, "not_allowed", "import needs a server write key")
    result = _take(items, "" if many else name, envelope, source, historical=name == "import")
    return _answer(result)


def _stream(request: HttpRequest) -> _Input:
    """The request's input; without a length the server itself ends a chunked body."""
    environ = getattr(request, "environ", None)
    if environ is not None and "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
        return cast("_Input", environ["wsgi.input"])
    return cast("_Input", request)


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
        except wire.Refused as refusal:
            refused.append(Rejection(index, _safe_id(item), refusal.code, refusal.detail))
            continue
        noticed += [(index, code, detail) for code, detail in found]
        events.append(event)
        places.append(index)
    for index in range(wire.MOST_ITEMS, len(items)):
        refused.append(
            Rejection(
                index, _safe_id(items[index]), "too_large", f"a batch has at most {wire.MOST_ITEMS} events"
            )
        )
    actor = actors.source(source.id)
    result = _record(events, source=source, actor=actor, envelope=envelope, historical=historical)
    if refused or noticed:
        warnings.keep(items, rejected=refused, noticed=noticed, source_id=source.id, now=envelope.now)
    result.rejected = sorted(
        [*refused, *(Rejection(places[r.index], r.message_id, r.code, r.detail) for r in result.rejected)],
        key=lambda rejection: rejection.index,
    )
    result.warnings = noticed + [(places[index], code, detail) for index, code, detail in result.warnings]
    return result


def _record(
    events: list[Event], *, source: SourceRef, actor: actors.Actor, envelope: wire.Envelope, historical: bool
) -> RecordResult:
    """Record the batch. Should the database refuse a value that passed every check, find the event and keep the
    others: one at a time, each in its own transaction."""
    if not events:
        return RecordResult()

    def take(some: list[Event]) -> RecordResult:
        return touchpoints.record(some, source=source, actor=actor, now=envelope.now, historical=historical)

    try:
        return take(events)
    except DataError:
        logger.exception("a batch holds a value that the database refuses; taking it apart")
    total = RecordResult()
    for index, event in enumerate(events):
        try:
            one = take([event])
        except DataError:
            refusal = Rejection(
                index, event.message_id, "invalid_event", "the event holds a value we cannot store"
            )
            warnings.keep(events, rejected=[refusal], source_id=source.id, now=envelope.now)
            one = RecordResult(profile_ids=[None])
            total.rejected.append(refusal)
        total.accepted += one.accepted
        total.duplicates += one.duplicates
        total.rejected += [Rejection(index, r.message_id, r.code, r.detail) for r in one.rejected]
        total.warnings += [(index, code, detail) for _at, code, detail in one.warnings]
        total.profile_ids += one.profile_ids
    return total


def _safe_id(item: Any) -> str:
    """The message id of an item that was refused, fit for an answer."""
    found = item.get("messageId") if type(item) is dict else None
    if type(found) is not str:
        return ""
    return found[:100].replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _answer(result: RecordResult) -> HttpResponse:
    body: dict[str, Any] = {
        "success": True,
        "accepted": result.accepted,
        "duplicates": result.duplicates,
        "rejected": [
            {"index": r.index, "message_id": r.message_id, "code": r.code, "detail": r.detail}
            for r in result.rejected[:MOST_LISTED]
        ],
    }
    if len(result.rejected) > MOST_LISTED:
        body["rejected_total"] = len(result.rejected)
    if result.warnings:
        body["warnings"] = [
            {"index": index, "code": code, "detail": detail}
            for index, code, detail in result.warnings[:MOST_LISTED]
        ]
    return _cors(HttpResponse(orjson.dumps(body), content_type="application/json"))


def _problem(status: int, code: str, detail: str) -> HttpResponse:
    body = {
        "success": False,
        "type": "about:blank",
        "title": code,
        "status": status,
        "code": code,
        "detail": detail,
    }
    return _cors(HttpResponse(orjson.dumps(body), status=status, content_type="application/problem+json"))


def _unauthorised() -> HttpResponse:
    response = _problem(401, "invalid_write_key", "send a write key as the user name of Basic authorization")
    response["WWW-Authenticate"] = 'Basic realm="write key"'
    return response


def _unavailable() -> HttpResponse:
    response = _problem(503, "unavailable", "the database is away; nothing was stored, send it again")
    response["Retry-After"] = RETRY_AFTER_SECONDS
    return response


def _cors(response: HttpResponse) -> HttpResponse:
    """Browsers on any site may send with a browser key; no cookie is ever read here."""
    response["Access-Control-Allow-Origin"] = "*"
    response["Access-Control-Allow-Methods"] = "POST, GET, OPTIONS"
    response["Access-Control-Allow-Headers"] = "authorization, content-type, content-encoding, x-retry-count"
    response["Access-Control-Max-Age"] = "7200"
    response["Cache-Control"] = "no-store"
    return response


@csrf_exempt
def project_settings(request: HttpRequest, key: str) -> HttpResponse:
    """GET /v1/projects/<key>/settings: what the browser SDK asks for before its first event."""
    if request.method == "OPTIONS":
        return _cors(HttpResponse(status=204))
    if request.method not in ("GET", "HEAD"):
        response = _problem(405, "method_not_allowed", "use GET")
        response["Allow"] = "GET, HEAD, OPTIONS"
        return response
    try:
        source = keys.find(key)
    except (OperationalError, InterfaceError):
        return _unavailable()
    if source is None:
        return _problem(404, "invalid_write_key", "there is no active source with this write key")
    enabled = {"__default": {"enabled": True, "integrations": {}}}
    body = {
        "integrations": {
            "Segment.io": {
                "apiKey": key,
                "apiHost": f"{request.get_host()}/v1",
                "protocol": request.scheme,
                "unbundledIntegrations": [],
                "addBundledMetadata": True,
                "maybeBundledConfigIds": {},
                "versionSettings": {"version": "4.4.7", "componentTypes": ["browser"]},
            }
        },
        "plan": {"track": enabled, "identify": enabled, "group": enabled},
        "edgeFunction": {},
        "analyticsNextEnabled": True,
        "middlewareSettings": {},
        "enabledMiddleware": {},
        "metrics": {"sampleRate": 0},
        "legacyVideoPluginsEnabled": False,
        "remotePlugins": [],
    }
    return _cors(HttpResponse(orjson.dumps(body), content_type="application/json"))
