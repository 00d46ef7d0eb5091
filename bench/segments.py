"""Segments: a pass over everybody beside the best SQL we can write by hand for the same rule, and how long it takes
from an event at the door to a row of membership.

The pass is the product's own: it asks the rule, sets it against the rows there are, keeps the difference and works it
off; nothing changes between two passes, as in most nights. By hand, the rule alone is asked, in several ways, and the
fastest counts. Both run in one session after the other, with the same memory, several times.
"""

from __future__ import annotations

import base64
import json
import os
import statistics
import time
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from bench import seed
from bench.harness import Goal, Stack, say, stack, table

ROUNDS = 5
EVENTS = 300
GAP = 0.05
SCOPES = ("--scope", "crm.segment:read", "--scope", "crm.segment:write")
RULES: dict[str, Any] = {
    "regulars": {
        "all": [
            {"touchpoint": "Order Completed", "times": {"op": "gte", "value": 3}, "within_days": 180},
            {"fact": "profile.country", "op": "eq", "value": "CN"},
            {"not": {"touchpoint": "App Opened", "within_days": 30}},
        ]
    },
    "spenders": {
        "touchpoint": "Order Completed",
        "within_days": 365,
        "sum": {"property": "revenue", "op": "gte", "value": 500, "currency": "CNY"},
    },
}
MERGED = (
    "LEFT JOIN (SELECT id, merged_into_id FROM crm_profile WHERE merged_into_id IS NOT NULL) m"
    " ON m.id = t.profile_id"
)
LIVE = "p.merged_into_id IS NULL AND p.erased_at IS NULL"
# What somebody who knows the tables would write; the same answer is asserted.
BY_HAND = {
    "regulars": (
        f"""
        SELECT p.id FROM crm_profile p
          JOIN (SELECT COALESCE(m.merged_into_id, t.profile_id) AS root FROM crm_touchpoint t {MERGED}
                 WHERE t.kind = 'Order Completed' AND t.occurred_at >= %(d180)s GROUP BY 1 HAVING count(*) >= 3) o
            ON o.root = p.id
         WHERE {LIVE} AND p.country = 'CN'
           AND NOT EXISTS (SELECT 1 FROM crm_touchpoint t {MERGED}
                            WHERE t.kind = 'App Opened' AND t.occurred_at >= %(d30)s
                              AND COALESCE(m.merged_into_id, t.profile_id) = p.id)
        """,
        f"""
        SELECT p.id FROM crm_profile p
          JOIN (SELECT COALESCE(m.merged_into_id, t.profile_id) AS root FROM crm_touchpoint t {MERGED}
                 WHERE t.occurred_at >= %(d180)s AND (t.kind = 'Order Completed'
                       OR (t.kind = 'App Opened' AND t.occurred_at >= %(d30)s))
                 GROUP BY 1
                HAVING count(*) FILTER (WHERE t.kind = 'Order Completed') >= 3
                   AND count(*) FILTER (WHERE t.kind = 'App Opened') = 0) o ON o.root = p.id
         WHERE {LIVE} AND p.country = 'CN'
        """,
    ),
    "spenders": (
        f"""
        SELECT p.id FROM crm_profile p
          JOIN (SELECT COALESCE(m.merged_into_id, t.profile_id) AS root FROM crm_touchpoint t {MERGED}
                 WHERE t.kind = 'Order Completed' AND t.occurred_at >= %(d365)s
                 GROUP BY 1
                HAVING sum((t.properties ->> 'revenue')::numeric)
                       FILTER (WHERE COALESCE(t.properties ->> 'currency', 'CNY') = 'CNY') >= 500) o ON o.root = p.id
         WHERE {LIVE}
        """,
    ),
}
# A pass in a process of its own; nobody is woken, so that no worker does it instead.
PASS = """
import json, time
from crm.kernel import clock
from crm.models import Segment, SegmentRun
from crm.services import segment_passes
found = {{}}
for row in Segment.objects.filter(key__in={keys!r}):
    now = clock.now()
    run = SegmentRun.objects.create(segment=row, cause="asked", run_at=now, created_at=now)
    began = time.perf_counter()
    while SegmentRun.objects.filter(pk=run.pk, status__in=("waiting", "running")).exists():
        if not segment_passes.work(now=clock.now()):
            time.sleep(0.01)
    found[row.key] = time.perf_counter() - began
print(json.dumps(found))
"""


def by_hand(connection: psycopg.Connection, key: str, rounds: int) -> tuple[float, int]:
    """The fastest way of asking by hand: its median, and how many people it yields."""
    now = datetime.now(tz=UTC)
    bounds = {f"d{days}": now - timedelta(days=days) for days in (30, 180, 365)}
    best, number = float("inf"), 0
    for text in BY_HAND[key]:
        taken = []
        for _round in range(rounds):
            began = time.perf_counter()
            with connection.transaction():
                connection.execute("SET LOCAL work_mem = '128MB'")
                connection.execute("SET LOCAL jit = off")
                row = connection.execute(f"SELECT count(*) FROM ({text}) s", bounds).fetchone()
                number = row[0] if row else 0
            taken.append(time.perf_counter() - began)
        best = min(best, statistics.median(taken))
    return best, number


def passes(system: Stack) -> list[tuple[str, float, float, int, int]]:
    """Per rule: seconds of a pass, seconds by hand, people in the segment, people by hand."""
    keys = list(RULES)
    ours: dict[str, list[float]] = {key: [] for key in keys}
    hand: dict[str, list[float]] = {key: [] for key in keys}
    numbers: dict[str, int] = {}
    with psycopg.connect(system.dsn, autocommit=True) as connection:
        for key in keys:
            by_hand(connection, key, 1)  # into the caches, for both
        for _round in range(ROUNDS):
            taken = json.loads(system.python(PASS.format(keys=keys)).strip().splitlines()[-1])
            for key in keys:
                ours[key].append(taken[key])
                seconds, numbers[key] = by_hand(connection, key, 1)
                hand[key].append(seconds)
        sizes: dict[str, int] = dict(
            connection.execute("SELECT key, size FROM crm_segment WHERE key = ANY(%s)", [keys]).fetchall()
        )
    return [
        (key, statistics.median(ours[key]), statistics.median(hand[key]), sizes[key], numbers[key])
        for key in keys
    ]


def make(system: Stack, key: str, names: Sequence[str] = tuple(RULES)) -> None:
    """The segments of the bench, filled."""
    there = {row["key"] for row in _call(system, "GET", "/api/v1/segments/", key)["results"]}
    for name in names:
        if name not in there:  # a folder that is kept has them from the last time
            _call(system, "POST", "/api/v1/segments/", key, {"name": name, "key": name, "rule": RULES[name]})
            _call(system, "POST", f"/api/v1/segments/{name}/activate/", key, {})
    end = time.monotonic() + 900
    while time.monotonic() < end:
        rows = [_call(system, "GET", f"/api/v1/segments/{name}/", key) for name in names]
        if all(row["last_verified_at"] and not row["run"] for row in rows):
            return
        time.sleep(1)
    raise SystemExit(f"the segments were not filled: {rows}")


def follow(system: Stack, key: str, write_key: str) -> list[float]:
    """Seconds from an event at the door to membership, one person after the other."""
    name = f"followed-{os.getpid()}"
    rule = {"touchpoint": name, "within_days": 30}
    _call(system, "POST", "/api/v1/segments/", key, {"name": name, "key": name, "rule": rule})
    _call(system, "POST", f"/api/v1/segments/{name}/activate/", key, {})
    while not _call(system, "GET", f"/api/v1/segments/{name}/", key)["last_verified_at"]:
        time.sleep(1)
    with psycopg.connect(system.dsn, autocommit=True) as connection:
        held = connection.execute(
            "SELECT i.value, COALESCE(p.merged_into_id, p.id) FROM crm_identity i"
            " JOIN crm_profile p ON p.id = i.profile_id"
            " WHERE i.kind = 'user_id' ORDER BY md5(i.value) LIMIT %s",
            [EVENTS],
        ).fetchall()
        waiting: dict[int, float] = {}
        taken: list[float] = []
        for user_id, root in held:
            waiting[root] = time.monotonic()
            _track(system, write_key, user_id, name)
            pause = time.monotonic() + GAP
            while time.monotonic() < pause:
                taken += _arrived(connection, waiting, name)
                time.sleep(0.005)
        end = time.monotonic() + 120
        while waiting and time.monotonic() < end:
            taken += _arrived(connection, waiting, name)
            time.sleep(0.005)
        if waiting:
            raise SystemExit(f"{len(waiting)} of {len(held)} people never entered")
    return taken


def _arrived(connection: psycopg.Connection, waiting: dict[int, float], key: str) -> list[float]:
    """Seconds of those who are in by now."""
    rows = connection.execute(
        "SELECT profile_id FROM crm_segmentmembership"
        " WHERE segment_id = (SELECT id FROM crm_segment WHERE key = %s) AND profile_id = ANY(%s)",
        [key, list(waiting)],
    ).fetchall()
    now = time.monotonic()
    return [now - waiting.pop(root) for (root,) in rows]


def _call(system: Stack, method: str, path: str, key: str, body: Any = None) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{system.port}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def _track(system: Stack, write_key: str, user_id: str, kind: str) -> None:
    body = json.dumps({"userId": user_id, "event": kind, "messageId": os.urandom(8).hex()}).encode()
    token = base64.b64encode(f"{write_key}:".encode()).decode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{system.port}/v1/track",
        data=body,
        headers={"Authorization": f"Basic {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()


def run() -> list[Goal]:
    """Measure and print."""
    with stack(folder=seed.million()) as system:
        key = system.last_line("create_api_key", f"Bench {os.getpid()}", *SCOPES)
        write_key = system.last_line("create_write_key", f"Bench segments {os.getpid()}")
        say("filling the segments")
        make(system, key)
        found = passes(system)
        for name, ours, hand, size, number in found:
            say(f"{name}: a pass {ours:.2f} s, by hand {hand:.2f} s; {size:,} and {number:,} people")
        taken = follow(system, key, write_key)
    p99 = statistics.quantiles(taken, n=100)[-1]
    table(
        [
            ("pass over everybody", "ours, s", "by hand, s", "ratio", "people"),
            *(
                (key, f"{ours:.2f}", f"{hand:.2f}", f"{ours / hand:.2f}", f"{size:,} / {number:,}")
                for key, ours, hand, size, number in found
            ),
            (
                "membership after an event",
                f"p50 {statistics.median(taken):.2f}",
                f"p99 {p99:.2f}",
                "",
                f"{len(taken)}",
            ),
        ]
    )
    return [
        *(
            Goal(f"segments.pass.{key}", ours, hand, 1.3, "s", at_most=True)
            for key, ours, hand, _size, _number in found
        ),
        Goal("segments.follow.p99", p99, 2.0, 1.0, "s", at_most=True),
    ]
