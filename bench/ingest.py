"""Ingest: batches of 100 over HTTP from 4 clients, beside the same rows straight into the same database.

The limit does what no correct store could leave out: dedupe by digest, look up or make people and
identities, COPY the touchpoints, commit, with as many connections and the same batch size, in the tables and
with the indexes of the product. Rounds of ours and of the limit alternate, so that a noisy machine hits
both; medians are compared.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import socket
import statistics
import time
import uuid
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from bench.harness import Goal, Stack, say, stack, table

CLIENTS = 4
BATCH = 100
BATCHES = 60
ROUNDS = 3
PEOPLE = 20_000
SINGLES = 400
SINGLE_CLIENTS = 16


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


def post_all(port: int, requests: list[bytes], barrier: Any, expect: bytes) -> None:
    """Send the requests one after another over one connection; every answer must contain `expect`."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    barrier.wait()
    for request in requests:
        connection.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            part = connection.recv(65536)
            if not part:
                raise SystemExit("the server closed the connection")
            answer += part
        head, _, body = answer.partition(b"\r\n\r\n")
        if b"content-length:" not in head.lower():
            raise SystemExit(f"unexpected answer: {answer[:500]!r}")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += connection.recv(65536)
        if not head.startswith(b"HTTP/1.1 200") or expect not in body:
            raise SystemExit(f"unexpected answer: {head[:60]!r} {body[:300]!r}")
    connection.close()


def straight(dsn: str, batches: list[list[dict[str, Any]]], source_id: int, barrier: Any) -> None:
    """The limit: the same rows by dedupe, identity upsert and COPY, one transaction a batch."""
    prepared = [_rows(batch) for batch in batches]
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


def measure_batches(system: Stack, key: str, dsn: str, source_id: int) -> tuple[float, float]:
    """Medians of events per second: over HTTP, and straight."""
    ours, limits = [], []
    total = CLIENTS * BATCH * BATCHES
    for number in range(ROUNDS + 1):
        requests = [
            [
                request_bytes(system.port, "/v1/batch", key, {"batch": batch})
                for batch in batches_of(f"http-{number}-{client}")
            ]
            for client in range(CLIENTS)
        ]
        expect = f'"accepted":{BATCH}'.encode()
        seconds = together(post_all, [(system.port, each, ..., expect) for each in requests])
        direct = together(
            straight, [(dsn, batches_of(f"db-{number}-{c}"), source_id, ...) for c in range(CLIENTS)]
        )
        label = "warm-up" if number == 0 else f"round {number}"
        say(f"{label}: {total / seconds:,.0f} events/s over HTTP, {total / direct:,.0f} straight")
        if number:
            ours.append(total / seconds)
            limits.append(total / direct)
    return statistics.median(ours), statistics.median(limits)


def measure_singles(system: Stack, key: str) -> tuple[float, float]:
    """Requests per second of single events, and of a GET that does nothing, with the same clients."""
    requests = [
        [request_bytes(system.port, "/v1/track", key, event) for event in events(f"single-{client}", SINGLES)]
        for client in range(SINGLE_CLIENTS)
    ]
    total = SINGLES * SINGLE_CLIENTS
    seconds = together(post_all, [(system.port, each, ..., b"true") for each in requests])
    empty = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{system.port}\r\n\r\n".encode()
    idle = together(post_all, [(system.port, [empty] * SINGLES, ..., b"") for _ in range(SINGLE_CLIENTS)])
    return total / seconds, total / idle


def run() -> list[Goal]:
    """Measure and print."""
    with stack() as system:
        key = system.last_line("create_write_key", "Bench shop")
        say("activating the shipped journey, so that every receiver is on")
        system.python(ACTIVATE)
        dsn, source_id = json.loads(system.python(DESCRIBE).strip().splitlines()[-1])
        ours, limit = measure_batches(system, key, dsn, source_id)
        single, empty = measure_singles(system, key)
    table(
        [
            ("", "ours", "limit", "ratio"),
            ("events/s in batches of 100, 4 clients", f"{ours:,.0f}", f"{limit:,.0f}", f"{ours / limit:.2f}"),
            ("single events/s, 16 clients (limit: a view that does nothing)",
             f"{single:,.0f}", f"{empty:,.0f}", f"{single / empty:.2f}"),
        ]
    )  # fmt: skip
    return [
        Goal("ingest.batch", ours, limit, 0.4, "events/s"),
        Goal("ingest.single", single, empty, None, "requests/s"),
    ]


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
