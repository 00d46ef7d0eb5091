"""Putting the demo company into an empty database.

Everything goes through the services that everybody uses, in the order in which it happened, with the time
given to each call. It is one transaction: the company is there as a whole or not at all, and a line of the
action log says that it is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import connection, transaction

from config.demo import accounts, days, door, knowing, lists, loop, people, privacy, segments
from config.demo.state import ACTOR, Company, KeptMailer, settle
from crm.kernel import actionlog, knobs
from crm.kernel.models import ActionLog
from crm.models import Profile, Source
from crm.services import sources
from crm.services.touchpoints import SourceRef
from lifecycle.services.mailer import Mailer

MARK: Final = ("config.demo", "lantern-tea")
LOCK: Final = 0x52454E44
SERVER_NAME: Final = "Lantern Tea shop server 灯笼茶铺后台"
BROWSER_NAME: Final = "Lantern Tea website 灯笼茶铺网站"
ORGANISATION: Final = "Lantern Tea 灯笼茶铺"


class HasPeople(Exception):
    """The database holds people that are not of the demo company: it is left alone."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """`write_key` opens the door for the shop's server; it is empty when staff removed that source."""

    write_key: str
    is_new: bool


def load(*, now: datetime) -> Loaded:
    """Load the company unless it is there. Raises HasPeople."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        if ActionLog.objects.filter(object_kind=MARK[0], object_id=MARK[1]).exists():
            key = Source.objects.filter(name=SERVER_NAME).values_list("write_key", flat=True).first()
            return Loaded(key or "", is_new=False)
        if Profile.objects.exists():
            raise HasPeople
        with KeptMailer() as mailer:
            company = _found(now=now, mailer=mailer)
            _live(company)
        actionlog.write(ACTOR, "config.demo.loaded", MARK, now=now)
    return Loaded(company.write_key, is_new=True)


def _found(*, now: datetime, mailer: Mailer) -> Company:
    """Before the first day: the house, its sources, its staff (who cannot sign in without a password)."""
    server = sources.create(SERVER_NAME, trust="server", actor=ACTOR, now=now)
    browser = sources.create(BROWSER_NAME, trust="browser", actor=ACTOR, now=now)
    company = Company(
        now=now,
        mailer=mailer,
        server=SourceRef(server.pk, server.trust, server.name),
        browser=SourceRef(browser.pk, browser.trust, browser.name),
        write_key=server.write_key,
    )
    knobs.set("lifecycle.organisation_name", ORGANISATION, actor=ACTOR, now=now)
    for colleague in people.COLLEAGUES:
        user = get_user_model().objects.create_user(
            colleague.username,
            email=f"{colleague.username}@example.com",
            password=None,
            first_name=colleague.first_name,
            last_name=colleague.last_name,
            language=colleague.language,
            time_zone=colleague.time_zone,
            team=colleague.team,
            is_staff=True,
        )
        user.groups.add(Group.objects.get_or_create(name=colleague.role)[0])
        company.staff[colleague.username] = user
    return company


def _live(company: Company) -> None:
    """Everything that happened, in the order in which it did, and then today."""
    plans = [*days.plan(company), *loop.plan(company), *segments.plan(company), *accounts.plan(company)]
    for at, act in sorted(plans, key=lambda planned: planned[0]):
        act(at)
    settle(company, company.now)
    lists.bring(company)
    door.decide(company)
    knowing.decide(company, company.now)
    privacy.decide(company, company.now)
    accounts.decide(company, company.now)
    settle(company, company.now)
