"""What happens around every request: one log line, the staff's language and zone, the CSP."""

import time
import zoneinfo
from collections.abc import Callable

import structlog
from csp.constants import SELF, UNSAFE_EVAL, UNSAFE_INLINE
from csp.middleware import CSPMiddleware
from django.conf import settings
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone, translation

from crm.kernel.errors import DomainError

log = structlog.get_logger("request")
GetResponse = Callable[[HttpRequest], HttpResponse]
EXPECTED = (Http404, PermissionDenied, SuspiciousOperation, DomainError)
QUIET_ROUTES = {"healthz", "readyz", "metrics"}


class RequestLog:
    """Method, route pattern, status and milliseconds. The route is the pattern of the URL table
    (`t/<uuid:public_id>/`), not the path: paths and query strings carry tokens."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = time.monotonic()
        structlog.contextvars.clear_contextvars()
        response = self.get_response(request)
        match = request.resolver_match
        route = match.route if match else "(none)"
        if route not in QUIET_ROUTES:
            user = getattr(request, "user", None) if hasattr(request, "_cached_user") else None
            write = log.error if response.status_code >= 500 else log.info
            write(
                "answered",
                method=request.method if request.method in _METHODS else "OTHER",
                route="/" + route,
                status=response.status_code,
                ms=round((time.monotonic() - began) * 1000),
                **({"staff_id": user.pk} if user is not None and user.pk else {}),
            )
        structlog.contextvars.clear_contextvars()
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        """Refusals are answers, not accidents: only what nobody expected is an error of ours."""
        if not isinstance(exception, EXPECTED):
            log.error("unhandled", exc_info=exception)


_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class StaffPreferences:
    """Staff pages speak the language and zone of the signed-in user; the switcher's cookie wins."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith("/admin/"):
            return self.get_response(request)
        user = request.user
        language = getattr(user, "language", "")
        if language and settings.LANGUAGE_COOKIE_NAME not in request.COOKIES:
            translation.activate(language)
            request.LANGUAGE_CODE = translation.get_language()
        zone = _zone(getattr(user, "time_zone", ""))
        if zone is None:
            return self.get_response(request)
        with timezone.override(zone):
            return self.get_response(request)


def _zone(name: str) -> zoneinfo.ZoneInfo | None:
    if not name:
        return None
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


class ContentSecurityPolicy(CSPMiddleware):
    """The strict policy everywhere; the staff's theme compiles its small expressions in the
    browser and sets inline styles, so /admin/ (and nothing else) is given both."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if request.path_info.startswith("/admin/"):
            response._csp_update = {"script-src": [UNSAFE_EVAL]}  # type: ignore[attr-defined]
            response._csp_replace = {"style-src": [SELF, UNSAFE_INLINE]}  # type: ignore[attr-defined]
        elif request.path_info.startswith("/api/docs/"):
            response._csp_replace = {"style-src": [SELF, UNSAFE_INLINE]}  # type: ignore[attr-defined]
        return super().process_response(request, response)
