"""Pages and lists at a million people beside the same pages at ten thousand: no page may cost more as data grows.

Both systems run at the same time, filled by bench/seed with the same skew and the same twenty touchpoints per person,
and one member of staff and one API client ask the one and the other in turn: what else the machine does meets both.
Each kind of page is asked for many people: at random, and the busiest ones. The figure is the 95th percentile of the
time to the last byte.

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
from typing import Any

import psycopg

from bench import seed, segments
from bench.harness import Goal, Stack, say, stack, table

SMALL = (10_000, 200_000)
LARGE = seed.MILLION
ROUNDS = 60
WARM_UP = 12
PASSWORD = "bench-pages-password"
CEILING_MS = 250
SEARCH_MS = 100
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
    # Words that most people have, together.
    "李 mail",
    "li mail.example",
    "li wei",
)
SEGMENT = "spenders"
SCOPES = ("crm.profile:read", "crm.touchpoint:read", "crm.segment:read", "crm.segment:write")


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
        (segment_id,) = connection.execute("SELECT id FROM crm_segment WHERE key = %s", [SEGMENT]).fetchone()  # type: ignore[misc]
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
        "API one person": person("/api/v1/profiles/{public_id}/", random_people, api),
        "API people of a segment": lambda n: (f"/api/v1/segments/{SEGMENT}/members/", api),
        "more of a timeline": person("/admin/crm/profile/{id}/timeline/", busiest, {}),
        "panels of a customer": person("/admin/crm/profile/{id}/panels/", busiest, {}),
        "related people": person("/admin/crm/profile/{id}/related/", random_people, {}),
        "staff home": lambda n: ("/admin/", {}),
        "segment": lambda n: (f"/admin/crm/segment/{segment_id}/change/", {}),
        **{name: _same(f"/admin/crm/{path}/") for name, path in LISTS.items()},
    }


# Other lists of this ground: asked without a filter, as staff open them.
LISTS = {
    "list of segments": "segment",
    "list of possible duplicates": "mergesuggestion",
    "list of merges": "mergerecord",
    "list of accounts": "account",
    "list of buyers": "purchasesummary",
    "list of consents": "consentrecord",
    "list of imports": "importrun",
    "list of kinds": "eventkind",
    "list of warnings": "ingestionwarning",
}


def _same(path: str) -> Callable[[int], tuple[str, dict[str, str]]]:
    return lambda n: (path, {})


def _sample(connection: psycopg.Connection) -> list[int]:
    bounds = connection.execute("SELECT min(id), max(id) FROM crm_profile").fetchone()
    if bounds is None or bounds[0] is None:
        raise SystemExit("there are no people")
    chance = random.Random(11)
    return [chance.randint(*bounds) for _ in range(200)]


class Asked:
    """One of the two systems: who asks it, for what, and how long it took."""

    def __init__(self, system: Stack) -> None:
        system.python(SET_PASSWORD)
        scopes = [part for scope in SCOPES for part in ("--scope", scope)]
        key = system.last_line("create_api_key", f"Bench {os.getpid()}", *scopes)
        segments.make(system, key, names=(SEGMENT,))
        self.pages = pages(system, key)
        self.staff = Staff(system)
        self.taken: dict[str, list[float]] = {name: [] for name in self.pages}

    def ask(self, name: str, number: int) -> None:
        """Ask for the n-th page of a kind; the first ones fill caches and do not count."""
        path, headers = self.pages[name](number)
        milliseconds, _page = self.staff.get(path, headers)
        if number >= WARM_UP:
            self.taken[name].append(milliseconds)

    def p95(self, name: str) -> float:
        """The 95th percentile of a kind of page, in milliseconds."""
        return statistics.quantiles(self.taken[name], n=20)[-1]


def measure() -> tuple[dict[str, float], dict[str, float]]:
    """The 95th percentile per kind of page in milliseconds, at ten thousand and at a million people."""
    folder = seed.million()
    with stack(folder=folder, ADMIN_PASSWORD=PASSWORD) as large, stack(ADMIN_PASSWORD=PASSWORD) as small:
        people, touchpoints = SMALL
        say(f"filling {people:,} people, {touchpoints:,} touchpoints")
        now = datetime.now(tz=UTC) - timedelta(minutes=5)
        source_id = small.source("Seed shop")
        seed.fill(small.dsn, people=people, touchpoints=touchpoints, source_id=source_id, now=now)
        say("a segment in both")
        both = [Asked(small), Asked(large)]
        for name in both[0].pages:
            for number in range(WARM_UP + ROUNDS):
                for asked in both:
                    asked.ask(name, number)
            say(f"{name}: {both[0].p95(name):.0f} and {both[1].p95(name):.0f} ms")
        ours, theirs = ({name: asked.p95(name) for name in asked.pages} for asked in both)
        return ours, theirs


def run() -> list[Goal]:
    """Measure and print."""
    small, large = measure()
    table(
        [
            ("p95 in ms", f"{SMALL[0]:,} people", f"{LARGE[0]:,} people", "ratio"),
            *(
                (name, f"{small[name]:.0f}", f"{large[name]:.0f}", f"{large[name] / small[name]:.2f}")
                for name in large
            ),
        ]
    )
    goals = [Goal("search.p95", large["API search"], SEARCH_MS, 1.0, "ms", at_most=True)]
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
