"""Taking an import back: whoever came with the list and has done nothing since goes, and what the list said about the
others goes where it still is what the list said.

The work goes through the people of the run by their number, some hundred to a transaction of which the place is a
part, under the claim of the run: a killed worker loses nothing, and a second one repeats nothing. The report before
asks the same function about the first people of the run and writes nothing.

Profiles are never deleted, so those who go leave an empty tombstone; unlike after an erasure their addresses are not
barred, for the same person may come again with a better list.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from crm import names
from crm.kernel import actionlog, jobs, reactions
from crm.kernel.actors import Actor
from crm.kernel.errors import Conflict, Invalid
from crm.models import (
    ComputedValue,
    ConsentRecord,
    ContactPoint,
    Identity,
    ImportMember,
    ImportRun,
    MergeSuggestion,
    Profile,
    SegmentMembership,
)
from crm.selectors import profiles as people
from crm.services import changes, hotpath, imports, profiles, retry, segment_members, traits
from crm.states import ConsentWay, ImportKind, ImportStatus, Origin, SuggestionStatus

CHUNK: Final = 300
PREVIEWED: Final = 2000
EMPTY: Final[dict[str, Any]] = dict.fromkeys(traits.COLUMNS, "") | {
    "birthday": None,
    "birthday_is_lunar": False,
}
# What is derived, or comes and goes with the person: none of it means that somebody did something.
_NOT_A_LIFE: Final = (
    Identity,
    ContactPoint,
    ConsentRecord,
    SegmentMembership,
    ComputedValue,
    MergeSuggestion,
)


@dataclass(slots=True)
class Found:
    """What would be taken back of some people, and why the rest stays."""

    gone: list[int] = field(default_factory=list)
    values: dict[int, list[str]] = field(default_factory=dict)
    identities: list[int] = field(default_factory=list)
    contacts: list[int] = field(default_factory=list)
    consents: list[ConsentRecord] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Outlook:
    """The report before. Of a long list the figures are those of its first people, scaled up."""

    people: int
    asked: int
    figures: dict[str, int]

    @property
    def is_estimate(self) -> bool:
        """Whether only some of the people were asked."""
        return self.asked < self.people


def outlook(run: ImportRun, *, now: datetime) -> Outlook:
    """What taking it back would do. Writes nothing. Raises Conflict like `start`."""
    check(run)
    members = (
        ImportMember.objects.filter(run_id=run.pk).order_by("profile_id").values_list("profile_id", flat=True)
    )
    ids = list(members[:PREVIEWED])
    total = len(ids) if len(ids) < PREVIEWED else members.count()
    figures = decide(run, ids, now=now).figures
    share = total / len(ids) if ids else 1
    return Outlook(total, len(ids), {name: round(number * share) for name, number in figures.items()})


def check(run: ImportRun) -> None:
    """Raises Conflict when there is nothing of this run that can be taken back."""
    if run.kind == ImportKind.EVENTS:
        raise Conflict(
            _("What happened stays on the timeline: segments, values and messages already followed from it."),
            code="events_stay",
        )
    if run.started_at is None or run.status not in (
        ImportStatus.DONE, ImportStatus.CANCELLED, ImportStatus.PAUSED, ImportStatus.FAILED, ImportStatus.UNDO_FAILED,
    ):  # fmt: skip
        raise Conflict(_("This import has brought nothing that could be taken back."), code="nothing_to_undo")


def start(run_id: int, *, confirm: str, actor: Actor, now: datetime) -> ImportRun:
    """Begin to take an import back; `confirm` is its number, typed. It cannot be stopped halfway. Raises NotFound,
    Conflict, Invalid `confirm_needed`."""
    with transaction.atomic():
        run = imports.locked(run_id)
        check(run)
        if confirm.strip() != str(run.pk):
            raise Invalid(
                _("Nothing was taken back: type the number %(id)s to confirm.") % {"id": run.pk},
                code="confirm_needed",
                field="confirm",
            )
        held = run.undo if run.status == ImportStatus.UNDO_FAILED else {}
        state = {
            "cursor": held.get("cursor", 0),
            "done": held.get("done", 0),
            "people": ImportMember.objects.filter(run_id=run.pk).count(),
            "figures": held.get("figures", {}),
            "until": held.get("until") or (run.finished_at or now).isoformat(),
            "by": str(actor),
            "started_at": held.get("started_at") or now.isoformat(),
        }
        run = imports.move(
            run, ImportStatus.UNDOING, actor=actor, now=now, undo=state, claims=0, claim_token=None,
            leased_until=None, error="", finished_at=run.finished_at or now,
        )  # fmt: skip
        jobs.wake(imports.TASK, run=run.pk)
    return run


def go(run: ImportRun, *, now: datetime, until: float, lease: float) -> bool | None:
    """Work on a claimed run. True when there is more to do, None when the claim was lost."""
    while True:
        more = _chunk(run, now=now, lease=lease)
        if more is None or not more:
            return more
        if time.monotonic() > until or jobs.is_stopping():
            ImportRun.objects.filter(pk=run.pk, claim_token=run.claim_token).update(leased_until=None)
            return True


@retry.on_conflict
def _chunk(run: ImportRun, *, now: datetime, lease: float) -> bool | None:
    """One transaction: some people, and the place. False when it is through."""
    actor = Actor.parse(run.undo["by"])
    with transaction.atomic():
        state = dict(run.undo)
        members = ImportMember.objects.filter(run_id=run.pk, profile_id__gt=state["cursor"]).order_by(
            "profile_id"
        )
        ids = list(members.values_list("profile_id", flat=True)[:CHUNK])
        if ids:
            profiles.lock_roots(ids)
            found = decide(run, ids, now=now)
            _take_back(run, found, actor=actor, now=now)
            figures: Counter[str] = Counter(state["figures"])
            figures.update(found.figures)
            state |= {"cursor": ids[-1], "done": state["done"] + len(ids), "figures": dict(figures)}
        held = hotpath.fetch(
            "UPDATE crm_importrun SET undo = %s::jsonb, claims = 0,"
            " leased_until = clock_timestamp() + make_interval(secs => %s)"
            " WHERE id = %s AND status = 'undoing' AND claim_token = %s RETURNING 1",
            [orjson.dumps(state).decode(), lease, run.pk, run.claim_token],
        )
        if not held:
            transaction.set_rollback(True)
            return None
        run.undo = state
        if ids:
            return True
        state["finished_at"] = now.isoformat()
        fresh = ImportRun.objects.get(pk=run.pk)
        imports.move(
            fresh,
            ImportStatus.UNDONE,
            actor=actor,
            now=now,
            undo=state,
            claim_token=None,
            leased_until=None,
            error="",
        )
        reactions.publish("crm.import.undone", [run.pk], now=now)
    return False


def decide(run: ImportRun, members: Sequence[int], *, now: datetime) -> Found:
    """What of these people's is still what the list said. A bounded number of reads, whatever their number."""
    found = Found()
    root_of = people.roots(members)
    sets = people.id_sets(set(root_of.values()))
    everybody = sorted({ident for ids in sets.values() for ident in ids})
    rows = {row.pk: row for row in Profile.objects.filter(pk__in=everybody)}
    new = set(
        ImportMember.objects.filter(run_id=run.pk, profile_id__in=members, is_new=True).values_list(
            "profile_id", flat=True
        )
    )
    window = (run.started_at, _until(run))
    identities = Identity.objects.filter(profile_id__in=everybody)
    contacts = ContactPoint.objects.filter(profile_id__in=everybody)
    own_identities = _by_profile(
        identities.filter(source_id=run.source_id, created_at__range=window, verified_at=None)  # type: ignore[misc]
    )
    own_contacts = _by_profile(
        contacts.filter(
            origin__in=(Origin.IMPORT, Origin.IMPORT_WITH_EVIDENCE),
            created_at__range=window,
            verified_at=None,
        )
    )
    all_identities, all_contacts = _counts(identities), _counts(contacts)
    given = _own_consents(run, everybody)
    alive = _with_a_life(run, everybody, consents={row.pk for row in given.values()}, now=now)
    for root_id in sorted(sets):
        ids, root = sets[root_id], rows[root_id]
        if root.erased_at is not None:
            found.figures["erased"] += 1
            continue
        found.figures["people"] += 1
        stems = {ident: _stemming(run, rows[ident]) for ident in ids}
        found.consents += [given[key] for key in given if key[0] in ids]
        mine = [row for ident in ids for row in own_contacts[ident]]
        known = [row for ident in ids for row in own_identities[ident]]
        is_alone = (
            ids == [root_id]
            and root_id in new
            and root_id not in alive
            and len(stems[root_id]) == len(root.value_sources)
            and len(known) == all_identities[root_id]
            and len(mine) == all_contacts[root_id]
        )
        if is_alone:
            found.gone.append(root_id)
            found.figures["gone"] += 1
            continue
        if root_id in new or any(ident in new for ident in ids):
            found.figures["kept"] += 1
        found.values |= {ident: stems[ident] for ident in ids if stems[ident]}
        found.figures["values"] += len(stems[root_id])
        found.contacts += [row.pk for row in mine]
        found.figures["contacts"] += len(mine)
        if alive & set(ids):
            # They may have been found by it since; without it they would be two people tomorrow.
            found.figures["identities_kept"] += len(known)
        else:
            found.identities += [row.pk for row in known]
            found.figures["identities"] += len(known)
    found.figures["consents"] += len(found.consents)
    return found


def _until(run: ImportRun) -> datetime:
    """The end of the run, and a little more: a chunk may have been stamped just before."""
    stamp = run.undo.get("until")
    end = datetime.fromisoformat(stamp) if stamp else run.finished_at
    return (end or datetime.max.replace(tzinfo=run.created_at.tzinfo) - timedelta(days=1)) + timedelta(
        minutes=1
    )


def _by_profile(rows: QuerySet[Any]) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        found[row.profile_id].append(row)
    return found


def _counts(rows: QuerySet[Any]) -> Counter[int]:
    return Counter(rows.values_list("profile_id", flat=True))


def _stemming(run: ImportRun, row: Profile) -> list[str]:
    """The values of a profile that this run wrote and nobody since: by the source of the list, as of its start."""
    assert run.started_at is not None
    by, at = f"source:{run.source_id}", run.started_at.isoformat()
    return [
        name
        for name, held in row.value_sources.items()
        if isinstance(held, dict) and held.get("by") == by and held.get("at") == at
    ]


def _own_consents(run: ImportRun, ids: Sequence[int]) -> dict[tuple[int, str, str], ConsentRecord]:
    """Each yes of this run that is still the last word of its profile on purpose and channel."""
    newest = (
        ConsentRecord.objects.filter(profile_id__in=ids)
        .order_by("profile_id", "purpose", "channel", "-occurred_at", "-pk")
        .distinct("profile_id", "purpose", "channel")
    )
    return {
        (row.profile_id, row.purpose, row.channel): row
        for row in newest
        if row.granted and row.evidence.get("import") == run.pk
    }


def _with_a_life(run: ImportRun, ids: Sequence[int], *, consents: set[int], now: datetime) -> set[int]:
    """Those of the ids about whom anything else is known: something happened, another list has them, something refers
    to them, or they decided something themselves."""
    assert run.started_at is not None
    found = set(
        Profile.objects.filter(pk__in=ids, last_seen_at__gte=run.started_at).values_list("pk", flat=True)
    )
    new_here = ImportMember.objects.filter(run_id=run.pk, profile_id__in=ids, is_new=True)
    found |= set(
        Profile.objects.filter(pk__in=new_here.values("profile_id"), first_seen_at__isnull=False).values_list(
            "pk", flat=True
        )
    )
    others = ImportMember.objects.filter(profile_id__in=ids).exclude(run_id=run.pk)
    found |= set(others.values_list("profile_id", flat=True))
    decided = ConsentRecord.objects.filter(profile_id__in=ids).exclude(pk__in=consents)
    found |= {
        row.profile_id
        for row in decided.only("profile_id", "evidence")
        if run.pk not in (row.evidence.get("import"), row.evidence.get("undone_import"))
    }
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT profile_id FROM crm_touchpoint WHERE profile_id = ANY(%s) AND occurred_at >= %s"
            " AND occurred_at <= %s AND kind NOT LIKE 'crm.%%'",
            [list(ids), run.started_at, now + timedelta(days=31)],
        )
        found |= {profile_id for (profile_id,) in cursor.fetchall()}
    for model, column in _referring():
        held = (
            model._default_manager.filter(**{f"{column}__in": ids}).values_list(column, flat=True).distinct()
        )
        found |= set(held)
    return found


def _referring() -> Iterable[tuple[Any, str]]:
    """Every table of any app with a foreign key to people: what stands there is part of somebody's life."""
    for relation in Profile._meta.get_fields(include_hidden=True):
        if not (relation.auto_created and (relation.one_to_many or relation.one_to_one)):
            continue
        model = relation.related_model
        if model in _NOT_A_LIFE or model._meta.proxy or not model._meta.managed or hasattr(model, "pgh_id"):  # type: ignore[union-attr]
            continue
        yield model, relation.field.attname  # type: ignore[union-attr]


def _take_back(run: ImportRun, found: Found, *, actor: Actor, now: datetime) -> None:
    """Write what was decided. The roots are locked."""
    ConsentRecord.objects.bulk_create(
        [
            ConsentRecord(
                profile_id=row.profile_id, purpose=row.purpose, channel=row.channel, granted=False,
                way=ConsentWay.IMPORT, text_version=row.text_version, language=row.language, actor=str(actor),
                evidence={"undone_import": run.pk, "withdraws": row.pk}, occurred_at=now,
            )
            for row in found.consents
        ]
    )  # fmt: skip
    Identity.objects.filter(pk__in=found.identities).delete()
    ContactPoint.objects.filter(pk__in=found.contacts).delete()
    _empty(found.values)
    _bury(found.gone, actor=actor, now=now)
    touched = {row.profile_id for row in found.consents} | set(found.values)
    changes.tell(sorted(touched - set(found.gone)), now=now)


def _empty(values: dict[int, list[str]]) -> None:
    rows = list(Profile.objects.select_for_update(no_key=True).filter(pk__in=values).order_by("pk"))
    for row in rows:
        for name in values[row.pk]:
            row.value_sources.pop(name, None)
            if name.startswith("traits."):
                row.traits.pop(name.removeprefix("traits."), None)
            elif name in EMPTY:
                setattr(row, name, EMPTY[name])
        row.name_sort = names.sort_key(row.display_name)
        row.search_tokens = names.tokens(row.display_name, row.family_name, row.given_name)
    Profile.objects.bulk_update(rows, [*EMPTY, "name_sort", "search_tokens", "traits", "value_sources"])


def _bury(ids: list[int], *, actor: Actor, now: datetime) -> None:
    """Nothing is left of them but a number. Their addresses are free to come again."""
    if not ids:
        return
    Profile.objects.filter(pk__in=ids).update(
        erased_at=now, name_sort="", search_tokens=[], traits={}, value_sources={}, **EMPTY
    )
    Identity.objects.filter(profile_id__in=ids).delete()
    ContactPoint.objects.filter(profile_id__in=ids).delete()
    ComputedValue.objects.filter(profile_id__in=ids).delete()
    for about in ("first_id__in", "second_id__in"):
        MergeSuggestion.objects.filter(**{about: ids}, status=SuggestionStatus.OPEN).update(
            status=SuggestionStatus.DISMISSED, decided_at=now, decided_by=str(actor)
        )
    segment_members.forget(ids, now=now)
    for ident in ids:
        actionlog.write(actor, "crm.profile.taken_back", ("crm.profile", ident), now=now)
    reactions.publish("crm.profile.erased", ids, now=now)
