"""The demo company's closed loop: what people say, what staff make of it, and who is told when it is done."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from config.demo import people, voices
from config.demo.state import ACTOR, Company, Planned, settle
from crm.kernel import actors
from voc.services import feedback, releases, telling, ticket_merges, tickets


def plan(company: Company) -> Iterator[Planned]:
    """Every voice and every release, as (when, act)."""
    for case in voices.CASES:
        yield from _plan_case(company, case)
    for voice in voices.INBOX:
        yield company.ago(voice.days), lambda at, voice=voice: _give(company, voice, at)
    for voice, reason in voices.DISMISSED:
        yield (
            company.ago(voice.days),
            lambda at, voice=voice, reason=reason: _dismiss(company, voice, reason, at),
        )
    for shipment in voices.SHIPMENTS:
        yield from _plan_shipment(company, shipment)


def _plan_case(company: Company, case: voices.Case) -> Iterator[Planned]:
    yield company.ago(case.voices[0].days), lambda at: _open(company, case, at)
    for voice in case.voices[1:]:
        yield company.ago(voice.days), lambda at, voice=voice: _attach(company, case, voice, at)
    for number, key in enumerate((*case.voted, *case.asked)):
        role = "voted" if number < len(case.voted) else "asked"
        days = max(0.1, case.voices[-1].days - 0.5 - 0.05 * number)
        yield company.ago(days), lambda at, key=key, role=role: _follow(company, case, key, role, at)
    for move in case.moves:
        yield company.ago(move.days), lambda at, move=move: _move(company, case, move, at)
    if case.merge_into:
        yield company.ago(case.merge_days), lambda at: _merge(company, case, at)


def _give(company: Company, voice: voices.Voice, at: datetime) -> int:
    """The voice as its channel brings it in: by the person, by a program, or typed in by staff."""
    profile_id = company.profiles.get(voice.who)
    if voice.channel == "api":
        actor = ACTOR
    elif voice.channel in {"portal", "widget"} and profile_id is not None:
        actor = actors.person(profile_id)
    else:
        actor = company.colleague("demo-mei")
    row = feedback.give(
        text=voice.text,
        channel=voice.channel,
        actor=actor,
        now=at,
        person=feedback.Person(profile_id=profile_id) if profile_id is not None else None,
        may_name=voice.may_name,
        credit_name=voice.credit_name,
        reference=voice.reference,
    )
    return row.pk


def _open(company: Company, case: voices.Case, at: datetime) -> None:
    ticket = feedback.open_ticket(
        _give(company, case.voices[0], at),
        actor=_owner(company, case),
        now=at,
        title=case.title,
        description=case.description,
        kind=case.kind,
        severity=case.severity,
        theme=case.theme,
        assignee_id=company.staff[case.owner].pk if case.owner else None,
    )
    company.tickets[case.key] = ticket.pk


def _attach(company: Company, case: voices.Case, voice: voices.Voice, at: datetime) -> None:
    feedback.attach(
        _give(company, voice, at),
        ticket_id=company.tickets[case.key],
        actor=_owner(company, case),
        now=at,
    )


def _follow(company: Company, case: voices.Case, key: str, role: str, at: datetime) -> None:
    tickets.follow(
        company.tickets[case.key],
        profile_id=company.profiles[key],
        role=role,
        may_name=role == "voted" and people.BY_KEY[key].language == "en",
        actor=actors.person(company.profiles[key]),
        now=at,
    )


def _move(company: Company, case: voices.Case, move: voices.Move, at: datetime) -> None:
    tickets.move(company.tickets[case.key], to=move.to, note=move.note, actor=_owner(company, case), now=at)


def _merge(company: Company, case: voices.Case, at: datetime) -> None:
    ticket_merges.merge(
        company.tickets[case.key],
        into=company.tickets[case.merge_into],
        actor=company.colleague("demo-mei"),
        now=at,
    )


def _dismiss(company: Company, voice: voices.Voice, reason: str, at: datetime) -> None:
    feedback.dismiss(_give(company, voice, at), reason=reason, actor=company.colleague("demo-mei"), now=at)


def _owner(company: Company, case: voices.Case) -> actors.Actor:
    return company.colleague(case.owner or "demo-mei")


def _plan_shipment(company: Company, shipment: voices.Shipment) -> Iterator[Planned]:
    """Draft, ship, tell over the hours that follow (it is night somewhere), withdraw what was a mistake."""
    yield company.ago(shipment.drafted), lambda at: _draft(company, shipment, at)
    if not shipment.shipped:
        return
    shipped_at = company.ago(shipment.shipped)
    yield shipped_at, lambda at: _ship(company, shipment, at)
    for hours in (6, 12, 18):
        yield shipped_at + timedelta(hours=hours), lambda at: settle(company, at)
    if shipment.withdrawn:
        yield company.ago(shipment.withdrawn), lambda at: _withdraw(company, shipment, at)


def _draft(company: Company, shipment: voices.Shipment, at: datetime) -> None:
    lead = company.colleague("demo-lan")
    release = releases.create(title=shipment.title, notes=shipment.notes, actor=lead, now=at)
    company.releases[shipment.key] = release.pk
    for key, note in shipment.items:
        releases.add_items(release.pk, ticket_ids=[company.tickets[key]], note=note, actor=lead, now=at)


def _ship(company: Company, shipment: voices.Shipment, at: datetime) -> None:
    release_id = company.releases[shipment.key]
    releases.ship(release_id, actor=company.colleague("demo-lan"), now=at)
    telling.tell_followers(release_id, now=at)
    settle(company, at)


def _withdraw(company: Company, shipment: voices.Shipment, at: datetime) -> None:
    releases.withdraw(
        company.releases[shipment.key],
        reason=shipment.reason,
        actor=company.colleague("demo-lan"),
        now=at,
    )
