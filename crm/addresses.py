"""The hash by which an address is suppressed: pure Python, the same for every app and for ever."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256


@lru_cache(maxsize=4096)
def address_hash(channel: str, value: str) -> str:
    """SHA-256 of channel and normalised address: an erased address can still be kept from being written to."""
    return sha256(f"{channel}:{value}".encode()).hexdigest()
