"""Segments: made, changed, activated, paused, archived, copied, and static lists filled by hand.

A rule that refers to a segment that is not there, or to itself by any way round, is refused. Activating and changing
a rule ask for a pass; its people get no touchpoint unless the caller says so, for filling a segment is news about the
segment, not about each of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext as _

from crm import names
from crm.conditions import compiler, definition
from crm.kernel import actionlog, reactions
from crm.kernel.actors import Actor
from crm.kernel.errors import Conflict, Invalid, NotFound, TooLarge
from crm.models import Identity, ImportMember, Segment, SegmentEvent, StaffUser
from crm.selectors import followed, rules
from crm.selectors import imports as import_reads
from crm.services import hotpath, retry, segment_members, segment_passes
from crm.states import (
    SEGMENT_TRANSITIONS,
    IdentifierKind,
    SegmentEventKind,
    SegmentKind,
    SegmentRunCause,
    SegmentStatus,
)

KEY: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}\Z")
MOST_BY_HAND: Final = 10_000
_EDIT_LOCK: Final = 0x5E67
UNCHANGED: Final = object()


@dataclass(frozen=True, slots=True)
class Listed:
    """What became of people who were put onto a list or taken off it. `unmatched` are nobody's identifiers."""

    changed: int
    unchanged: int
    unmatched: list[str] = field(default_factory=list)


def create(
    name: str,
    *,
    actor: Actor,
    now: datetime,
    rule: Mapping[str, Any] | None = None,
    key: str = "",
    description: str = "",
    owner_id: int | None = None,
) -> Segment:
    """Make a draft with a rule, or a static list without one (which is active at once). Raises Invalid
    (`invalid_rule`, `invalid_key`, `invalid_name`) and Conflict (`key_taken`, `name_taken`, `cycle`)."""
    kind = SegmentKind.STATIC if rule is None else SegmentKind.DYNAMIC
    if key and not KEY.match(key):
        raise Invalid(
            _("A key has 1 to 60 small letters, digits, hyphens and underscores, and begins with a letter or digit."),
            code="invalid_key", field="key",
        )  # fmt: skip
    with transaction.atomic():
        _take_turns()
        chosen = key or _free_key(name)
        tree = None if rule is None else _checked(rule, own_key=chosen)
        static = kind == SegmentKind.STATIC
        row = _save(
            Segment(
                key=chosen,
                name=_name(name),
                description=description.strip(),
                kind=kind,
                rule=tree,
                status=SegmentStatus.ACTIVE if static else SegmentStatus.DRAFT,
                activated_at=now if static else None,
                owner_id=_owner(owner_id),
                created_at=now,
                created_by=str(actor),
            )
        )
        _log(row, SegmentEventKind.CREATED, actor=actor, now=now, rule=tree)
    followed.forget()
    return row


def edit(
    segment_id: int,
    *,
    actor: Actor,
    now: datetime,
    name: str | None = None,
    description: str | None = None,
    rule: Mapping[str, Any] | None = None,
    owner_id: Any = UNCHANGED,
    version: int | None = None,
    announce: bool = False,
) -> Segment:
    """Change what is given. A new rule of an active segment asks for a pass. `version`: refuse when somebody else
    changed it since. Raises as `create`, NotFound, and Conflict `stale` or `archived`."""
    with transaction.atomic():
        _take_turns()
        row = _locked(segment_id)
        if row.status == SegmentStatus.ARCHIVED:
            raise Conflict(_("An archived segment is not changed any more."), code="archived")
        if version is not None and version != row.version:
            raise Conflict(_("Somebody else has changed this segment meanwhile."), code="stale")
        changed = []
        if name is not None and (wanted := _name(name)) != row.name:
            row.name = wanted
            changed.append("name")
        if description is not None and description.strip() != row.description:
            row.description = description.strip()
            changed.append("description")
        if owner_id is not UNCHANGED and (owner := _owner(owner_id)) != row.owner_id:
            row.owner_id = owner
            changed.append("owner_id")
        tree = None
        if rule is not None:
            if not row.is_dynamic:
                raise Invalid(_("A static list has no rule."), code="static", field="rule")
            tree = _checked(rule, own_key=row.key)
            if tree != row.rule:
                row.rule = tree
                changed.append("rule")
        if not changed:
            return row
        row.version += 1
        _save(row, [*changed, "version"])
        _log(row, SegmentEventKind.EDITED, actor=actor, now=now, rule=tree, fields=changed)
        if "rule" in changed and row.status == SegmentStatus.ACTIVE:
            segment_passes.cancel(row.pk, actor=actor, now=now)
            segment_passes.request(
                row.pk, cause=SegmentRunCause.EDITED, now=now, quiet=not announce, run_at=now + segment_passes.SETTLING
            )  # fmt: skip
    followed.forget()
    return row


def activate(segment_id: int, *, actor: Actor, now: datetime, announce: bool = False) -> Segment:
    """Let a segment follow events from now on, and ask for the pass that fills it. With `announce` everybody who is
    in from the beginning gets a touchpoint too. Raises NotFound and Conflict `not_allowed`."""
    row = _move(segment_id, SegmentStatus.ACTIVE, SegmentEventKind.ACTIVATED, actor=actor, now=now)
    segment_passes.request(
        row.pk, cause=SegmentRunCause.ACTIVATED, now=now, quiet=not announce, run_at=now + segment_passes.SETTLING
    )  # fmt: skip
    return row


def pause(segment_id: int, *, actor: Actor, now: datetime) -> Segment:
    """Keep the people as they are. Raises NotFound and Conflict `not_allowed`."""
    return _move(segment_id, SegmentStatus.PAUSED, SegmentEventKind.PAUSED, actor=actor, now=now)


def archive(segment_id: int, *, actor: Actor, now: datetime) -> Segment:
    """Out of use for good: its people are let go, its history stays. Raises NotFound, Conflict `not_allowed`, and
    Conflict `in_use` while another segment asks about it."""
    row = _move(segment_id, SegmentStatus.ARCHIVED, SegmentEventKind.ARCHIVED, actor=actor, now=now)
    segment_passes.request(row.pk, cause=SegmentRunCause.EDITED, now=now, quiet=True)
    return row


def duplicate(segment_id: int, *, name: str, actor: Actor, now: datetime, key: str = "") -> Segment:
    """A draft with the same rule; of a static list another list with the same people."""
    row = _get(segment_id)
    if not row.is_dynamic:
        return snapshot(segment_id, name=name, key=key, actor=actor, now=now)
    return create(
        name, rule=row.rule, key=key, description=row.description, owner_id=row.owner_id, actor=actor, now=now
    )


def snapshot(segment_id: int, *, name: str, actor: Actor, now: datetime, key: str = "") -> Segment:
    """A static list of the people who are in a segment now."""
    with transaction.atomic():
        source = _get(segment_id)
        row = create(
            name, key=key, description=source.description, owner_id=source.owner_id, actor=actor, now=now
        )
        _fill(
            row,
            "SELECT profile_id FROM crm_segmentmembership WHERE segment_id = %s", [segment_id],
            actor=actor, now=now,
        )  # fmt: skip
    row.refresh_from_db()
    return row


@retry.on_conflict
def add_members(
    segment_id: int, *, profile_ids: Sequence[int], actor: Actor, now: datetime, announce: bool = True
) -> Listed:
    """Put people onto a static list, by any of their ids; unknown ids and erased people are reported. Raises
    NotFound, Conflict `dynamic` or `archived`, TooLarge."""
    _few_enough(profile_ids)
    with transaction.atomic():
        row = _static(segment_id)
        at = compiler.moment(now=now)
        change = segment_members.add_by_hand(row.pk, profile_ids, at=at, actor=actor, quiet=not announce)
        known = set(_known(profile_ids))
        unmatched = [str(ident) for ident in profile_ids if ident not in known]
        _log(row, SegmentEventKind.ADDED, actor=actor, now=now, number=len(change.entered))
    return Listed(len(change.entered), len(known) - len(change.entered), unmatched)


@retry.on_conflict
def remove_members(
    segment_id: int, *, profile_ids: Sequence[int], actor: Actor, now: datetime, announce: bool = True
) -> Listed:
    """Take people off a static list. Raises as `add_members`."""
    _few_enough(profile_ids)
    with transaction.atomic():
        row = _static(segment_id)
        at = compiler.moment(now=now)
        change = segment_members.remove_by_hand(row.pk, profile_ids, at=at, actor=actor, quiet=not announce)
        _log(row, SegmentEventKind.REMOVED, actor=actor, now=now, number=len(change.left))
    return Listed(len(change.left), len(set(profile_ids)) - len(change.left))


def add_identifiers(
    segment_id: int, *, text: str, actor: Actor, now: datetime, announce: bool = True
) -> Listed:
    """Put the people behind pasted e-mails, phones and user ids onto a static list, one per line or separated by
    commas. What is nobody's comes back as it was pasted."""
    pasted = list(
        dict.fromkeys(part.strip() for part in re.split(r"[\n\r,;，；、\t]+", text) if part.strip())
    )
    _few_enough(pasted)
    owners = match(pasted)
    unmatched = [one for one in pasted if one not in owners]
    if not owners:
        _static(segment_id)
        return Listed(0, 0, unmatched)
    listed = add_members(
        segment_id, profile_ids=sorted(set(owners.values())), actor=actor, now=now, announce=announce
    )
    return Listed(listed.changed, listed.unchanged, unmatched)


def add_import(segment_id: int, *, run_id: int, actor: Actor, now: datetime) -> Listed:
    """Put everybody whom an import brought onto a static list, without touchpoints."""
    with transaction.atomic():
        row = _static(segment_id)
        if not ImportMember.objects.filter(run_id=run_id).exists():
            raise NotFound(_("This import brought nobody."))
        number = _fill(
            row, "SELECT profile_id FROM crm_importmember WHERE run_id = %s", [run_id], actor=actor, now=now
        )
    return Listed(number, 0)


def add_warm(segment_id: int, *, run_id: int, actor: Actor, now: datetime) -> Listed:
    """Put those of an import onto a static list who said yes to marketing and have an address for it: the people a
    warm-up begins with. Without touchpoints. Raises NotFound `nobody_warm`."""
    with transaction.atomic():
        row = _static(segment_id)
        number = _fill(row, import_reads.WARM_SQL, [run_id], actor=actor, now=now)
        if not number:
            raise NotFound(_("Nobody of this list may get marketing yet."), code="nobody_warm")
    return Listed(number, 0)


def match(pasted: Sequence[str]) -> dict[str, int]:
    """Which profile each pasted text belongs to: as an e-mail, a phone, or a user id."""
    wanted: dict[tuple[str, str], str] = {}
    for text in pasted:
        for kind in (IdentifierKind.USER_ID, IdentifierKind.EMAIL, IdentifierKind.PHONE):
            value = rules.normalise(kind.value, text)
            if value is not None:
                wanted.setdefault((kind.value, value), text)
    rows = hotpath.fetch(
        "SELECT i.kind, i.value, i.profile_id FROM unnest(%s::text[], %s::text[]) AS k(kind, value)"
        f" JOIN {Identity._meta.db_table} i ON i.kind = k.kind AND i.value = k.value",
        [[kind for kind, _value in wanted], [value for _kind, value in wanted]],
    )
    return {wanted[kind, value]: profile_id for kind, value, profile_id in rows}


# -- inside


def _known(ids: Sequence[int]) -> list[int]:
    """Those of the ids that are somebody's who was not erased."""
    rows = hotpath.fetch(
        "SELECT p.id FROM crm_profile p JOIN crm_profile r ON r.id = COALESCE(p.merged_into_id, p.id)"
        " WHERE p.id = ANY(%s::bigint[]) AND r.erased_at IS NULL",
        [list(ids)],
    )
    return [row[0] for row in rows]


def _fill(row: Segment, source: str, params: list[Any], *, actor: Actor, now: datetime) -> int:
    """Insert everybody whom a statement yields as living roots; dependents are looked at by a pass."""
    segment_members.lock([row.pk])
    rows = hotpath.fetch(
        "WITH fresh AS (INSERT INTO crm_segmentmembership (segment_id, profile_id, entered_at, is_initial)"
        " SELECT %s, r.id, %s, TRUE FROM (SELECT DISTINCT COALESCE(p.merged_into_id, p.id) AS id"
        f" FROM ({source}) s JOIN crm_profile p ON p.id = s.profile_id) k"
        " JOIN crm_profile r ON r.id = k.id AND r.erased_at IS NULL ORDER BY r.id"
        " ON CONFLICT DO NOTHING RETURNING 1) SELECT count(*) FROM fresh",
        [row.pk, now, *params],
    )
    number = int(rows[0][0])
    hotpath.fetch("UPDATE crm_segment SET size = size + %s WHERE id = %s", [number, row.pk])
    segment_members.note_size(row.pk, entered=number, now=now)
    _log(row, SegmentEventKind.ADDED, actor=actor, now=now, number=number)
    for other in Segment.objects.followed():
        if row.key in definition.segments(definition.parse(other.rule)):
            segment_passes.request(other.pk, cause=SegmentRunCause.EDITED, now=now, quiet=True)
    return number


def _checked(rule: Mapping[str, Any], *, own_key: str) -> dict[str, Any]:
    """The rule in its normal form. Segments it asks about exist, are not archived, and do not ask back."""
    node = definition.parse(rule)
    asked = definition.segments(node)
    if asked:
        rows = {row.key: row for row in Segment.objects.exclude(status=SegmentStatus.ARCHIVED)}
        for key in sorted(asked):
            if key == own_key:
                raise Conflict(_("A segment cannot ask about itself."), code="cycle", field="rule")
            if key not in rows:
                raise Invalid(
                    _("There is no segment “%(key)s”.") % {"key": key}, code="invalid_rule", field="rule"
                )
        graph = {key: _asks(row) for key, row in rows.items()} | {own_key: set(asked)}
        way = _cycle(graph, own_key)
        if way:
            raise Conflict(
                _("These segments would ask about each other: %(way)s.") % {"way": " → ".join(way)},
                code="cycle", field="rule",
            )  # fmt: skip
    return definition.dump(node)


def _asks(row: Segment) -> set[str]:
    if row.rule is None:
        return set()
    try:
        return set(definition.segments(definition.parse(row.rule)))
    except Invalid:
        return set()


def _cycle(graph: Mapping[str, set[str]], start: str) -> list[str]:
    """A way from a segment back to itself, or an empty list."""
    trail: list[list[str]] = [[start, key] for key in sorted(graph[start])]
    seen: set[str] = set()
    while trail:
        way = trail.pop()
        if way[-1] == start:
            return way
        if way[-1] not in seen:
            seen.add(way[-1])
            trail += [[*way, key] for key in sorted(graph.get(way[-1], ()))]
    return []


def _move(segment_id: int, status: str, kind: str, *, actor: Actor, now: datetime) -> Segment:
    """The one writer of the status."""
    with transaction.atomic():
        _take_turns()
        row = _locked(segment_id)
        if status not in SEGMENT_TRANSITIONS[row.status] or (
            not row.is_dynamic and status == SegmentStatus.PAUSED
        ):
            raise Conflict(
                _("A segment that is “%(status)s” cannot do that.") % {"status": row.get_status_display()},
                code="not_allowed",
            )
        if status == SegmentStatus.ARCHIVED:
            _refuse_in_use(row)
        values: dict[str, Any] = {"status": status}
        if status == SegmentStatus.ACTIVE:
            values |= {"activated_at": now, "last_error": ""}
        if not Segment.objects.filter(pk=row.pk, status=row.status).update(**values):
            raise Conflict(_("Somebody else has changed this segment meanwhile."), code="stale")
        for name, value in values.items():
            setattr(row, name, value)
        if status != SegmentStatus.ACTIVE:
            segment_passes.cancel(row.pk, actor=actor, now=now)
        _log(row, kind, actor=actor, now=now, fields=("status",))
    followed.forget()
    return row


def _refuse_in_use(row: Segment) -> None:
    users = [
        other.name
        for other in Segment.objects.exclude(status=SegmentStatus.ARCHIVED).exclude(pk=row.pk)
        if row.key in _asks(other)
    ]
    if users:
        raise Conflict(
            _("These segments ask about it: %(names)s.") % {"names": ", ".join(users[:5])}, code="in_use"
        )


def _take_turns() -> None:
    """Whoever changes segments waits for the last one, so that no two changes together make a circle."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_EDIT_LOCK])


def _get(segment_id: int) -> Segment:
    row = Segment.objects.filter(pk=segment_id).first()
    if row is None:
        raise NotFound(_("There is no such segment."))
    return row


def _locked(segment_id: int) -> Segment:
    row = Segment.objects.select_for_update().filter(pk=segment_id).first()
    if row is None:
        raise NotFound(_("There is no such segment."))
    return row


def _static(segment_id: int) -> Segment:
    row = _get(segment_id)
    if row.is_dynamic:
        raise Conflict(_("A rule decides who is in this segment."), code="dynamic")
    if row.status == SegmentStatus.ARCHIVED:
        raise Conflict(_("An archived segment is not changed any more."), code="archived")
    return row


def _few_enough(items: Sequence[Any]) -> None:
    if len(items) > MOST_BY_HAND:
        raise TooLarge(
            _("At most %(number)s people at once.") % {"number": MOST_BY_HAND}, allowed=MOST_BY_HAND
        )


def _name(text: str) -> str:
    name = " ".join(text.split())
    if not 1 <= len(name) <= 120:
        raise Invalid(_("A name has 1 to 120 characters."), code="invalid_name", field="name")
    return name


def _owner(owner_id: int | None) -> int | None:
    if owner_id is not None and not StaffUser.objects.filter(pk=owner_id, is_active=True).exists():
        raise Invalid(_("There is no such member of staff."), code="invalid_owner", field="owner")
    return owner_id


def _free_key(name: str) -> str:
    """A key from the name (pinyin for Chinese) that nobody has."""
    base = re.sub(r"[^a-z0-9]+", "-", names.sort_key(name).lower()).strip("-")[:50] or "segment"
    taken = set(Segment.objects.filter(key__startswith=base).values_list("key", flat=True))
    return next(key for key in [base, *(f"{base}-{n}" for n in range(2, 10_000))] if key not in taken)


def _save(row: Segment, fields: Sequence[str] | None = None) -> Segment:
    try:
        with transaction.atomic():
            row.save(update_fields=list(fields) if fields is not None else None)
    except IntegrityError as error:
        broken = getattr(getattr(error.__cause__, "diag", None), "constraint_name", "") or ""
        if broken.startswith("crm_segment_key"):
            raise Conflict(_("There is a segment with this key."), code="key_taken", field="key") from None
        raise Conflict(_("There is a segment with this name."), code="name_taken", field="name") from None
    return row


def _log(
    row: Segment,
    kind: str,
    *,
    actor: Actor,
    now: datetime,
    rule: Any = None,
    number: int | None = None,
    fields: Sequence[str] = (),
) -> None:
    SegmentEvent.objects.create(segment=row, kind=kind, actor=str(actor), at=now, rule=rule, number=number)
    actionlog.write(actor, f"crm.segment.{kind}", row, fields=fields, now=now)
    reactions.publish(f"crm.segments.{kind}", [row.pk], now=now)
