"""Problem details: every error of the API has the members of RFC 9457 and says what is allowed.

`type` is a relative reference that names the code, `errors` lists each fault with its code, its detail and
the place in the input (`attr`), so that a client can show it beside the field.
"""

from __future__ import annotations

import logging
from typing import Any, Literal

from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404
from django.utils.translation import gettext_lazy as _
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiResponse
from drf_standardized_errors.formatter import ExceptionFormatter
from drf_standardized_errors.handler import ExceptionHandler
from rest_framework import exceptions, serializers
from rest_framework.response import Response

from crm.kernel.errors import DomainError, Unavailable

logger = logging.getLogger(__name__)
CONTENT_TYPE = "application/problem+json"


class DomainProblem(exceptions.APIException):
    """A DomainError on its way out."""

    def __init__(self, error: DomainError) -> None:
        super().__init__(detail=str(error.message), code=error.code)
        self.status_code = error.status
        self.error = error
        if error.status in (409, 503) and error.code in ("still_running", "unavailable"):
            self.wait = 1


class ProblemHandler(ExceptionHandler):
    """Knows our errors; everything unknown becomes a 500 without a trace of its inside."""

    def convert_known_exceptions(self, exc: Exception) -> Exception:
        """Turn domain errors and Django's own into API exceptions."""
        if isinstance(exc, DomainError):
            return DomainProblem(exc)
        if isinstance(exc, Http404):
            return exceptions.NotFound()
        if isinstance(exc, (OperationalError, InterfaceError)):
            return DomainProblem(Unavailable(_("The database is away for a moment; please try again.")))
        if isinstance(exc, RequestDataTooBig):
            error = exceptions.APIException(detail="The request body is too large.", code="too_large")
            error.status_code = 413
            return error
        return super().convert_known_exceptions(exc)

    def report_exception(self, exc: exceptions.APIException, response: Response) -> None:
        """Tell the operators what the client is not told."""
        super().report_exception(exc, response)
        if response.status_code >= 500:
            logger.error("unhandled in the API", exc_info=self.exc)

    def get_response(self, exc: exceptions.APIException, data: dict) -> Response:
        """The response with the content type of problem details."""
        response = super().get_response(exc, data)
        response.content_type = CONTENT_TYPE
        return response


class ProblemFormatter(ExceptionFormatter):
    """Writes the members of RFC 9457 and the list of faults."""

    def run(self) -> dict[str, Any]:
        """The body of the response."""
        if isinstance(self.exc, DomainProblem):
            error = self.exc.error
            fault: dict[str, Any] = {"code": error.code, "detail": str(error.message), "attr": error.field}
            if error.allowed is not None:
                fault["allowed"] = error.allowed
            faults = [fault]
        else:
            faults = [{"code": e.code, "detail": e.detail, "attr": e.attr} for e in self.get_errors()]
        first = faults[0] if faults else {"code": "error", "detail": "", "attr": None}
        return {
            "type": f"/problems/{first['code']}",
            "title": _title(self.exc.status_code),
            "status": self.exc.status_code,
            "code": first["code"],
            "detail": first["detail"],
            "errors": faults,
        }


def _title(status: int) -> str:
    from http import HTTPStatus

    return HTTPStatus(status).phrase


class FaultSerializer(serializers.Serializer):
    """One fault; only for the API description."""

    code = serializers.CharField()
    detail = serializers.CharField()
    attr = serializers.CharField(allow_null=True)
    allowed = serializers.JSONField(required=False)


class ProblemSerializer(serializers.Serializer):
    """The body of every error; only for the API description."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()
    errors = FaultSerializer(many=True)  # type: ignore[assignment]


class ProblemSchema(AutoSchema):
    """Describes the errors of every operation."""

    def _get_response_bodies(self, direction: Literal["request", "response"] = "response") -> dict[str, Any]:
        bodies = super()._get_response_bodies(direction=direction)
        if direction != "response":
            return bodies
        statuses = ["400", "401", "403", "404", "405", "406"]
        if self.method in ("POST", "PUT", "PATCH", "DELETE"):
            statuses += ["409", "410", "413", "415", "422"]
        for status in statuses:
            if status not in bodies:
                problem = OpenApiResponse(ProblemSerializer)
                bodies[status] = self._get_response_for_code(problem, status, media_types=[CONTENT_TYPE])
        return bodies
