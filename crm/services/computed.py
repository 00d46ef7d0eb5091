"""Computed traits as staff make them: written as drafts, checked whole, revised in versions, switched on and off.

Activating begins a pass over everybody, and from that moment events are followed. A new version of an active trait
begins a pass too: until it is through, people it has not reached keep the value of the version before. `move()` is the
only writer of a trait's status.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from crm import computed as definitions
from crm.kernel import actionlog
from crm.kernel.actors import Actor
from crm.kernel.errors import Conflict, Invalid, NotFound
from crm.models import ComputedRun, ComputedTrait, ComputedTraitVersion
from crm.selectors import computed
from crm.services import passes
from crm.states import COMPUTED_TRANSITIONS, ComputedStatus, RunPurpose

KEY: Final = re.compile(r"[a-z][a-z0-9_]{0,59}\Z")
LONGEST_NAME: Final = 120
LONGEST_DESCRIPTION: Final = 300


def create(
    *,
    key: str,
    name: str,
    definition: Mapping[str, Any],
    actor: Actor,
    now: datetime,
    description: str = "",
) -> ComputedTrait:
    """A draft. Raises Invalid (key, name, description, or a place in the definition) and Conflict when key or name is
    taken."""
    if not KEY.match(key):
        raise Invalid(
            _("A key is 1 to 60 small letters, digits and underscores, and begins with a letter."),
            code="invalid_key",
            field="key",
        )
    text, words = _name(name), _description(description)
    wanted = definitions.dump(definitions.parse(definition))
    if ComputedTrait.objects.filter(key=key).exists():
        raise Conflict(_("There is a computed trait with this key."), code="key_taken", field="key")
    try:
        with transaction.atomic():
            trait = ComputedTrait.objects.create(
                key=key, name=text, description=words, created_at=now, created_by=str(actor)
            )
            _add_version(trait, wanted, actor=actor, now=now)
            actionlog.write(actor, "crm.computedtrait.created", trait, now=now)
    except IntegrityError:
        raise Conflict(
            _("There is a computed trait of that name."), code="name_taken", field="name"
        ) from None
    return trait


def revise(
    trait_id: int,
    *,
    actor: Actor,
    now: datetime,
    name: str | None = None,
    description: str | None = None,
    definition: Mapping[str, Any] | None = None,
) -> ComputedTrait:
    """Change the name, the description, or what is computed (a new version, and a pass when it is active).

    Raises NotFound, Invalid, and Conflict for an archived trait or a taken name.
    """
    wanted = None if definition is None else definitions.dump(definitions.parse(definition))
    try:
        with transaction.atomic():
            trait = _lock(trait_id)
            if trait.status == ComputedStatus.ARCHIVED:
                raise Conflict(_("An archived computed trait is not changed any more."), code="archived")
            changed = []
            for field, value in (
                ("name", None if name is None else _name(name)),
                ("description", None if description is None else _description(description)),
            ):
                if value is not None and value != getattr(trait, field):
                    setattr(trait, field, value)
                    changed.append(field)
            is_new = wanted is not None and wanted != computed.definition_of(trait)
            if wanted is not None and is_new:
                trait.version += 1
                _add_version(trait, wanted, actor=actor, now=now)
                changed.append("version")
            if changed:
                trait.save(update_fields=changed)
                actionlog.write(actor, "crm.computedtrait.revised", trait, fields=changed, now=now)
            if is_new and trait.status == ComputedStatus.ACTIVE:
                passes.start(trait, purpose=RunPurpose.COMPUTE, now=now)
    except IntegrityError:
        raise Conflict(
            _("There is a computed trait of that name."), code="name_taken", field="name"
        ) from None
    computed.forget()
    return trait


def activate(trait_id: int, *, actor: Actor, now: datetime) -> ComputedTrait:
    """Compute it for everybody and follow events from now on. Raises Conflict when it is not a draft or paused, or
    when as many are active as the knob allows."""
    with transaction.atomic():
        trait = _lock(trait_id)
        definitions.parse(computed.definition_of(trait))
        most = computed.most_active()
        if ComputedTrait.objects.followed().exclude(pk=trait_id).count() >= most:
            raise Conflict(
                _("%(most)s computed traits are active; pause one first.") % {"most": most},
                code="too_many",
                allowed=most,
            )
        trait = move(
            trait, ComputedStatus.ACTIVE, actor=actor, now=now, activated_at=trait.activated_at or now
        )
        passes.start(trait, purpose=RunPurpose.COMPUTE, now=now)
        return trait


def pause(trait_id: int, *, actor: Actor, now: datetime) -> ComputedTrait:
    """Follow no events until it is active again; values stay as they are, and a pass under way ends."""
    with transaction.atomic():
        trait = move(_lock(trait_id), ComputedStatus.PAUSED, actor=actor, now=now)
        _end_runs(trait, now=now)
        return trait


def archive(trait_id: int, *, actor: Actor, now: datetime) -> ComputedTrait:
    """End it for good; its values are removed by a pass."""
    with transaction.atomic():
        trait = move(_lock(trait_id), ComputedStatus.ARCHIVED, actor=actor, now=now)
        passes.start(trait, purpose=RunPurpose.CLEAR, now=now)
        return trait


def recompute(trait_id: int, *, actor: Actor, now: datetime) -> ComputedRun:
    """Compute it for everybody again. Raises NotFound, and Conflict when it is not active."""
    with transaction.atomic():
        trait = _lock(trait_id)
        if trait.status != ComputedStatus.ACTIVE:
            raise Conflict(_("Only an active computed trait is computed."), code="wrong_state")
        run = passes.start(trait, purpose=RunPurpose.COMPUTE, now=now)
        actionlog.write(actor, "crm.computedtrait.recomputed", trait, now=now)
        return run


def cancel(trait_id: int, *, actor: Actor, now: datetime) -> ComputedTrait:
    """Stop the pass that is under way. The values are then incomplete, so the trait is paused. Raises NotFound, and
    Conflict when no pass is under way."""
    with transaction.atomic():
        trait = _lock(trait_id)
        if trait.status != ComputedStatus.ACTIVE or not _end_runs(trait, now=now):
            raise Conflict(_("Nothing is being computed."), code="wrong_state")
        return move(trait, ComputedStatus.PAUSED, actor=actor, now=now)


def move(trait: ComputedTrait, to: str, *, actor: Actor, now: datetime, **values: Any) -> ComputedTrait:
    """The only writer of `status`. Raises Conflict when the table of transitions does not allow it."""
    old = trait.status
    if to not in COMPUTED_TRANSITIONS[old]:
        raise Conflict(
            _("A computed trait that is “%(old)s” cannot become “%(new)s”.")
            % {"old": ComputedStatus(old).label, "new": ComputedStatus(to).label},
            code="wrong_state",
            allowed=list(COMPUTED_TRANSITIONS[old]),
        )
    if ComputedTrait.objects.filter(pk=trait.pk, status=old).update(status=to, **values) != 1:
        raise Conflict(_("Somebody else changed this computed trait just now."), code="wrong_state")
    actionlog.write(actor, f"crm.computedtrait.{to}", trait, fields=("status",), now=now)
    trait.refresh_from_db()
    computed.forget()
    return trait


def _end_runs(trait: ComputedTrait, *, now: datetime) -> bool:
    run = ComputedRun.objects.filter(trait=trait, status__in=passes.OPEN).first()
    return run is not None and passes.cancel_run(run.pk, now=now)


def _add_version(trait: ComputedTrait, data: dict[str, Any], *, actor: Actor, now: datetime) -> None:
    ComputedTraitVersion.objects.create(
        trait=trait, number=trait.version, definition=data, created_at=now, created_by=str(actor)
    )


def _lock(trait_id: int) -> ComputedTrait:
    trait = ComputedTrait.objects.select_for_update().filter(pk=trait_id).first()
    if trait is None:
        raise NotFound(_("There is no such computed trait."))
    return trait


def _name(name: str) -> str:
    text = " ".join(name.split())
    if not 1 <= len(text) <= LONGEST_NAME:
        raise Invalid(
            _("A name has 1 to %(most)s characters.") % {"most": LONGEST_NAME},
            code="invalid_name",
            field="name",
        )
    return text


def _description(text: str) -> str:
    words = " ".join(text.split())
    if len(words) > LONGEST_DESCRIPTION:
        raise Invalid(
            _("A description has at most %(most)s characters.") % {"most": LONGEST_DESCRIPTION},
            code="invalid_description",
            field="description",
        )
    return words
