"""Double opt-in: a yes counts when the owner of the address has confirmed it, and nothing else is sent before.

Asking publishes `crm.consent.requested`; whoever sends messages writes the question. However often and by whomever
an address is signed up, it is asked at most once a day and a few times a month.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from crm.kernel import actionlog, actors, knobs, reactions
from crm.kernel.actors import Actor
from crm.kernel.errors import Gone, Invalid, NotFound
from crm.models import ConsentRequest, ContactPoint
from crm.selectors import consent_texts
from crm.selectors import consents as consent_reads
from crm.selectors import profiles as people
from crm.services import consents, contacts, profiles, retry
from crm.states import Channel, ConsentRequestStatus, ConsentWay, Language, Purpose

MONTH = timedelta(days=30)
SWEPT = 1000


@retry.on_conflict
def request(
    profile_id: int,
    *,
    contact_id: int,
    purposes: Sequence[str],
    way: str,
    actor: Actor,
    now: datetime,
    language: str = "",
) -> ConsentRequest | None:
    """Ask the owner of an address to confirm a yes. None when nothing may be sent to it: it must never be written
    to, or was asked often enough; the caller says nothing of that to a visitor.

    Raises Invalid, NotFound (no such person or address), Gone (erased).
    """
    wanted = sorted(set(purposes))
    if not wanted or set(wanted) - set(Purpose.values):
        raise Invalid(
            _("Choose at least one purpose."), code="invalid_choice", field="purposes", allowed=Purpose.values
        )
    if way not in ConsentWay.values or language not in Language.values:
        raise Invalid(_("This choice does not exist."), code="invalid_choice", field="way")
    with transaction.atomic():
        locked = profiles.lock_roots([profile_id])
        if profile_id not in locked:
            raise NotFound(_("There is no such person."))
        root = locked[profile_id]
        profiles.refuse_erased(root)
        ids = people.id_sets([root.pk])[root.pk]
        contact = ContactPoint.objects.filter(pk=contact_id, profile_id__in=ids, removed_at=None).first()
        if contact is None or contact.channel != Channel.EMAIL:
            raise NotFound(_("There is no such address."))
        if not _may_ask(contact, now=now):
            return None
        texts = consent_texts.in_force(now=now)
        row = ConsentRequest.objects.create(
            profile_id=contact.profile_id,
            contact_id=contact.pk,
            channel=contact.channel,
            purposes=wanted,
            text_versions={purpose: texts[purpose].code for purpose in wanted},
            language=language,
            way=way,
            actor=str(actor),
            asked_at=now,
            expires_at=now + timedelta(hours=knobs.get("crm.opt_in_hours")),
        )
        actionlog.write(actor, "crm.consent.requested", row, fields=wanted, now=now)
        reactions.publish("crm.consent.requested", [row.pk], now=now)
    return row


def _may_ask(contact: ContactPoint, *, now: datetime) -> bool:
    """Once a day and a few times a month, over everybody who has the address; never when it is barred for all."""
    if consent_reads.suppressed([contact.value_hash], purpose="", channel=contact.channel):
        return False
    same = ContactPoint.objects.filter(channel=contact.channel, value_hash=contact.value_hash).values("pk")
    asked = ConsentRequest.objects.filter(contact_id__in=same, asked_at__gt=now - MONTH)
    latest = asked.order_by("-asked_at").values_list("asked_at", flat=True).first()
    if latest is not None and latest > now - timedelta(days=1):
        return False
    return asked.count() < knobs.get("crm.opt_in_mails")


def read(request_id: int) -> ConsentRequest:
    """What a confirmation link stands for. Raises NotFound, and Gone for an erased person."""
    row = ConsentRequest.objects.filter(pk=request_id).first()
    if row is None:
        raise NotFound(_("This link is not valid."), code="link_invalid")
    if people.cards([row.profile_id])[row.profile_id].is_erased:
        raise Gone(_("These data were erased, as you asked."), code="erased")
    return row


@retry.on_conflict
def confirm(request_id: int, *, now: datetime, evidence: dict[str, Any]) -> ConsentRequest:
    """The owner pressed the button: the address is theirs, and the yes counts. Repeating it changes nothing. Raises
    NotFound, and Gone when it ran out or the person is erased."""
    row = read(request_id)
    with transaction.atomic():
        root = profiles.lock_roots([row.profile_id])[row.profile_id]
        profiles.refuse_erased(root)
        row.refresh_from_db()
        if row.status == ConsentRequestStatus.CONFIRMED:
            return row
        if row.status == ConsentRequestStatus.EXPIRED or row.expires_at <= now:
            raise Gone(_("This link has expired. Sign up again to get a new one."), code="link_expired")
        if not ContactPoint.objects.filter(pk=row.contact_id, removed_at=None).exists():
            raise Gone(
                _("This address is not kept here any more. Nothing will be sent to it."), code="address_gone"
            )
        ConsentRequest.objects.filter(pk=row.pk, status=ConsentRequestStatus.ASKED).update(
            status=ConsentRequestStatus.CONFIRMED, decided_at=now
        )
        person = actors.person(root.pk)
        contacts.verify(row.contact_id, actor=person, now=now)
        consents.choose(
            row.profile_id,
            choices={(purpose, row.channel): True for purpose in row.purposes},
            way=ConsentWay.DOUBLE_OPT_IN,
            text_versions=row.text_versions,
            language=row.language,
            evidence={
                "request": row.pk,
                "asked_at": row.asked_at.isoformat(),
                "asked_by": row.way,
                "confirmed_at": now.isoformat(),
                **evidence,
            },
            actor=person,
            now=now,
            prove=True,
        )
        row.refresh_from_db()
    return row


def sweep(*, now: datetime) -> int:
    """Close requests nobody confirmed in time. Returns how many."""
    ids = list(
        ConsentRequest.objects.filter(status=ConsentRequestStatus.ASKED, expires_at__lte=now).values_list(
            "pk", flat=True
        )[:SWEPT]
    )
    return ConsentRequest.objects.filter(pk__in=ids, status=ConsentRequestStatus.ASKED).update(
        status=ConsentRequestStatus.EXPIRED, decided_at=now
    )
