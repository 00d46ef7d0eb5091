"""What crm empties when a person is erased, and what it keeps and why.

Early erasers run with the tombstone, because what they look for is known only then: values that may stand in samples
and answers, or identifiers that must stop matching at that commit. The others take a bounded number of rows each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Max, Q
from django.utils.translation import gettext_lazy as _

from crm import privacy_registry
from crm.models import (
    AccountMembership,
    ComputedValue,
    ConsentRecord,
    ConsentRequest,
    ContactChoice,
    ContactPoint,
    Identity,
    MergeRecord,
    MergeSuggestion,
    PressureReservation,
    Profile,
    ProfileLink,
    ProfileNote,
    PurchaseSummary,
)
from crm.privacy_registry import Subject
from crm.selectors import rules
from crm.services import exports as list_files
from crm.services import import_work, person_exports, segment_members
from crm.states import ConsentRequestStatus, SuggestionStatus


def matching(values: Sequence[str]) -> list[str]:
    """Patterns for `LIKE ANY`: a text in which one of the values stands."""
    return [
        "%" + value.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_") + "%" for value in values
    ]


@privacy_registry.eraser("crm.identities", label=_("Identifiers"), early=True, order=10)
def identities(subject: Subject, *, now: datetime) -> int:
    """From this commit on, no event finds this person."""
    return Identity.objects.filter(profile_id__in=subject.ids).delete()[0]


@privacy_registry.eraser("crm.contacts", label=_("Addresses"), early=True, order=11)
def contacts(subject: Subject, *, now: datetime) -> int:
    """No address is left to write to."""
    return ContactPoint.objects.filter(profile_id__in=subject.ids).delete()[0]


@privacy_registry.eraser("crm.merges", label=_("Values remembered by merges"), early=True, order=12)
def merges(subject: Subject, *, now: datetime) -> int:
    """The records stay, so that ids resolve; the values they remember go, and open suggestions are closed."""
    changed = MergeRecord.objects.filter(winner_id__in=subject.ids).exclude(changes={}).update(changes={})
    about = Q(first_id__in=subject.ids) | Q(second_id__in=subject.ids)
    MergeSuggestion.objects.filter(about, status=SuggestionStatus.OPEN).update(
        status=SuggestionStatus.DISMISSED, decided_at=now
    )
    return changed + MergeSuggestion.objects.filter(about).exclude(evidence=[]).update(evidence=[])


@privacy_registry.eraser("crm.warnings", label=_("Samples of warnings of the door"), early=True, order=13)
def warnings(subject: Subject, *, now: datetime) -> int:
    """Samples in which a value of the person stands; the counts stay."""
    if not subject.values:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE crm_ingestionwarning SET sample = '{}' WHERE sample::text LIKE ANY(%s)",
            [matching([*subject.values, *_escaped(subject.values)])],
        )
        return cursor.rowcount


@privacy_registry.eraser("crm.answers", label=_("Answers kept for retries"), early=True, order=14)
def answers(subject: Subject, *, now: datetime) -> int:
    """A retry of an old request is told that the person is gone, not what they were called."""
    patterns = matching([*subject.public_ids, *subject.values, *_escaped(subject.values)])
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE kernel_idempotencykey SET body = NULL, status = 410, key = 'erased:' || id"
            " WHERE body::text LIKE ANY(%(p)s) OR route LIKE ANY(%(p)s) OR key LIKE ANY(%(p)s)",
            {"p": patterns},
        )
        return cursor.rowcount


def _escaped(values: Sequence[str]) -> list[str]:
    """The same values as JSON writes them, where that differs."""
    import json

    found = [json.dumps(value)[1:-1] for value in values]
    return [text for text, value in zip(found, values, strict=True) if text != value]


@privacy_registry.eraser("crm.exports", label=_("Personal exports"), early=True, order=15)
def exports(subject: Subject, *, now: datetime) -> int:
    """Files that were made for them, or about them."""
    return person_exports.forget(list(subject.ids))


@privacy_registry.eraser(
    "crm.touchpoints",
    label=_("What touchpoints say"),
    count=lambda ids: _count_touchpoints(ids),
    order=10,
)
def touchpoints(profile_ids: Sequence[int], *, limit: int, now: datetime) -> int:
    """Properties and context go; that something of a kind happened on a day stays, so that counts are true."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE crm_touchpoint t SET properties = '{}', context = NULL
              FROM (SELECT profile_id, occurred_at, id FROM crm_touchpoint
                     WHERE profile_id = ANY(%(ids)s) AND (properties <> '{}' OR context IS NOT NULL)
                     LIMIT %(limit)s) AS k
             WHERE t.profile_id = ANY(%(ids)s) AND t.profile_id = k.profile_id
               AND t.occurred_at = k.occurred_at AND t.id = k.id
            """,
            {"ids": list(profile_ids), "limit": limit},
        )
        return cursor.rowcount


def _count_touchpoints(profile_ids: Sequence[int]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM (SELECT 1 FROM crm_touchpoint WHERE profile_id = ANY(%s) LIMIT 100000) AS counted",
            [list(profile_ids)],
        )
        return int(cursor.fetchone()[0])


@privacy_registry.eraser(
    "crm.evidence",
    label=_("Evidence of consent decisions"),
    count=lambda ids: ConsentRecord.objects.filter(profile_id__in=ids).exclude(evidence={}).count(),
    order=20,
)
def evidence(profile_ids: Sequence[int], *, limit: int, now: datetime) -> int:
    """The decision stays as proof; what came with it goes. The database allows this for erased people alone."""
    ids = ConsentRecord.objects.filter(profile_id__in=list(profile_ids)).exclude(evidence={}).values("pk")
    return ConsentRecord.objects.filter(pk__in=list(ids.values_list("pk", flat=True)[:limit])).update(
        evidence={}
    )


@privacy_registry.eraser("crm.sign_ups", label=_("Open sign-ups"), order=21)
def sign_ups(profile_ids: Sequence[int], *, limit: int, now: datetime) -> int:
    """Nobody can confirm them any more."""
    return ConsentRequest.objects.filter(
        profile_id__in=list(profile_ids), status=ConsentRequestStatus.ASKED
    ).update(status=ConsentRequestStatus.EXPIRED, decided_at=now)


@privacy_registry.eraser("crm.reservations", label=_("What other systems showed"), order=22)
def reservations(profile_ids: Sequence[int], *, limit: int, now: datetime) -> int:
    """Their words for it; the points stay counted."""
    rows = PressureReservation.objects.filter(profile_id__in=list(profile_ids)).exclude(label="", key="")
    return PressureReservation.objects.filter(pk__in=list(rows.values_list("pk", flat=True)[:limit])).update(
        label="", key=""
    )


def _deletes(name: str, label: Any, model: Any, *, order: int, condition: Callable[[list[int]], Q]) -> None:
    """Rows that say something about the person and nothing to anybody else: they go."""

    def run(profile_ids: Sequence[int], *, limit: int, now: datetime) -> int:
        keys = list(model.objects.filter(condition(list(profile_ids))).values_list("pk", flat=True)[:limit])
        return model.objects.filter(pk__in=keys).delete()[0] if keys else 0

    def count(profile_ids: Sequence[int]) -> int:
        return model.objects.filter(condition(list(profile_ids))).count()

    privacy_registry.eraser(name, label=label, count=count, order=order)(run)


def _of(ids: list[int]) -> Q:
    return Q(profile_id__in=ids)


_deletes("crm.choices", _("Choices about being written to"), ContactChoice, order=30, condition=_of)
_deletes("crm.notes", _("Notes of staff"), ProfileNote, order=31, condition=_of)
_deletes(
    "crm.links", _("Related people"), ProfileLink, order=32,
    condition=lambda ids: Q(first_id__in=ids) | Q(second_id__in=ids),
)  # fmt: skip
_deletes("crm.accounts", _("Accounts"), AccountMembership, order=33, condition=_of)
_deletes("crm.computed", _("Computed traits"), ComputedValue, order=34, condition=_of)
_deletes("crm.purchases", _("Purchases in short"), PurchaseSummary, order=35, condition=_of)

privacy_registry.keeps(
    "crm.tombstone",
    label=_("A tombstone without a name"),
    why=_("So that nothing that refers to the person breaks."),
)
privacy_registry.keeps(
    "crm.suppression",
    label=_("The hash of each address"),
    why=_("So that an address that comes back is not written to."),
)
privacy_registry.keeps(
    "crm.dates", label=_("Kind and day of each touchpoint"), why=_("So that counts over everybody stay true.")
)
privacy_registry.keeps(
    "crm.consents", label=_("Consent decisions without their evidence"),
    why=_("As proof that nothing was sent without one."),
)  # fmt: skip
privacy_registry.keeps(
    "crm.log",
    label=_("The log of actions"),
    why=_("It holds numbers of rows and names of fields, no values."),
)


@privacy_registry.eraser("crm.samples", label=_("Sample values of properties"), early=True, order=16)
def samples(subject: Subject, *, now: datetime) -> int:
    """Examples in the catalogue in which a value of the person stands."""
    if not subject.values:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE crm_observedproperty SET samples = ARRAY(SELECT one FROM unnest(samples) AS one"
            " WHERE NOT one LIKE ANY(%(p)s)) WHERE samples::text LIKE ANY(%(p)s)",
            {"p": matching(subject.values)},
        )
        return cursor.rowcount


@privacy_registry.eraser("crm.rejects", label=_("Rejected rows of lists"), early=True, order=17)
def rejects(subject: Subject, *, now: datetime) -> int:
    """What stood in a row that could not be read; which row and why stays. Examples of runs go as well, and the files
    in which these rows stood."""
    if not subject.values:
        return 0
    written = [value.lower() for value in (*subject.values, *_escaped(subject.values))]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE crm_importreject SET excerpt = '' WHERE lower(excerpt) LIKE ANY(%(texts)s)"
            " OR regexp_replace(excerpt, '[^0-9]', '', 'g') LIKE ANY(%(numbers)s) RETURNING run_id",
            {"texts": matching(written), "numbers": matching(_numbers(subject.values))},
        )
        emptied = [run_id for (run_id,) in cursor.fetchall()]
    return len(emptied) + import_work.forget_texts(matching(written), runs=emptied, now=now)


def _numbers(values: Sequence[str]) -> list[str]:
    """Phone numbers as somebody may have written them in a list: without the code of the country, digits alone."""
    phones = [value for value in values if value.startswith("+") and value[1:].isdigit()]
    return [rules.national(value) for value in phones]


@privacy_registry.eraser("crm.list_exports", label=_("Exported lists"), early=True, order=18)
def list_exports(subject: Subject, *, now: datetime) -> int:
    """Lists that lie ready may hold the person: they go, and can be made again without them. One that is being written
    is begun anew, and who writes on it has lost it."""
    return list_files.forget_everybody()


@privacy_registry.eraser("crm.late_list_exports", label=_("Exported lists"), order=6)
def late_list_exports(profile_ids: Sequence[int], *, limit: int, now: datetime) -> int:
    """Lists that were asked for and read in the very moment in which the tombstone was set."""
    erased = Profile.objects.filter(pk__in=list(profile_ids)).aggregate(at=Max("erased_at"))["at"]
    return list_files.forget_around(erased) if erased is not None else 0


@privacy_registry.eraser("crm.import_files", label=_("Files of lists they came in with"), order=5)
def import_files(profile_ids: Sequence[int], *, limit: int, now: datetime) -> int:
    """Ended imports that brought them lose their file, their rejects and their examples."""
    return import_work.forget_people(list(profile_ids), now=now)


@privacy_registry.eraser("crm.segments", label=_("Places in segments and lists"), order=37)
def segments(profile_ids: Sequence[int], *, limit: int, now: datetime) -> int:
    """They are in no segment any more, and on no list."""
    changed = segment_members.forget(profile_ids, now=now)
    with connection.cursor() as cursor:
        for table in ("crm_segmentdifference", "crm_importmember"):
            cursor.execute(f"DELETE FROM {table} WHERE profile_id = ANY(%s)", [list(profile_ids)])
            changed += cursor.rowcount
    return changed
