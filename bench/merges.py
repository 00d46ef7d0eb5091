"""Identity under commotion: many writers, merges both ways, undos and erasures at once, in processes of their own.

Not a speed but a promise: no event lost, no deadlock that a caller sees, one live profile per identifier. The suite
runs the same with fewer of everything; `python -m bench merges` prints the figures of the full load.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.harness import OWN, Goal, say, servers

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
BATCH = 100


@dataclass(frozen=True)
class Load:
    """How much of everything."""

    writers: int = 8
    events: int = 100_000
    mergers: int = 4
    merges: int = 2_000
    people: int = 20_000
    erasures: int = 60


@dataclass(frozen=True)
class Outcome:
    """What is counted at the end; all but the first three should be nought or nothing."""

    accepted: int
    merges: int
    erasures: int
    lost: int
    errors: dict[str, int]
    astray: list[str]


def write(writer: int, load: Load, source_id: int) -> Counter[str]:
    """One writer: batches of events whose people are anonymous, known, or become known just then."""
    from crm.kernel import actors
    from crm.services import touchpoints

    chance = random.Random(writer)
    source = touchpoints.SourceRef(source_id, "server", "commotion")
    counted: Counter[str] = Counter()
    share = load.events // load.writers
    for start in range(0, share, BATCH):
        events = []
        for number in range(start, min(start + BATCH, share)):
            one = chance.randrange(load.people)
            other = one if chance.random() < 0.98 else chance.randrange(load.people)
            identifiers = chance.choice(
                (
                    [("anonymous_id", f"a-{one}")],
                    [("user_id", f"u-{one}")],
                    [("user_id", f"u-{one}"), ("anonymous_id", f"a-{other}")],
                    [("user_id", f"u-{one}"), ("email", f"{other}@mail.example")],
                )
            )
            events.append(
                touchpoints.Event(
                    "page", NOW - timedelta(minutes=chance.randrange(50_000)), f"{writer}-{number}",
                    identifiers=identifiers,
                )
            )  # fmt: skip
        try:
            result = touchpoints.record(events, source=source, actor=actors.source(source_id), now=NOW)
        except Exception as error:
            counted[f"error {type(error.__cause__ or error).__name__}"] += 1
        else:
            counted["accepted"] += result.accepted
    return counted


def merge(merger: int, load: Load, _source_id: int) -> Counter[str]:
    """One of those who merge: pairs of whoever is there, in both directions, and now and then an undo."""
    from crm.kernel import actors
    from crm.kernel.errors import DomainError
    from crm.models import MergeRecord
    from crm.services import merges

    chance, actor = random.Random(1_000 + merger // 2), actors.system("commotion")
    counted: Counter[str] = Counter()
    wanted = load.merges // load.mergers
    tries = 0
    while counted["merges"] < wanted and tries < 20 * wanted:
        tries += 1
        pair = _two_people(chance)
        if pair is None:
            time.sleep(0.01)
            continue
        # Mergers come in twos with the same pairs: one joins A with B while the other joins B with A.
        one, two = pair if merger % 2 == 0 else pair[::-1]
        try:
            record = merges.merge(one, two, actor=actor, now=NOW)
            counted["merges"] += 1
            if chance.random() < 0.2:
                merges.undo(record.pk, actor=actor, now=NOW)
            elif chance.random() < 0.1:
                known = (
                    MergeRecord.objects.filter(undone_at=None)
                    .order_by("-pk")
                    .values_list("pk", flat=True)[:20]
                )
                merges.undo(chance.choice(list(known) or [record.pk]), actor=actor, now=NOW)
        except DomainError as error:
            counted[f"refused {error.code}"] += 1
        except Exception as error:
            counted[f"error {type(error.__cause__ or error).__name__}"] += 1
    return counted


def erase(eraser: int, load: Load, _source_id: int) -> Counter[str]:
    """The one who erases people while they are merged and written to."""
    from crm.kernel import actors
    from crm.services import erasure

    chance, counted = random.Random(2_000 + eraser), Counter[str]()
    tries = 0
    while counted["erasures"] < load.erasures and tries < 1_000:
        tries += 1
        pair = _two_people(chance)
        if pair is None:
            time.sleep(0.01)
            continue
        try:
            erasure.erase(pair[0], actor=actors.system("commotion"), now=NOW)
            counted["erasures"] += 1
        except Exception as error:
            counted[f"error {type(error.__cause__ or error).__name__}"] += 1
        time.sleep(0.05)
    return counted


def _two_people(chance: random.Random) -> tuple[int, int] | None:
    """Two ids, of live, merged or erased profiles, near the same random place so that others meet them."""
    from django.db.models import Max, Min

    from crm.models import Profile

    ends = Profile.objects.aggregate(low=Min("pk"), top=Max("pk"))
    low, top = ends["low"], ends["top"]
    if not top or top - low < 10:
        return None
    one, two = chance.randint(low, top), chance.randint(low, top)
    ids = [
        Profile.objects.filter(pk__gte=place).order_by("pk").values_list("pk", flat=True).first() or top
        for place in (one, two)
    ]
    return ids[0], ids[1]


def jobs(load: Load) -> list[tuple[Callable[[int, Load, int], Counter[str]], int]]:
    """Everybody who takes part."""
    return [
        *((write, number) for number in range(load.writers)),
        *((merge, number) for number in range(load.mergers)),
        *(((erase, 0),) if load.erasures else ()),
    ]


def outcome(counts: Sequence[Counter[str]]) -> Outcome:
    """What is to be said when all have finished."""
    from django.db import connection

    total: Counter[str] = sum(counts, Counter())
    with connection.cursor() as cursor:

        def one(sql: str) -> int:
            cursor.execute(sql)
            return int(cursor.fetchone()[0])

        since = "occurred_at > '2000-01-01'"
        stored = one(f"SELECT count(*) FROM crm_touchpoint WHERE kind = 'page' AND {since}")
        astray = {
            "touchpoints of nobody": f"SELECT count(*) FROM crm_touchpoint t LEFT JOIN crm_profile p"
            f" ON p.id = t.profile_id WHERE t.{since} AND p.id IS NULL",
            "roots that are merged themselves": "SELECT count(*) FROM crm_profile p JOIN crm_profile r"
            " ON r.id = p.merged_into_id WHERE r.merged_into_id IS NOT NULL",
            "identifiers of erased people": "SELECT count(*) FROM crm_identity i JOIN crm_profile p"
            " ON p.id = i.profile_id WHERE p.erased_at IS NOT NULL",
            "identifiers twice": "SELECT count(*) - count(DISTINCT (kind, value)) FROM crm_identity",
            "pointers beside the records": """
                WITH RECURSIVE up(id, root, depth) AS (
                    SELECT loser_id, winner_id, 1 FROM crm_mergerecord WHERE undone_at IS NULL
                    UNION ALL
                    SELECT up.id, m.winner_id, depth + 1 FROM up JOIN crm_mergerecord m ON m.loser_id = up.root
                     WHERE m.undone_at IS NULL AND depth < 10000),
                last AS (SELECT DISTINCT ON (id) id, root FROM up ORDER BY id, depth DESC)
                SELECT count(*) FROM crm_profile p LEFT JOIN last ON last.id = p.id
                 WHERE p.merged_into_id IS DISTINCT FROM last.root""",
        }
        wrong = [f"{name}: {number}" for name, sql in astray.items() if (number := one(sql))]
    return Outcome(
        accepted=total["accepted"],
        merges=total["merges"],
        erasures=total["erasures"],
        lost=total["accepted"] - stored,
        errors={name: number for name, number in sorted(total.items()) if name.startswith("error")},
        astray=wrong,
    )


def _in_a_process(
    job: Callable[[int, Load, int], Counter[str]], number: int, load: Load, source_id: int, answers: Any
) -> None:
    from django.db import connection

    connection.close()
    answers.put(job(number, load, source_id))
    connection.close()


def run() -> list[Goal]:
    """The full load."""
    load = Load()
    with tempfile.TemporaryDirectory(prefix="renxin-bench-") as name, servers(Path(name)) as folder:
        source_id = folder.source("Commotion")
        for own in OWN:
            os.environ.pop(own, None)
        os.environ |= folder.environment | {"DJANGO_SETTINGS_MODULE": "config.settings"}
        import django
        from django.db import connection

        django.setup()
        from crm.services import partitions

        partitions.ensure({(2026, 4), (2026, 5), (2026, 6)})
        connection.close()
        context = multiprocessing.get_context("fork")
        answers = context.Queue()
        began = time.monotonic()
        people = [
            context.Process(target=_in_a_process, args=(job, number, load, source_id, answers))
            for job, number in jobs(load)
        ]
        for one in people:
            one.start()
        counts = [answers.get(timeout=1_800) for _one in people]
        for one in people:
            one.join()
        found = outcome(counts)
        seconds = time.monotonic() - began
        connection.close()
    refusals = {name: number for name, number in sum(counts, Counter()).items() if name.startswith("refused")}
    say(
        f"{found.accepted:,} events by {load.writers} writers, {found.merges:,} merges, {found.erasures} erasures in"
        f" {seconds:.0f} s; lost {found.lost}; errors {found.errors or 'none'}; astray {found.astray or 'nothing'};"
        f" {refusals}"
    )
    wrong = found.lost + sum(found.errors.values()) + len(found.astray) + (load.events - found.accepted)
    return [Goal("merges under load: lost, failed or astray", float(wrong), 1.0, 0.0, "", at_most=True)]
