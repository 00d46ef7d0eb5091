"""Consent: an append-only log of what a person allowed; the newest decision per purpose and channel counts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from crm.kernel import actionlog
from crm.kernel.actors import Actor
from crm.kernel.errors import Invalid
from crm.models import ConsentRecord
from crm.services import profiles, retry, touchpoints
from crm.states import Channel, ConsentWay, Purpose


@retry.on_conflict
def record(
    profile_id: int,
    *,
    purpose: str,
    channel: str,
    granted: bool,
    way: str,
    text_version: str,
    evidence: dict[str, Any],
    actor: Actor,
    now: datetime,
) -> ConsentRecord:
    """Write down a decision of the person, under the lock that message claims take. Raises Invalid, NotFound,
    and Gone for an erased person."""
    for value, choices, field in (
        (purpose, Purpose, "purpose"),
        (channel, Channel, "channel"),
        (way, ConsentWay, "way"),
    ):
        if value not in choices.values:
            raise Invalid(
                _("This choice does not exist."), code="invalid_choice", field=field, allowed=choices.values
            )
    with transaction.atomic():
        root = profiles.lock_roots([profile_id])[profile_id]
        profiles.refuse_erased(root)
        row = ConsentRecord.objects.create(
            profile_id=profile_id,
            purpose=purpose,
            channel=channel,
            granted=granted,
            way=way,
            text_version=text_version,
            evidence=evidence,
            actor=str(actor),
            occurred_at=now,
        )
        action = "given" if granted else "withdrawn"
        actionlog.write(actor, f"crm.consent.{action}", row, fields=(purpose, channel), now=now)
        touchpoints.record(
            [
                touchpoints.Event(
                    kind=f"crm.consent.{action}",
                    occurred_at=now,
                    message_id=f"crm.consent:{row.pk}",
                    profile_id=root.pk,
                    channel=channel,
                    properties={"purpose": purpose, "channel": channel},
                )
            ],
            source=None,
            actor=actor,
            now=now,
        )
    return row
