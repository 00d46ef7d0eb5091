"""Fan-out: a release ships, 20,000 followers are told by e-mail and in-app, beside bare smtplib.

Ours is measured from the call that ships the release to the moment the last e-mail is settled in the
database, with everything that reacts to it at work meanwhile; how long the thank-you points of all of them took is
printed beside it. The limit sends as many messages of the same bytes to the same sink over as many connections and
does nothing else. Both run at the same priority (WORKER_NICENESS 0): the worker's usual courtesy towards pages and the
door would measure what else the machine does. The sink's own capacity is measured too: below three times the faster of
both, the bench fails.
"""

from __future__ import annotations

import json
import smtplib
import socket
import time
from typing import Any

from bench.harness import Goal, Stack, call, say, sink, stack, table
from bench.ingest import request_bytes, together
from bench.keepalive import post_all

FOLLOWERS = 20_000
LIMIT_ROUNDS = 3


def ask(port: int, verb: bytes) -> bytes:
    """One answer of the sink to one of its own verbs."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        stream = connection.makefile("rwb")
        stream.readline()
        stream.write(verb + b"\r\n")
        stream.flush()
        head = stream.readline().split()
        return stream.read(int(head[1])) if verb == b"XLAST" else b" ".join(head[1:])


def people(system: Stack, key: str) -> None:
    """Let 20,000 people with an e-mail address in through the door."""
    items = [
        {
            "type": "identify",
            "userId": f"follower-{number}",
            "messageId": f"follower-{number}",
            "traits": {
                "email": f"follower-{number}@example.com",
                "name": f"Follower {number}",
                "locale": "zh-CN" if number % 2 else "en-GB",
            },
        }
        for number in range(FOLLOWERS)
    ]
    requests = [
        request_bytes(system.port, "/v1/batch", key, {"batch": items[start : start + 500]})
        for start in range(0, len(items), 500)
    ]
    half = len(requests) // 2
    together(
        post_all,
        [(system.port, [part], ..., b'"accepted":500') for part in (requests[:half], requests[half:])],
    )


def bare(port: int, message: bytes, count: int, barrier: Any) -> None:
    """The limit: one connection, message after message."""
    with smtplib.SMTP("127.0.0.1", port) as client:
        barrier.wait()
        for number in range(count):
            client.sendmail("bench@example.com", [f"follower-{number}@example.com"], message)


def pipelined(port: int, message: bytes, count: int, barrier: Any) -> None:
    """What the sink can take: whole dialogues in one write, twenty at a time."""
    one = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n" + message + b".\r\n"
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.recv(100)
        barrier.wait()
        for _start in range(0, count, 20):
            connection.sendall(one * 20)
            lines = 0
            while lines < 80:
                lines += connection.recv(65536).count(b"\r\n")


def run() -> list[Goal]:
    """Measure and print."""
    with sink() as port, stack(EMAIL_URL=f"smtp://127.0.0.1:{port}", WORKER_NICENESS="0") as system:
        write_key = system.last_line("create_write_key", "Bench app")
        scopes = [
            f"--scope=voc.{noun}:{verb}" for noun in ("ticket", "release") for verb in ("read", "write")
        ]
        api_key = system.last_line("create_api_key", "Bench", *scopes)
        say(f"letting {FOLLOWERS:,} people in")
        people(system, write_key)
        release_id, tellable = json.loads(system.python(FOLLOW).strip().splitlines()[-1])
        say(f"{tellable:,} followers; shipping")
        started = time.perf_counter()
        call(system, "POST", f"/api/v1/releases/{release_id}/ship/", api_key, {})
        waiting(port, tellable)
        seconds = settled(system, started)
        thanked = thanks(system, started, tellable)
        state = json.loads(system.python(STATE).strip().splitlines()[-1])
        messages, connections = (int(number) for number in ask(port, b"XSTAT").split())
        message = ask(port, b"XLAST")
        ours = tellable / seconds
        say(
            f"sent {messages:,} over {connections} connections in {seconds:.1f} s; decisions {state};"
            f" the last point booked after {thanked:.1f} s"
        )
        if messages != tellable or state.get("sent") != tellable:
            raise SystemExit(f"{tellable} were to be told, the sink has {messages}, decisions {state}")
        connections = max(1, connections)
        share = FOLLOWERS // connections
        rates = [
            FOLLOWERS / together(bare, [(port, message, share, ...)] * connections)
            for _ in range(LIMIT_ROUNDS)
        ]
        limit = sorted(rates)[len(rates) // 2]
        capacity = FOLLOWERS / together(pipelined, [(port, message, FOLLOWERS // 2, ...)] * 2)
    table(
        [
            ("", "messages/s"),
            ("ours, ship to last settled", f"{ours:,.0f}"),
            (f"bare smtplib, {connections} connections, {len(message):,} bytes each", f"{limit:,.0f}"),
            ("what the sink can take", f"{capacity:,.0f}"),
        ]
    )
    if capacity < 3 * max(ours, limit):
        raise SystemExit("the sink is not three times faster than what it measures")
    return [Goal("fanout.told", ours, limit, 0.5, "messages/s")]


def waiting(port: int, expected: int) -> None:
    """Wait until the sink has that many messages."""
    end = time.monotonic() + 900
    while int(ask(port, b"XSTAT").split()[0]) < expected:
        if time.monotonic() > end:
            raise SystemExit(f"after 15 minutes the sink has {ask(port, b'XSTAT')!r} of {expected}")
        time.sleep(0.05)


def settled(system: Stack, started: float) -> float:
    """Seconds from `started` to the last settled e-mail, by the database's stamps."""
    elapsed = time.perf_counter() - started
    now = time.time()
    last = float(system.python(LAST_SETTLED).strip().splitlines()[-1])
    return elapsed - (now - last)


def thanks(system: Stack, started: float, expected: int) -> float:
    """Seconds from `started` to the last thank-you, by the database's stamps; waits until everybody has theirs."""
    end = time.monotonic() + 300
    while True:
        elapsed, now = time.perf_counter() - started, time.time()
        count, last = json.loads(system.python(THANKED).strip().splitlines()[-1])
        if count >= expected:
            return elapsed - (now - last)
        if time.monotonic() > end:
            raise SystemExit(f"after 5 minutes {count} of {expected} were thanked")
        time.sleep(0.5)


FOLLOW = f"""
import json
from django.db import connection
from crm.kernel import actors, clock, knobs
from voc.services import releases, tickets
actor, now = actors.system("bench"), clock.now()
knobs.set("lifecycle.service_waits_for_morning", False, actor=actor, now=now)  # the bench may run at night
ticket = tickets.open(title="The lamp flickers", actor=actor, now=now)
with connection.cursor() as cursor:
    cursor.execute(
        "INSERT INTO voc_ticketfollower (ticket_id, profile_id, role, may_name, credit_name, created_at) "
        "SELECT %s, profile_id, 'reported', false, '', now() FROM crm_identity "
        "WHERE kind = 'user_id' AND value LIKE 'follower-%%' ORDER BY profile_id", [ticket.pk])
    count = cursor.rowcount
    cursor.execute("ANALYZE")
assert count == {FOLLOWERS}, count
release = releases.create(title="A calmer light", actor=actor, now=now)
releases.add_items(release.pk, ticket_ids=[ticket.pk], actor=actor, now=now)
print(json.dumps([str(release.pk), count]))
"""
STATE = """
import json
from django.db.models import Count
from lifecycle.models import OutboundMessage
print(json.dumps(dict(OutboundMessage.objects.order_by().values_list("decision").annotate(n=Count("pk")))))
"""
LAST_SETTLED = """
from django.db.models import Max
from lifecycle.models import Delivery
print(Delivery.objects.aggregate(last=Max("settled_at"))["last"].timestamp())
"""
THANKED = """
import json
from django.db.models import Count, Max
from members.models import PointsEntry
found = PointsEntry.objects.filter(kind="thanks").aggregate(n=Count("pk"), last=Max("created_at"))
print(json.dumps([found["n"], found["last"].timestamp() if found["n"] else 0]))
"""

if __name__ == "__main__":
    for goal in run():
        print(goal.line())
