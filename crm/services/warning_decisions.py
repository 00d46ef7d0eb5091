"""What staff decide about warnings of the door: solved, or not to be shown for some time. Nothing is deleted, and a
warning that happens after its decision ran out is open again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from crm.kernel import actionlog
from crm.kernel.actors import Actor
from crm.kernel.errors import Invalid, NotFound
from crm.models import IngestionWarning, WarningDecision
from crm.states import QuietState

LONGEST_MUTE_DAYS = 365


def resolve(warning_id: int, *, note: str = "", actor: Actor, now: datetime) -> WarningDecision:
    """The cause is mended: the topic of this warning is quiet until it happens again."""
    return _decide(warning_id, QuietState.RESOLVED, now, note=note, actor=actor, now=now)


def mute(warning_id: int, *, days: int, note: str = "", actor: Actor, now: datetime) -> WarningDecision:
    """The topic is quiet for `days`, whatever happens; what happens after that opens it again."""
    if not 1 <= days <= LONGEST_MUTE_DAYS:
        raise Invalid(
            _("A warning is muted for 1 to %(days)d days.") % {"days": LONGEST_MUTE_DAYS},
            code="invalid_days", field="days", allowed={"minimum": 1, "maximum": LONGEST_MUTE_DAYS},
        )  # fmt: skip
    return _decide(warning_id, QuietState.MUTED, now + timedelta(days=days), note=note, actor=actor, now=now)


def reopen(warning_id: int, *, actor: Actor, now: datetime) -> None:
    """Forget the decision: the topic is open as long as it is in the list."""
    with transaction.atomic():
        topic = _topic(warning_id)
        deleted, _per_model = WarningDecision.objects.filter(**topic).delete()
        if deleted:
            actionlog.write(actor, "crm.warning.reopened", ("crm.ingestionwarning", warning_id), now=now)


def _topic(warning_id: int) -> dict[str, Any]:
    row = IngestionWarning.objects.filter(pk=warning_id).values("source_id", "code", "subject").first()
    if row is None:
        raise NotFound(_("There is no such warning."))
    return dict(row)


def _decide(
    warning_id: int, state: QuietState, quiet_until: datetime, *, note: str, actor: Actor, now: datetime
) -> WarningDecision:
    clean = " ".join(note.split())
    if len(clean) > 300:
        raise Invalid(_("A note has at most 300 characters."), code="too_long", field="note")
    with transaction.atomic():
        decision, _made = WarningDecision.objects.update_or_create(
            **_topic(warning_id),
            defaults={
                "state": state, "quiet_until": quiet_until, "note": clean, "decided_at": now,
                "decided_by": str(actor),
            },
        )  # fmt: skip
        actionlog.write(
            actor,
            f"crm.warning.{state}",
            ("crm.ingestionwarning", warning_id),
            fields=("state", "quiet_until"),
            now=now,
        )
    return decision
