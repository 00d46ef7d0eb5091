"""Everything under /api/v1/, in one table: each app's part, and a root that lists the ways in."""

from __future__ import annotations

from collections.abc import Iterator

from django.urls import URLPattern, URLResolver, get_resolver, include, path
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

PREFIX = "api/v1/"


class Root(APIView):
    """The ways into the API. Open to all: it tells no more than the schema does."""

    authentication_classes: list[type] = []
    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="root",
        summary="The ways into the API",
        responses={200: {"type": "object", "additionalProperties": {"type": "string", "format": "uri"}}},
        auth=[],
        tags=["root"],
        parameters=[],
        request=None,
    )
    def get(self, request: Request) -> Response:
        """Each collection with its address, and where the description of the API is."""
        ways = {
            route.strip("/").removeprefix(PREFIX): request.build_absolute_uri("/" + route)
            for route in sorted(set(_collections(get_resolver().url_patterns, "")))
        }
        return Response(
            {
                **ways,
                "schema": request.build_absolute_uri("/api/schema/"),
                "docs": request.build_absolute_uri("/api/docs/"),
            }
        )


def _collections(patterns: list[URLPattern | URLResolver], before: str) -> Iterator[str]:
    """Routes of lists: those under the prefix that take no argument and answer GET."""
    for entry in patterns:
        route = before + str(entry.pattern).lstrip("^").rstrip("$").replace("\\Z", "")
        if isinstance(entry, URLResolver):
            if PREFIX.startswith(route) or route.startswith(PREFIX):
                yield from _collections(entry.url_patterns, route)
        elif route.startswith(PREFIX) and route != PREFIX and not set("<(").intersection(route):
            actions = getattr(entry.callback, "actions", None)
            if actions is None or "get" in actions:
                yield route


urlpatterns = [
    path("", Root.as_view(), name="api-root"),
    *(path("", include(f"{app}.api.urls")) for app in ("crm", "lifecycle", "voc", "members")),
]
