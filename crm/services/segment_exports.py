"""The people of a segment as rows of a file: who they are, how to reach them, and the traits that were chosen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from crm.conditions import people as people_facts
from crm.kernel.actors import Actor
from crm.models import ContactPoint, Export, Identity, Profile, Segment, SegmentMembership
from crm.selectors import profiles
from crm.services import exports
from crm.services.exports import Column

KIND: Final = "crm.segment"
PERMISSION: Final = "crm.export_segment"
TRAIT: Final = "trait:"
PLAIN: Final = (
    "display_name",
    "language",
    "country",
    "region",
    "time_zone",
    "birthday",
    "first_seen_at",
    "last_seen_at",
)
USUAL: Final = ("public_id", "display_name", "email", "phone", "language", "country", "entered_at")


def request(
    segment: Segment, *, columns: Sequence[str], language: str, actor: Actor, now: datetime
) -> Export:
    """Ask for the people of a segment as a file; without columns, the usual ones. Raises Invalid."""
    return exports.request(
        KIND, str(segment.pk), title=segment.name, columns=columns or USUAL, language=language, actor=actor, now=now
    )  # fmt: skip


def columns(subject: str = "") -> list[Column]:
    """The columns there are: fixed ones, then traits as they were seen."""
    found = [
        Column("public_id", _("public ID")),
        Column("display_name", _("name")),
        Column("email", _("E-mail")),
        Column("phone", _("Phone")),
        Column("user_id", _("User ID")),
        Column("language", _("language")),
        Column("country", _("country")),
        Column("region", _("region")),
        Column("time_zone", _("time zone")),
        Column("birthday", _("birthday")),
        Column("first_seen_at", _("first seen")),
        Column("last_seen_at", _("last seen")),
        Column("entered_at", pgettext("segment", "entered")),
    ]
    return found + [Column(TRAIT + key, key) for key in people_facts.trait_keys()]


def _rows(subject: str, columns: Sequence[str], after: int, limit: int) -> list[tuple[int, list[Any] | None]]:
    """The next people by profile id. Whoever was merged or erased since is told from the rows and left out."""
    held = list(
        SegmentMembership.objects.filter(segment_id=int(subject), profile_id__gt=after)
        .order_by("profile_id")
        .values_list("profile_id", "entered_at")[:limit]
    )
    live = {row.pk: row for row in Profile.objects.roots().filter(pk__any=[pk for pk, _at in held])}
    sets = profiles.id_sets(list(live))
    root_of = {member: root for root, members in sets.items() for member in members}
    values: dict[int, dict[str, Any]] = defaultdict(dict)
    if {"email", "phone"} & set(columns):
        _addresses(values, root_of)
    if "user_id" in columns:
        owned = Identity.objects.filter(profile_id__any=list(root_of), kind="user_id").order_by("-pk")
        for profile_id, value in owned.values_list("profile_id", "value"):
            values[root_of[profile_id]]["user_id"] = value
    found: list[tuple[int, list[Any] | None]] = []
    for pk, entered_at in held:
        person = live.get(pk)
        if person is None:
            found.append((pk, None))
            continue
        known = values[pk] | {"public_id": str(person.public_id), "entered_at": entered_at}
        found.append((pk, [_value(person, known, key) for key in columns]))
    return found


def _value(person: Profile, known: dict[str, Any], key: str) -> Any:
    if key in PLAIN:
        return getattr(person, key)
    if key.startswith(TRAIT):
        value = person.traits.get(key.removeprefix(TRAIT))
        return ", ".join(map(str, value)) if isinstance(value, list) else value
    return known.get(key)


def _addresses(values: dict[int, dict[str, Any]], root_of: dict[int, int]) -> None:
    held = ContactPoint.objects.filter(profile_id__any=list(root_of), channel__in=("email", "sms"))
    for profile_id, channel, value in held.order_by("is_primary", "-pk").values_list(
        "profile_id", "channel", "value"
    ):
        values[root_of[profile_id]]["email" if channel == "email" else "phone"] = value


exports.register(KIND, permission=PERMISSION, columns=columns, rows=_rows)
