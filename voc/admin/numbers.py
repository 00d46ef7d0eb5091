"""Ticket numbers as staff type them."""

from __future__ import annotations


def number(text: str | None) -> int:
    """A ticket number as staff type it, `#12` or `12`; 0 when it is none."""
    text = (text or "").strip().lstrip("#")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0
