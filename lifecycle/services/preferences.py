"""What a person wants to receive, changed by themselves through the link in a message.

In force at commit: the consent of the person is recorded, and the address itself is suppressed for the purpose,
so nobody else with the same address is written to either. Every write can be repeated without harm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.utils.translation import gettext as _

from crm.kernel import actors, tokens
from crm.kernel.errors import Gone, Invalid
from crm.selectors import consents as consent_reads
from crm.selectors import contacts as contact_reads
from crm.selectors import profiles as people
from crm.services import consents, suppressions
from crm.states import OPT_IN_PURPOSES, Channel, ConsentWay, Purpose, SuppressionReason
from lifecycle.models import OutboundMessage

TEXT_VERSION: Final = "preferences-1"
PURPOSES: Final = tuple(Purpose.values)


@dataclass(frozen=True, slots=True)
class Link:
    """Whom an unsubscribe link belongs to: the person, the address, and the purpose of its message."""

    message_id: int
    profile_id: int
    profile_ids: tuple[int, ...]
    address: str
    value_hash: str
    purpose: str


def read(token: str) -> Link:
    """What a link stands for. It does not expire. Raises NotFound (tampered), Gone (the person is erased)."""
    payload = tokens.read("unsubscribe", token, max_age=None)
    message = OutboundMessage.objects.filter(pk=payload.get("m") or 0).first()
    ids = people.ids_of(message.profile_id) if message is not None else []
    contact: Any = contact_reads.of(ids).filter(pk=payload.get("c") or 0).first() if ids else None
    if message is None or contact is None:
        raise Gone(
            _("This address is not kept here any more. Nothing will be sent to it."), code="address_gone"
        )
    return Link(
        message_id=message.pk,
        profile_id=contact.profile_id,
        profile_ids=tuple(ids),
        address=contact.value,
        value_hash=contact.value_hash,
        purpose=payload.get("u") or Purpose.MARKETING,
    )


def wanted(link: Link) -> dict[str, bool]:
    """Which purposes the address gets now."""
    decisions = consent_reads.current(link.profile_ids)
    found = {}
    for purpose in PURPOSES:
        granted, _at = decisions.get((purpose, Channel.EMAIL), (purpose not in OPT_IN_PURPOSES, None))
        barred = consent_reads.suppressed([link.value_hash], purpose=purpose, channel=Channel.EMAIL)
        found[purpose] = granted and not barred
    return found


def unsubscribe(link: Link, *, now: datetime, purpose: str = "") -> bool:
    """Stop one purpose (that of the message). True when it changed something."""
    return choose(link, {purpose or link.purpose: False}, way=ConsentWay.UNSUBSCRIBE, now=now) > 0


def choose(
    link: Link, choices: Mapping[str, bool], *, now: datetime, way: str = ConsentWay.PREFERENCES
) -> int:
    """Set some purposes. Returns how many changed. Raises Invalid for an unknown purpose, Gone when erased."""
    unknown = set(choices) - set(PURPOSES)
    if unknown:
        raise Invalid(
            _("There is no such purpose."), code="invalid_choice", field="purpose", allowed=list(PURPOSES)
        )
    actor = actors.person(link.profile_id)
    with transaction.atomic():
        before = wanted(link)
        changed = {purpose: yes for purpose, yes in choices.items() if before[purpose] != yes}
        for purpose, yes in sorted(changed.items()):
            # A no of any id the person ever had wins, so a yes is written down for each of them.
            for profile_id in link.profile_ids if yes else (link.profile_id,):
                consents.record(
                    profile_id,
                    purpose=purpose,
                    channel=Channel.EMAIL,
                    granted=yes,
                    way=way,
                    text_version=TEXT_VERSION,
                    evidence={"message_id": link.message_id},
                    actor=actor,
                    now=now,
                )
            if yes:
                suppressions.remove(Channel.EMAIL, link.address, purpose=purpose, actor=actor, now=now)
            else:
                suppressions.add(
                    Channel.EMAIL,
                    link.address,
                    purpose=purpose,
                    reason=SuppressionReason.UNSUBSCRIBED,
                    actor=actor,
                    now=now,
                )
    return len(changed)
