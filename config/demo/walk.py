"""`make demo`: through the closed loop of a running system, as its clients and users would go.

Every step is a request that anybody with the right key or link can make; only the keys themselves are made on
this machine. Each run has people, products and words of its own, so it can be repeated as often as you like.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from config.demo.client import Failed, Letters, Site, daytime_zone, link_in, text_of

PATIENCE_SECONDS: Final = 90.0
SCOPES: Final = (
    "crm.profile:read", "crm.profile:write", "crm.consentrecord:read", "crm.consentrecord:write",
    "voc.feedback:read", "voc.feedback:write", "voc.ticket:read", "voc.ticket:write", "voc.release:read",
    "voc.release:write", "lifecycle.message:read", "lifecycle.journey:read", "lifecycle.journey:write",
    "lifecycle.enrolment:read", "members.points:read",
)  # fmt: skip


@dataclass(slots=True)
class Report:
    """What one step has to say: lines of result, and links to look at."""

    lines: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """One line of result."""
        self.lines.append(text)

    def link(self, address: str) -> None:
        """Where to see it."""
        if address not in self.links:
            self.links.append(address)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the walk."""

    title: str
    act: Callable[[Report], None]


@dataclass(slots=True)
class Person:
    """Somebody of this run, as the shop's server knows them."""

    user_id: str
    name: str
    language: str
    email: str
    id: str = ""


class Walk:
    """One walk; its state is what the steps hand on to each other."""

    def __init__(
        self,
        site: Site,
        letters: Letters,
        *,
        run: str,
        now: datetime,
        make_inbox_link: Callable[[str], str],
    ) -> None:
        """`make_inbox_link` makes the signed link for a public id, for where letters cannot be read."""
        self.site, self.letters, self.run = site, letters, run
        self.make_inbox_link = make_inbox_link
        self.zone = daytime_zone(now)
        self.lin = Person(f"loop-lin-{run}", "演示·林夏", "zh-hans", f"lin.{run}@example.org")
        self.ben = Person(f"loop-ben-{run}", "Demo Ben", "en", f"ben.{run}@example.com")
        self.ivy = Person(f"loop-ivy-{run}", "Demo Ivy", "en", f"ivy.{run}@example.com")
        self.visitor = Person("", "演示访客", "zh-hans", f"visitor.{run}@example.org")
        self.voices: list[int] = []
        self.ticket: dict[str, Any] = {}
        self.release: dict[str, Any] = {}
        self.journey: dict[str, Any] = {}

    def steps(self) -> Iterator[Step]:
        """All steps after the keys, in order."""
        yield Step("Events come in through /v1/batch; a resent batch counts once", self.send_events)
        yield Step("Feedback by the portal form, in Chinese", self.speak_by_form)
        yield Step("Feedback by REST, in English and in Chinese", self.speak_by_rest)
        yield Step("A ticket is opened; what sounds alike is found and attached", self.open_ticket)
        yield Step("Somebody else asks to be told", self.follow)
        yield Step("The fix ships in a release; shipping twice is shipping once", self.ship)
        yield Step("Everyone who asked is told, once", self.told)
        yield Step("Each of them finds it in their own inbox", self.inboxes)
        yield Step("Whoever reported it is thanked with points", self.points)
        yield Step("A journey: looked at it, did not buy", self.start_journey)
        yield Step("Three people look: one buys, one took consent back, one is sent the coupon", self.browse)
        yield Step("One click unsubscribes", self.unsubscribe)
        yield Step("The public changelog names the release and who asked", self.changelog)

    # -- people and events

    def send_events(self, report: Report) -> None:
        """identify and track for three people, then the same batch again."""
        people = (self.lin, self.ben, self.ivy)
        events = [self._identify(person) for person in people]
        events += [
            self._track(person, "Products Searched", {"query": f"demo tea {self.run}"}, "search")
            for person in people
        ]
        events.append(
            self._track(
                self.ben,
                "Order Completed",
                {"order_id": f"LT-{self.run}", "revenue": "29.33", "currency": "USD"},
                "order",
            )
        )
        first = self.site.send(*events)
        again = self.site.send(*events)
        _expect("events stored", first["accepted"], len(events))
        _expect("events stored when resent", again["accepted"], 0)
        _expect("duplicates when resent", again["duplicates"], len(events))
        report.say(
            f"{first['accepted']} events of 3 people stored; resent: 0 stored, {again['duplicates']} duplicates"
        )
        for person in people:
            found = self.site.get("/profiles/", user_id=person.user_id)["results"]
            _expect(f"profiles of {person.user_id}", len(found), 1)
            person.id = found[0]["id"]
        timeline = self.site.get(f"/profiles/{self.ben.id}/timeline/")["results"]
        report.say(f"timeline of {self.ben.name}: " + ", ".join(item["kind"] for item in timeline))
        report.link(f"/api/v1/profiles/{self.ben.id}/timeline/")

    # -- the loop

    def speak_by_form(self, report: Report) -> None:
        """A visitor fills in the form, and confirms the address by the link in the letter."""
        where = self.site.submit(
            "/feedback/",
            {
                "text": f"结账时填了优惠码，页面一直转圈，最后没有减价。（{self.run}）",
                "email": self.visitor.email,
                "name": self.visitor.name,
                "may_name": "on",
            },
            language="zh-hans",
        )
        report.say("the form was taken; the visitor lands on the page of their own voice")
        report.link(where)
        self.site.page(where, language="zh-hans")
        row = self.site.get("/feedback/", channel="portal")["results"][0]
        if self.run not in row["text"]:
            raise Failed("the newest portal feedback is not the one that was just given")
        self.voices.append(row["id"])
        self.visitor.id = row["person"]["id"]
        # Where they live nobody knows yet; staff note that it is day there.
        self.site.patch(f"/profiles/{self.visitor.id}/", {"time_zone": self.zone, "language": "zh-hans"})
        if not self.letters.can_read:
            report.say(
                "mail is really sent here, so the address stays unconfirmed: it will not be written to"
            )
            return
        letter = _wait(
            lambda: self.letters.to(self.visitor.email), "the letter that asks to confirm the address"
        )[-1]
        link = link_in(text_of(letter), "/confirm/")
        if not link:
            raise Failed("the letter has no link to confirm the address")
        self.site.submit(link, {}, language="zh-hans")
        report.say(f"letter “{letter['Subject']}” opened, address confirmed with a button")

    def speak_by_rest(self, report: Report) -> None:
        """Two more voices about the same thing, by a program."""
        for person, text in (
            (
                self.ben,
                f"The discount code does nothing: checkout spins for ever and charges the full price. ({self.run})",
            ),
            (self.lin, f"优惠码填了没用，结账页面一直转圈，没有减价。（{self.run}）"),
        ):
            body = {
                "text": text,
                "person": {"user_id": person.user_id, "name": person.name},
                "may_name": person is self.ben,
                "credit_name": person.name if person is self.ben else "",
            }
            key = f"demo-{self.run}-{person.user_id}"
            row = self.site.post("/feedback/", body, key=key)
            same = self.site.post("/feedback/", body, key=key)
            _expect("id of the repeated request", same["id"], row["id"])
            self.voices.append(row["id"])
            report.say(
                f"feedback {row['id']} of {person.name}; repeated under its Idempotency-Key: still one"
            )
            report.link(f"/api/v1/feedback/{row['id']}/")

    def open_ticket(self, report: Report) -> None:
        """From the first voice; the other two are attached."""
        first, english, chinese = self.voices
        self.ticket = self.site.post(
            f"/feedback/{first}/open-ticket/",
            {
                "title": f"Discount codes at checkout 结账时优惠码无效 ({self.run})",
                "kind": "bug",
                "severity": "high",
            },
        )
        report.say(f"ticket #{self.ticket['number']}: {self.ticket['clock']['text']}")
        for voice in (chinese, english):
            matches = self.site.get(f"/feedback/{voice}/similar/")
            near = {match["ticket"]["id"]: match["score"] for match in matches}
            if voice == chinese and self.ticket["id"] not in near:
                raise Failed(f"feedback {voice} says the same in Chinese, but the ticket is not among {near}")
            score = near.get(self.ticket["id"])
            report.say(f"similar to feedback {voice}: " + (f"score {score:.2f}" if score else "not this one"))
            row = self.site.post(f"/feedback/{voice}/attach/", {"ticket": self.ticket["id"]})
            _expect("status of the feedback", row["status"], "attached")
        report.link(self.ticket["url"])

    def follow(self, report: Report) -> None:
        """Without a voice of their own."""
        self.site.post(f"/tickets/{self.ticket['id']}/follow/", {"profile": self.ivy.id, "role": "asked"})
        followers = self.site.get(f"/tickets/{self.ticket['id']}/followers/")["results"]
        _expect("followers", len(followers), 4)
        report.say(", ".join(f"{row['person']['name']} ({row['role']})" for row in reversed(followers)))
        report.link(f"/api/v1/tickets/{self.ticket['id']}/followers/")

    def ship(self, report: Report) -> None:
        """Draft, item, ship; again under the same key, and again without one."""
        self.release = self.site.post(
            "/releases/",
            {"title": f"Demo fix 演示修复 {self.run}", "notes": "Codes count again. 优惠码恢复正常。"},
        )
        path = f"/releases/{self.release['id']}"
        self.site.post(
            f"{path}/items/", {"tickets": [self.ticket["id"]], "note": "Codes count again. 优惠码可用了"}
        )
        key = f"demo-ship-{self.run}"
        shipped = self.site.post(f"{path}/ship/", key=key)
        again = self.site.post(f"{path}/ship/", key=key)
        _expect("shipped_at of the repeated request", again["shipped_at"], shipped["shipped_at"])
        refused = self.site.post(f"{path}/ship/", expect=(409,))
        status = self.site.get(f"/tickets/{self.ticket['id']}/")["status"]
        _expect("status of the ticket", status, "resolved")
        report.say(
            f"release {self.release['id']} shipped; again with the key: same answer; without: {refused['code']}"
        )
        report.say(f"ticket #{self.ticket['number']} is {status}")
        report.link(f"/admin/voc/release/{self.release['id']}/change/")

    def told(self, report: Report) -> None:
        """Until nobody waits; everybody but an unconfirmed visitor was told."""
        path = f"/releases/{self.release['id']}/progress/"

        def done() -> Any:
            progress = self.site.get(path)
            return progress if progress["people"] and not progress["waiting"] else None

        progress = _wait(done, "the telling to end", then=lambda: str(self.site.get(path)))
        expected = 4 if self.letters.can_read else 3
        _expect("people to tell", progress["people"], 4)
        _expect("people told", progress["told"], expected)
        report.say(f"told {progress['told']} of {progress['people']}")
        for reason in progress["reasons"]:
            report.say(f"not told: {reason['people']} ({reason['reason']})")
        for person in (self.visitor, self.ben, self.lin, self.ivy):
            rows = self._decisions(person, kind="voc.fix_told")
            _expect(f"messages to {person.name}", len(rows), 1)
            report.say(f"{person.name}: {_decision(rows[0])}")
        report.link(f"/api/v1/releases/{self.release['id']}/progress/")

    def inboxes(self, report: Report) -> None:
        """Through the signed link of their letter: no password, nobody else's page."""
        for person in (self.visitor, self.ben, self.lin, self.ivy):
            link = self._inbox_link(person)
            page = self.site.page(link, language=person.language)
            _expect(
                f"mentions of this fix in the inbox of {person.name}", page.count(self.release["title"]), 1
            )
            other = "您" in page if person.language == "zh-hans" else "you told us" in page
            if not other:
                raise Failed(f"the inbox of {person.name} is not in their language ({person.language})")
            report.say(f"{person.name}: one item, in {person.language}")
            report.link(link)

    def points(self, report: Report) -> None:
        """Reporters are thanked, whoever only asked is not."""

        def booked(person: Person) -> list[dict[str, Any]]:
            rows: list[dict[str, Any]] = self.site.get("/points/entries/", profile=person.id)["results"]
            return [row for row in rows if row["kind"] == "thanks"]

        for person in (self.visitor, self.ben, self.lin):
            rows = _wait(lambda person=person: booked(person), f"the points of {person.name}")
            _expect(f"thank-you entries of {person.name}", len(rows), 1)
            report.say(f"{person.name}: {rows[0]['amount']:+d} points, balance {rows[0]['balance_after']}")
        _expect(f"thank-you entries of {self.ivy.name}, who only asked", len(booked(self.ivy)), 0)
        report.link(f"/api/v1/points/entries/?profile={self.ben.id}")

    # -- the journey

    def start_journey(self, report: Report) -> None:
        """A journey of this run alone: one product, no wait, nobody held out."""
        product = f"box-{self.run}"
        self.journey = self.site.post(
            "/journeys/",
            {
                "name": f"Demo: looked, not bought {self.run}",
                "definition": {
                    "trigger": {
                        "kind": "Product Viewed",
                        "where": [{"property": "collection", "op": "equals", "value": product}],
                    },
                    "entry_key": {"property": "product_id"},
                    "goal": {"kind": "Order Completed"},
                    "holdout_percent": 0,
                    "steps": [
                        {"id": "think", "type": "wait", "minutes": 0},
                        {
                            "id": "offer",
                            "type": "message",
                            "kind": "lifecycle.browsed_not_bought",
                            "useful_hours": 24,
                            "values": {
                                "product_name": {"property": "name", "default": ""},
                                "product_url": "",
                                "coupon_code": f"DEMO-{self.run.upper()}",
                                "percent": 10,
                            },
                        },
                    ],
                },
            },
        )
        self.journey = self.site.post(f"/journeys/{self.journey['id']}/activate/")
        _expect("status of the journey", self.journey["status"], "active")
        report.say(
            f"journey {self.journey['id']} is active: Product Viewed without Order Completed for 0 minutes"
        )
        report.link(f"/admin/lifecycle/journey/{self.journey['id']}/change/")
        # The processes that hear events know of a new journey within five seconds.
        time.sleep(6)

    def browse(self, report: Report) -> None:
        """Ben buys, Lin said yes and then no, Ivy said yes."""
        self._consent(self.ben, granted=True)
        self._consent(self.lin, granted=True)
        self._consent(self.lin, granted=False)
        self._consent(self.ivy, granted=True)
        self.site.send(
            self._look(self.ben, 1),
            self._track(
                self.ben,
                "Order Completed",
                {"order_id": f"LT-{self.run}-2", "revenue": "54.90", "currency": "USD"},
                "buy",
            ),
            self._look(self.lin, 1),
            self._look(self.ivy, 1),
        )

        def ended() -> Any:
            rows = self.site.get("/enrolments/", journey=self.journey["id"])["results"]
            return rows if len(rows) == 3 and all(row["status"] != "waiting" for row in rows) else None

        rows = _wait(ended, "three people to reach the end of the journey")
        by_person = {row["profile"]: row for row in rows}
        _expect(f"journey of {self.ben.name}", by_person[self.ben.id]["status"], "converted")
        report.say(
            f"{self.ben.name}: bought, journey {by_person[self.ben.id]['status']}; no message was written"
        )
        _expect(f"coupons for {self.ben.name}", len(self._coupons(self.ben)), 0)
        for person, decision, reason in ((self.lin, "dropped", "unsubscribed"), (self.ivy, "sent", "")):
            row = _wait(
                lambda person=person: self._decided_coupon(person), f"the decision about {person.name}"
            )
            _expect(f"decision about {person.name}", (row["decision"], row["reason"]), (decision, reason))
            report.say(f"{person.name}: {_decision(row)}")
        report.link(f"/api/v1/enrolments/?journey={self.journey['id']}")

    def unsubscribe(self, report: Report) -> None:
        """As a mail program does it: one POST, no cookies, no page. Then the next coupon is not sent."""
        letters = [letter for letter in self.letters.to(self.ivy.email) if letter["List-Unsubscribe"]]
        if not letters:
            if self.letters.can_read:
                raise Failed("no letter with a List-Unsubscribe header was written")
            report.say("skipped: mail is really sent here, the link is in the letter")
            return
        coupon = letters[-1]
        link = link_in(str(coupon["List-Unsubscribe"]).strip("<>"), "/u/").rstrip(">")
        _expect("List-Unsubscribe-Post", coupon["List-Unsubscribe-Post"], "List-Unsubscribe=One-Click")
        shown = self.site.page(link)
        if "<form" not in shown:
            raise Failed("the page behind the link has no button")
        self.site.request("POST", link, data={"List-Unsubscribe": "One-Click"}, expect=(200, 202, 204))
        newest = self.site.get(f"/profiles/{self.ivy.id}/consents/")[0]
        _expect("consent after the click", (newest["purpose"], newest["granted"]), ("marketing", False))
        report.say(f"reading the page changed nothing; the POST withdrew {newest['purpose']} by e-mail")
        self.site.send(self._look(self.ivy, 2))
        row = _wait(
            lambda: self._decided_coupon(self.ivy, number=2),
            f"the decision about {self.ivy.name}'s next coupon",
        )
        _expect(
            "decision about the next coupon", (row["decision"], row["reason"]), ("dropped", "unsubscribed")
        )
        report.say(f"next coupon for {self.ivy.name}: {_decision(row)}")
        report.link(link)

    def changelog(self, report: Report) -> None:
        """As everybody reads it, in both languages, and as JSON."""
        for language in ("en", "zh-hans"):
            if self.release["title"] not in self.site.page("/changelog/", language=language):
                raise Failed(f"the changelog ({language}) does not show “{self.release['title']}”")
        entry = self.site.get("/changelog/")["results"][0]
        _expect("newest entry", entry["title"], self.release["title"])
        if self.ben.name not in entry["credits"]:
            raise Failed(f"{self.ben.name} agreed to be named, but the credits are {entry['credits']}")
        report.say(f"“{entry['title']}”, thanks to {', '.join(entry['credits'])}")
        report.link("/changelog/")
        self.site.post(f"/journeys/{self.journey['id']}/archive/")
        report.say("the journey of this run is archived")

    # -- pieces

    def _identify(self, person: Person) -> dict[str, Any]:
        traits = {
            "name": person.name,
            "email": person.email,
            "language": person.language,
            "timezone": self.zone,
        }
        return {
            "type": "identify",
            "userId": person.user_id,
            "traits": traits,
            "messageId": f"{self.run}-identify-{person.user_id}",
        }

    def _track(self, person: Person, event: str, properties: dict[str, Any], key: str) -> dict[str, Any]:
        return {
            "type": "track",
            "userId": person.user_id,
            "event": event,
            "properties": properties,
            "messageId": f"{self.run}-{key}-{person.user_id}",
            "timestamp": datetime.now(UTC).isoformat(),
        }

    def _look(self, person: Person, number: int) -> dict[str, Any]:
        properties = {
            "product_id": f"box-{self.run}-{number}",
            "collection": f"box-{self.run}",
            "name": f"Demo box 演示礼盒 {number}",
        }
        return self._track(person, "Product Viewed", properties, f"look-{number}")

    def _consent(self, person: Person, *, granted: bool) -> None:
        self.site.post(
            f"/profiles/{person.id}/consents/",
            {
                "purpose": "marketing",
                "channel": "email",
                "granted": granted,
                "way": "form" if granted else "preferences",
                "text_version": "demo-1",
                "evidence": {"run": self.run},
            },
        )

    def _decisions(self, person: Person, *, kind: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.site.get("/messages/", profile=person.id, kind=kind)["results"]
        return rows

    def _inbox_link(self, person: Person) -> str:
        """From the letter; where mail is really sent, made here as the letter would carry it."""
        links = [link_in(text_of(letter), "/me/") for letter in self.letters.to(person.email)]
        found = next((link for link in reversed(links) if link), "")
        return found or self.make_inbox_link(person.id)

    def _coupons(self, person: Person) -> list[dict[str, Any]]:
        rows = self._decisions(person, kind="lifecycle.browsed_not_bought")
        return [row for row in rows if self.run in row["subject_key"]]

    def _decided_coupon(self, person: Person, *, number: int = 1) -> dict[str, Any] | None:
        rows = [row for row in self._coupons(person) if row["subject_key"].endswith(f"-{number}")]
        return rows[0] if rows and rows[0]["decision"] not in ("queued", "held") else None


def _decision(row: dict[str, Any]) -> str:
    return f"{row['decision']}, {row['reason']}" if row["reason"] else str(row["decision"])


def _expect(what: str, found: Any, wanted: Any) -> None:
    if found != wanted:
        raise Failed(f"{what}: {found!r} instead of {wanted!r}")


def _wait(ask: Callable[[], Any], what: str, *, then: Callable[[], str] | None = None) -> Any:
    """Ask until there is an answer. Failed when the patience ends."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := ask()):
        if time.monotonic() > deadline:
            state = f" ({then()})" if then is not None else ""
            raise Failed(f"waited {PATIENCE_SECONDS:.0f} s for {what}{state}")
        time.sleep(0.3)
    return found
