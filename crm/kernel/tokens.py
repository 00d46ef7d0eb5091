"""Signed links: what a person may open without a password.

A token carries a small payload, is signed with a salt per purpose (a token of one purpose opens nothing else)
and knows when it was made, so that a reader can let it expire. Reading has no effect; effects need a POST.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from datetime import timedelta
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core import signing
from django.utils.translation import gettext_lazy as _

from crm.kernel.errors import Gone, NotFound


def make(purpose: str, payload: dict[str, Any]) -> str:
    """A URL-safe token for `purpose` with a JSON payload of ids."""
    # As signing.dumps, with the parts that depend on the purpose alone made once: mail signs two per message.
    body = base64.urlsafe_b64encode(json.dumps(payload, separators=(",", ":")).encode("latin-1"))
    value = body.rstrip(b"=") + b":" + signing.b62_encode(int(time.time())).encode()
    mac = _mac(purpose, settings.SECRET_KEY).copy()
    mac.update(value)
    return (value + b":" + base64.urlsafe_b64encode(mac.digest()).rstrip(b"=")).decode()


@lru_cache(maxsize=32)
def _mac(purpose: str, secret: str) -> hmac.HMAC:
    """The keyed hash that django.core.signing uses for this purpose (its salted_hmac with SHA-256)."""
    salt = f"renxin.{purpose}signer"
    key = hashlib.sha256((salt + secret).encode()).digest()
    return hmac.new(key, digestmod=hashlib.sha256)


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
