"""Ingest, beside what nobody could beat. Rounds of ours and of the limit alternate, so that a noisy machine hits
both; medians are compared, and the CPU time of each side is printed.

Batches of 100 over HTTP from 4 clients, beside the same rows straight into the same database. The limit does what no
correct store could leave out: dedupe by digest, look up or make people and identities, COPY the touchpoints, commit,
with as many connections and the same batch size, in the tables and with the indexes of the product. All shipped
receivers are on and work meanwhile; how long they go on after the last answer is printed, and a round begins when
they have ended.

Single events from 16 keep-alive connections, each answered after its COMMIT, beside an empty Django view without any
middleware, served by the same server in the same way and asked by the same client with the same bytes.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import socket
import statistics
import subprocess
import time
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from bench import cpu, keepalive
from bench.harness import ROOT, Goal, Stack, free_port, say, stack, table
from config import supervisor

CLIENTS = 4
BATCH = 100
BATCHES = 60
ROUNDS = 3
PEOPLE = 20_000
SINGLES = 400
SINGLE_CLIENTS = 16
SETTLE_SECONDS = 300


def events(seed: str, count: int) -> list[dict[str, Any]]:
    """What a shop sends: views and orders of known people, some visits of unknown ones."""
    chance = random.Random(seed)
    made = []
    now = datetime.now(tz=UTC)
    for number in range(count):
        order = chance.random() < 0.15
        event: dict[str, Any] = {
            "type": "track",
            "event": "Order Completed" if order else "Product Viewed",
            "messageId": f"{seed}-{number}-{uuid.uuid4()}",
            "timestamp": (now - timedelta(seconds=chance.randrange(60))).isoformat(),
            "properties": {
                "product_id": f"sku-{chance.randrange(500)}",
                "category": chance.choice(["books", "tea", "lamps"]),
                "price": chance.randrange(100, 9900) / 100,
                "currency": "CNY",
            },
            "context": {"library": {"name": "bench", "version": "1"}, "page": {"path": "/p"}},
        }
        if order:
            event["properties"] |= {"order_id": f"o-{seed}-{number}", "revenue": event["properties"]["price"]}
        if chance.random() < 0.8:
            event["userId"] = f"user-{chance.randrange(PEOPLE)}"
        else:
            event["anonymousId"] = f"visitor-{chance.randrange(PEOPLE)}"
        made.append(event)
    return made


def request_bytes(port: int, path: str, key: str, body: Any) -> bytes:
    """A complete keep-alive request."""
    data = json.dumps(body).encode()
    token = b64encode(f"{key}:".encode()).decode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Basic {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


def straight(dsn: str, prepared: list[tuple[Any, ...]], source_id: int, barrier: Any) -> None:
    """The limit: the same rows by dedupe, identity upsert and COPY, one transaction a batch."""
    with psycopg.connect(dsn) as connection:
        barrier.wait()
        for digests, kinds, values, rows in prepared:
            with connection.transaction(), connection.cursor() as cursor:
                cursor.execute(
                    "INSERT INTO crm_eventreceipt (digest, occurred_at) "
                    "SELECT * FROM unnest(%s::uuid[], %s::timestamptz[]) ON CONFLICT DO NOTHING "
                    "RETURNING digest",
                    [digests, [row[0] for row in rows]],
                )
                cursor.fetchall()
                cursor.execute(
                    "SELECT i.kind, i.value, coalesce(p.merged_into_id, p.id) FROM crm_identity i "
                    "JOIN crm_profile p ON p.id = i.profile_id "
                    "JOIN unnest(%s::text[], %s::text[]) AS w(kind, value) USING (kind, value)",
                    [kinds, values],
                )
                known = {(kind, value): ident for kind, value, ident in cursor.fetchall()}
                new = sorted(set(zip(kinds, values, strict=True)) - set(known))
                if new:
                    known |= _make_people(cursor, new)
                with cursor.copy(
                    "COPY crm_touchpoint (profile_id, occurred_at, id, received_at, kind, channel, "
                    "source_id, stage, properties) FROM STDIN"
                ) as copy:
                    for (occurred_at, ident, kind, properties), pair in zip(
                        rows, zip(kinds, values, strict=True), strict=True
                    ):
                        copy.write_row(
                            (
                                known[pair],
                                occurred_at,
                                ident,
                                occurred_at,
                                kind,
                                "",
                                source_id,
                                "",
                                properties,
                            )
                        )


def _make_people(cursor: Any, new: list[tuple[str, str]]) -> dict[tuple[str, str], int]:
    cursor.execute(
        "INSERT INTO crm_profile (created_at) SELECT now() FROM generate_series(1, %s) RETURNING id",
        [len(new)],
    )
    ids = [row[0] for row in cursor.fetchall()]
    cursor.execute(
        "INSERT INTO crm_identity (kind, value, profile_id, created_at) "
        "SELECT *, now() FROM unnest(%s::text[], %s::text[], %s::bigint[]) ON CONFLICT DO NOTHING",
        [[pair[0] for pair in new], [pair[1] for pair in new], ids],
    )
    cursor.execute(
        "SELECT kind, value, profile_id FROM crm_identity JOIN unnest(%s::text[], %s::text[]) "
        "AS w(kind, value) USING (kind, value)",
        [[pair[0] for pair in new], [pair[1] for pair in new]],
    )
    return {(kind, value): ident for kind, value, ident in cursor.fetchall()}


def _rows(batch: list[dict[str, Any]]) -> tuple[list[uuid.UUID], list[str], list[str], list[tuple[Any, ...]]]:
    digests = [uuid.uuid5(uuid.NAMESPACE_OID, event["messageId"]) for event in batch]
    kinds = ["user_id" if "userId" in event else "anonymous_id" for event in batch]
    values = [event.get("userId") or event["anonymousId"] for event in batch]
    rows = [
        (event["timestamp"], uuid.uuid4(), event["event"], json.dumps(event["properties"])) for event in batch
    ]
    return digests, kinds, values, rows


def together(target: Callable[..., None], arguments: list[tuple[Any, ...]]) -> float:
    """Run one process per argument tuple behind a barrier. Returns seconds from the barrier to the last."""
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(len(arguments) + 1)
    workers = [
        context.Process(target=target, args=tuple(barrier if a is ... else a for a in each))
        for each in arguments
    ]
    for worker in workers:
        worker.start()
    barrier.wait(120)
    started = time.perf_counter()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - started
    if any(worker.exitcode for worker in workers):
        raise SystemExit("a client failed; see above")
    return seconds


def batches_of(seed: str) -> list[list[dict[str, Any]]]:
    """One client's batches."""
    made = events(seed, BATCH * BATCHES)
    return [made[start : start + BATCH] for start in range(0, len(made), BATCH)]


def settled(dsn: str) -> float:
    """Wait until every reaction is worked off. Returns the seconds it took."""
    started = time.perf_counter()
    with psycopg.connect(dsn, autocommit=True) as connection:
        while connection.execute(PENDING).fetchone() != (0,):
            if time.perf_counter() - started > SETTLE_SECONDS:
                raise SystemExit("the reactions do not come to an end")
            time.sleep(0.05)
    return time.perf_counter() - started


@dataclass(slots=True)
class Rounds:
    """What the rounds of one side measured: events per second, and CPU microseconds per event by kind of process."""

    rates: list[float] = field(default_factory=list)
    costs: list[dict[str, float]] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """The median rate."""
        return statistics.median(self.rates)

    def cost(self) -> str:
        """The median cost of an event by kind of process."""
        names = sorted({name for cost in self.costs for name in cost})
        middle = {name: statistics.median(cost.get(name, 0.0) for cost in self.costs) for name in names}
        return ", ".join(f"{name} {value:,.0f}" for name, value in middle.items() if value >= 1)


def measure_batches(system: Stack, key: str, dsn: str, source_id: int) -> tuple[Rounds, Rounds, list[float]]:
    """Over HTTP, straight, and the seconds that reactions went on after the last answer."""
    ours, limit, later = Rounds(), Rounds(), []
    total = CLIENTS * BATCH * BATCHES
    expect = f'"accepted":{BATCH}'.encode()
    for number in range(ROUNDS + 1):
        requests = [
            [
                request_bytes(system.port, "/v1/batch", key, {"batch": batch})
                for batch in batches_of(f"http-{number}-{client}")
            ]
            for client in range(CLIENTS)
        ]
        begun = cpu.spent(system)
        seconds = together(keepalive.post_all, [(system.port, [each], ..., expect) for each in requests])
        tail = settled(dsn)
        ended = cpu.spent(system)
        prepared = [[_rows(batch) for batch in batches_of(f"db-{number}-{c}")] for c in range(CLIENTS)]
        begun_straight = cpu.spent(system)
        direct = together(straight, [(dsn, each, source_id, ...) for each in prepared])
        label = "warm-up" if number == 0 else f"round {number}"
        say(
            f"{label}: {total / seconds:,.0f} events/s over HTTP, reactions done {tail:.1f} s later; "
            f"{total / direct:,.0f} straight"
        )
        if number:
            ours.rates.append(total / seconds)
            ours.costs.append(cpu.between(begun, ended, total))
            limit.rates.append(total / direct)
            limit.costs.append(cpu.between(begun_straight, cpu.spent(system), total))
            later.append(tail)
    return ours, limit, later


def measure_singles(system: Stack, key: str, dsn: str) -> tuple[Rounds, Rounds]:
    """Single events, and an empty view served in the same way and asked by the same client."""
    ours, limit = Rounds(), Rounds()
    total = SINGLES * SINGLE_CLIENTS
    with empty_view(system) as empty_port:
        for number in range(ROUNDS + 1):
            settled(dsn)
            requests = [
                [
                    request_bytes(system.port, "/v1/track", key, event)
                    for event in events(f"single-{number}-{client}", SINGLES)
                ]
                for client in range(SINGLE_CLIENTS)
            ]
            begun = cpu.spent(system)
            seconds = together(keepalive.post_all, [(system.port, requests, ..., b'"accepted":1,')])
            settled(dsn)
            ended = cpu.spent(system)
            nothing = together(keepalive.post_all, [(empty_port, requests, ..., b"true")])
            label = "warm-up" if number == 0 else f"round {number}"
            say(f"{label}: {total / seconds:,.0f} single events/s, {total / nothing:,.0f} empty views/s")
            if number:
                ours.rates.append(total / seconds)
                ours.costs.append(cpu.between(begun, ended, total))
                limit.rates.append(total / nothing)
    return ours, limit


@contextlib.contextmanager
def empty_view(system: Stack) -> Iterator[int]:
    """The empty view of bench.empty behind the same server with the same settings; yields its port."""
    port = free_port()
    run = system.data_dir / "empty"
    run.mkdir()
    process = subprocess.Popen(
        supervisor.web_command("bench.empty:application", port=port, run=str(run)), cwd=ROOT
    )
    try:
        for _attempt in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def run() -> list[Goal]:
    """Measure and print."""
    with stack() as system:
        key = system.last_line("create_write_key", "Bench shop")
        say("activating the shipped journey, so that every receiver is on")
        system.python(ACTIVATE)
        dsn, source_id = json.loads(system.python(DESCRIBE).strip().splitlines()[-1])
        ours, limit, later = measure_batches(system, key, dsn, source_id)
        single, empty = measure_singles(system, key, dsn)
    total = CLIENTS * BATCH * BATCHES
    whole = total / (total / ours.rate + statistics.median(later))
    table(
        [
            ("", "ours", "limit", "ratio"),
            ("events/s in batches of 100, 4 clients", f"{ours.rate:,.0f}", f"{limit.rate:,.0f}",
             f"{ours.rate / limit.rate:.2f}"),
            ("the same until the last reaction is done", f"{whole:,.0f}", f"{limit.rate:,.0f}",
             f"{whole / limit.rate:.2f}"),
            ("single events/s, 16 connections (limit: an empty view)", f"{single.rate:,.0f}",
             f"{empty.rate:,.0f}", f"{single.rate / empty.rate:.2f}"),
        ]
    )  # fmt: skip
    print(f"CPU microseconds per event, batches, with reactions: {ours.cost()}")
    print(f"CPU microseconds per event, limit of batches:        {limit.cost()}")
    print(f"CPU microseconds per event, single, with reactions:  {single.cost()}")
    return [
        Goal("ingest.batch", ours.rate, limit.rate, 0.6, "events/s"),
        Goal("ingest.batch.settled", whole, limit.rate, None, "events/s"),
        Goal("ingest.single", single.rate, empty.rate, 0.45, "requests/s"),
    ]


PENDING = "SELECT count(*) FROM kernel_pendingreaction WHERE parked_at IS NULL AND run_at <= now()"
ACTIVATE = """
from crm.kernel import actors, clock
from lifecycle import shipped
from lifecycle.services import journeys
actor, now = actors.system("bench"), clock.now()
journey = journeys.create_from_template(shipped.BROWSED_NOT_BOUGHT, actor=actor, now=now)
journeys.activate(journey.pk, actor=actor, now=now)
"""
DESCRIBE = """
import json
from django.db import connection
from psycopg.conninfo import make_conninfo
from crm.models import Source
parameters = connection.get_connection_params()
keep = {k: v for k, v in parameters.items() if k in ("dbname", "user", "password", "host", "port")}
print(json.dumps([make_conninfo(**keep), Source.objects.first().pk]))
"""

if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    for goal in run():
        print(goal.line())
