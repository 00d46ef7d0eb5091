"""Signed links: what a person may open without a password.

A token carries a small payload, is signed with a salt per purpose (a token of one purpose opens nothing else)
and knows when it was made, so that a reader can let it expire. Reading has no effect; effects need a POST.
"""

from __future__ import annotations

import binascii
import hashlib
import json
import time
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final

import orjson
from django.conf import settings
from django.core import signing
from django.utils.translation import gettext_lazy as _

from crm.kernel.errors import Gone, NotFound

_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")


def make(purpose: str, payload: dict[str, Any]) -> str:
    """A URL-safe token for `purpose` with a JSON payload of ids."""
    # As signing.dumps, with the parts that depend on the purpose alone made once: mail signs two per message.
    text = orjson.dumps(payload)
    if not text.isascii():
        text = json.dumps(payload, separators=(",", ":")).encode()
    body = binascii.b2a_base64(text, newline=False).rstrip(b"=").translate(_URL_SAFE)
    value = b"%b:%b" % (body, _stamp(int(time.time())))
    inner, outer = _keyed(purpose, settings.SECRET_KEY)
    inner, outer = inner.copy(), outer.copy()
    inner.update(value)
    outer.update(inner.digest())
    mark = binascii.b2a_base64(outer.digest(), newline=False).rstrip(b"=").translate(_URL_SAFE)
    return (value + b":" + mark).decode()


@lru_cache(maxsize=4)
def _stamp(seconds: int) -> bytes:
    return signing.b62_encode(seconds).encode()


@lru_cache(maxsize=32)
def _keyed(purpose: str, secret: str) -> tuple[Any, Any]:
    """The two hashes of HMAC-SHA-256 with the key that django.core.signing uses for this purpose, ready to go on."""
    key = hashlib.sha256(f"renxin.{purpose}signer{secret}".encode()).digest().ljust(64, b"\0")
    return tuple(hashlib.sha256(bytes(byte ^ pad for byte in key)) for pad in (0x36, 0x5C))  # type: ignore[return-value]


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
