"""Consent: an append-only log of what a person allowed; the newest decision per purpose and channel counts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from crm.kernel import actionlog
from crm.kernel.actors import Actor
from crm.kernel.errors import Invalid, NotFound
from crm.models import ConsentRecord, ContactPoint, Suppression
from crm.selectors import consents as reads
from crm.selectors import profiles as people
from crm.services import profiles, retry, touchpoints
from crm.states import Channel, ConsentWay, Language, Purpose, SuppressionReason

MOST_EVIDENCE = 4000


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
    language: str = "",
) -> ConsentRecord:
    """Write down a decision of the person, under the lock that message claims take. `language` is that of the text
    they read. Raises Invalid, NotFound, and Gone for an erased person."""
    for value, choices, field in (
        (purpose, Purpose, "purpose"),
        (channel, Channel, "channel"),
        (way, ConsentWay, "way"),
        (language, Language, "language"),
    ):
        if value not in choices.values:
            raise Invalid(
                _("This choice does not exist."), code="invalid_choice", field=field, allowed=choices.values
            )
    if len(json.dumps(evidence)) > MOST_EVIDENCE:
        raise Invalid(
            _("Evidence has at most %(most)d characters of JSON.") % {"most": MOST_EVIDENCE},
            code="too_large",
            field="evidence",
        )
    with transaction.atomic():
        locked = profiles.lock_roots([profile_id])
        if profile_id not in locked:
            raise NotFound(_("There is no such person."))
        root = locked[profile_id]
        profiles.refuse_erased(root)
        row = ConsentRecord.objects.create(
            profile_id=profile_id,
            purpose=purpose,
            channel=channel,
            granted=granted,
            way=way,
            text_version=text_version,
            language=language,
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


@retry.on_conflict
def choose(
    profile_id: int,
    *,
    choices: Mapping[tuple[str, str], bool],
    way: str,
    text_versions: Mapping[str, str],
    language: str,
    evidence: dict[str, Any],
    actor: Actor,
    now: datetime,
    prove: bool = False,
) -> int:
    """Set what a person themselves decides per (purpose, channel); what is so already is left alone, unless it is to
    be proven. Returns how many changed. Raises like `record`.

    A no of any id the person ever had wins, so a yes is written for each of them; and it lifts what an
    unsubscription had barred for their own addresses. Addresses barred for another reason stay barred.
    """
    with transaction.atomic():
        locked = profiles.lock_roots([profile_id])
        if profile_id not in locked:
            raise NotFound(_("There is no such person."))
        root = locked[profile_id]
        profiles.refuse_erased(root)
        ids = people.id_sets([root.pk])[root.pk]
        before = reads.grid(ids)
        unknown = sorted(set(choices) - set(before))
        if unknown:
            raise Invalid(
                _("This choice does not exist."),
                code="invalid_choice",
                field="choices",
                allowed=Purpose.values,
            )
        changed = 0
        for (purpose, channel), granted in sorted(choices.items()):
            if before[(purpose, channel)].is_allowed == granted and not prove:
                continue
            changed += 1
            for member in ids if granted else (root.pk,):
                record(
                    member, purpose=purpose, channel=channel, granted=granted, way=way,
                    text_version=text_versions.get(purpose, ""), language=language, evidence=evidence,
                    actor=actor, now=now,
                )  # fmt: skip
            if granted:
                lift(ids, purpose=purpose, channel=channel, actor=actor, now=now)
    return changed


def lift(profile_ids: list[int], *, purpose: str, channel: str, actor: Actor, now: datetime) -> int:
    """Lift what an unsubscription barred for the addresses of this person and this purpose. Returns how many."""
    hashes = ContactPoint.objects.filter(profile_id__in=profile_ids, channel=channel).values("value_hash")
    found = list(
        Suppression.objects.filter(
            channel=channel, purpose=purpose, reason=SuppressionReason.UNSUBSCRIBED, value_hash__in=hashes
        )
    )
    for row in found:
        actionlog.write(actor, "crm.suppression.removed", row, now=now)
        row.delete()
    return len(found)
