"""Feedback: all 12,145 shop reviews through the REST API, each with its similar tickets looked up.

There is no outside limit to hold this against, so the figure stands alone: reviews per second through one
client, and how the time of a similarity look-up grows from the first thousand tickets to the last.
"""

from __future__ import annotations

import csv
import json
import statistics
import time
from http.client import HTTPConnection
from typing import Any

from bench.harness import DATA, Goal, say, stack, table

OPEN_EVERY = 10


def reviews() -> list[tuple[str, str]]:
    """(label, text) pairs of the data file."""
    path = DATA / "reviews" / "reviews.tsv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [
            (row["label"], row["text"])
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        ]


def run() -> list[Goal]:
    """Measure and print."""
    texts = reviews()
    if not texts:
        print(f"skipped: {DATA / 'reviews' / 'reviews.tsv'} is not there")
        return []
    with stack() as system:
        scopes = [
            f"--scope=voc.{noun}:{verb}" for noun in ("ticket", "feedback") for verb in ("read", "write")
        ]
        key = system.last_line("create_api_key", "Bench", *scopes)
        started = time.perf_counter()
        looked_up: list[float] = []
        connection = HTTPConnection("127.0.0.1", system.port, timeout=60)
        for number, (_label, text) in enumerate(texts):
            made = post(connection, "/api/v1/feedback/", key, {"text": text, "channel": "review"})
            if number % OPEN_EVERY == 0:
                since = time.perf_counter()
                get(connection, f"/api/v1/feedback/{made['id']}/similar/", key)
                looked_up.append(time.perf_counter() - since)
                post(connection, f"/api/v1/feedback/{made['id']}/open-ticket/", key, {})
            if number % 2000 == 1999:
                say(f"{number + 1:,} reviews, {(number + 1) / (time.perf_counter() - started):,.0f}/s")
        seconds = time.perf_counter() - started
        first, last = (statistics.median(part) * 1000 for part in (looked_up[:100], looked_up[-100:]))
    table(
        [
            ("", "figure"),
            ("reviews stored", f"{len(texts):,}"),
            ("reviews/s, one client, a ticket opened from every tenth", f"{len(texts) / seconds:,.0f}"),
            ("similar tickets, median ms over the first 100 look-ups", f"{first:.1f}"),
            (f"similar tickets, median ms over the last 100 ({len(looked_up):,} tickets)", f"{last:.1f}"),
        ]
    )
    return [Goal("feedback.store", len(texts) / seconds, None, None, "reviews/s")]


def post(connection: HTTPConnection, path: str, key: str, body: Any) -> Any:
    """One POST on the kept connection."""
    return _ask(connection, "POST", path, key, json.dumps(body).encode())


def get(connection: HTTPConnection, path: str, key: str) -> Any:
    """One GET on the kept connection."""
    return _ask(connection, "GET", path, key, None)


def _ask(connection: HTTPConnection, method: str, path: str, key: str, body: bytes | None) -> Any:
    connection.request(
        method, path, body, {"Authorization": f"Api-Key {key}", "Content-Type": "application/json"}
    )
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= 400:
        raise SystemExit(f"{method} {path}: {answer.status} {text[:500]!r}")
    return json.loads(text) if text else None


if __name__ == "__main__":
    for goal in run():
        print(goal.line())
