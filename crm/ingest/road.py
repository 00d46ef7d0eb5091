"""The short road: requests to /v1/<call> go to the door before Django makes a request of them.

No session, no language, no cookie and no page policy concerns the door, and the framework's handling cost more than
the door's own work. What the framework does around a request is done here as far as it is needed: connections are
looked after, failures are logged, answers are counted. Everything else goes on to Django, whose URL table has the
same routes and calls the same door.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings
from django.db import close_old_connections

from crm.ingest import counters, door
from crm.kernel import jobs
from crm.services import hotpath

logger = logging.getLogger("request")

Start = Callable[..., Any]
Application = Callable[[dict[str, Any], Start], Iterable[bytes]]
SLOW_SECONDS = 2.0
ROUTES = {f"/v1/{call}{slash}": call for call in door.CALLS for slash in ("", "/")}


def secure_headers() -> list[tuple[str, str]]:
    """What SecurityMiddleware adds over https and no browser may miss: Strict-Transport-Security."""
    if not settings.SECURE_HSTS_SECONDS:
        return []
    value = f"max-age={settings.SECURE_HSTS_SECONDS}"
    value += "; includeSubDomains" if settings.SECURE_HSTS_INCLUDE_SUBDOMAINS else ""
    value += "; preload" if settings.SECURE_HSTS_PRELOAD else ""
    return [("Strict-Transport-Security", value)]


def before(application: Application, *, more_headers: Iterable[tuple[str, str]] = ()) -> Application:
    """An application that takes the door's requests itself and hands on all others."""
    more = tuple(more_headers)

    def serve(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        call = ROUTES.get(environ.get("PATH_INFO", ""))
        if call is None:
            return application(environ, start_response)
        began = time.monotonic()
        close_old_connections()
        hotpath.trust_recent()
        try:
            answer = door.receive(environ, call)
        finally:
            close_old_connections()
        seconds = time.monotonic() - began
        counters.answered(answer.status, seconds)
        jobs.worked(seconds)
        if answer.status >= 400 or seconds >= SLOW_SECONDS:
            logger.log(
                logging.ERROR if answer.status == 500 else logging.INFO,
                "answered route=/v1/%s status=%d ms=%d", call, answer.status, seconds * 1000,
            )  # fmt: skip
        start_response(
            answer.status_line,
            [*answer.headers, *more, ("Content-Length", str(len(answer.body)))],
        )
        return (answer.body,)

    return serve
