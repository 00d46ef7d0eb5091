"""Erasure: a person's data goes, a tombstone and a certificate stay.

In force at one commit: under the lock of the root the tombstone is set, addresses are suppressed by hash, and what
identifies the person goes; from then on nothing is sent and nobody finds them. What is left, however much, is
emptied by the registered erasers in short transactions of their own: a killed worker goes on where it was. The
certificate says by number what went, and what stays and why; its hash is sealed into the log of actions.

A person asks for themselves and has a grace period. Staff ask and somebody else agrees, or who may erase types the
number of the person.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection, transaction
from django.utils import translation
from django.utils.translation import gettext as _

from crm import privacy_registry
from crm.addresses import address_hash
from crm.kernel import actionlog, jobs, knobs, reactions
from crm.kernel.actors import Actor
from crm.kernel.errors import Conflict, NotFound, Refused
from crm.models import ContactPoint, Erasure, Identity, MergeRecord, Profile
from crm.privacy_registry import Subject
from crm.selectors import profiles as profile_selectors
from crm.selectors import rules
from crm.services import choices, profiles, retry, suppressions
from crm.states import ErasureStatus, SuppressionReason

logger = logging.getLogger(__name__)

TASK: Final = "crm.work_erasures"
LEASE: Final = timedelta(minutes=10)
BATCH: Final = 1000
# Events that were on their way when the tombstone was set are looked for this long afterwards.
SECOND_LOOK: Final = timedelta(days=2)
MOST_SHADOWS: Final = 200
OPEN: Final = (ErasureStatus.REQUESTED, ErasureStatus.SCHEDULED, ErasureStatus.RUNNING)
CHANNEL_OF: Final = (("email", "email"), ("phone", "sms"))


@retry.on_conflict
def request(profile_id: int, *, actor: Actor, now: datetime, needs_approval: bool) -> Erasure:
    """Ask for an erasure. A person's own wish is scheduled after the grace period, in which nothing is sent to them;
    that of staff waits for somebody else (`needs_approval`) or runs at once. Asking again returns the open one.

    Raises NotFound, Gone (erased already).
    """
    with transaction.atomic():
        locked = profiles.lock_roots([profile_id])
        if profile_id not in locked:
            raise NotFound(_("There is no such person."))
        root = locked[profile_id]
        profiles.refuse_erased(root)
        held = _open_of(root.pk)
        if held is not None:
            return held
        is_own = actor.kind == "person"
        grace = timedelta(days=knobs.get("crm.erasure_grace_days")) if is_own else timedelta()
        row = Erasure.objects.create(
            profile_id=root.pk,
            status=ErasureStatus.REQUESTED if needs_approval else ErasureStatus.SCHEDULED,
            requested_by=str(actor),
            requested_at=now,
            due_at=None if needs_approval else now + grace,
        )
        if is_own:
            choices.pause(root.pk, days=grace.days + 1, actor=actor, now=now)
        actionlog.write(actor, "crm.erasure.requested", row, now=now)
        reactions.publish("crm.erasure.requested", [row.pk], now=now)
        if not needs_approval and not grace:
            jobs.wake(TASK)
    row.refresh_from_db()
    return row


def approve(erasure_id: int, *, actor: Actor, now: datetime) -> Erasure:
    """A second person agrees: it runs. Raises NotFound, Conflict `not_waiting`, Refused `four_eyes` for whoever asked
    for it."""
    with transaction.atomic():
        row = _locked(erasure_id)
        if row.status != ErasureStatus.REQUESTED:
            raise Conflict(_("This erasure does not wait for anybody."), code="not_waiting")
        if row.requested_by == str(actor):
            raise Refused(_("Somebody else has to agree: you asked for it yourself."), code="four_eyes")
        _move(row, ErasureStatus.SCHEDULED, approved_by=str(actor), due_at=now)
        actionlog.write(actor, "crm.erasure.approved", row, now=now)
        jobs.wake(TASK)
    return row


def cancel(erasure_id: int, *, actor: Actor, now: datetime) -> Erasure:
    """Nothing was erased yet, and nothing will be. Raises NotFound, Conflict `too_late`."""
    with transaction.atomic():
        row = _locked(erasure_id)
        if row.status not in (ErasureStatus.REQUESTED, ErasureStatus.SCHEDULED):
            raise Conflict(_("It is too late: the data are erased."), code="too_late")
        _move(row, ErasureStatus.CANCELLED, cancelled_at=now)
        if row.requested_by.startswith("person:"):
            choices.resume(row.profile_id, actor=actor, now=now)
        actionlog.write(actor, "crm.erasure.cancelled", row, now=now)
    return row


@retry.on_conflict
def start(profile_id: int, *, actor: Actor, now: datetime) -> Erasure:
    """Erase at once: sets the tombstone in this very transaction and leaves the rest to the worker. Repeating it
    returns the same erasure. Raises NotFound."""
    with transaction.atomic():
        locked = profiles.lock_roots([profile_id])
        if profile_id not in locked:
            raise NotFound(_("There is no such person."))
        root = locked[profile_id]
        if root.erased_at is not None:
            ids = profile_selectors.id_sets([root.pk])[root.pk]
            done = Erasure.objects.filter(profile_id__in=ids).exclude(status=ErasureStatus.CANCELLED)
            found = done.order_by("-pk").first()
            if found is not None:
                return found
        row = _open_of(root.pk)
        if row is None:
            row = Erasure.objects.create(
                profile_id=root.pk,
                status=ErasureStatus.SCHEDULED,
                requested_by=str(actor),
                requested_at=now,
                due_at=now,
            )
            actionlog.write(actor, "crm.erasure.requested", row, now=now)
        if row.status in (ErasureStatus.REQUESTED, ErasureStatus.SCHEDULED):
            _bury(row, root, actor=actor, now=now)
        jobs.wake(TASK)
    return row


def erase(profile_id: int, *, actor: Actor, now: datetime) -> int:
    """Erase the person behind a profile id, to the end. Returns the root id; repeating it changes nothing. Raises
    NotFound.

    Publishes `crm.profile.erased` with all ids of the person.
    """
    row = start(profile_id, actor=actor, now=now)
    # With those who were found to be the same nobody by an address alone: in force by the same commit.
    same_commit = Erasure.objects.filter(status=ErasureStatus.RUNNING, started_at=row.started_at)
    for ident in same_commit.order_by("pk").values_list("pk", flat=True):
        finish(ident, now=now)
    return profile_selectors.roots([profile_id])[profile_id]


def work(*, now: datetime) -> int:
    """Take up one erasure that is due or was left halfway. Returns 0 when there is none."""
    lease_and_now: list[Any] = [LEASE, now]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE crm_erasure SET claims = claims + 1, lease_until = clock_timestamp() + %s
             WHERE id = ANY (ARRAY (
                   SELECT id FROM crm_erasure
                    WHERE (status = 'running' OR (status = 'scheduled' AND due_at <= %s))
                      AND (lease_until IS NULL OR lease_until < clock_timestamp())
                    ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED))
            RETURNING id, profile_id, status, approved_by, requested_by
            """,
            lease_and_now,
        )
        found = cursor.fetchone()
    if found is None:
        return 0
    ident, profile_id, status, approved_by, requested_by = found
    if status == ErasureStatus.SCHEDULED:
        start(profile_id, actor=Actor.parse(approved_by or requested_by), now=now)
    finish(ident, now=now)
    return 1


def finish(erasure_id: int, *, now: datetime) -> Erasure:
    """Run the erasers that are left and write the certificate. Safe to repeat at any point."""
    row = Erasure.objects.get(pk=erasure_id)
    if row.status != ErasureStatus.RUNNING:
        return row
    ids = _all_ids(row.profile_id)
    for eraser in privacy_registry.erasers(early=False):
        while _step(row, eraser, ids, now=now):
            if jobs.is_stopping():
                return row
    with transaction.atomic():
        row = _locked(erasure_id)
        if row.status != ErasureStatus.RUNNING:
            return row
        text = _certificate(row, ids, now=now)
        digest = certificate_hash(text)
        _move(
            row, ErasureStatus.DONE, done_at=now, certificate=text, certificate_hash=digest, lease_until=None
        )
        actor = Actor.parse(row.approved_by or row.requested_by)
        # The log is chained: whoever has the certificate can prove that it is the one that was written.
        actionlog.write(actor, "crm.erasure.done", row, fields=(f"sha256:{digest}",), now=now)
        reactions.publish("crm.erasure.done", [row.pk], now=now)
    return row


def look_again(*, now: datetime) -> int:
    """What was on its way while somebody was erased, and arrived just afterwards, goes as well. Returns the rows."""
    found = 0
    for row in Erasure.objects.filter(status=ErasureStatus.DONE, done_at__gt=now - SECOND_LOOK):
        ids = _all_ids(row.profile_id)
        for eraser in privacy_registry.erasers(early=False):
            while changed := _run(eraser, ids, now=now):
                found += changed
    if found:
        logger.warning("%d rows arrived after their person was erased, and went too", found)
    return found


def certificate_hash(certificate: dict[str, Any]) -> str:
    """SHA-256 of the certificate as canonical JSON: sorted keys, no blanks, UTF-8."""
    text = json.dumps(certificate, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _bury(row: Erasure, root: Profile, *, actor: Actor, now: datetime) -> None:
    """The tombstone and everything that must not outlive it by a moment. Under the lock of the root."""
    ids = profile_selectors.id_sets([root.pk])[root.pk]
    addresses = set(ContactPoint.objects.filter(profile_id__in=ids).values_list("channel", "value_hash"))
    for kind, channel in CHANNEL_OF:
        held = Identity.objects.filter(profile_id__in=ids, kind=kind).values_list("value", flat=True)
        addresses |= {(channel, address_hash(channel, value)) for value in held}
    subject = _subject(root.pk, ids)
    for channel, value_hash in sorted(addresses):
        suppressions.add_hash(
            channel, value_hash, purpose="", reason=SuppressionReason.ERASED, actor=actor, now=now
        )
    # Before the erasers: what may be changed only for an erased person asks the tombstone.
    Profile.objects.filter(pk__in=ids).update(erased_at=now)
    steps = dict(row.steps)
    for eraser in privacy_registry.erasers(early=True):
        steps[eraser.name] = eraser.run(subject, now=now)
    Profile.objects.filter(pk__in=ids).update(
        display_name="", family_name="", given_name="", name_sort="", search_tokens=[], language="",
        time_zone="", birthday=None, birthday_is_lunar=False, country="", region="", traits={}, value_sources={},
    )  # fmt: skip
    steps["crm.profiles"] = len(ids)
    shadows = _shadows(ids, addresses)
    steps["crm.shadows"] = len(shadows)
    _move(row, ErasureStatus.RUNNING, started_at=now, steps={**steps, "crm.suppressions": len(addresses)})
    actionlog.write(actor, "crm.profile.erased", root, now=now)
    reactions.publish("crm.profile.erased", ids, now=now)
    for shadow_id in shadows:
        start(shadow_id, actor=actor, now=now)


def _shadows(ids: list[int], addresses: set[tuple[str, str]]) -> list[int]:
    """Nobody in particular, with one of these addresses: what was typed into a form and never joined a person. Whoever
    has a name of their own (a family with one address) is somebody else."""
    nameless = [kind for kind, rule in rules.in_force().items() if not rule.names_person]
    holders = ContactPoint.objects.filter(value_hash__in=[value_hash for _channel, value_hash in addresses])
    roots = profile_selectors.roots(
        set(holders.values_list("profile_id", flat=True)[:MOST_SHADOWS]) - set(ids)
    )
    found = []
    for root_id, members in sorted(profile_selectors.id_sets(set(roots.values())).items()):
        named = Identity.objects.filter(profile_id__in=members).exclude(kind__in=nameless)
        if root_id not in ids and not named.exists():
            found.append(root_id)
    return found


def _subject(root_id: int, ids: list[int]) -> Subject:
    """Whom the early erasers erase, with every value that could stand somewhere in a text."""
    rows = Profile.objects.filter(pk__in=ids).values_list(
        "public_id", "display_name", "family_name", "given_name"
    )
    public_ids, values = [], set()
    for public_id, *names in rows:
        public_ids.append(str(public_id))
        # A family name alone stands in too many texts about others.
        values |= {name for name in (names[0], names[2]) if _is_telling(name)}
    for changes in MergeRecord.objects.filter(winner_id__in=ids).values_list("changes", flat=True):
        old = changes.get("display_name", {}).get("old") if isinstance(changes, dict) else None
        values |= {old} if isinstance(old, str) and _is_telling(old) else set()
    values |= set(Identity.objects.filter(profile_id__in=ids).values_list("value", flat=True))
    values |= set(ContactPoint.objects.filter(profile_id__in=ids).values_list("value", flat=True))
    found = tuple(sorted((value for value in values if len(value) > 1), key=len, reverse=True))
    return Subject(root_id, tuple(ids), tuple(public_ids), found)


def _is_telling(name: str) -> bool:
    """Long enough not to hit other words: two Chinese characters, or four others."""
    return len(name) >= 4 or (len(name) >= 2 and not name.isascii())


def _step(row: Erasure, eraser: privacy_registry.Eraser, ids: list[int], *, now: datetime) -> int:
    """One batch of one eraser, counted in the same transaction."""
    with transaction.atomic():
        changed = eraser.run(ids, limit=BATCH, now=now)
        if changed or eraser.name not in row.steps:
            locked = Erasure.objects.select_for_update().get(pk=row.pk)
            locked.steps[eraser.name] = locked.steps.get(eraser.name, 0) + changed
            Erasure.objects.filter(pk=row.pk).update(steps=locked.steps)
            row.steps = locked.steps
    return changed


def _run(eraser: privacy_registry.Eraser, ids: list[int], *, now: datetime) -> int:
    with transaction.atomic():
        return eraser.run(ids, limit=BATCH, now=now)


def _certificate(row: Erasure, ids: Sequence[int], *, now: datetime) -> dict[str, Any]:
    """Numbers and ids of tombstones: nothing in it tells who it was."""
    public_ids = Profile.objects.filter(pk__in=ids).order_by("pk").values_list("public_id", flat=True)
    with translation.override("en"):
        kept = [
            {"what": name, "title": str(label), "why": str(why)}
            for name, (label, why) in privacy_registry.kept_things().items()
        ]
        erased = [
            {"what": name, "title": str(privacy_registry.label_of(name)), "rows": rows}
            for name, rows in sorted(row.steps.items())
            if name != "crm.suppressions"
        ]
    return {
        "certificate": "erasure-1",
        "erasure": str(row.public_id),
        "person": [str(public_id) for public_id in public_ids],
        "requested_at": row.requested_at.isoformat(),
        "requested_by": row.requested_by,
        "approved_by": row.approved_by,
        "in_force_at": row.started_at.isoformat() if row.started_at else "",
        "done_at": now.isoformat(),
        "erased": erased,
        "kept": kept,
        "suppressed_addresses": row.steps.get("crm.suppressions", 0),
    }


def _open_of(root_id: int) -> Erasure | None:
    ids = profile_selectors.id_sets([root_id])[root_id]
    return Erasure.objects.filter(profile_id__in=ids, status__in=OPEN).order_by("pk").first()


def _all_ids(profile_id: int) -> list[int]:
    return profile_selectors.ids_of(profile_id)


def _locked(erasure_id: int) -> Erasure:
    """The erasure under the lock of its person. Raises NotFound."""
    row = Erasure.objects.filter(pk=erasure_id).first()
    if row is None:
        raise NotFound(_("There is no such erasure."))
    profiles.lock_roots([row.profile_id])
    row.refresh_from_db()
    return row


def _move(row: Erasure, status: str, **values: Any) -> None:
    """The only writer of the status. Raises Conflict when somebody was faster."""
    if not Erasure.objects.filter(pk=row.pk, status=row.status).update(status=status, **values):
        raise Conflict(_("This erasure has moved on."), code="moved_on")
    row.status = status
    for name, value in values.items():
        setattr(row, name, value)
