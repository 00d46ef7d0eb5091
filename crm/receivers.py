"""What crm itself reacts to, and how the kernel turns stored touchpoints into facts."""

from crm.kernel import clock, reactions
from crm.kernel.reactions import Fact
from crm.selectors import computed, followed, timeline
from crm.services import accounts, computing, segment_members

reactions.set_touchpoint_loader(timeline.load_facts)


@reactions.subscribe_dynamic(computed.follows, max_age=None, batch=True, bare=True, at_leisure=True)
def compute_after_touchpoints(facts: list[Fact]) -> None:
    """Values and purchases follow what happened, however long ago."""
    computing.follow(facts, now=clock.now())


@reactions.subscribe(computing.HISTORY, max_age=None, batch=True)
def compute_after_history(facts: list[Fact]) -> None:
    """History that was loaded triggers nothing, and counts."""
    computing.follow(facts, now=clock.now())


@reactions.subscribe("crm.profile.merged", "crm.profile.unmerged", max_age=None, batch=True)
def compute_after_merges(facts: list[Fact]) -> None:
    """Both sides of a merge, or of its undoing, are computed again."""
    computing.regroup(
        {int(fact.properties[side]) for fact in facts for side in ("winner", "loser")}, now=clock.now()
    )


@reactions.subscribe("crm.profile.erased", max_age=None, batch=True)
def forget_values_of_erased(facts: list[Fact]) -> None:
    """Nothing computed stays of an erased person."""
    computing.clear_people([int(pk) for fact in facts for pk in fact.ids])


@reactions.subscribe_dynamic(followed.wanted, max_age=None, batch=True)
def follow_segments(facts: list[Fact]) -> None:
    """Who enters and leaves segments by what happened, however long ago that was."""
    segment_members.follow_facts(facts, now=clock.now())


@reactions.subscribe(
    accounts.ORDER, "crm.profile.merged", "crm.profile.unmerged", max_age=None, batch=True, at_leisure=True
)
def roll_up_accounts_of(facts: list[Fact]) -> None:
    """The accounts these people belong to are rolled up anew."""
    people = {fact.profile_id for fact in facts}
    people |= {int(fact.properties["loser"]) for fact in facts if fact.kind != accounts.ORDER}
    accounts.touch(people, now=clock.now())
