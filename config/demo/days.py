"""Two months of the demo company's people: who they are, what they did, what they agreed to."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

from config.demo import people, shop, voices
from config.demo.state import ACTOR, Company, Planned, settle
from crm.kernel import actors
from crm.services import consents, contacts, merges, profiles, touchpoints
from crm.services.touchpoints import Event, SourceRef
from lifecycle import shipped
from lifecycle.services import journeys
from members.services import points

FIRST_DAY = shop.DAYS + 1
SIGN_UPS = 6  # people who sign up on one day
SHUFFLED = random.Random("lantern sign-ups").sample(people.CUSTOMERS, len(people.CUSTOMERS))
JOURNEY_DAYS = 8  # since when who looks and does not buy is offered a coupon
JUST_LOOKED = ("lixia", "clover", "xiaoman", "daisy", "thistle")  # nobody who was here the days before


def plan(company: Company) -> Iterator[Planned]:
    """Everything that happens to people, as (when, act)."""
    for number in range(0, len(people.CUSTOMERS), SIGN_UPS):
        some = SHUFFLED[number : number + SIGN_UPS]
        yield company.ago(FIRST_DAY + number), lambda at, some=some: _register(company, some, at)
    yield company.ago(JOURNEY_DAYS), lambda at: _start_journey(company, at)
    yield from _plan_visits(company)
    for key in voices.SILENT:
        yield (
            company.ago(40),
            lambda at, key=key: _consent(company, key, purpose="service", granted=False, at=at),
        )
    for key in voices.BOUNCED:
        yield company.ago(38), lambda at, key=key: _bounce(company, key, at)
    for key in voices.TOOK_BACK:
        yield (
            company.ago(20),
            lambda at, key=key: _consent(company, key, purpose="marketing", granted=False, at=at),
        )
    yield company.ago(28), lambda at: _at_the_counter(company, at)
    yield company.ago(15), lambda at: _same_person(company, at)
    yield company.ago(6), lambda at: _mixed_up(company, at)
    for who, amount, days, why in voices.POINTS:
        yield (
            company.ago(days),
            lambda at, who=who, amount=amount, why=why: _credit(company, who, amount, why, at),
        )
    yield company.ago(5), lambda at: _spend(company, at)


def _register(company: Company, some: list[people.Customer], at: datetime) -> None:
    """The shop's server tells of new customers, of the devices they signed in on, and who agreed to mail."""
    known = touchpoints.record(
        [
            Event(
                kind="identify",
                occurred_at=at - timedelta(minutes=47 * number),
                message_id=f"demo-identify-{customer.key}",
                identifiers=_identifiers(customer),
                traits=customer.traits,
            )
            for number, customer in enumerate(some)
        ],
        source=company.server,
        actor=actors.source(company.server.id),
        now=at,
        historical=True,
    )
    for customer, profile_id in zip(some, known.profile_ids, strict=True):
        assert profile_id is not None
        company.profiles[customer.key] = profile_id
        if customer.key in voices.AGREED:
            _consent(company, customer.key, purpose="marketing", granted=True, at=at)


def _identifiers(customer: people.Customer) -> list[tuple[str, str]]:
    pairs = [
        ("user_id", customer.user_id),
        ("anonymous_id", f"demo-device-{customer.key}"),
        ("email", customer.email),
        ("phone", customer.phone),
    ]
    return [(kind, value) for kind, value in pairs if value]


def _consent(company: Company, key: str, *, purpose: str, granted: bool, at: datetime) -> None:
    consents.record(
        company.profiles[key],
        purpose=purpose,
        channel="email",
        granted=granted,
        way="form" if granted else "preferences",
        text_version="demo-1",
        evidence={"page": "sign-up" if granted else "preferences"},
        actor=actors.person(company.profiles[key]),
        now=at,
    )


def _start_journey(company: Company, at: datetime) -> None:
    journey = journeys.create_from_template(
        shipped.BROWSED_NOT_BOUGHT,
        name="Looked, not bought 看了没买",
        actor=company.colleague("demo-lan"),
        now=at,
    )
    journeys.activate(journey.pk, actor=company.colleague("demo-lan"), now=at)


def _plan_visits(company: Company) -> Iterator[Planned]:
    """The shop's events: old ones some days at a time, since the journey began half a day, setting things off."""
    begin = company.now - timedelta(days=JOURNEY_DAYS - 1)
    latest = company.now - timedelta(minutes=30)
    batches: dict[tuple[bool, int], list[shop.Visit]] = {}
    for visit in shop.visits(today=company.now.date()):
        if visit.at < latest:
            old = visit.at < begin
            slot = visit.at.toordinal() // 3 if old else visit.at.toordinal() * 2 + visit.at.hour // 12
            batches.setdefault((old, slot), []).append(visit)
    for (old, _slot), visits in batches.items():
        # Late enough for those who did not buy to have made up their mind.
        yield (
            min(visits[-1].at + timedelta(minutes=35), latest),
            lambda at, visits=visits, old=old: _visit(company, visits, at, historical=old),
        )
    for number, key in enumerate(JUST_LOOKED):
        at = company.now - timedelta(minutes=24 - 4 * number)
        looked = shop.look(people.BY_KEY[key], shop.NEW, at)
        yield at, lambda at, looked=looked: _visit(company, [looked], at, historical=False)


def _visit(company: Company, visits: list[shop.Visit], at: datetime, *, historical: bool) -> None:
    _send(company, company.browser, [v for v in visits if v.source == shop.BROWSER], at, historical)
    _send(company, company.server, [v for v in visits if v.source == shop.SERVER], at, historical)
    if not historical:
        settle(company, at)


def _send(
    company: Company, source: SourceRef, visits: list[shop.Visit], at: datetime, historical: bool
) -> None:
    if not visits:
        return
    touchpoints.record(
        [
            Event(
                kind=visit.kind,
                occurred_at=visit.at,
                message_id=visit.message_id,
                identifiers=visit.identifiers,
                properties=visit.properties,
                channel="web" if source is company.browser else "",
            )
            for visit in visits
        ],
        source=source,
        actor=actors.source(source.id),
        now=at,
        historical=historical,
    )


def _bounce(company: Company, key: str, at: datetime) -> None:
    contact = contacts.add(
        company.profiles[key],
        channel="email",
        value=people.BY_KEY[key].email,
        origin="server",
        actor=ACTOR,
        now=at,
    )
    contacts.mark_bounced(contact.pk, actor=ACTOR, now=at)


def _at_the_counter(company: Company, at: datetime) -> None:
    """Somebody without an account buys in the shop round the corner."""
    sold = touchpoints.record(
        [
            Event(
                kind="Order Completed",
                occurred_at=at,
                message_id="demo-counter-7-order",
                identifiers=(("user_id", "demo-counter-7"),),
                properties={"order_id": "LT-COUNTER-7", "revenue": "21.50", "currency": "USD"},
                channel="store",
            )
        ],
        source=company.server,
        actor=actors.source(company.server.id),
        now=at,
        historical=True,
    )
    assert sold.profile_ids[0] is not None
    company.profiles["counter"] = sold.profile_ids[0]
    profiles.update(
        company.profiles["counter"],
        values={"name": "Demo W. (counter)", "country": "JP"},
        actor=company.colleague("demo-mei"),
        now=at,
    )


def _same_person(company: Company, at: datetime) -> None:
    """The customer from the counter turns out to be one of the shop's: staff merge the two."""
    merges.merge(
        company.profiles["finch"], company.profiles["counter"], actor=company.colleague("demo-lan"), now=at
    )


def _mixed_up(company: Company, at: datetime) -> None:
    """What a public key may not decide: two customers on one tablet, and a user ID that nobody has."""
    first, second = people.BY_KEY["hazel"], people.BY_KEY["rowan"]
    touchpoints.record(
        [
            Event(
                kind="identify",
                occurred_at=at,
                message_id="demo-shared-tablet",
                identifiers=(("user_id", first.user_id), ("email", second.email)),
            ),
            Event(
                kind="page",
                occurred_at=at,
                message_id="demo-null-user",
                identifiers=(("user_id", "null"),),
                properties={"name": "Home 首页", "path": "/"},
            ),
        ],
        source=company.browser,
        actor=actors.source(company.browser.id),
        now=at,
        historical=True,
    )


def _credit(company: Company, who: str, amount: int, why: str, at: datetime) -> None:
    points.credit(
        company.profiles[who],
        amount=amount,
        key=f"demo:{who}:{amount}",
        note=why,
        actor=company.colleague("demo-lan"),
        now=at,
    )


def _spend(company: Company, at: datetime) -> None:
    points.debit(
        company.profiles["daisy"],
        amount=100,
        key="demo:daisy:tin",
        note="Paper lantern tin 纸灯笼茶罐",
        actor=actors.person(company.profiles["daisy"]),
        now=at,
    )
