"""Merges: two profiles become one person by a pointer, and can be taken apart again exactly.

An active MergeRecord is an edge from loser to winner; `merged_into` of every profile is the root of its tree,
rewritten under locks taken in id order. Identities and events stay with the profile they were written with. The
winner takes over values it lacks; the record remembers them, so undo puts back what was there, in any order.
Consent is read over all ids, so the most restrictive decision wins by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from crm import names
from crm.kernel import actionlog
from crm.kernel.actors import Actor
from crm.kernel.errors import Conflict, Invalid, NotFound
from crm.models import MergeRecord, MergeSuggestion, Profile
from crm.selectors import timeline
from crm.services import profiles, retry, suggestions, touchpoints
from crm.states import MergeCause, SuggestionStatus

FIELDS = (
    "display_name", "family_name", "given_name", "language", "time_zone", "birthday", "birthday_is_lunar",
    "country", "region",
)  # fmt: skip


TRAIT = "traits."


@dataclass(frozen=True, slots=True)
class FieldPreview:
    """One value of a merge preview: a column, or a trait as `traits.<name>`. `choice` is whose value would be kept,
    `winner` or `loser`; the sources say who gave each value and when."""

    name: str
    winner: Any
    loser: Any
    choice: str
    winner_source: Mapping[str, Any]
    loser_source: Mapping[str, Any]

    @property
    def differs(self) -> bool:
        """Whether there is anything to choose."""
        return bool(self.winner != self.loser)


def preview(winner_id: int, loser_id: int) -> list[FieldPreview]:
    """What a merge would keep, value by value. Raises like `merge`, and writes nothing."""
    with transaction.atomic():
        winner, loser = _pair(winner_id, loser_id)
    rows = [(field, getattr(winner, field), getattr(loser, field)) for field in FIELDS]
    traits = sorted({*winner.traits, *loser.traits})
    rows += [(f"{TRAIT}{name}", winner.traits.get(name), loser.traits.get(name)) for name in traits]
    return [
        FieldPreview(
            name,
            kept,
            offered,
            "loser" if _is_blank(kept) and not _is_blank(offered) else "winner",
            _source_of(winner, name),
            _source_of(loser, name),
        )
        for name, kept, offered in rows
    ]


def _source_of(profile: Profile, name: str) -> Mapping[str, Any]:
    held = profile.value_sources.get(name)
    return held if isinstance(held, dict) else {}


@retry.on_conflict
def merge(
    winner_id: int,
    loser_id: int,
    *,
    actor: Actor,
    now: datetime,
    cause: str = MergeCause.STAFF,
    choices: Mapping[str, str] | None = None,
) -> MergeRecord:
    """Join the people behind two profile ids. `choices` says per field (a trait is `traits.<name>`) `winner` or
    `loser`; by default the winner's value is kept and its blanks are filled.

    Raises NotFound, Conflict `same_person` (also when they are one already), Conflict `erased`, and Invalid
    `invalid_choice`. Nothing is written then.
    """
    chosen = dict(choices or {})
    for field, choice in chosen.items():
        is_trait = field.startswith(TRAIT) and len(field) > len(TRAIT)
        if not (field in FIELDS or is_trait) or choice not in ("winner", "loser"):
            raise Invalid(
                _("A choice names a field and says winner or loser."),
                code="invalid_choice", field="choices", allowed=[*FIELDS, f"{TRAIT}<name>"],
            )  # fmt: skip
    with transaction.atomic():
        winner, loser = _pair(winner_id, loser_id)
        return _join(winner, loser, actor=actor, now=now, cause=cause, choices=chosen)


def join_automatically(pairs: Sequence[tuple[int, int]], *, actor: Actor, now: datetime) -> list[MergeRecord]:
    """Join (winner, loser) roots that share an identifier. The caller holds their locks."""
    rows = profiles.lock_roots([profile_id for pair in pairs for profile_id in pair], wide=True)
    records = []
    for winner_id, loser_id in pairs:
        winner, loser = rows[winner_id], rows[loser_id]
        if winner.erased_at is None and loser.erased_at is None and loser.merged_into_id is None:
            records.append(_join(winner, loser, actor=actor, now=now, cause=MergeCause.AUTOMATIC, choices={}))
    return records


@retry.on_conflict
def undo(merge_id: int, *, actor: Actor, now: datetime) -> MergeRecord:
    """Take a merge apart: the loser and what was merged into it before become a person of their own again.

    Events, identities and addresses were never moved, so they are back where they belong. Raises NotFound and
    Conflict `already_undone`.
    """
    with transaction.atomic():
        record = MergeRecord.objects.filter(pk=merge_id).first()
        if record is None:
            raise NotFound(_("There is no such merge."))
        root = profiles.lock_roots([record.loser_id], wide=True)[record.loser_id]
        changed = MergeRecord.objects.filter(pk=merge_id, undone_at=None).update(
            undone_at=now, undone_by=str(actor)
        )
        if not changed:
            raise Conflict(_("This merge was already undone."), code="already_undone")
        members = [
            root.pk,
            *Profile.objects.filter(merged_into=root).order_by("pk").values_list("pk", flat=True),
        ]
        tree = _subtree(record.loser_id)
        Profile.objects.filter(pk=record.loser_id).update(merged_into=None)
        Profile.objects.filter(pk__in=[pk for pk in tree if pk != record.loser_id]).update(
            merged_into=record.loser_id
        )
        _give_back(record, members)
        apart = set(tree)
        _part_spans(record, [pk for pk in members if pk not in apart], tree)
        suggestions.settle_parted([pk for pk in members if pk not in apart], tree, actor=actor, now=now)
        record.refresh_from_db()
        actionlog.write(actor, "crm.profile.unmerged", record, now=now)
        _tell("crm.profile.unmerged", record, root_id=root.pk, actor=actor, now=now)
    return record


@retry.on_conflict
def decide_suggestion(
    suggestion_id: int,
    *,
    accept: bool,
    actor: Actor,
    now: datetime,
    swap: bool = False,
    choices: Mapping[str, str] | None = None,
) -> MergeSuggestion:
    """Merge or dismiss a suggestion. The first person stays, or with `swap` the second.

    Raises NotFound, Conflict `already_decided`, and what `merge` raises."""
    status = SuggestionStatus.MERGED if accept else SuggestionStatus.DISMISSED
    with transaction.atomic():
        suggestion = MergeSuggestion.objects.filter(pk=suggestion_id).first()
        if suggestion is None:
            raise NotFound(_("There is no such suggestion."))
        if not MergeSuggestion.objects.filter(pk=suggestion_id, status=SuggestionStatus.OPEN).update(
            status=status, decided_at=now, decided_by=str(actor)
        ):
            raise Conflict(_("This suggestion was already decided."), code="already_decided")
        actionlog.write(actor, f"crm.suggestion.{status.value}", suggestion, fields=("status",), now=now)
        if accept:
            pair = suggestion.first_id, suggestion.second_id
            winner_id, loser_id = reversed(pair) if swap else pair
            merge(winner_id, loser_id, actor=actor, now=now, choices=choices)
        suggestion.refresh_from_db()
    return suggestion


def _pair(winner_id: int, loser_id: int) -> tuple[Profile, Profile]:
    """Both roots, locked; refuses what cannot be merged."""
    rows = profiles.lock_roots([winner_id, loser_id], wide=True)
    if winner_id not in rows or loser_id not in rows:
        raise NotFound(_("There is no such person."))
    winner, loser = rows[winner_id], rows[loser_id]
    if winner.pk == loser.pk:
        raise Conflict(_("These profiles are the same person already."), code="same_person")
    if winner.erased_at or loser.erased_at:
        raise Conflict(_("An erased person is never merged."), code="erased")
    return winner, loser


def _join(
    winner: Profile, loser: Profile, *, actor: Actor, now: datetime, cause: str, choices: Mapping[str, str]
) -> MergeRecord:
    record = MergeRecord.objects.create(
        winner=winner, loser=loser, cause=cause, actor=str(actor), created_at=now
    )
    record.changes = _take_over(winner, loser, record.pk, choices)
    record.save(update_fields=["changes"])
    suggestions.settle_joined([winner.pk, *_subtree(winner.pk), *_subtree(loser.pk)], actor=actor, now=now)
    # The pointers of whoever was merged into the loser move along; the edges below the loser stay.
    Profile.objects.filter(merged_into=loser).update(merged_into=winner)
    Profile.objects.filter(pk=loser.pk).update(merged_into=winner)
    loser.merged_into = winner
    actionlog.write(actor, "crm.profile.merged", record, fields=sorted({*record.changes} - {"seen"}), now=now)
    _tell("crm.profile.merged", record, root_id=winner.pk, actor=actor, now=now)
    return record


def _take_over(winner: Profile, loser: Profile, record_id: int, choices: Mapping[str, str]) -> dict[str, Any]:
    """Fill the winner's blanks (and what was chosen) from the loser. Returns per name what was there before."""
    changes: dict[str, Any] = {}
    sources = dict(winner.value_sources)
    for field in FIELDS:
        old, offered = getattr(winner, field), getattr(loser, field)
        takes = (
            choices.get(field) == "loser" if field in choices else _is_blank(old) and not _is_blank(offered)
        )
        if takes and old != offered:
            changes[field] = {"old": _plain(old), "source": sources.get(field)}
            setattr(winner, field, offered)
            sources[field] = _inherited(loser.value_sources.get(field), record_id)
    traits = dict(winner.traits)
    for name, value in loser.traits.items():
        key = f"{TRAIT}{name}"
        if name not in traits:
            changes[key] = {"absent": True, "source": sources.get(key)}
        elif choices.get(key) == "loser" and traits[name] != value:
            changes[key] = {"old": traits[name], "source": sources.get(key)}
        else:
            continue
        traits[name] = value
        sources[key] = _inherited(loser.value_sources.get(key), record_id)
    if changes:
        winner.traits, winner.value_sources = traits, sources
        _save_values(winner)
    # What the span was before, so that undo can put it together again from what each side saw since.
    changes["seen"] = {"first": _plain(winner.first_seen_at), "last": _plain(winner.last_seen_at)}
    first, last = _span(
        [(winner.first_seen_at, winner.last_seen_at), (loser.first_seen_at, loser.last_seen_at)]
    )
    if (first, last) != (winner.first_seen_at, winner.last_seen_at):
        winner.first_seen_at, winner.last_seen_at = first, last
        winner.save(update_fields=["first_seen_at", "last_seen_at"])
    return changes


def _inherited(source: Mapping[str, Any] | None, record_id: int) -> dict[str, Any]:
    """The source of an inherited value: as it was, with the merges it came through."""
    found = dict(source or {})
    found["merges"] = [*found.get("merges", []), record_id]
    return found


def _give_back(record: MergeRecord, members: list[int]) -> None:
    """Take values that came through this merge away from everybody they reached, and put back what was there."""
    rows = {row.pk: row for row in Profile.objects.filter(pk__in=members)}
    records = {row.pk: row for row in MergeRecord.objects.filter(winner_id__in=members)}
    for row in rows.values():
        touched = False
        for name, source in list(row.value_sources.items()):
            chain = source.get("merges", []) if isinstance(source, dict) else []
            if record.pk not in chain or chain[-1] not in records:
                continue
            # The last merge of the chain is the one that brought the value to this very profile.
            before = records[chain[-1]].changes.get(name)
            if before is None:
                continue
            touched = True
            if name.startswith(TRAIT):
                if before.get("absent"):
                    row.traits.pop(name.removeprefix(TRAIT), None)
                else:
                    row.traits[name.removeprefix(TRAIT)] = before["old"]
            else:
                old = before["old"]
                setattr(row, name, date.fromisoformat(old) if name == "birthday" and old else old)
            if before["source"] is None:
                row.value_sources.pop(name)
            else:
                row.value_sources[name] = before["source"]
        if touched:
            _save_values(row)


def _part_spans(record: MergeRecord, staying: list[int], leaving: list[int]) -> None:
    """First and last seen of the two people that came of one: what each was before, and what it saw since."""
    root_id = Profile.objects.filter(pk__in=staying, merged_into=None).values_list("pk", flat=True)[0]
    # The merges that still stand, and this one, each know the span of the profile that others were merged into.
    standing = MergeRecord.objects.filter(Q(undone_at=None) | Q(pk=record.pk))
    known = {
        row.winner_id: row
        for row in standing.filter(winner_id__in=[root_id, record.loser_id]).order_by("-pk")
    }
    since = min([record.created_at, *(row.created_at for row in known.values())])
    for person, ids in ((root_id, staying), (record.loser_id, leaving)):
        rows = {row.pk: row for row in Profile.objects.filter(pk__in=ids)}
        spans = [(row.first_seen_at, row.last_seen_at) for pk, row in rows.items() if pk != person]
        own = rows[person]
        before = known[person].changes.get("seen") if person in known else None
        if before is None:
            spans.append((own.first_seen_at, own.last_seen_at))
        else:
            spans.append((_moment(before["first"]), _moment(before["last"])))
        spans.append(timeline.seen_since(ids, received_since=since))
        first, last = _span(spans)
        Profile.objects.filter(pk=person).update(first_seen_at=first, last_seen_at=last)


def _span(
    spans: Sequence[tuple[datetime | None, datetime | None]],
) -> tuple[datetime | None, datetime | None]:
    """The span that holds them all."""
    firsts = [first for first, _last in spans if first is not None]
    lasts = [last for _first, last in spans if last is not None]
    return min(firsts, default=None), max(lasts, default=None)


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _save_values(row: Profile) -> None:
    row.name_sort = names.sort_key(row.display_name)
    row.search_tokens = names.tokens(row.display_name, row.family_name, row.given_name)
    row.save(update_fields=[*FIELDS, "traits", "value_sources", "name_sort", "search_tokens"])


def _subtree(profile_id: int) -> list[int]:
    """The profile and everybody below it along active merges."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH RECURSIVE below(id) AS (
                SELECT %s::bigint
                UNION SELECT m.loser_id FROM crm_mergerecord m JOIN below ON m.winner_id = below.id
                       WHERE m.undone_at IS NULL)
            SELECT id FROM below
            """,
            [profile_id],
        )
        return sorted(row[0] for row in cursor.fetchall())


def _tell(kind: str, record: MergeRecord, *, root_id: int, actor: Actor, now: datetime) -> None:
    """Put the merge on the kept person's timeline; receivers fold what they keep per person."""
    touchpoints.record(
        [
            touchpoints.Event(
                kind=kind,
                occurred_at=now,
                message_id=f"{kind}:{record.pk}",
                profile_id=root_id,
                properties={"winner": root_id, "loser": record.loser_id, "merge_id": record.pk},
            )
        ],
        source=None,
        actor=actor,
        now=now,
    )


def _is_blank(value: Any) -> bool:
    return value in (None, "", False)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, (date, datetime)) else value
