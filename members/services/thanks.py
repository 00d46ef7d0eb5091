"""Thanks: whoever reported what was fixed gets points, once per ticket and round."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from crm.kernel import knobs
from crm.kernel.actors import Actor
from crm.kernel.reactions import Fact
from crm.selectors import profiles as profile_reads
from members.services import points
from members.states import EntryKind


def thank_reporters(facts: Sequence[Fact], *, actor: Actor, now: datetime) -> int:
    """Book the thank-you points for facts `voc.fix.told` whose role is `reported`. Returns how many were booked.

    The key names the person's root; a merge between two runs is covered by looking for the keys of all their ids.
    """
    amount = knobs.get("members.thanks_points")
    reported = [fact for fact in facts if fact.properties.get("role") == "reported"]
    if not amount or not reported:
        return 0
    root_of = profile_reads.roots({fact.profile_id for fact in reported})
    members = profile_reads.id_sets(set(root_of.values()))
    credits = []
    for fact in reported:
        root = root_of.get(fact.profile_id)
        if root is None:
            continue
        ticket, number = int(fact.properties["ticket_id"]), int(fact.properties["round"])
        credits.append(
            points.Credit(
                profile_id=root,
                amount=amount,
                key=f"thanks:{ticket}:{root}:{number}",
                alias_keys=tuple(
                    f"thanks:{ticket}:{ident}:{number}" for ident in members[root] if ident != root
                ),
            )
        )
    return points.credit_many(credits, kind=EntryKind.THANKS, actor=actor, now=now)
