"""Putting right what we know of a person, by themselves or by staff with a reason.

The log of actions keeps who corrected which fields, when and why; neither the old nor the new value. A value that
a person or staff put right is not overwritten by what a shop says later.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from crm import names
from crm.kernel import actionlog
from crm.kernel.actors import Actor
from crm.kernel.errors import Invalid, NotFound
from crm.models import Profile
from crm.services import profiles, retry, traits
from crm.states import CorrectionReason

# What a form offers, and the column it ends up in.
COLUMNS = {
    "display_name": "display_name", "family_name": "family_name", "given_name": "given_name",
    "language": "language", "timezone": "time_zone", "birthday": "birthday", "country": "country",
    "region": "region",
}  # fmt: skip
BLANKS: dict[str, Any] = {"birthday": None}


@retry.on_conflict
def correct(
    profile_id: int, *, values: Mapping[str, Any], actor: Actor, now: datetime, reason: str = ""
) -> set[str]:
    """Set or (with an empty value) take away typed values. Returns the columns that changed. Staff give a reason.

    Raises Invalid (unknown field, unreadable value, no reason), NotFound, Gone.
    """
    unknown = sorted(set(values) - set(COLUMNS))
    if unknown:
        raise Invalid(
            _("This value cannot be corrected."),
            code="unknown_field",
            field=unknown[0],
            allowed=sorted(COLUMNS),
        )
    if actor.kind != "person" and reason not in CorrectionReason.values:
        raise Invalid(
            _("Say why it is corrected."), code="no_reason", field="reason", allowed=CorrectionReason.values
        )
    _refuse_unreadable(values)
    with transaction.atomic():
        locked = profiles.lock_roots([profile_id])
        if profile_id not in locked:
            raise NotFound(_("There is no such person."))
        root = locked[profile_id]
        profiles.refuse_erased(root)
        given = {name: value for name, value in values.items() if value not in (None, "")}
        changed = traits.merge([traits.Gift(root.pk, now, given, {})], trust="staff", actor=actor, now=now)
        blank = [COLUMNS[name] for name, value in values.items() if value in (None, "")]
        changed |= _blank(root.pk, blank, actor=actor, now=now)
        if changed:
            why = (f"reason:{reason}",) if reason else ()
            actionlog.write(actor, "crm.profile.corrected", root, fields=(*sorted(changed), *why), now=now)
    return changed


def _refuse_unreadable(values: Mapping[str, Any]) -> None:
    """A value that is not what its column holds would end up as a loose trait: say so instead."""
    typed, loose, _addresses = traits.read({name: value for name, value in values.items() if value})
    for name, value in values.items():
        if value and COLUMNS[name] not in typed:
            raise Invalid(_("This value cannot be read."), code="invalid_value", field=name)
    if loose:
        raise Invalid(_("This value cannot be read."), code="invalid_value", field=sorted(loose)[0])


def _blank(profile_id: int, columns: list[str], *, actor: Actor, now: datetime) -> set[str]:
    """Take values away, and remember who did it."""
    row = Profile.objects.get(pk=profile_id)
    emptied = {column for column in columns if getattr(row, column) not in (None, "")}
    for column in emptied:
        setattr(row, column, BLANKS.get(column, ""))
        row.value_sources[column] = {"by": str(actor), "trust": "staff", "at": now.isoformat()}
    if emptied:
        row.name_sort = names.sort_key(row.display_name)
        row.search_tokens = names.tokens(row.display_name, row.family_name, row.given_name)
        row.save(update_fields=[*sorted(emptied), "value_sources", "name_sort", "search_tokens"])
    return emptied
