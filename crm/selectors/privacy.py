"""Reading what privacy keeps: sign-ups, exports and erasures of one person, and what an erasure would do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from crm import privacy_registry
from crm.kernel.actors import Actor
from crm.models import ConsentRequest, ContactPoint, Erasure, PersonExport
from crm.selectors import contacts as contact_reads
from crm.selectors import profiles
from crm.states import Channel, ErasureStatus


@dataclass(frozen=True, slots=True)
class PreviewLine:
    """How many rows of what would go."""

    name: str
    label: Any
    rows: int


def sign_ups_of(actor: Actor, *, since: datetime) -> int:
    """How many sign-ups came from a visitor; counts no further than 1000."""
    rows = ConsentRequest.objects.filter(expires_at__gt=since, asked_at__gt=since, actor=str(actor))
    return rows.order_by()[:1000].count()


def requests_of(profile_ids: Sequence[int], *, limit: int = 20) -> list[ConsentRequest]:
    """The newest sign-ups of one person."""
    return list(ConsentRequest.objects.filter(profile_id__in=list(profile_ids)).order_by("-pk")[:limit])


def exports_of(profile_ids: Sequence[int], *, limit: int = 10) -> list[PersonExport]:
    """The newest exports about one person."""
    return list(PersonExport.objects.filter(profile_id__in=list(profile_ids)).order_by("-pk")[:limit])


def export(export_id: int) -> PersonExport | None:
    """One export."""
    return PersonExport.objects.filter(pk=export_id).first()


def erasure(erasure_id: int) -> Erasure | None:
    """One erasure."""
    return Erasure.objects.filter(pk=erasure_id).first()


def erasure_by_public_id(public_id: Any) -> Erasure | None:
    """One erasure by its public id."""
    try:
        return Erasure.objects.filter(public_id=UUID(str(public_id))).first()
    except ValueError:
        return None


def erasures_of(profile_ids: Sequence[int]) -> list[Erasure]:
    """All erasures of one person, newest first."""
    return list(Erasure.objects.filter(profile_id__in=list(profile_ids)).order_by("-pk"))


def open_erasure(profile_ids: Sequence[int]) -> Erasure | None:
    """The erasure that is asked for or under way, or None."""
    waiting = (ErasureStatus.REQUESTED, ErasureStatus.SCHEDULED, ErasureStatus.RUNNING)
    return Erasure.objects.filter(profile_id__in=list(profile_ids), status__in=waiting).order_by("pk").first()


def preview(profile_ids: Sequence[int]) -> list[PreviewLine]:
    """What an erasure would take, as far as it can be counted beforehand."""
    ids = list(profile_ids)
    lines = [
        PreviewLine("identities", _label("crm.identities"), profiles.identities(ids).count()),
        PreviewLine("contacts", _label("crm.contacts"), contact_reads.of(ids).count()),
    ]
    for eraser in privacy_registry.erasers(early=False):
        if eraser.count is not None:
            lines.append(PreviewLine(eraser.name, eraser.label, eraser.count(ids)))
    return lines


def _label(name: str) -> Any:
    return privacy_registry.label_of(name)


def kept() -> list[tuple[Any, Any]]:
    """What stays after an erasure, and why."""
    return list(privacy_registry.kept_things().values())


def certificate_lines(row: Erasure) -> list[tuple[Any, int]]:
    """What an erasure took, in the reader's words."""
    own = {
        "crm.profiles": _("Profiles emptied"),
        "crm.shadows": _("Nameless profiles with the same address"),
    }
    steps = {name: rows for name, rows in row.steps.items() if name != "crm.suppressions"}
    return [
        (own.get(name) or privacy_registry.label_of(name), rows)
        for name, rows in sorted(steps.items())
        if rows
    ]


def reachable(profile_ids: Sequence[int]) -> ContactPoint | None:
    """The e-mail address of a person that may be written to, or None."""
    root_id = profiles.roots(profile_ids[:1]).get(profile_ids[0]) if profile_ids else None
    if root_id is None:
        return None
    address = contact_reads.deliverable([root_id], Channel.EMAIL).get(root_id)
    return ContactPoint.objects.filter(pk=address.id).first() if address else None
