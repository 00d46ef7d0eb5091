"""Reactions of lifecycle: journeys begin and end with touchpoints whose kinds staff choose, and people are told
about what they asked for: confirming a yes, their file, their erasure."""

from crm.kernel import actors, clock, reactions
from crm.kernel.reactions import Fact
from lifecycle.services import enrolments, entries, own_page, running, sign_ups


@reactions.subscribe_dynamic(running.ends, batch=True)
def leave_journeys(facts: list[Fact]) -> None:
    """A goal was met, or an exit rule: whoever is on the way leaves at once."""
    enrolments.leave(facts, now=clock.now())


@reactions.subscribe_dynamic(running.triggers, batch=True)
def enter_journeys(facts: list[Fact]) -> None:
    """Take people into the journeys that begin with these facts."""
    entries.enter(facts, now=clock.now())


@reactions.subscribe("crm.consent.requested", max_age=None)
def ask_to_confirm(fact: Fact) -> None:
    """The owner of the address is asked; nothing else is sent to it before."""
    for request_id in fact.ids:
        sign_ups.ask(request_id, actor=actors.reaction("lifecycle.ask_to_confirm"), now=clock.now())


@reactions.subscribe("crm.export.ready", max_age=None)
def tell_about_export(fact: Fact) -> None:
    """A file is ready for the person it is about."""
    for export_id in fact.ids:
        own_page.tell_export_ready(export_id, now=clock.now())


@reactions.subscribe("crm.erasure.requested", max_age=None)
def tell_about_erasure(fact: Fact) -> None:
    """An erasure the person asked for is scheduled, and can still be stopped."""
    for erasure_id in fact.ids:
        own_page.tell_erasure_scheduled(erasure_id, now=clock.now())
