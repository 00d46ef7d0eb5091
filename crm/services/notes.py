"""Notes that staff leave for each other about a person, and links between people who belong together.

Whoever wrote a note may change or delete it; deleting another's note is a right of its own. Everybody who may write
notes may pin one. The log keeps who did what, never the words.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from crm.kernel import actionlog
from crm.kernel.actors import Actor
from crm.kernel.errors import Conflict, Invalid, NotFound, Refused
from crm.models import Profile, ProfileLink, ProfileNote
from crm.services import profiles, retry
from crm.states import LinkKind, NoteCategory

LONGEST = 2_000
MOST_NOTES = 500


@retry.on_conflict
def add(
    profile_id: int, *, text: str, category: str, actor: Actor, now: datetime, is_pinned: bool = False
) -> ProfileNote:
    """Write a note on the person. Raises Invalid, NotFound and Gone."""
    words = _checked(text, category)
    with transaction.atomic():
        root = _root(profile_id)
        if ProfileNote.objects.filter(profile=root).count() >= MOST_NOTES:
            raise Conflict(_("There are too many notes; delete old ones first."), code="too_many_notes")
        note = ProfileNote.objects.create(
            profile=root,
            text=words,
            category=category,
            is_pinned=is_pinned,
            author_id=int(actor.id) if actor.kind == "staff" else None,
            actor=str(actor),
            created_at=now,
        )
        actionlog.write(actor, "crm.note.added", note, fields=("category", "text"), now=now)
    return note


def change(
    note_id: int,
    *,
    actor: Actor,
    now: datetime,
    text: str | None = None,
    category: str | None = None,
    is_pinned: bool | None = None,
) -> ProfileNote:
    """Change an own note, or pin anybody's. Raises NotFound, Invalid and Refused `not_yours`."""
    with transaction.atomic():
        note = _locked(note_id)
        fields = []
        if text is not None or category is not None:
            _own(note, actor)
            note.text = _checked(note.text if text is None else text, category or note.category)
            note.category = category or note.category
            note.changed_at = now
            fields += ["text", "category", "changed_at"]
        if is_pinned is not None:
            note.is_pinned = is_pinned
            fields.append("is_pinned")
        if fields:
            note.save(update_fields=fields)
            actionlog.write(actor, "crm.note.changed", note, fields=fields, now=now)
    return note


def delete(note_id: int, *, actor: Actor, now: datetime, anybodys: bool = False) -> None:
    """Delete an own note, or with `anybodys` another's. Raises NotFound and Refused `not_yours`."""
    with transaction.atomic():
        note = _locked(note_id)
        if not anybodys:
            _own(note, actor)
        actionlog.write(actor, "crm.note.deleted", note, now=now)
        note.delete()


@retry.on_conflict
def link(one_id: int, other_id: int, *, kind: str, actor: Actor, now: datetime) -> ProfileLink:
    """Say that two people belong together; says it anew with another kind. Raises NotFound, Invalid, Conflict."""
    if kind not in LinkKind.values:
        raise Invalid(
            _("There is no such kind of link."), code="invalid_kind", field="kind", allowed=LinkKind.values
        )
    with transaction.atomic():
        rows = profiles.lock_roots([one_id, other_id])
        if one_id not in rows or other_id not in rows:
            raise NotFound(_("There is no such person."))
        one, other = rows[one_id], rows[other_id]
        for root in (one, other):
            profiles.refuse_erased(root)
        if one.pk == other.pk:
            raise Conflict(_("These profiles are the same person already."), code="same_person")
        first, second = sorted((one.pk, other.pk))
        row, _made = ProfileLink.objects.update_or_create(
            first_id=first, second_id=second, defaults={"kind": kind, "actor": str(actor), "created_at": now}
        )
        actionlog.write(actor, "crm.link.added", row, fields=("kind",), now=now)
    return row


def unlink(link_id: int, *, actor: Actor, now: datetime) -> None:
    """Take a link away. Raises NotFound."""
    with transaction.atomic():
        row = ProfileLink.objects.select_for_update().filter(pk=link_id).first()
        if row is None:
            raise NotFound(_("There is no such link."))
        actionlog.write(actor, "crm.link.removed", row, now=now)
        row.delete()


def _root(profile_id: int) -> Profile:
    root = profiles.lock_roots([profile_id]).get(profile_id)
    if root is None:
        raise NotFound(_("There is no such person."))
    profiles.refuse_erased(root)
    return root


def _locked(note_id: int) -> ProfileNote:
    note = ProfileNote.objects.select_for_update().filter(pk=note_id).first()
    if note is None:
        raise NotFound(_("There is no such note."))
    return note


def _own(note: ProfileNote, actor: Actor) -> None:
    if note.actor != str(actor):
        raise Refused(_("Only who wrote a note may change it."), code="not_yours")


def _checked(text: str, category: str) -> str:
    words = "\n".join(line.rstrip() for line in text.strip().splitlines())
    if not words or len(words) > LONGEST or "\x00" in words:
        raise Invalid(_("A note has 1 to 2,000 characters."), code="invalid_text", field="text")
    if category not in NoteCategory.values:
        raise Invalid(
            _("There is no such category."), code="invalid_category", field="category",
            allowed=NoteCategory.values,
        )  # fmt: skip
    return words
