"""The short road: what it takes, what it leaves to Django, and that both roads give the same answers."""

from __future__ import annotations

import io
import json
import logging
from base64 import b64encode
from typing import Any

import pytest
from django.test import Client

from crm.ingest import door, road
from crm.models import Source, Touchpoint
from crm.services import touchpoints
from crm.services.retry import Raced

# Connections are looked after at both ends of a request, so no transaction of a test may lie around it.
pytestmark = pytest.mark.django_db(transaction=True)


def django(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("418 I'm a teapot", [])
    return [b"django"]


def walk(
    path: str, body: bytes = b"", *, method: str = "POST", application: Any = None, **environ: Any
) -> tuple[int, dict[str, str], bytes]:
    said: list[tuple[int, dict[str, str]]] = []

    def start(status: str, headers: list[tuple[str, str]]) -> None:
        assert len({name for name, _value in headers}) == len(headers)
        said.append((int(status[:3]), dict(headers)))

    given = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body + b"the next request of this connection"),
        **environ,
    }
    answer = b"".join((application or road.before(django))(given, start))
    return (*said[0], answer)


def key_of(source: Source) -> str:
    return "Basic " + b64encode(f"{source.write_key}:".encode()).decode()


EVENT = json.dumps({"event": "Product Viewed", "userId": "u-1", "messageId": "m-1"}).encode()


@pytest.mark.parametrize(
    "path", ["/v1/tracks", "/v1/", "/v1", "/v2/track", "/admin/", "/v1/projects/k/settings"]
)
def test_everything_else_goes_on_to_django(path: str) -> None:
    assert walk(path, EVENT)[2] == b"django"


def test_both_roads_answer_alike(client: Client, server_source: Source) -> None:
    key = key_of(server_source)
    cases: list[tuple[str, str, bytes, dict[str, str]]] = [
        ("OPTIONS", "/v1/track", b"", {}),
        ("GET", "/v1/track", b"", {}),
        ("POST", "/v1/track", EVENT, {}),
        ("POST", "/v1/track", EVENT, {"HTTP_AUTHORIZATION": key}),
        ("POST", "/v1/t/", EVENT, {"HTTP_AUTHORIZATION": key}),
        ("POST", "/v1/batch", b"[]", {"HTTP_AUTHORIZATION": key}),
        ("POST", "/v1/batch", b"", {"HTTP_AUTHORIZATION": key}),
        ("POST", "/v1/batch", b'{"batch":[1,{"type":"track"}]}', {"HTTP_AUTHORIZATION": key}),
        ("POST", "/v1/track", b'{"a":' + b" " * 1_048_576 + b"1}", {"HTTP_AUTHORIZATION": key}),
        ("POST", "/v1/track", b"no gzip", {"HTTP_AUTHORIZATION": key, "HTTP_CONTENT_ENCODING": "gzip"}),
    ]
    for method, path, body, more in cases:
        Touchpoint.objects.all().delete()
        status, headers, answer = walk(path, body, method=method, **more)
        response = client.generic(method, path, body, content_type="application/json", **more)
        assert (status, headers["Access-Control-Allow-Origin"]) == (
            response.status_code,
            response["Access-Control-Allow-Origin"],
        ), (method, path)
        assert headers["Content-Length"] == str(len(answer))
        if status != 200:
            assert answer == response.content
            assert headers.get("Content-Type") == response.headers.get("Content-Type")
            assert headers.get("Allow") == response.headers.get("Allow")
    assert status == 400


def test_a_body_ends_where_its_length_says(server_source: Source) -> None:
    status, _headers, answer = walk("/v1/track", EVENT, HTTP_AUTHORIZATION=key_of(server_source))
    assert (status, json.loads(answer)["accepted"]) == (200, 1)


def test_a_body_that_does_not_come_is_408_which_clients_send_again(server_source: Source) -> None:
    class Gone(io.BytesIO):
        def read(self, *_size: Any) -> bytes:
            raise OSError("the other side is gone")

    more = {"HTTP_AUTHORIZATION": key_of(server_source), "wsgi.input": Gone(), "CONTENT_LENGTH": "40"}
    assert walk("/v1/track", b"", **more)[0] == 408


@pytest.mark.parametrize(
    ("fault", "status", "level"), [(Raced, 503, "WARNING"), (ZeroDivisionError, 500, "ERROR")]
)
def test_what_goes_wrong_is_said_and_logged(
    server_source: Source,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: type[Exception],
    status: int,
    level: str,
) -> None:
    def fails(*_args: Any, **_kwargs: Any) -> None:
        raise fault

    monkeypatch.setattr(touchpoints, "record", fails)
    with caplog.at_level(logging.INFO):
        found, headers, _answer = walk("/v1/track", EVENT, HTTP_AUTHORIZATION=key_of(server_source))
    assert found == status
    assert headers.get("Retry-After") == ("5" if status == 503 else None)
    assert level in {record.levelname for record in caplog.records if record.name == door.__name__}
    (line,) = [record.getMessage() for record in caplog.records if record.name == "request"]
    assert line.startswith(f"answered route=/v1/track status={status} ms=")
    assert Touchpoint.objects.count() == 0


def test_over_https_the_door_says_so_too(settings: Any) -> None:
    settings.SECURE_HSTS_SECONDS = 31_536_000
    settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = settings.SECURE_HSTS_PRELOAD = True
    application = road.before(django, more_headers=road.secure_headers())
    headers = walk("/v1/track", method="OPTIONS", application=application)[1]
    assert headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains; preload"
    settings.SECURE_HSTS_SECONDS = 0
    assert road.secure_headers() == []
