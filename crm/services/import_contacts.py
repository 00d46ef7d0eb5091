"""One chunk of a list of people, decided and written at once.

Who a row is about is decided as at the door, with one difference: a list never joins two people who are known. Such
a row is refused and suggested to staff. Newcomers are written by COPY straight into their tables; people we know go
through the services of the door, under their locks. Everything of a chunk is one transaction, of which the cursor of
the run is a part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any

import orjson
from django.db import IntegrityError

from crm import names
from crm.kernel.actors import Actor
from crm.models import MergeSuggestion
from crm.selectors import rules
from crm.services import hotpath, identity, retry, traits
from crm.services.import_rows import Draft, Identifier, Problem
from crm.states import ConsentWay, Origin, Purpose, Trust

PROFILE_COLUMNS = (
    "id, display_name, family_name, given_name, name_sort, search_tokens, language, time_zone, birthday, country,"
    " region, traits, value_sources, created_at"
)


@dataclass(frozen=True, slots=True)
class Job:
    """What a chunk needs to know of its run. `stamp` is when what the list says holds."""

    run_id: int
    source_id: int
    source_name: str
    actor: Actor
    stamp: datetime
    trigger: bool
    tie_strength: str
    replaces: bool
    has_evidence: bool
    evidence: str
    text_version: str
    agreed_at: datetime

    @property
    def trust(self) -> str:
        """How far the values of the list are believed."""
        return Trust.SERVER.value if self.replaces else "import"


@dataclass(slots=True)
class Person:
    """Somebody of this chunk: a live root, or (id 0) a newcomer, with all their rows."""

    root_id: int
    row: int
    drafts: list[Draft] = field(default_factory=list)
    identifiers: list[Identifier] = field(default_factory=list)
    missing: list[Identifier] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    decisions: dict[tuple[str, str], tuple[bool, int]] = field(default_factory=dict)
    was_seen: bool = False


@dataclass(slots=True)
class Plan:
    """What is to be done with a chunk, and the figures of it."""

    newcomers: list[Person] = field(default_factory=list)
    known: list[Person] = field(default_factory=list)
    rejects: list[tuple[int, str, str, str, bool]] = field(default_factory=list)
    suggestions: dict[tuple[int, int], str] = field(default_factory=dict)
    counters: Counter[str] = field(default_factory=Counter)


def plan(
    drafts: Sequence[Draft],
    *,
    owners: dict[Identifier, int],
    counts: dict[int, Counter[str]],
    seen: Iterable[int],
    barred: dict[str, str],
    held: dict[tuple[int, str, str], bool],
) -> Plan:
    """Decide every row in its order. `owners`: who holds an identifier (live roots, or in a dry run the negative
    number of the row that brought them). `seen`: those whom an earlier row of this list named. `barred`: address
    hash -> reason. `held`: the newest decision per person, purpose and channel."""
    result = Plan()
    figures = result.counters
    people: dict[int, Person] = {}
    known_to_list = set(seen)
    for draft in drafts:
        figures["rows"] += 1
        if not draft.refused:
            person = _person_of(draft, owners, people, known_to_list, barred, result)
        if draft.refused:
            figures["rejected"] += 1
            figures[f"reject:{draft.refused}"] += 1
            result.rejects.append((draft.number, draft.column, draft.refused, draft.excerpt, True))
            continue
        if person.drafts or person.was_seen:
            figures["duplicates"] += 1
        person.drafts.append(draft)
        _attach(draft, person, owners, counts)
        _decide(draft, person, held)
        for problem in draft.problems:
            figures["values_left_out"] += 1
            figures[f"value:{problem.code}"] += 1
            result.rejects.append((draft.number, problem.column, problem.code, problem.excerpt, False))
    for person in people.values():
        (result.known if person.root_id > 0 else result.newcomers).append(person)
        if person.was_seen:
            continue
        figures["matched" if person.root_id > 0 else "created"] += 1
        for channel in _reachable(person, barred, held):
            figures[f"contactable:{channel}"] += 1
    return result


def _person_of(
    draft: Draft,
    owners: dict[Identifier, int],
    people: dict[int, Person],
    known_to_list: set[int],
    barred: dict[str, str],
    result: Plan,
) -> Person:
    """Whose row this is; sets `refused` when it is nobody's or two people's."""
    found: list[int] = []
    for pair in draft.identifiers:
        owner = owners.get(pair)
        if owner is not None and owner not in found:
            found.append(owner)
    if len(found) > 1:
        draft.refused = "conflict"
        draft.excerpt = " + ".join(value for _kind, value in draft.identifiers)[:80]
        live = sorted(owner for owner in found if owner > 0)
        for second in live[1:]:
            reason = "+".join(kind for kind, _value in draft.identifiers)[:80]
            result.suggestions[live[0], second] = reason
        return Person(0, draft.number)
    if not found:
        for channel, value in draft.addresses:
            if barred.get(hash_of(channel, value)) == "erased":
                draft.refused, draft.excerpt = "erased", ""
                return Person(0, draft.number)
    key = found[0] if found else -draft.number
    person = people.get(key)
    if person is None:
        person = people[key] = Person(max(key, 0), draft.number, was_seen=key in known_to_list)
        if key < 0 and found:
            person.row = -key
    return person


def _attach(
    draft: Draft, person: Person, owners: dict[Identifier, int], counts: dict[int, Counter[str]]
) -> None:
    """Give the row's new identifiers to its person, as far as the limits allow."""
    if not person.counts and person.root_id in counts:
        person.counts = counts[person.root_id]
    for pair in draft.identifiers:
        if pair in owners:
            continue
        kind = pair[0]
        if person.counts[kind] >= rules.rule(kind).limit:
            draft.problems.append(Problem("", "identity_limit", f"{kind}"))
            continue
        owners[pair] = person.root_id if person.root_id > 0 else -person.row
        person.counts[kind] += 1
        person.missing.append(pair)


def _decide(draft: Draft, person: Person, held: dict[tuple[int, str, str], bool]) -> None:
    """Collect decisions: a no always counts, a yes only where nothing was decided before."""
    for (purpose, channel), granted in draft.decisions.items():
        before = held.get((person.root_id, purpose, channel)) if person.root_id else None
        if (purpose, channel) in person.decisions:
            before = person.decisions[purpose, channel][0]
        if granted and before is False:
            draft.problems.append(Problem("", "withdrawn", f"{purpose}/{channel}"))
        elif before is not granted:
            person.decisions[purpose, channel] = (granted, draft.number)


def _reachable(person: Person, barred: dict[str, str], held: dict[tuple[int, str, str], bool]) -> list[str]:
    """On which channels this list makes or finds a person contactable for marketing."""
    purpose = Purpose.MARKETING.value
    found = []
    for channel in sorted({channel for draft in person.drafts for channel, _value in draft.addresses}):
        before = held.get((person.root_id, purpose, channel), False) if person.root_id > 0 else False
        granted = person.decisions[purpose, channel][0] if (purpose, channel) in person.decisions else before
        addresses = {value for draft in person.drafts for at, value in draft.addresses if at == channel}
        if granted and not any(hash_of(channel, value) in barred for value in addresses):
            found.append(channel)
    return ["any", *found] if found else []


# -- reading what is there


def look_up(drafts: Sequence[Draft]) -> dict[Identifier, int]:
    """The live root of each identifier of the chunk that somebody holds."""
    wanted = sorted({pair for draft in drafts if not draft.refused for pair in draft.identifiers})
    rows = hotpath.fetch(
        """
        SELECT i.kind, i.value, COALESCE(p.merged_into_id, p.id)
          FROM unnest(%s::text[], %s::text[]) AS k(kind, value)
          JOIN crm_identity i ON i.kind = k.kind AND i.value = k.value
          JOIN crm_profile p ON p.id = i.profile_id
        """,
        [hotpath.array([kind for kind, _value in wanted]), hotpath.array([value for _kind, value in wanted])],
    )
    return {(kind, value): root_id for kind, value, root_id in rows}


def lock(owners: dict[Identifier, int], drafts: Sequence[Draft]) -> None:
    """Lock the people of the chunk in id order. Raises Raced when somebody moved meanwhile."""
    ids = sorted(set(owners.values()))
    if not ids:
        return
    hotpath.fetch("SELECT id FROM crm_profile WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE", [ids])
    if look_up(drafts) != owners:
        raise retry.Raced


def count_identifiers(drafts: Sequence[Draft], owners: dict[Identifier, int]) -> dict[int, Counter[str]]:
    """How many identifiers of each kind those people have who are about to get more."""
    ids = set()
    for draft in drafts:
        found = [owners[pair] for pair in draft.identifiers if pair in owners]
        if found and found[0] > 0 and len(found) < len(draft.identifiers):
            ids.update(found)
    counts: dict[int, Counter[str]] = {ident: Counter() for ident in ids}
    if ids:
        rows = hotpath.fetch(
            """
            SELECT COALESCE(p.merged_into_id, p.id), i.kind, count(*)
              FROM crm_profile p JOIN crm_identity i ON i.profile_id = p.id
             WHERE p.id = ANY(%(ids)s) OR p.merged_into_id = ANY(%(ids)s) GROUP BY 1, 2
            """,
            {"ids": sorted(ids)},
        )
        for root_id, kind, number in rows:
            counts[root_id][kind] = number
    return counts


def barred_addresses(drafts: Sequence[Draft]) -> dict[str, str]:
    """Those address hashes of the chunk that are not written marketing to, with the reason."""
    hashes = {hash_of(*address) for draft in drafts if not draft.refused for address in draft.addresses}
    rows = hotpath.fetch(
        "SELECT value_hash, min(reason) FILTER (WHERE reason = 'erased'), min(reason) FROM crm_suppression"
        " WHERE value_hash = ANY(%s::text[]) AND purpose IN ('', %s) GROUP BY 1",
        [hotpath.array(sorted(hashes)), Purpose.MARKETING.value],
    )
    return {value_hash: erased or reason for value_hash, erased, reason in rows}


def held_decisions(
    drafts: Sequence[Draft], owners: dict[Identifier, int]
) -> dict[tuple[int, str, str], bool]:
    """The decision in force per known person, purpose and channel; a no of any id of theirs wins. Where the last word
    is ours, for a list was taken back, nothing is decided."""
    ids = sorted({owners[pair] for draft in drafts for pair in draft.identifiers if owners.get(pair, 0) > 0})
    if not ids:
        return {}
    rows = hotpath.fetch(
        """
        SELECT root_id, purpose, channel, bool_and(granted) FROM (
            SELECT DISTINCT ON (c.profile_id, c.purpose, c.channel)
                   COALESCE(p.merged_into_id, p.id) AS root_id, c.purpose, c.channel, c.granted,
                   c.evidence ? 'undone_import' AS is_ours
              FROM crm_profile p JOIN crm_consentrecord c ON c.profile_id = p.id
             WHERE p.id = ANY(%(ids)s) OR p.merged_into_id = ANY(%(ids)s)
             ORDER BY c.profile_id, c.purpose, c.channel, c.occurred_at DESC, c.id DESC) AS newest
         WHERE NOT is_ours GROUP BY 1, 2, 3
        """,
        {"ids": ids},
    )
    return {(root_id, purpose, channel): granted for root_id, purpose, channel, granted in rows}


def hash_of(channel: str, value: str) -> str:
    """The hash of an address, as in crm.addresses, which remembers only a few."""
    return sha256(f"{channel}:{value}".encode()).hexdigest()


# -- writing


def write(drafts: Sequence[Draft], job: Job, *, now: datetime) -> Plan:
    """Write one chunk; call it inside the transaction that moves the cursor. Raises Raced to be called again."""
    owners = look_up(drafts)
    lock(owners, drafts)
    members = _members(job.run_id, set(owners.values()))
    found = plan(
        drafts,
        owners=dict(owners),
        counts=count_identifiers(drafts, owners),
        seen=members,
        barred=barred_addresses(drafts),
        held=held_decisions(drafts, owners),
    )
    if found.newcomers:
        _make(found.newcomers, job, now=now)
    if found.known:
        _add_to(found.known, job, now=now)
    note(found, job)
    return found


def _members(run_id: int, ids: set[int]) -> list[int]:
    if not ids:
        return []
    rows = hotpath.fetch(
        "SELECT profile_id FROM crm_importmember WHERE run_id = %s AND profile_id = ANY(%s)",
        [run_id, sorted(ids)],
    )
    return [profile_id for (profile_id,) in rows]


def _make(people: list[Person], job: Job, *, now: datetime) -> None:
    """COPY newcomers with everything they bring. A unique violation means that the door was faster: Raced."""
    hotpath.fetch("SELECT pg_advisory_xact_lock_shared(%s)", [identity.MAKING_LOCK])
    rows = hotpath.fetch("SELECT nextval('crm_profile_id_seq') FROM generate_series(1, %s)", [len(people)])
    for person, (ident,) in zip(people, rows, strict=True):
        person.root_id = ident
    moment, stamp = now.isoformat(), _stamp(job)
    identities: list[tuple[str, str, int]] = []
    contacts: list[str] = []
    lines: list[str] = []
    for person in people:
        typed, free = _values_of(person, job)
        ident = person.root_id
        display, family, given = (
            typed.get("display_name", ""), typed.get("family_name", ""), typed.get("given_name", "")
        )  # fmt: skip
        sort, tokens = _name_columns(display, family, given)
        stamped = [f'"{name}":{stamp}' for name in typed]
        stamped += [f"{orjson.dumps(f'traits.{name}').decode()}:{stamp}" for name in free]
        lines.append(
            f"{ident}\t{_escape(display)}\t{_escape(family)}\t{_escape(given)}\t{sort}\t{tokens}\t"
            f"{typed.get('language', '')}\t{typed.get('time_zone', '')}\t{typed.get('birthday', chr(92) + 'N')}\t"
            f"{typed.get('country', '')}\t{_escape(typed.get('region', ''))}\t"
            f"{_escape(orjson.dumps(free).decode())}\t{_escape('{' + ','.join(stamped) + '}')}\t{moment}\n"
        )
        identities.extend((kind, value, ident) for kind, value in person.missing)
        origin = _origin(person, job)
        taken: set[tuple[str, str]] = set()
        primary: set[str] = set()
        for draft in person.drafts:
            for channel, value in draft.addresses:
                if (channel, value) not in taken:
                    taken.add((channel, value))
                    contacts.append(
                        f"{ident}\t{channel}\t{_escape(value)}\t{hash_of(channel, value)}\t{origin}\t"
                        f"{'f' if channel in primary else 't'}\t{moment}\n"
                    )
                    primary.add(channel)
    identities.sort()
    _copy(f"crm_profile ({PROFILE_COLUMNS})", lines)
    try:
        _copy(
            "crm_identity (kind, value, profile_id, source_id, created_at)",
            [
                f"{kind}\t{_escape(value)}\t{ident}\t{job.source_id}\t{moment}\n"
                for kind, value, ident in identities
            ],
        )
    except IntegrityError:
        raise retry.Raced from None
    _copy(
        "crm_contactpoint (profile_id, channel, value, value_hash, origin, is_primary, created_at)", contacts
    )
    _copy_consents(people, job)
    _copy(
        "crm_importmember (run_id, profile_id, row, is_new)",
        [f"{job.run_id}\t{person.root_id}\t{person.row}\tt\n" for person in people],
    )


def _add_to(people: list[Person], job: Job, *, now: datetime) -> None:
    """Give people we know what the list says, through the services of the door. Their locks are held."""
    pairs = sorted((*pair, person.root_id) for person in people for pair in person.missing)
    if pairs:
        hotpath.fetch("SELECT pg_advisory_xact_lock_shared(%s)", [identity.MAKING_LOCK])
        made = hotpath.fetch(
            """
            INSERT INTO crm_identity (kind, value, profile_id, source_id, created_at)
            SELECT kind, value, id, %s, %s FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS t(kind, value, id)
             ORDER BY kind, value ON CONFLICT (kind, value) DO NOTHING RETURNING 1
            """,
            [
                job.source_id, now, hotpath.array([pair[0] for pair in pairs]),
                hotpath.array([pair[1] for pair in pairs]), hotpath.array([pair[2] for pair in pairs]),
            ],
        )  # fmt: skip
        if len(made) != len(pairs):
            raise retry.Raced
    gifts, ties = [], []
    for person in people:
        for draft in person.drafts:
            if draft.typed or draft.free:
                gifts.append(traits.Gift(person.root_id, job.stamp, {**draft.free, **draft.typed}, {}))
        ties.append(traits.Gift(person.root_id, job.stamp, {"tie_strength": job.tie_strength}, {}))
    by = Actor("source", str(job.source_id))
    if gifts:
        traits.merge(gifts, trust=job.trust, actor=by, now=now, quiet=not job.trigger)
    # How close somebody is known to be is never replaced by the word of a list.
    traits.merge(ties, trust="import", actor=by, now=now, quiet=not job.trigger)
    _add_addresses(people, job, now=now)
    _copy_consents(people, job)
    hotpath.fetch(
        "INSERT INTO crm_importmember (run_id, profile_id, row, is_new)"
        " SELECT %s, id, row, false FROM unnest(%s::bigint[], %s::bigint[]) AS t(id, row) ORDER BY id"
        " ON CONFLICT DO NOTHING",
        [
            job.run_id, hotpath.array([person.root_id for person in people]),
            hotpath.array([person.row for person in people]),
        ],
    )  # fmt: skip


def _add_addresses(people: list[Person], job: Job, *, now: datetime) -> None:
    """Insert addresses; evidence lifts the origin of an address that came without."""
    found = {
        (person.root_id, channel, value): _origin(person, job)
        for person in people
        for draft in person.drafts
        for channel, value in draft.addresses
    }
    if not found:
        return
    keys = sorted(found)
    hotpath.fetch(
        """
        INSERT INTO crm_contactpoint AS c
               (profile_id, channel, value, value_hash, origin, is_primary, created_at)
        SELECT t.id, t.channel, t.value, t.hash, t.origin,
               row_number() OVER (PARTITION BY t.id, t.channel ORDER BY t.value) = 1
               AND NOT EXISTS (SELECT 1 FROM crm_contactpoint o WHERE o.profile_id = t.id
                                  AND o.channel = t.channel AND o.is_primary), %(now)s
          FROM unnest(%(ids)s::bigint[], %(channels)s::text[], %(values)s::text[], %(hashes)s::text[],
                      %(origins)s::text[]) AS t(id, channel, value, hash, origin)
         ORDER BY t.id, t.channel, t.value
        ON CONFLICT (profile_id, channel, value) DO UPDATE SET origin = EXCLUDED.origin
         WHERE EXCLUDED.origin = 'import_with_evidence' AND c.origin IN ('import', 'browser', 'form')
        """,
        {
            "now": now,
            "ids": hotpath.array([key[0] for key in keys]),
            "channels": hotpath.array([key[1] for key in keys]),
            "values": hotpath.array([key[2] for key in keys]),
            "hashes": hotpath.array([hash_of(key[1], key[2]) for key in keys]),
            "origins": hotpath.array([found[key] for key in keys]),
        },
    )


def _copy_consents(people: list[Person], job: Job) -> None:
    version, actor, moment = _escape(job.text_version), str(job.actor), job.agreed_at.isoformat()
    lines = []
    for person in people:
        for (purpose, channel), (granted, row) in person.decisions.items():
            proof = {
                "import": job.run_id,
                "row": row,
                "source": job.source_name,
                "evidence": job.evidence[:300],
            }
            lines.append(
                f"{person.root_id}\t{purpose}\t{channel}\t{'t' if granted else 'f'}\t{ConsentWay.IMPORT.value}\t"
                f"{version}\t{_escape(orjson.dumps(proof).decode())}\t{actor}\t{moment}\n"
            )
    _copy(
        "crm_consentrecord (profile_id, purpose, channel, granted, way, text_version, evidence, actor, occurred_at)",
        lines,
    )


def note(found: Plan, job: Job) -> None:
    """Write down what was left out, and pairs of people who may be one."""
    _copy(
        'crm_importreject (run_id, row, "column", code, excerpt, whole_row)',
        [
            f"{job.run_id}\t{row}\t{_escape(column[:200])}\t{code}\t{_escape(excerpt)}\t{'t' if whole else 'f'}\n"
            for row, column, code, excerpt, whole in found.rejects
        ],
    )
    if found.suggestions:
        MergeSuggestion.objects.bulk_create(
            [
                MergeSuggestion(first_id=first, second_id=second, reason=reason, source_id=job.source_id)
                for (first, second), reason in sorted(found.suggestions.items())
            ],
            ignore_conflicts=True,
        )


def _copy(target: str, lines: list[str]) -> None:
    if lines:
        with hotpath.copy(f"COPY {target} FROM STDIN") as stream:
            stream.write("".join(lines))


def _values_of(person: Person, job: Job) -> tuple[dict[str, Any], dict[str, Any]]:
    """Typed values and traits of a newcomer: of several rows the last word counts."""
    first = person.drafts[0]
    if len(person.drafts) == 1:
        typed, free = first.typed, first.free
    else:
        typed, free = {}, {}
        for draft in person.drafts:
            typed |= draft.typed
            free |= draft.free
    return typed, {**free, "tie_strength": job.tie_strength}


def _origin(person: Person, job: Job) -> str:
    """Evidence vouches for an address only where somebody agreed to something."""
    vouched = job.has_evidence and any(granted for granted, _row in person.decisions.values())
    return Origin.IMPORT_WITH_EVIDENCE.value if vouched else Origin.IMPORT.value


def _stamp(job: Job) -> str:
    """Where a value comes from, as the door writes it."""
    return orjson.dumps(
        {"by": f"source:{job.source_id}", "trust": job.trust, "at": job.stamp.isoformat()}
    ).decode()


@lru_cache(maxsize=30_000)
def _name_columns(display: str, family: str, given: str) -> tuple[str, str]:
    """Sort key and search tokens of a name, as COPY wants them. Lists repeat names, so it pays to remember."""
    if not (display or family or given):
        return "", "{}"
    tokens = ",".join(names.tokens(display, family, given))
    return _escape(names.sort_key(display)), "{" + tokens + "}"


def _escape(text: str) -> str:
    """Text as COPY wants it."""
    if "\\" in text:
        text = text.replace("\\", "\\\\")
    if "\n" in text or "\t" in text or "\r" in text:
        text = text.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    return text
