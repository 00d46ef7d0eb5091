"""The door's routes in Django's URL table: the same answers as on the short road, and the settings of the browser
SDK. Test clients and development servers come this way."""

from __future__ import annotations

from typing import Any, cast

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from crm.ingest import answers, door, keys, parsing
from crm.ingest.answers import Answer


@csrf_exempt
def receive(request: HttpRequest, call: str) -> HttpResponse:
    """POST /v1/<call>: one event, or a batch."""
    return _response(door.receive(request.META, call, stream=_stream(request)))


def _stream(request: HttpRequest) -> parsing.Readable:
    """The request's input; without a length the server itself ends a chunked body."""
    environ = getattr(request, "environ", None)
    if environ is not None and "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
        return cast("parsing.Readable", environ["wsgi.input"])
    return cast("parsing.Readable", request)


def _response(answer: Answer) -> HttpResponse:
    response = HttpResponse(answer.body, status=answer.status)
    del response.headers["Content-Type"]
    for name, value in answer.headers:
        response.headers[name] = value
    return response


@csrf_exempt
def project_settings(request: HttpRequest, key: str) -> HttpResponse:
    """GET /v1/projects/<key>/settings: what the browser SDK asks for before its first event."""
    if request.method == "OPTIONS":
        return _response(answers.preflight())
    if request.method not in ("GET", "HEAD"):
        return _response(answers.wrong_method("GET", "HEAD"))
    try:
        source = keys.find(key)
    except (OperationalError, InterfaceError):
        return _response(answers.unavailable())
    if source is None:
        return _response(
            answers.problem(404, "invalid_write_key", "there is no active source with this write key")
        )
    return _response(
        answers.document(_settings(key, host=request.get_host(), scheme=request.scheme or "http"))
    )


def _settings(key: str, *, host: str, scheme: str) -> dict[str, Any]:
    enabled = {"__default": {"enabled": True, "integrations": {}}}
    return {
        "integrations": {
            "Segment.io": {
                "apiKey": key,
                "apiHost": f"{host}/v1",
                "protocol": scheme,
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
