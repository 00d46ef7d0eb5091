"""People, voices, tickets and releases for tests, made by the services that make them in life."""

from __future__ import annotations

from datetime import UTC, datetime

from crm.kernel import actors
from crm.services import contacts, profiles
from lifecycle.services import messages
from voc.models import FixNotice, Release, Ticket
from voc.services import feedback, releases, telling, tickets

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
AGENT = actors.system("test")


def person(name: str, *, email: str | None = None, language: str = "en", verified: bool = True) -> int:
    """A known person; with `email` one we may write to."""
    profile_id = profiles.resolve(
        [("user_id", f"user-{name}")],
        trust="server",
        actor=AGENT,
        now=NOW,
        names={"name": name, "language": language, "timezone": "Europe/London"},
    )
    if email:
        contacts.add(
            profile_id,
            channel="email",
            value=email,
            origin="server" if verified else "form",
            actor=AGENT,
            now=NOW,
        )
    return profile_id


def voice(text: str, profile_id: int | None = None, **values: object) -> feedback.Feedback:
    """A voice, of a person when given."""
    who = feedback.Person(profile_id=profile_id) if profile_id else None
    return feedback.give(text=text, channel="api", person=who, actor=AGENT, now=NOW, **values)


def ticket(title: str, *followers: int, role: str = "asked", now: datetime = NOW) -> Ticket:
    """An open ticket with followers."""
    row = tickets.open(title=title, actor=AGENT, now=now)
    for profile_id in followers:
        tickets.follow(row.pk, profile_id=profile_id, role=role, actor=AGENT, now=now)
    return row


def shipped(title: str, *rows: Ticket, now: datetime = NOW) -> Release:
    """A shipped release of these tickets; nobody is told yet."""
    release = releases.create(title=title, actor=AGENT, now=now)
    releases.add_items(release.pk, ticket_ids=[row.pk for row in rows], actor=AGENT, now=now)
    return releases.ship(release.pk, actor=AGENT, now=now)


def tell(release: Release, *, now: datetime = NOW) -> telling.TellResult:
    """One run of telling."""
    return telling.tell_followers(release.pk, now=now)


def told(release: Release | None = None) -> list[tuple[int, int, int]]:
    """All notices as (ticket, person, round)."""
    rows = FixNotice.objects.all() if release is None else FixNotice.objects.filter(release=release)
    return sorted(rows.values_list("ticket_id", "profile_id", "round"))


def deliver(*, now: datetime = NOW) -> None:
    """Send everything that is due."""
    while messages.deliver(now=now).claimed:
        pass
