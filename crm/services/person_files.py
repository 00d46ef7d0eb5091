"""What crm itself puts into the file of a person who asks what we know about them, row by row and never all at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import orjson
from django.db import connection
from django.utils.translation import gettext_lazy as _

from crm import privacy_registry
from crm.models import (
    AccountMembership,
    ComputedValue,
    ConsentRecord,
    ConsentRequest,
    ContactChoice,
    ContactPoint,
    Erasure,
    Identity,
    ImportMember,
    MergeRecord,
    PersonExport,
    PressureEntry,
    PressureReservation,
    Profile,
    ProfileLink,
    ProfileNote,
    PurchaseSummary,
)
from crm.selectors import imports, timeline

Rows = Iterator[Mapping[str, Any]]
# Touchpoints are read in windows of this width, each with its time range.
WINDOW = timedelta(days=366)
CHUNK = 1000
VALUES = (
    "display_name", "family_name", "given_name", "language", "time_zone", "birthday", "birthday_is_lunar",
    "country", "region", "first_seen_at", "last_seen_at", "created_at",
)  # fmt: skip


@privacy_registry.exporter(
    "profile", label=_("Profile"), columns=("profile", "name", "value", "from", "since"), order=10
)
def profile(profile_ids: Sequence[int]) -> Rows:
    """Every value we hold, with where it came from and since when."""
    for row in Profile.objects.filter(pk__in=profile_ids).order_by("pk"):
        for name in VALUES:
            value = getattr(row, name)
            if value not in (None, "", False):
                yield {"profile": str(row.public_id), "name": name, "value": value, **_stamp(row, name)}
        for name, value in sorted(row.traits.items()):
            key = f"traits.{name}"
            yield {"profile": str(row.public_id), "name": key, "value": value, **_stamp(row, key)}


def _stamp(row: Profile, name: str) -> dict[str, Any]:
    held = row.value_sources.get(name)
    return {"from": held.get("by", ""), "since": held.get("at", "")} if isinstance(held, dict) else {}


def _table(model: Any, fields: Mapping[str, str], *, person: str = "profile_id") -> Any:
    """An exporter over a table with the person in one column: output name -> field."""

    def rows(profile_ids: Sequence[int]) -> Rows:
        found = model.objects.filter(**{f"{person}__in": list(profile_ids)}).order_by("pk")
        for row in found.values_list(*fields.values()).iterator(chunk_size=CHUNK):
            yield dict(zip(fields, row, strict=True))

    return rows


def _register(
    name: str, label: Any, model: Any, fields: Sequence[str], *, order: int, person: str = "profile_id"
) -> None:
    named = {field: field for field in fields}
    privacy_registry.exporter(name, label=label, columns=tuple(named), order=order)(
        _table(model, named, person=person)
    )


_register("identifiers", _("Identifiers"), Identity, ("kind", "value", "verified_at", "created_at"), order=20)
_register(
    "addresses", _("Addresses"), ContactPoint,
    ("channel", "value", "origin", "verified_at", "is_primary", "bounced_at", "removed_at", "created_at"), order=21,
)  # fmt: skip
_register(
    "consents", _("Consent decisions"), ConsentRecord,
    ("purpose", "channel", "granted", "way", "text_version", "language", "evidence", "occurred_at"), order=30,
)  # fmt: skip
_register(
    "consent_requests", _("Sign-ups"), ConsentRequest,
    ("channel", "purposes", "text_versions", "language", "way", "status", "asked_at", "decided_at"), order=31,
)  # fmt: skip
_register(
    "choices", _("Choices about being written to"), ContactChoice,
    ("paused_until", "frequency", "quiet_start", "quiet_end", "updated_at"), order=32,
)  # fmt: skip
_register(
    "pressure", _("What counted as a disturbance"), PressureEntry,
    ("occurred_at", "message_class", "weight", "cause"), order=60,
)  # fmt: skip
_register(
    "shown_by_others", _("What other systems showed"), PressureReservation,
    ("pressure_class", "label", "status", "reserved_at", "decided_at"), order=61,
)  # fmt: skip
_register(
    "computed_values", _("Computed traits"), ComputedValue,
    ("trait__name", "number", "text", "moment", "list", "computed_at"), order=40,
)  # fmt: skip
_register(
    "purchases", _("Purchases in short"), PurchaseSummary,
    (
        "orders", "spent", "currency", "first_order_at", "second_order_at", "last_order_at", "median_gap_days",
        "recency", "frequency", "monetary", "segment", "computed_at",
    ), order=41,
)  # fmt: skip
_register(
    "accounts", _("Accounts"), AccountMembership, ("account__name", "account__group_id", "role", "since", "until"),
    order=42,
)  # fmt: skip
_register(
    "notes",
    _("Notes of staff"),
    ProfileNote,
    ("category", "text", "is_pinned", "created_at", "changed_at"),
    order=43,
)
_register("imports", _("Lists they came in with"), ImportMember, ("run_id", "row", "is_new"), order=44)
_register(
    "exports", _("Earlier exports"), PersonExport, ("status", "size", "requested_at", "ready_at", "expires_at"),
    order=90,
)  # fmt: skip
_register(
    "erasures",
    _("Erasures asked for"),
    Erasure,
    ("status", "requested_at", "due_at", "cancelled_at"),
    order=91,
)


@privacy_registry.exporter(
    "related_people", label=_("Related people"), columns=("kind", "created_at"), order=45
)
def related_people(profile_ids: Sequence[int]) -> Rows:
    """That there is a link, and of which kind; who the other person is, is theirs to tell."""
    ids = list(profile_ids)
    for row in (
        ProfileLink.objects.filter(first_id__in=ids) | ProfileLink.objects.filter(second_id__in=ids)
    ).iterator(chunk_size=CHUNK):
        yield {"kind": row.kind, "created_at": row.created_at}


@privacy_registry.exporter(
    "merges", label=_("Merges"), columns=("cause", "changes", "created_at", "undone_at"), order=22
)
def merges(profile_ids: Sequence[int]) -> Rows:
    """The records in which profiles became this person."""
    for row in (
        MergeRecord.objects.filter(winner_id__in=list(profile_ids)).order_by("pk").iterator(chunk_size=CHUNK)
    ):
        yield {
            "cause": row.cause,
            "changes": row.changes,
            "created_at": row.created_at,
            "undone_at": row.undone_at,
        }


@privacy_registry.exporter(
    "touchpoints",
    label=_("Touchpoints"),
    columns=("occurred_at", "received_at", "kind", "channel", "stage", "properties", "context"),
    order=50,
)
def touchpoints(profile_ids: Sequence[int]) -> Iterable[Mapping[str, Any]]:
    """Everything that happened, oldest first, a window at a time over a cursor on the server."""
    people = list(Profile.objects.filter(pk__in=list(profile_ids)))
    if not people:
        return
    lower = timeline.oldest_of(people)
    with connection.cursor() as cursor:
        cursor.execute("SELECT now() + interval '31 days'")
        newest = cursor.fetchone()[0]
    while lower <= newest:
        upper = lower + WINDOW
        yield from _window(list(profile_ids), lower, upper)
        lower = upper


def _window(profile_ids: list[int], lower: Any, upper: Any) -> Rows:
    with connection.chunked_cursor() as cursor:
        cursor.execute(
            "SELECT occurred_at, received_at, kind, channel, stage, properties::text, context::text"
            " FROM crm_touchpoint WHERE profile_id = ANY(%s) AND occurred_at >= %s AND occurred_at < %s"
            " ORDER BY occurred_at, id",
            [profile_ids, lower, upper],
        )
        while rows := cursor.fetchmany(CHUNK):
            for row in rows:
                yield {
                    "occurred_at": row[0], "received_at": row[1], "kind": row[2], "channel": row[3], "stage": row[4],
                    "properties": orjson.loads(row[5]), "context": orjson.loads(row[6]) if row[6] else None,
                }  # fmt: skip


@privacy_registry.exporter(
    "lists", label=_("Lists they came with"), columns=("list", "file", "imported_at", "was_new"), order=23
)
def lists(profile_ids: Sequence[int]) -> Rows:
    """The lists in which this person stood."""
    for run, is_new in imports.lists_of(profile_ids):
        yield {
            "list": run.source.name if run.source else "", "file": run.file_name, "imported_at": run.started_at,
            "was_new": is_new,
        }  # fmt: skip
