"""Pages and lists at a million people beside the same pages at ten thousand: no page may cost more as data grows.

One member of staff and one API client ask one page after another; both systems are filled by bench/seed with the
same skew and hold the same twenty touchpoints per person. Each kind of page is asked for many people: at random, and
the busiest ones. The figure is the 95th percentile of the time to the last byte.

`RENXIN_BENCH_MILLION` may name a folder that `python -m bench.seed` has filled before: it is used and kept.
"""

from __future__ import annotations

import http.cookiejar
import os
import random
import re
import statistics
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from bench import seed
from bench.harness import Goal, Stack, say, stack, table

SMALL = (10_000, 200_000)
LARGE = (1_000_000, 20_000_000)
ROUNDS = 60
PASSWORD = "bench-pages-password"
CEILING_MS = 250
GROWTH = 1.3
SEARCHES = (
    "李",
    "王芳",
    "李伟明",
    "liwei",
    "lw",
    "zhang",
    "Ava",
    "customer-0000777",
    "person123@mail.example",
)


class Staff:
    """A browser without a window: cookies, and the time each page took."""

    def __init__(self, system: Stack) -> None:
        self.base = f"http://127.0.0.1:{system.port}"
        self.opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        )
        page = self.get("/admin/login/")[1]
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        if found is None:
            raise SystemExit("the sign-in page has no form")
        form = {"username": "admin", "password": PASSWORD, "csrfmiddlewaretoken": found[1], "next": "/admin/"}
        request = urllib.request.Request(
            self.base + "/admin/login/",
            data=urllib.parse.urlencode(form).encode(),
            headers={"Referer": self.base + "/admin/login/"},
        )
        with self.opener.open(request, timeout=60) as answer:
            if "/login" in answer.geturl():
                raise SystemExit("the bench could not sign in")

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[float, str]:
        """(Milliseconds to the last byte, the page). Raises SystemExit on anything but 200."""
        request = urllib.request.Request(self.base + path, headers=headers or {})
        started = time.perf_counter()
        try:
            with self.opener.open(request, timeout=120) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise SystemExit(f"GET {path}: {error.code} {error.read()[:300]!r}") from None
        return (time.perf_counter() - started) * 1000, text.decode()


def pages(system: Stack, key: str) -> dict[str, Callable[[int], tuple[str, dict[str, str]]]]:
    """Each kind of page: the n-th address to ask for, and its headers."""
    with psycopg.connect(system.dsn) as connection:
        random_people = connection.execute(
            "SELECT id, public_id FROM crm_profile WHERE merged_into_id IS NULL AND id = ANY(%s)",
            [_sample(connection)],
        ).fetchall()
        newest = datetime.now(tz=UTC) - timedelta(days=40)
        busiest = connection.execute(
            "SELECT p.id, p.public_id FROM (SELECT profile_id FROM crm_touchpoint WHERE occurred_at > %s "
            "GROUP BY 1 ORDER BY count(*) DESC LIMIT 20) t JOIN crm_profile p ON p.id = t.profile_id "
            "WHERE p.merged_into_id IS NULL",
            [newest],
        ).fetchall()
    api = {"Authorization": f"Api-Key {key}"}

    def person(template: str, people: list[Any], headers: dict[str, str]) -> Callable[[int], Any]:
        return lambda n: (
            template.format(id=people[n % len(people)][0], public_id=people[n % len(people)][1]),
            headers,
        )

    def search(template: str, headers: dict[str, str]) -> Callable[[int], Any]:
        return lambda n: (template + urllib.parse.quote(SEARCHES[n % len(SEARCHES)]), headers)

    return {
        "customer page, anybody": person("/admin/crm/profile/{id}/change/", random_people, {}),
        "customer page, the busiest": person("/admin/crm/profile/{id}/change/", busiest, {}),
        "list of people": lambda n: (f"/admin/crm/profile/?p={n % 3 + 1}", {}),
        "search for people": search("/admin/crm/profile/?q=", {}),
        "API list of people": lambda n: ("/api/v1/profiles/", api),
        "API search": search("/api/v1/profiles/?search=", api),
        "API timeline": person("/api/v1/profiles/{public_id}/timeline/", random_people, api),
        "staff home": lambda n: ("/admin/", {}),
    }


def _sample(connection: psycopg.Connection) -> list[int]:
    bounds = connection.execute("SELECT min(id), max(id) FROM crm_profile").fetchone()
    if bounds is None or bounds[0] is None:
        raise SystemExit("there are no people")
    chance = random.Random(11)
    return [chance.randint(*bounds) for _ in range(200)]


def measure(size: tuple[int, int], folder: Path | None = None) -> dict[str, float]:
    """The 95th percentile per kind of page, in milliseconds."""
    people, touchpoints = size
    with stack(folder=folder, ADMIN_PASSWORD=PASSWORD) as system:
        if folder is None:
            say(f"filling {people:,} people, {touchpoints:,} touchpoints")
            seed.fill(
                system.dsn,
                people=people,
                touchpoints=touchpoints,
                source_id=system.source("Seed shop"),
                now=datetime.now(tz=UTC) - timedelta(minutes=5),
            )
        system.python(SET_PASSWORD)
        key = system.last_line(
            "create_api_key",
            f"Bench {os.getpid()}",
            "--scope",
            "crm.profile:read",
            "--scope",
            "crm.touchpoint:read",
        )
        staff = Staff(system)
        figures = {}
        for name, address in pages(system, key).items():
            taken = []
            for number in range(ROUNDS):
                path, headers = address(number)
                milliseconds, _page = staff.get(path, headers)
                if number >= 5:  # the first ones fill caches
                    taken.append(milliseconds)
            figures[name] = statistics.quantiles(taken, n=20)[-1]
            say(f"{people:,}: {name}: {figures[name]:.0f} ms")
        return figures


def run() -> list[Goal]:
    """Measure and print."""
    kept = os.environ.get("RENXIN_BENCH_MILLION")
    small = measure(SMALL)
    large = measure(LARGE, Path(kept) if kept else None)
    table(
        [
            ("p95 in ms", f"{SMALL[0]:,} people", f"{LARGE[0]:,} people", "ratio"),
            *(
                (name, f"{small[name]:.0f}", f"{large[name]:.0f}", f"{large[name] / small[name]:.2f}")
                for name in large
            ),
        ]
    )
    goals = []
    for name, value in large.items():
        slug = "pages." + re.sub(r"\W+", "_", name.lower())
        goals.append(Goal(f"{slug}.p95", value, CEILING_MS, 1.0, "ms", at_most=True))
        goals.append(Goal(f"{slug}.growth", value, small[name], GROWTH, "ms", at_most=True))
    return goals


SET_PASSWORD = f"""
from django.contrib.auth import get_user_model
user = get_user_model().objects.get(username="admin")
user.set_password({PASSWORD!r})
user.save(update_fields=["password"])
"""
