"""API keys for /api/v1/: `Authorization: Bearer rx_…` (or `Api-Key rx_…`)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from crm.kernel import clock
from crm.models import ApiKey
from crm.services import sources

KEYWORDS = (b"bearer", b"api-key")


class ApiKeyAuthentication(BaseAuthentication):
    """request.user and request.auth become the ApiKey; its scopes are checked by the view's permission."""

    def authenticate(self, request: Request) -> tuple[ApiKey, ApiKey] | None:
        parts = get_authorization_header(request).split()
        if not parts or parts[0].lower() not in KEYWORDS:
            return None
        if len(parts) != 2:
            raise AuthenticationFailed(_("Send the key as: Authorization: Bearer <key>."))
        key = sources.find_api_key(parts[1].decode("latin-1"))
        if key is None:
            raise AuthenticationFailed(_("This API key is unknown or revoked."))
        self._note_use(key)
        return key, key

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"

    def _note_use(self, key: ApiKey) -> None:
        """Coarse on purpose: a busy client must not turn its key into a hot row."""
        now = clock.now()
        if key.last_used_at is None or now - key.last_used_at > timedelta(hours=1):
            ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)


class ApiKeyScheme(OpenApiAuthenticationExtension):
    """How the schema describes API keys."""

    target_class = "crm.api.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "An API key made by `create_api_key`."}
