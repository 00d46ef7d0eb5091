"""The promise clock: by when we owe a fix, and how that is said."""

from __future__ import annotations

from datetime import datetime, timedelta

from crm.kernel import knobs


def due_at(first_voice_at: datetime) -> datetime:
    """The promised date for something first said at `first_voice_at`."""
    return first_voice_at + timedelta(days=knobs.get("voc.promise_days"))
