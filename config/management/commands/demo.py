"""`manage.py demo`: walk the closed loop through the pages and the API of the running system.

Prints each step with its result and where to look; exits with 1 when a step fails.
"""

import secrets
import time
from io import StringIO
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from config.demo.client import Failed, Letters, Site
from config.demo.walk import PATIENCE_SECONDS, SCOPES, Report, Step, Walk
from crm.kernel import actors, clock, jobs
from crm.selectors import profiles
from crm.services import sources
from lifecycle.services import inbox

HEARTBEAT = "renxin:heartbeat:celery"
ACTOR = actors.system("config.demo")
SOURCE_NAME = "make demo"


class Command(BaseCommand):
    help = "Walk the closed loop on the running system, step by step."

    def handle(self, *args: Any, **options: Any) -> None:
        site = Site(settings.BASE_URL)
        run = secrets.token_hex(3)
        walk = Walk(site, Letters(_mail_folder()), run=run, now=clock.now(), make_inbox_link=_inbox_link)
        self.stdout.write(f"\nThe closed loop on {site.base_url}, run {run}\n")
        self.number = 0
        keys: list[int] = []
        try:
            self.step(
                Step("The system is ready, and a worker is alive", lambda report: _ready(site, report)), site
            )
            self.step(
                Step(
                    "Keys for a shop's server and for an API client", lambda report: _keys(site, report, keys)
                ),
                site,
            )
            for step in walk.steps():
                self.step(step, site)
        except Failed:
            raise CommandError(f"step {self.number} failed") from None
        finally:
            for key in keys:
                sources.revoke_api_key(key, actor=ACTOR, now=clock.now())
            site.close()
        self.stdout.write(self.style.SUCCESS(f"\nAll {self.number} steps went well."))

    def step(self, step: Step, site: Site) -> None:
        """Take one step and print it. Raises Failed."""
        self.number += 1
        report = Report()
        began = time.monotonic()
        failure: Failed | None = None
        try:
            step.act(report)
        except Failed as problem:
            failure = problem
        except (KeyError, IndexError, TypeError, ValueError) as problem:
            failure = Failed(f"the answer was not as expected: {type(problem).__name__}: {problem}")
        mark = self.style.ERROR("FAIL") if failure else self.style.SUCCESS("ok  ")
        self.stdout.write(f"\n{mark} {self.number:>2}  {step.title}  ({time.monotonic() - began:.1f} s)")
        for line in report.lines:
            self.stdout.write(f"         {line}")
        for address in report.links:
            self.stdout.write(f"         -> {site.url(address)}")
        if failure:
            self.stdout.write(self.style.ERROR(f"         {failure}"))
            raise failure


def _mail_folder() -> Path | None:
    if not settings.EMAIL_BACKEND.endswith("filebased.EmailBackend"):
        return None
    return Path(settings.EMAIL_FILE_PATH)


def _inbox_link(public_id: str) -> str:
    profile = profiles.by_public_id(public_id)
    if profile is None:
        raise Failed(f"there is no person {public_id}")
    return inbox.link(profile.pk)


def _ready(site: Site, report: Report) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            checks = site.request("GET", "/readyz", expect=(200,)).json()["checks"]
            break
        except Failed as problem:
            if time.monotonic() > deadline:
                raise Failed(f"{problem}. Is `make up` running, with the same PORT or BASE_URL?") from None
            time.sleep(0.5)
    report.say(", ".join(f"{name} {answer}" for name, answer in checks.items()))
    report.link("/readyz")
    # Asked for now, so that a worker that lives but takes nothing is found out at once.
    asked_at = int(time.time())
    jobs.wake("config.heartbeat")
    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=5)
    try:
        while True:
            beat = client.get(HEARTBEAT)
            if beat and int(beat) >= asked_at:
                break
            if time.monotonic() > deadline:
                raise Failed("no worker took its heartbeat: `make up` runs one, a deployment starts it apart")
            time.sleep(0.5)
    except redis.RedisError as problem:
        raise Failed(f"the broker does not answer ({type(problem).__name__})") from None
    finally:
        client.close()
    report.say("a worker was asked for its heartbeat, and took it")


def _keys(site: Site, report: Report, keys: list[int]) -> None:
    out = StringIO()
    call_command("create_write_key", SOURCE_NAME, stdout=out)
    site.write_key = out.getvalue().split()[-1]
    key, site.api_key = sources.create_api_key(SOURCE_NAME, scopes=SCOPES, actor=ACTOR, now=clock.now())
    keys.append(key.pk)
    report.say(
        f"write key of the source “{SOURCE_NAME}”; an API key with {len(SCOPES)} scopes, revoked at the end"
    )
