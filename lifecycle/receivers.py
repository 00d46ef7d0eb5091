"""Reactions of lifecycle: journeys begin and end with touchpoints whose kinds staff choose."""

from crm.kernel import clock, reactions
from crm.kernel.reactions import Fact
from lifecycle.services import enrolments, running


@reactions.subscribe_dynamic(running.ends, batch=True)
def leave_journeys(facts: list[Fact]) -> None:
    """A goal was met, or an exit rule: whoever is on the way leaves at once."""
    enrolments.leave(facts, now=clock.now())


@reactions.subscribe_dynamic(running.triggers, batch=True)
def enter_journeys(facts: list[Fact]) -> None:
    """Take people into the journeys that begin with these facts."""
    enrolments.enter(facts, now=clock.now())
