"""A person's own page: what they may do with their own data, by the link that is theirs alone.

Everything here acts as the person. What could hurt if the link fell into other hands, the file with everything, goes to
their confirmed address and not onto the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import IO, Any, Final
from zoneinfo import available_timezones

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.kernel import actors, knobs, tokens
from crm.kernel.errors import Conflict, Gone, Invalid, NotFound
from crm.selectors import contacts as contact_reads
from crm.selectors import privacy as privacy_reads
from crm.selectors import profiles as people
from crm.services import choices, consents, contacts, corrections, erasure, person_exports, quiet_hours
from crm.states import Channel, ConsentWay, Language, Purpose
from lifecycle.services import confirmations, messages

ACTOR: Final = actors.system("lifecycle.own_page")
FILE: Final = "file"
ERASURE: Final = "erasure"
NAMES: Final = ("display_name", "family_name", "given_name", "birthday", "country", "region")


def root_of(profile_ids: Sequence[int]) -> int:
    """The root of the person a link belongs to."""
    return people.roots(profile_ids[:1])[profile_ids[0]]


def save_consents(
    profile_ids: Sequence[int],
    *,
    allowed: Mapping[tuple[str, str], bool],
    text_versions: Mapping[str, str],
    language: str,
    now: datetime,
    way: str = ConsentWay.PREFERENCES,
) -> int:
    """Every switch of the page at once. Returns how many decisions changed. Raises Invalid, Gone."""
    root_id = root_of(profile_ids)
    return consents.choose(
        root_id,
        choices=allowed,
        way=way,
        text_versions=text_versions,
        language=language,
        evidence={"page": "preferences"},
        actor=actors.person(root_id),
        now=now,
    )


def unsubscribe_all(profile_ids: Sequence[int], *, language: str, now: datetime) -> int:
    """A no to every purpose on every channel. Returns how many decisions changed."""
    everything = {(purpose, channel): False for purpose in Purpose.values for channel in Channel.values}
    return save_consents(
        profile_ids,
        allowed=everything,
        text_versions={},
        language=language,
        way=ConsentWay.ONE_CLICK,
        now=now,
    )


def pause(profile_ids: Sequence[int], *, now: datetime) -> datetime:
    """Nothing but what they ask for, for a while. Returns until when."""
    root_id = root_of(profile_ids)
    return choices.pause(root_id, actor=actors.person(root_id), now=now)


def resume(profile_ids: Sequence[int], *, now: datetime) -> None:
    """End the pause. Raises Conflict while an erasure is scheduled: stopping that comes first."""
    if privacy_reads.open_erasure(profile_ids) is not None:
        raise Conflict(_("Your data are about to be erased. Stop that first."), code="erasure_open")
    root_id = root_of(profile_ids)
    choices.resume(root_id, actor=actors.person(root_id), now=now)


def save_settings(
    profile_ids: Sequence[int],
    *,
    frequency: str,
    hours: tuple[int, int] | None,
    language: str,
    time_zone: str,
    now: datetime,
) -> None:
    """How often, when, in which language and zone. Raises Invalid; nothing is saved then."""
    if language and language not in Language.values:
        raise Invalid(_("This choice does not exist."), code="invalid_choice", field="language")
    if time_zone and time_zone not in available_timezones():
        raise Invalid(_("There is no such time zone."), code="invalid_choice", field="time_zone")
    root_id = root_of(profile_ids)
    actor = actors.person(root_id)
    choices.set_quiet_hours(root_id, hours=hours, actor=actor, now=now)
    choices.set_frequency(root_id, frequency=frequency, actor=actor, now=now)
    values = {"language": language, "timezone": time_zone}
    corrections.correct(
        root_id, values={name: value for name, value in values.items() if value}, actor=actor, now=now
    )


def correct(profile_ids: Sequence[int], *, values: Mapping[str, Any], now: datetime) -> set[str]:
    """The person puts right what we know of them. Returns what changed. Raises Invalid, Gone."""
    root_id = root_of(profile_ids)
    return corrections.correct(root_id, values=values, actor=actors.person(root_id), now=now)


def remove_address(profile_ids: Sequence[int], *, contact_id: int, now: datetime) -> None:
    """This address is not to be used any more. Raises NotFound for somebody else's."""
    contact = _own(profile_ids, contact_id)
    contacts.remove(contact.pk, actor=actors.person(root_of(profile_ids)), now=now)


def use_address(profile_ids: Sequence[int], *, contact_id: int, now: datetime) -> None:
    """Write to this one first. Raises NotFound."""
    contact = _own(profile_ids, contact_id)
    contacts.make_primary(contact.pk, actor=actors.person(root_of(profile_ids)), now=now)


def verify_address(profile_ids: Sequence[int], *, contact_id: int, now: datetime) -> None:
    """Ask the address to confirm itself; its owner gets a mail with a button. Raises NotFound."""
    contact = _own(profile_ids, contact_id)
    if contact.channel == Channel.EMAIL:
        confirmations.ask(
            contact.pk, profile_id=contact.profile_id, actor=actors.person(root_of(profile_ids)), now=now
        )


def _own(profile_ids: Sequence[int], contact_id: int) -> Any:
    contact = contact_reads.of(profile_ids).filter(pk=contact_id, removed_at=None).first()
    if contact is None:
        raise NotFound(_("There is no such address."))
    return contact


def send_link(profile_id: int, *, now: datetime) -> None:
    """Mail the link of the own page to the person's address, once a day at most."""
    token = tokens.make("inbox", {"p": profile_id})
    item = messages.Item(
        kind="lifecycle.your_page",
        profile_id=profile_id,
        subject_key=f"page:{now.date().isoformat()}",
        context={"page_url": f"{settings.BASE_URL}/me/{token}/preferences/"},
        expires_at=now + timedelta(days=1),
    )
    messages.queue([item], actor=ACTOR, now=now)


def ask_for_file(profile_ids: Sequence[int], *, language: str, now: datetime) -> Any:
    """Have the file with everything made. Raises Gone."""
    root_id = root_of(profile_ids)
    return person_exports.request(root_id, language=language, actor=actors.person(root_id), now=now)


def tell_export_ready(export_id: int, *, now: datetime) -> None:
    """Send the link to the person, when it was them who asked."""
    row = privacy_reads.export(export_id)
    if row is None or not row.requested_by.startswith("person:"):
        return
    item = messages.Item(
        kind="lifecycle.export_ready",
        profile_id=row.profile_id,
        subject_key=f"export:{row.pk}",
        context={"file_url": file_link(row.pk), "hours": knobs.get("crm.export_hours")},
        expires_at=row.expires_at,
    )
    messages.queue([item], actor=ACTOR, now=now)


def file_link(export_id: int) -> str:
    """The address of a file; it dies with the file."""
    return f"{settings.BASE_URL}/file/{tokens.make(FILE, {'e': export_id})}/"


def read_file_link(token: str, *, now: datetime) -> Any:
    """The export a link belongs to. Raises NotFound (tampered, staff's), Gone (expired, erased)."""
    payload = tokens.read(FILE, token, max_age=timedelta(hours=knobs.get("crm.export_hours")))
    row = privacy_reads.export(payload.get("e") or 0)
    if row is None or not row.requested_by.startswith("person:"):
        raise NotFound(_("This link is not valid."), code="link_invalid")
    if row.expires_at <= now or not row.file_name:
        raise Gone(_("This file was deleted. Ask for a new one."), code="expired")
    return row


def open_file(token: str, *, now: datetime) -> tuple[Any, IO[bytes]]:
    """The file itself. Raises like `read_file_link`."""
    row = read_file_link(token, now=now)
    return person_exports.download(row.public_id, actor=actors.Actor.parse(row.requested_by), now=now)


def erase_me(profile_ids: Sequence[int], *, now: datetime) -> Any:
    """Schedule the erasure of everything. Raises Gone."""
    root_id = root_of(profile_ids)
    return erasure.request(root_id, actor=actors.person(root_id), needs_approval=False, now=now)


def tell_erasure_scheduled(erasure_id: int, *, now: datetime) -> None:
    """Send the person the page on which they can stop it, and where the certificate will be."""
    row = privacy_reads.erasure(erasure_id)
    if row is None or not row.requested_by.startswith("person:") or row.due_at is None or row.due_at <= now:
        return
    root = people.cards([row.profile_id])[row.profile_id]
    day = timezone.localtime(row.due_at, quiet_hours.zone_of(root.time_zone)).date()
    item = messages.Item(
        kind="lifecycle.erasure_scheduled",
        profile_id=row.profile_id,
        subject_key=f"erasure:{row.pk}",
        context={"day": day.isoformat(), "status_url": erasure_link(row.pk)},
        expires_at=row.due_at,
    )
    messages.queue([item], actor=ACTOR, now=now)


def erasure_link(erasure_id: int) -> str:
    """The page of one erasure, before and after. It does not expire: it is the certificate."""
    return f"{settings.BASE_URL}/erasure/{tokens.make(ERASURE, {'e': erasure_id})}/"


def read_erasure_link(token: str) -> Any:
    """The erasure a link belongs to. Raises NotFound."""
    payload = tokens.read(ERASURE, token, max_age=None)
    row = privacy_reads.erasure(payload.get("e") or 0)
    if row is None:
        raise NotFound(_("This link is not valid."), code="link_invalid")
    return row


def keep_me(erasure_id: int, *, now: datetime) -> Any:
    """Stop an erasure that has not begun. Raises NotFound, Conflict `too_late`."""
    row = privacy_reads.erasure(erasure_id)
    if row is None:
        raise NotFound(_("This link is not valid."), code="link_invalid")
    return erasure.cancel(row.pk, actor=actors.person(row.profile_id), now=now)
