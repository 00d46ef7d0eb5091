"""Signed links: what a person may open without a password.

A token carries a small payload, is signed with a salt per purpose (a token of one purpose opens nothing else)
and knows when it was made, so that a reader can let it expire. Reading has no effect; effects need a POST.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core import signing
from django.utils.translation import gettext_lazy as _

from crm.kernel.errors import Gone, NotFound


def make(purpose: str, payload: dict[str, Any]) -> str:
    """A URL-safe token for `purpose` with a JSON payload of ids."""
    return signing.dumps(payload, salt=f"renxin.{purpose}", compress=False)


def read(purpose: str, token: str, *, max_age: timedelta | None) -> dict[str, Any]:
    """The payload of a token. Raises Gone when expired, NotFound when tampered with or of another purpose."""
    try:
        payload = signing.loads(token, salt=f"renxin.{purpose}", max_age=max_age)
    except signing.SignatureExpired:
        raise Gone(_("This link has expired. Ask for a new one."), code="link_expired") from None
    except (signing.BadSignature, ValueError):
        raise NotFound(_("This link is not valid."), code="link_invalid") from None
    if not isinstance(payload, dict):
        raise NotFound(_("This link is not valid."), code="link_invalid")
    return payload
