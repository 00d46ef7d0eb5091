"""Who knocks: the write key of a request, looked up at most every five seconds per process."""

from __future__ import annotations

import binascii
import time
from base64 import b64decode

from crm.kernel import clock
from crm.services import sources
from crm.services.touchpoints import SourceRef

CACHE_SECONDS = 5.0
MOST_CACHED = 1_000
LONGEST_HEADER = 500
_headers: dict[str, str] = {}
_cache: dict[str, tuple[float, SourceRef | None]] = {}


def from_header(header: str) -> str:
    """The key in an Authorization header: Basic with the key as user name, or Bearer. Empty when there is none."""
    scheme, _space, rest = header.strip().partition(" ")
    rest = rest.strip()
    if scheme.lower() == "bearer":
        return rest
    if scheme.lower() != "basic":
        return ""
    try:
        decoded = b64decode(rest, validate=False).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""
    return decoded.partition(":")[0]


def of_header(header: str) -> SourceRef | None:
    """The source that an Authorization header names; None for none, or one that nobody knows."""
    if not header:
        return None
    cached = _headers.get(header)
    if cached is None:
        cached = from_header(header)
        if len(_headers) >= MOST_CACHED:
            _headers.clear()
        if len(header) <= LONGEST_HEADER:
            _headers[header] = cached
    return find(cached) if cached else None


def find(key: str) -> SourceRef | None:
    """The active source with this write key. Raises the database's errors when it is away: an outage must never
    look like a wrong key."""
    if not key or len(key) > 80 or not key.isascii() or not key.isprintable():
        return None
    cached = _cache.get(key)
    if cached is not None and time.monotonic() - cached[0] < CACHE_SECONDS:
        return cached[1]
    row = sources.find_by_key(key, now=clock.now())
    found = SourceRef(row.pk, row.trust, row.name) if row else None
    if len(_cache) >= MOST_CACHED:
        _cache.clear()
    _cache[key] = (time.monotonic(), found)
    return found


def forget() -> None:
    """Drop this process's cached keys."""
    _cache.clear()
