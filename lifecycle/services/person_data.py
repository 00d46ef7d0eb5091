"""What lifecycle keeps about a person: put into their file, and emptied when they are erased."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from email import policy
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from crm import privacy_registry
from crm.privacy_registry import Subject
from crm.services import redaction
from lifecycle import registry
from lifecycle.models import Delivery, Enrolment, EnrolmentEvent, InboxItem, OutboundMessage
from lifecycle.services import messages
from lifecycle.states import OPEN_DECISIONS, Reason

CHUNK = 1000


@privacy_registry.exporter(
    "messages",
    label=_("Messages"),
    columns=("kind", "subject_key", "decision", "reason", "language", "context", "created_at", "decided_at"),
    order=70,
)
def sent(profile_ids: Sequence[int]) -> Iterator[Mapping[str, Any]]:
    """Every message that was decided about, with what it would say and why it went or did not."""
    fields = ("kind", "subject_key", "decision", "reason", "language", "context", "created_at", "decided_at")
    rows = OutboundMessage.objects.filter(profile_id__in=list(profile_ids)).order_by("pk").values(*fields)
    yield from rows.iterator(chunk_size=CHUNK)


@privacy_registry.exporter(
    "inbox", label=_("Inbox"), columns=("subject", "body", "created_at", "read_at"), order=71
)
def inbox(profile_ids: Sequence[int]) -> Iterator[Mapping[str, Any]]:
    """What they were written, as it was rendered for them."""
    fields = ("subject", "body", "created_at", "read_at")
    rows = InboxItem.objects.filter(profile_id__in=list(profile_ids)).order_by("pk").values(*fields)
    yield from rows.iterator(chunk_size=CHUNK)


@privacy_registry.exporter(
    "journeys",
    label=_("Journeys"),
    columns=("journey__name", "arm", "status", "context", "entered_at", "ended_at"),
    order=72,
)
def journeys(profile_ids: Sequence[int]) -> Iterator[Mapping[str, Any]]:
    """Which journeys they were on, and on which side of a comparison."""
    fields = ("journey__name", "arm", "status", "context", "entered_at", "ended_at")
    rows = Enrolment.objects.filter(profile_id__in=list(profile_ids)).order_by("pk").values(*fields)
    yield from rows.iterator(chunk_size=CHUNK)


@privacy_registry.eraser("lifecycle.waiting", label=_("Messages that waited"), early=True, order=20)
def waiting(subject: Subject, *, now: datetime) -> int:
    """Nothing that waits goes out any more."""
    ids = OutboundMessage.objects.filter(profile_id__in=subject.ids, decision__in=OPEN_DECISIONS)
    return messages.cancel(list(ids.values_list("pk", flat=True)), reason=Reason.ERASED, now=now)


@privacy_registry.eraser("lifecycle.kept_mail", label=_("Mail kept as files"), early=True, order=21)
def kept_mail(subject: Subject, *, now: datetime) -> int:
    """Where mail is kept in a folder instead of being sent (the trial set-up), theirs is deleted from it."""
    folder = getattr(settings, "EMAIL_FILE_PATH", "")
    if not folder or not settings.EMAIL_BACKEND.endswith("filebased.EmailBackend"):
        return 0
    addresses = {value for value in subject.values if "@" in value}
    return sum(_forget_mail(path, addresses) for path in sorted(Path(folder).glob("*")) if path.is_file())


def _forget_mail(path: Path, addresses: set[str]) -> int:
    """Take their letters out of one file of letters; a file without any left goes."""
    whole = path.read_bytes()
    divider = b"\n" + b"-" * 79 + b"\n"
    letters = whole.split(divider)
    left = [letter for letter in letters if not _is_for(letter, addresses)]
    if len(left) == len(letters):
        return 0
    if any(letter.strip() for letter in left):
        path.write_bytes(divider.join(left))
    else:
        path.unlink()
    return len(letters) - len(left)


def _is_for(letter: bytes, addresses: set[str]) -> bool:
    receiver = str(BytesHeaderParser(policy=policy.compat32).parsebytes(letter.lstrip()).get("To", ""))
    return any(address in receiver.casefold() for address in addresses)


@privacy_registry.eraser(
    "lifecycle.inbox",
    label=_("Inbox"),
    count=lambda ids: InboxItem.objects.filter(profile_id__in=ids).count(),
    order=50,
)
def forget_inbox(profile_ids: Sequence[int], *, limit: int, now: datetime) -> int:
    """What they were written, as they read it."""
    keys = list(
        InboxItem.objects.filter(profile_id__in=list(profile_ids)).values_list("pk", flat=True)[:limit]
    )
    return InboxItem.objects.filter(pk__in=keys).delete()[0] if keys else 0


@privacy_registry.eraser(
    "lifecycle.messages",
    label=_("Values in messages"),
    count=lambda ids: OutboundMessage.objects.filter(profile_id__in=ids).exclude(context={}).count(),
    order=51,
)
def forget_messages(profile_ids: Sequence[int], *, limit: int, now: datetime) -> int:
    """That a message of a kind went or did not stays; its values and where it went to do not."""
    of = OutboundMessage.objects.filter(profile_id__in=list(profile_ids))
    keys = list(of.exclude(context={}).values_list("pk", flat=True)[:limit])
    changed = OutboundMessage.objects.filter(pk__in=keys).update(context={})
    told = Delivery.objects.filter(message_id__in=of.values("pk")).exclude(
        contact_id=None, address_hash="", provider_ref="", error=""
    )
    places = list(told.values_list("pk", flat=True)[:limit])
    changed += Delivery.objects.filter(pk__in=places).update(
        contact_id=None, address_hash="", provider_ref="", error=""
    )
    return changed


@privacy_registry.eraser(
    "lifecycle.journeys",
    label=_("Values on journeys"),
    count=lambda ids: Enrolment.objects.filter(profile_id__in=ids).exclude(context={}).count(),
    order=52,
)
def forget_journeys(profile_ids: Sequence[int], *, limit: int, now: datetime) -> int:
    """That they were on a journey stays, for its numbers; what it carried of theirs does not."""
    of = Enrolment.objects.filter(profile_id__in=list(profile_ids))
    keys = list(of.exclude(context={}).values_list("pk", flat=True)[:limit])
    changed = Enrolment.objects.filter(pk__in=keys).update(context={})
    told = EnrolmentEvent.objects.filter(enrolment_id__in=of.values("pk")).exclude(detail={})
    lines = list(told.values_list("pk", flat=True)[:limit])
    if lines:
        with redaction.permitted():
            changed += EnrolmentEvent.objects.filter(pk__in=lines).update(detail={})
    return changed


@privacy_registry.pressure_cause("lifecycle.message")
def cause_labels(idents: Sequence[str]) -> dict[str, tuple[Any, str]]:
    """Which message took points, with its page."""
    rows = OutboundMessage.objects.filter(pk__in=[int(ident) for ident in idents if ident.isdecimal()])
    labels = registry.labels()
    return {
        str(pk): (labels.get(kind, kind), reverse("admin:lifecycle_outboundmessage_change", args=[pk]))
        for pk, kind in rows.values_list("pk", "kind")
    }


privacy_registry.keeps(
    "lifecycle.decisions",
    label=_("That a message of a kind was sent or not, without its values"),
    why=_("So that nobody is written to twice, and counts over everybody stay true."),
)
