"""The base of every view under /api/v1: authorise, read input, call a service, write output."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from crm.kernel import actors, clock, idempotency
from crm.kernel.actors import Actor
from crm.kernel.api.permissions import ScopedPermission
from crm.kernel.errors import Invalid

IDEMPOTENCY_HEADER = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="Repeating a POST under the same key has one effect and gets the same answer for 24 hours.",
)


class ServiceViewSet(GenericViewSet):
    """A view set that names its `scope`; `self.actor` is who calls.

    A POST with an `Idempotency-Key` runs in one transaction with the row of that key, so it has one effect.
    """

    scope: str
    post: Callable[..., Response]
    permission_classes = [ScopedPermission]
    action_permissions: dict[str, str] = {}

    @property
    def actor(self) -> Actor:
        """The caller: an API key or a member of staff."""
        if self.request.auth is not None and hasattr(self.request.auth, "scopes"):
            return actors.api_key(self.request.auth)
        return actors.staff(self.request.user)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """After authorisation, put the idempotency key, if there is one, around the handler."""
        super().initial(request, *args, **kwargs)
        key = request.headers.get("Idempotency-Key")
        if request.method == "POST" and key is not None and hasattr(self, "post"):
            handler: Callable[..., Response] = self.post
            self.post = partial(self._run_once, handler, key)

    def handle_exception(self, exc: Exception) -> Response:
        """An empty body that lacks what is required is no JSON at all; say that instead."""
        meta = self.request.META
        empty = (
            self.request.method in ("POST", "PUT", "PATCH")
            and meta.get("CONTENT_LENGTH") in (None, "", "0")
            and "HTTP_TRANSFER_ENCODING" not in meta
        )
        if isinstance(exc, ValidationError) and empty:
            exc = Invalid(_("The body is empty; JSON is needed here."), code="invalid_json")
        return super().handle_exception(exc)

    def _run_once(
        # By place alone: what a route calls its own arguments must not meet ours.
        self,
        handler: Callable[..., Response],
        idempotency_key: str,
        request: Request,
        /,
        *args: Any,
        **kwargs: Any,
    ) -> Response:
        made: dict[str, Response] = {}

        def run() -> idempotency.Answer:
            made["response"] = response = handler(request, *args, **kwargs)
            return idempotency.Answer(response.status_code, _plain(response.data))

        raw = request._request
        answer = idempotency.run_once(
            run, key=idempotency_key, route=raw.path, body=raw.body, actor=self.actor, now=clock.now()
        )
        if not answer.replayed:
            return made["response"]
        return Response(answer.body, status=answer.status, headers={"Idempotent-Replayed": "true"})


def _plain(data: Any) -> Any:
    """The response's data as JSON types: lazy texts, dates, decimals and ids become what a client reads."""
    import json

    from rest_framework.utils.encoders import JSONEncoder

    return json.loads(json.dumps(data, cls=JSONEncoder))
