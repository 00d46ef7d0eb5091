"""What stands between people and messages: addresses, consent, suppression; read in bulk, under the caller's locks.

A constant number of queries per batch, whatever its size; every answer is over all ids a person ever had.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from crm.selectors import choices, consents, contacts
from crm.selectors import profiles as people
from crm.states import Channel
from lifecycle import registry
from lifecycle.models import OutboundMessage
from lifecycle.registry import MessageKind
from lifecycle.states import Decision, Reason


@dataclass(slots=True)
class Gates:
    """Everything the decisions of one batch need to know, read with a constant number of queries."""

    roots: dict[int, Any]
    members: dict[int, list[int]]
    addresses: dict[int, contacts.Address]
    by_contact: dict[int, contacts.Address]
    refusals: dict[tuple[int, str], str]
    suppressed: set[str]
    choices: dict[int, choices.Choice]
    paused: set[int]


def read(rows: Iterable[tuple[str, int, dict[str, Any]]], *, roots: dict[int, Any], now: datetime) -> Gates:
    """What stands between these people, locked by the caller, and messages (kind code, profile id, context)."""
    asked = list(rows)
    root_ids = sorted({root.pk for root in roots.values()})
    members = people.id_sets(root_ids)
    addresses = contacts.deliverable(root_ids, Channel.EMAIL, members=members)
    named: dict[int, set[int]] = defaultdict(set)
    purposes: dict[str, set[int]] = defaultdict(set)
    for code, profile_id, context in asked:
        kind = registry.find(code)
        if kind is None or profile_id not in roots:
            continue
        root_id = roots[profile_id].pk
        if kind.to == "contact":
            named[int(context.get("contact_id", 0))].add(root_id)
        elif kind.consent_purpose:
            purposes[kind.consent_purpose].add(root_id)
    by_contact = {}
    if named:
        all_members = {member for ids in named.values() for root in ids for member in members[root]}
        for contact in contacts.of(all_members).filter(pk__in=list(named), bounced_at=None, removed_at=None):
            by_contact[contact.pk] = contacts.Address(
                contact.pk,
                contact.profile_id,
                contact.channel,
                contact.value,
                contact.value_hash,
                contact.verified_at,
            )
    hashes = {address.value_hash for address in (*addresses.values(), *by_contact.values())}
    refusals: dict[tuple[int, str], str] = {}
    for purpose in sorted(purposes):
        allowed = consents.allowed(purposes[purpose], purpose=purpose, channel=Channel.EMAIL, members=members)
        refused = {root_id for root_id, yes in allowed.items() if not yes}
        if refused:
            refusals |= _reasons(refused, members=members, addresses=addresses, purpose=purpose)
    chosen = choices.of(root_ids, members=members)
    return Gates(
        roots=roots,
        members=members,
        addresses=addresses,
        by_contact=by_contact,
        refusals=refusals,
        suppressed=consents.suppressed(hashes, purpose="", channel=Channel.EMAIL),
        choices=chosen,
        paused={root_id for root_id, choice in chosen.items() if choice.pause(now=now) is not None},
    )


def address_for(gates: Gates, *, kind: MessageKind, root_id: int, context: dict[str, Any]) -> tuple[Any, str]:
    """The address to use, or None and the reason why there is none we may use."""
    if kind.to == "contact":
        address = gates.by_contact.get(int(context.get("contact_id", 0)))
        if address is not None and address.profile_id not in gates.members[root_id]:
            address = None
    else:
        address = gates.addresses.get(root_id)
    if address is None:
        return None, Reason.NO_ADDRESS
    if root_id in gates.paused and not kind.is_transactional:
        return None, Reason.PAUSED
    if kind.consent_purpose and (root_id, kind.consent_purpose) in gates.refusals:
        return None, gates.refusals[(root_id, kind.consent_purpose)]
    if address.value_hash in gates.suppressed:
        return None, Reason.SUPPRESSED
    return address, ""


def told_before(keys: set[str], gates: Gates) -> set[tuple[int, str, str]]:
    """(root, kind, key) that another profile of the same person was sent before the two became one."""
    root_of = {member: root for root, ids in gates.members.items() if len(ids) > 1 for member in ids}
    if not root_of:
        return set()
    sent = OutboundMessage.objects.filter(
        profile_id__in=sorted(root_of), subject_key__in=keys, decision=Decision.SENT
    ).values_list("profile_id", "kind", "subject_key")
    return {(root_of[profile_id], kind, key) for profile_id, kind, key in sent}


def _reasons(
    root_ids: set[int], *, members: dict[int, list[int]], addresses: dict[int, contacts.Address], purpose: str
) -> dict[tuple[int, str], str]:
    """Why each of these may not be written to: they said no, their address is barred, or they never said yes."""
    root_of = {member: root for root in root_ids for member in members[root]}
    withdrawn = {
        root_of[profile_id]
        for profile_id in consents.history(root_of)
        .filter(purpose=purpose, channel=Channel.EMAIL, granted=False)
        .order_by()
        .values_list("profile_id", flat=True)
    }
    barred = consents.suppressed(
        {addresses[root].value_hash for root in root_ids if root in addresses},
        purpose=purpose,
        channel=Channel.EMAIL,
    )
    found: dict[tuple[int, str], str] = {}
    for root in root_ids:
        if root in withdrawn:
            reason = Reason.UNSUBSCRIBED
        elif root in addresses and addresses[root].value_hash in barred:
            reason = Reason.SUPPRESSED
        else:
            reason = Reason.NO_CONSENT
        found[(root, purpose)] = reason
    return found
