"""Limits on what anonymous visitors may send, as counters in the database.

The sender is kept as a keyed hash, per hour or day, and forgotten two days later.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db import connection
from django.utils.crypto import salted_hmac

from crm.kernel import knobs
from voc.models import SubmissionCount

KEPT: Final = timedelta(days=2)
FORM: Final = "form"
CONFIRMATION: Final = "confirmation"


def may_submit(network_address: str, *, now: datetime) -> bool:
    """Count one portal submission of a network address and say whether it is within the hour's limit."""
    start = now.replace(minute=0, second=0, microsecond=0)
    return _count(FORM, network_address, start) <= knobs.get("voc.submissions_per_hour")


def may_confirm(address: str, *, now: datetime) -> bool:
    """Count one confirmation mail to an address and say whether it is within the day's limit."""
    start = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return _count(CONFIRMATION, address.strip().casefold(), start) <= knobs.get("voc.confirmations_per_day")


def forget_old(*, now: datetime) -> int:
    """Delete counters of past windows. Returns how many."""
    deleted, _per_model = SubmissionCount.objects.filter(window_start__lt=now - KEPT).delete()
    return deleted


def _count(action: str, sender: str, window_start: datetime) -> int:
    digest = salted_hmac("voc.submissions", sender, algorithm="sha256").hexdigest()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO voc_submissioncount AS c (action, sender_hash, window_start, count) VALUES (%s, %s, %s, 1)"
            " ON CONFLICT (action, sender_hash, window_start) DO UPDATE SET count = c.count + 1 RETURNING count",
            [action, digest, window_start],
        )
        return int(cursor.fetchone()[0])
