"""Signing an address up, and asking its owner to confirm the yes.

What a visitor sees is the same whatever happens behind: whether the address is known, barred, or was asked often
enough is nobody else's business. The mail carries no word of theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from crm.kernel import actors, knobs, tokens
from crm.kernel.actors import Actor
from crm.kernel.errors import DomainError, Invalid
from crm.selectors import privacy as privacy_reads
from crm.services import contacts, opt_ins, profiles
from crm.states import ConsentWay
from lifecycle.services import messages

KIND: Final = "lifecycle.confirm_consent"
PURPOSE: Final = "consent"


class TooMany(DomainError):
    """Too many sign-ups from one network."""

    code, status = "too_many", 429


def sign_up(
    email: str, *, purposes: Sequence[str], language: str, network_address: str, now: datetime
) -> None:
    """Somebody typed in an address and what it may be written to for. Raises Invalid (no such address, nothing
    chosen), TooMany."""
    address = contacts.normalise("email", email)
    if not purposes:
        raise Invalid(_("Choose at least one purpose."), code="invalid_choice", field="purposes")
    actor = _visitor(network_address, now=now)
    if privacy_reads.sign_ups_of(actor, since=now - timedelta(hours=1)) >= knobs.get(
        "lifecycle.sign_ups_per_hour"
    ):
        raise TooMany(_("Too much came from your network in the last hour. Please try again later."))
    # As forms of the portal do: the same unproven address comes back as the same person, and joins nobody else.
    ident = salted_hmac("voc.form", address.casefold(), algorithm="sha256").hexdigest()[:32]
    profile_id = profiles.resolve(
        [("anonymous_id", f"form-{ident}")],
        trust="browser",
        actor=actor,
        now=now,
        names={"language": language} if language else None,
    )
    contact = contacts.add(profile_id, channel="email", value=address, origin="form", actor=actor, now=now)
    opt_ins.request(
        profile_id,
        contact_id=contact.pk,
        purposes=purposes,
        way=ConsentWay.FORM,
        language=language,
        actor=actor,
        now=now,
    )


def _visitor(network_address: str, *, now: datetime) -> Actor:
    """The network of a visitor as a keyed hash of the day: enough to count, nothing to find anybody by."""
    digest = salted_hmac(
        "lifecycle.sign_ups", f"{now.date()} {network_address}", algorithm="sha256"
    ).hexdigest()
    return Actor("source", f"sign-up-{digest[:24]}")


def ask(request_id: int, *, actor: Actor, now: datetime) -> None:
    """Queue the question to the owner of the address. Does nothing when it was answered or ran out."""
    row = opt_ins.read(request_id)
    if row.decided_at is not None or row.expires_at <= now:
        return
    token = tokens.make(PURPOSE, {"r": row.pk})
    item = messages.Item(
        kind=KIND,
        profile_id=row.profile_id,
        subject_key=f"consent:{row.pk}",
        context={"contact_id": row.contact_id, "confirm_url": f"{settings.BASE_URL}/subscribe/{token}/"},
        expires_at=row.expires_at,
    )
    messages.queue([item], actor=actor, now=now)


def read(token: str) -> Any:
    """The sign-up a confirmation link stands for. Raises NotFound (tampered), Gone (expired, erased)."""
    payload = tokens.read(PURPOSE, token, max_age=timedelta(hours=knobs.get("crm.opt_in_hours")))
    return opt_ins.read(payload.get("r") or 0)


def confirm(token: str, *, now: datetime) -> Any:
    """The owner pressed the button. Repeating it changes nothing. Raises NotFound, Gone."""
    row = read(token)
    actor = actors.person(row.profile_id)
    return opt_ins.confirm(row.pk, evidence={"link": KIND, "confirmed_by": str(actor)}, now=now)
