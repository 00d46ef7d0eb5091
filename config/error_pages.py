"""What people see when something is refused, missing, over, or broken.

One page per status, in the reader's language, without a stack trace and without asking the database. The
API and the ingest door answer the same faults as problem details.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import loader
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _

from crm.kernel.errors import DomainError

MACHINE_PATHS = ("/api/", "/v1/", "/healthz", "/readyz", "/metrics")
CODES = {400: "bad_request", 403: "forbidden", 404: "not_found", 410: "gone", 429: "throttled", 500: "error"}


def respond(request: HttpRequest, status: int, *, text: str = "", code: str = "") -> HttpResponse:
    """The page of a status, or problem details for programs. `text` says more than the page's own words."""
    if request.path_info.startswith(MACHINE_PATHS):
        return _problem(status, code or CODES.get(status, "error"), text)
    title, explanation = _words(status)
    staff = request.path_info.startswith("/admin/")
    content = loader.render_to_string(
        "errors/page.html",
        {
            "status": status,
            "title": title,
            "explanation": text or explanation,
            "home": "/admin/" if staff else "/",
            "home_title": _("Staff home") if staff else _("Home page"),
            "language": getattr(request, "LANGUAGE_CODE", "en"),
        },
    )
    response = HttpResponse(content, status=status)
    patch_vary_headers(response, ("Accept-Language", "Cookie"))
    return response


def _problem(status: int, code: str, text: str) -> HttpResponse:
    title = HTTPStatus(status).phrase
    detail = text or title
    body = {
        "type": f"/problems/{code}",
        "title": title,
        "status": status,
        "code": code,
        "detail": detail,
        "errors": [{"code": code, "detail": detail, "attr": None}],
    }
    return JsonResponse(body, status=status, content_type="application/problem+json")


def _words(status: int) -> tuple[str, str]:
    """Title and explanation. Written out, so that every text is in the catalogues."""
    if status == 400:
        return _("That could not be read"), _("Something in the address or the form was not as expected.")
    if status == 403:
        return (
            _("You may not open this"),
            _("Your account does not have the right for it. Ask an administrator if you need it."),
        )
    if status == 404:
        return (
            _("There is nothing here"),
            _("The address may be mistyped, or what was here has moved."),
        )
    if status == 410:
        return _("This is over"), _("The link has expired. Ask for a new one where you got it.")
    if status == 429:
        return _("Too many tries"), _("Please wait a quarter of an hour, then try again.")
    if status == 503:
        return _("Back in a moment"), _("A part of the system is being restarted. Please try again shortly.")
    if status == 500:
        return (
            _("Something broke on our side"),
            _("It was noted, nothing you did caused it. Please try again in a moment."),
        )
    return _("That did not work"), HTTPStatus(status).phrase


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler400."""
    return respond(request, 400)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler403."""
    return respond(request, 403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler404."""
    return respond(request, 404)


def broken(request: HttpRequest) -> HttpResponse:
    """handler500."""
    return respond(request, 500)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form that came without its token: an old page, or cookies are off."""
    text = _("This form was open too long, or cookies are switched off. Go back, reload the page, try again.")
    return respond(request, 403, text=text, code="csrf_failed")


def locked_out(request: HttpRequest, original: Any = None, credentials: Any = None) -> HttpResponse:
    """Too many wrong passwords for one name from one address."""
    return respond(request, 429)


class DomainErrors:
    """Turns a refusal that no view answered into its page. The API answers its own."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """The page of a DomainError; everything else goes its usual way."""
        if not isinstance(exception, DomainError):
            return None
        # A missing thing is described by the page: the error's words may name what the viewer may not know.
        text = "" if exception.status == 404 else str(exception.message)
        return respond(request, exception.status, text=text, code=exception.code)
