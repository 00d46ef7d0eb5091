"""Reactions of members to facts of other apps."""

from crm.kernel import actors, clock, reactions
from crm.kernel.reactions import Fact
from members.services import merging, thanks


@reactions.subscribe("voc.fix.told", max_age=None, batch=True)
def thank_reporters(facts: list[Fact]) -> None:
    """Points for whoever reported what is now fixed. Books at any age: a promise does not expire in a queue."""
    thanks.thank_reporters(facts, actor=actors.reaction("members.thank_reporters"), now=clock.now())


@reactions.subscribe("crm.profile.merged", max_age=None)
def fold(fact: Fact) -> None:
    """Move the points of the profile that was merged."""
    merging.fold(
        fact.properties["merge_id"],
        loser_id=fact.properties["loser"],
        actor=actors.reaction("members.fold"),
        now=clock.now(),
    )


@reactions.subscribe("crm.profile.unmerged", max_age=None)
def unfold(fact: Fact) -> None:
    """Move the points back when a merge is undone."""
    merging.unfold(
        fact.properties["merge_id"],
        loser_id=fact.properties["loser"],
        actor=actors.reaction("members.unfold"),
        now=clock.now(),
    )
