"""Feedback: taking a voice in, and deciding about it.

A voice is stored as it was said and never changed. Whoever decides attaches it to a ticket, opens a ticket
from it or dismisses it; the person behind it becomes a follower who `reported` the ticket.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from crm.kernel import actionlog, knobs
from crm.kernel.actors import Actor
from crm.kernel.errors import Conflict, Invalid, NotFound, TooLarge
from crm.selectors import profiles as profile_reads
from crm.services import contacts, profiles, touchpoints
from lifecycle.services import confirmations
from voc import tokens
from voc.models import Feedback, Ticket
from voc.models.tokens import public_token
from voc.services import clock, tickets
from voc.states import (
    FEEDBACK_TRANSITIONS,
    OPEN_STATUSES,
    FeedbackChannel,
    FeedbackStatus,
    FollowerRole,
    TicketEventKind,
    TicketKind,
)

TITLE_LENGTH: Final = 80
_SENTENCE_END = re.compile(r"(?<=[。！？!?；;\n])|(?<=\.)\s")


@dataclass(frozen=True, slots=True)
class Person:
    """Who spoke. Identifiers of a trusted caller find the person; `email` of a form proves nothing.

    `language` is the one they read the form in: what we write to them is written in it.
    """

    identifiers: tuple[tuple[str, str], ...] = ()
    email: str = ""
    name: str = ""
    language: str = ""
    profile_id: int | None = None


def give(
    *,
    text: str,
    channel: str,
    actor: Actor,
    now: datetime,
    person: Person | None = None,
    trusted: bool = True,
    may_name: bool = False,
    credit_name: str = "",
    reference: str = "",
) -> Feedback:
    """Store one voice.

    `trusted`: the caller vouches for the identifiers (API key, staff). Otherwise the e-mail of a form becomes an
    unverified contact point of an anonymous person: it joins nobody else's profile, and nothing is mailed there
    before its owner confirmed it. Raises Invalid, TooLarge.
    """
    text = read_text(text)
    if channel not in FeedbackChannel.values:
        raise Invalid(
            _("Unknown channel."), code="invalid_choice", field="channel", allowed=FeedbackChannel.values
        )
    credit_name = tickets.credit(credit_name)
    if len(reference) > 200:
        raise Invalid(_("At most %(n)d characters.") % {"n": 200}, code="too_long", field="reference")
    with transaction.atomic():
        profile_id = _person(person, trusted=trusted, actor=actor, now=now) if person else None
        row = Feedback.objects.create(
            token=public_token(),
            channel=channel,
            text=text,
            profile_id=profile_id,
            may_name=may_name,
            credit_name=credit_name,
            reference=reference.strip(),
            tokens=tokens.cut(text),
            created_by=str(actor),
            created_at=now,
        )
        if profile_id is not None:
            touchpoints.record(
                [
                    touchpoints.Event(
                        kind="voc.feedback.given",
                        occurred_at=now,
                        message_id=f"voc.feedback.given:{row.pk}",
                        profile_id=profile_id,
                        channel=channel,
                        properties={"feedback_id": row.pk},
                    )
                ],
                source=None,
                actor=actor,
                now=now,
            )
        actionlog.write(actor, "voc.feedback.given", row, now=now)
    return row


def attach(feedback_id: int, *, ticket_id: int, actor: Actor, now: datetime) -> Feedback:
    """Put a voice on a ticket (or the one that was merged into); its person becomes a follower who reported.

    The ticket's clock goes back to this voice when it is the earlier one. Moving a voice from one ticket to
    another is allowed. Raises NotFound, Conflict.
    """
    with transaction.atomic():
        row = _lock(feedback_id)
        ticket = tickets.lock_root(ticket_id)
        if row.status == FeedbackStatus.ATTACHED and row.ticket_id == ticket.pk:
            return row
        old = row.ticket_id
        _decide(row, to=FeedbackStatus.ATTACHED, ticket_id=ticket.pk, actor=actor, now=now)
        if old is not None:
            tickets.add_event(
                old, TicketEventKind.VOICE_REMOVED, actor=actor, now=now, data={"feedback_id": row.pk}
            )
        tickets.add_event(
            ticket.pk, TicketEventKind.VOICE_ADDED, actor=actor, now=now, data={"feedback_id": row.pk}
        )
        if ticket.status in OPEN_STATUSES and ticket.round == 1 and row.created_at < ticket.first_voice_at:
            ticket.first_voice_at, ticket.due_at = row.created_at, clock.due_at(row.created_at)
            ticket.save(update_fields=["first_voice_at", "due_at"])
        if row.profile_id is not None:
            tickets.follow(
                ticket.pk,
                profile_id=row.profile_id,
                role=FollowerRole.REPORTED,
                may_name=row.may_name,
                credit_name=row.credit_name,
                actor=actor,
                now=now,
            )
        actionlog.write(actor, "voc.feedback.attached", row, fields=("status", "ticket"), now=now)
    return row


def open_ticket(feedback_id: int, *, actor: Actor, now: datetime, title: str = "", **values: Any) -> Ticket:
    """Open a ticket from a voice and attach it. `title` defaults to suggest_title(). Raises NotFound, Conflict."""
    with transaction.atomic():
        row = _lock(feedback_id)
        if row.status == FeedbackStatus.ATTACHED:
            raise Conflict(_("This feedback is on a ticket already."), code="already_attached")
        ticket = tickets.open(
            title=title.strip() or suggest_title(row.text),
            first_voice_at=row.created_at,
            actor=actor,
            now=now,
            **{"kind": TicketKind.COMPLAINT, **values},
        )
        attach(row.pk, ticket_id=ticket.pk, actor=actor, now=now)
        if row.profile_id is not None:
            touchpoints.record(
                [
                    touchpoints.Event(
                        kind="voc.ticket.opened",
                        occurred_at=now,
                        message_id=f"voc.ticket.opened:{ticket.pk}",
                        profile_id=row.profile_id,
                        properties={"ticket_id": ticket.pk, "ticket_number": ticket.number},
                    )
                ],
                source=None,
                actor=actor,
                now=now,
            )
    return ticket


def dismiss(feedback_id: int, *, reason: str, actor: Actor, now: datetime) -> Feedback:
    """Decide that nothing is to be done about a voice, and say why. Raises NotFound, Conflict, Invalid."""
    reason = " ".join(reason.split())
    if len(reason) > 200:
        raise Invalid(
            _("At most %(n)d characters.") % {"n": 200}, code="too_long", field="reason", allowed=200
        )
    with transaction.atomic():
        row = _lock(feedback_id)
        _decide(row, to=FeedbackStatus.DISMISSED, reason=reason, actor=actor, now=now)
        actionlog.write(actor, "voc.feedback.dismissed", row, fields=("status",), now=now)
    return row


def reconsider(feedback_id: int, *, actor: Actor, now: datetime) -> Feedback:
    """Put a dismissed voice back into the inbox. Raises NotFound, Conflict."""
    with transaction.atomic():
        row = _lock(feedback_id)
        if row.status != FeedbackStatus.DISMISSED:
            raise Conflict(
                _("Only dismissed feedback comes back to the inbox."), code="transition_not_allowed"
            )
        _decide(row, to=FeedbackStatus.NEW, actor=actor, now=now)
        actionlog.write(actor, "voc.feedback.reconsidered", row, fields=("status",), now=now)
    return row


def ask_to_follow(
    ticket_id: int,
    *,
    email: str,
    actor: Actor,
    now: datetime,
    language: str = "",
    may_name: bool = False,
    credit_name: str = "",
) -> int:
    """Follow a ticket from the portal by e-mail; confirmed first. Returns the profile id."""
    with transaction.atomic():
        profile_id = _person(Person(email=email, language=language), trusted=False, actor=actor, now=now)
        if profile_id is None:
            raise Invalid(_("Enter an e-mail address."), code="required", field="email")
        tickets.follow(
            ticket_id,
            profile_id=profile_id,
            role=FollowerRole.ASKED,
            may_name=may_name,
            credit_name=credit_name,
            actor=actor,
            now=now,
        )
    return profile_id


def ask_for_confirmation(profile_id: int, *, email: str, actor: Actor, now: datetime) -> None:
    """Have the address of a form asked whether it is its owner's. The mail carries no text of the visitor."""
    contact = contacts.add(profile_id, channel="email", value=email, origin="form", actor=actor, now=now)
    confirmations.ask(contact.pk, profile_id=profile_id, actor=actor, now=now)


def suggest_title(text: str) -> str:
    """A title from the first sentence, at most TITLE_LENGTH characters."""
    first = next((part.strip() for part in _SENTENCE_END.split(text) if part and part.strip()), text)
    line = " ".join(
        "".join(c if ord(c) >= 32 and c not in "\u2028\u2029\x85" else " " for c in first).split()
    )
    return line if len(line) <= TITLE_LENGTH else f"{line[: TITLE_LENGTH - 1].rstrip()}…"


def read_text(text: str) -> str:
    """The text within its limits. Raises Invalid (empty, characters no column holds), TooLarge."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    limit = knobs.get("voc.feedback_text_limit")
    if not text:
        raise Invalid(_("Write something: the text is empty."), code="required", field="text")
    if len(text) > limit:
        raise TooLarge(
            _("The text has %(length)d characters; at most %(limit)d are allowed.")
            % {"length": len(text), "limit": limit},
            code="too_large",
            field="text",
            allowed=limit,
        )
    if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise Invalid(
            _("The text holds characters that cannot be stored."), code="invalid_character", field="text"
        )
    return text


def person(who: Person, *, actor: Actor, now: datetime) -> int:
    """The root profile of somebody a trusted caller names. Raises Invalid, NotFound."""
    with transaction.atomic():
        profile_id = _person(who, trusted=True, actor=actor, now=now)
    if profile_id is None:
        raise Invalid(_("At least one identifier is needed."), code="no_identifier", field="person")
    return profile_id


def _person(person: Person, *, trusted: bool, actor: Actor, now: datetime) -> int | None:
    """The root profile behind a voice, or None for somebody who left nothing."""
    if person.profile_id is not None:
        root = profile_reads.roots([person.profile_id]).get(person.profile_id)
        if root is None:
            raise NotFound(_("There is no such person."), code="no_such_profile", field="profile")
        return root
    if trusted:
        identifiers: Sequence[tuple[str, str]] = person.identifiers
        if person.email:
            identifiers = (*identifiers, ("email", person.email))
        if not identifiers:
            return None
        profile_id = profiles.resolve(
            list(dict.fromkeys(identifiers)), trust="server", actor=actor, now=now, names=_names(person)
        )
        for kind, value in identifiers:
            if kind == "email":
                origin = "staff" if actor.kind == "staff" else "server"
                contacts.add(profile_id, channel="email", value=value, origin=origin, actor=actor, now=now)
        return profile_id
    if not person.email:
        return None
    # The same unproven address comes back as the same anonymous person, and joins nobody else.
    ident = salted_hmac("voc.form", person.email.strip().casefold(), algorithm="sha256").hexdigest()[:32]
    profile_id = profiles.resolve(
        [("anonymous_id", f"form-{ident}")], trust="browser", actor=actor, now=now, names=_names(person)
    )
    contacts.add(profile_id, channel="email", value=person.email, origin="form", actor=actor, now=now)
    return profile_id


def _names(person: Person) -> dict[str, str]:
    values = {"display_name": person.name, "language": person.language}
    return {name: value for name, value in values.items() if value}


def _lock(feedback_id: int) -> Feedback:
    row = Feedback.objects.select_for_update(of=("self",)).filter(pk=feedback_id).first()
    if row is None:
        raise NotFound(_("There is no such feedback."), code="no_such_feedback", field="feedback")
    return row


def _decide(
    row: Feedback, *, to: str, actor: Actor, now: datetime, ticket_id: int | None = None, reason: str = ""
) -> None:
    """The only writer of a voice's status."""
    if to not in FEEDBACK_TRANSITIONS[row.status]:
        raise Conflict(
            _("Feedback cannot go from “%(old)s” to “%(new)s”.")
            % {"old": FeedbackStatus(row.status).label, "new": FeedbackStatus(to).label},
            code="transition_not_allowed",
            allowed=[str(status) for status in FEEDBACK_TRANSITIONS[row.status]],
        )
    values: dict[str, Any] = {
        "status": to,
        "ticket_id": ticket_id,
        "reason": reason,
        "decided_by": "" if to == FeedbackStatus.NEW else str(actor),
        "decided_at": None if to == FeedbackStatus.NEW else now,
    }
    if Feedback.objects.filter(pk=row.pk, status=row.status).update(**values) != 1:
        raise Conflict(_("The feedback has moved on. Read it again."), code="conflict")
    for name, value in values.items():
        setattr(row, name, value)
