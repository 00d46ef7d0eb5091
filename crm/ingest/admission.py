"""Who may come in now: asked once per request, when the source and the size of what it sends are known, and before
anything is read from it."""

from __future__ import annotations

from crm.services.touchpoints import SourceRef


class OverShare(Exception):
    """This source has to wait; nothing of the request was stored."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"wait {retry_after} s")
        self.retry_after = retry_after


def admit(source: SourceRef, *, count: int, size: int) -> None:
    """Let `count` events in `size` bytes in. Raises OverShare."""
