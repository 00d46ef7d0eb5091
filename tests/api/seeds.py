"""A little of everything, made through the services, so that ids in paths can exist."""

from __future__ import annotations

from dataclasses import dataclass

from crm.kernel import actors, clock
from crm.services import (
    accounts,
    catalogue,
    computed,
    erasure,
    imports,
    merges,
    notes,
    person_exports,
    profiles,
    segments,
    sources,
)
from lifecycle import registry, shipped
from lifecycle.services import journeys, messages
from voc.services import feedback, releases, tickets

ACTOR = actors.system("test")


@dataclass(frozen=True, slots=True)
class Seeds:
    """The ids of one row each."""

    profile: int
    profile_public: str
    ticket: int
    feedback: int
    release: int
    source: int
    segment: int
    eventkind: int
    journey: int
    outboundmessage: int
    importrun: int
    erasure: int
    account: int
    account_public: str
    computedtrait: int
    profilenote: int
    personexport: int
    mergerecord: int

    def path_id(self, path: str) -> object:
        """The id that makes a path of the API meet a row; None where there is nothing to meet."""
        noun = path.removeprefix("/api/v1/").split("/")[0]
        return {
            "profiles": self.profile_public,
            "tickets": self.ticket,
            "feedback": self.feedback,
            "releases": self.release,
            "sources": self.source,
            "segments": "fuzzed",
            "event-kinds": self.eventkind,
            "imports": self.importrun,
            "knobs": "crm.future_days",
            "journeys": self.journey,
            "messages": self.outboundmessage,
            "erasures": self.erasure,
            "accounts": self.account_public,
            "computed-traits": self.computedtrait,
            "profile-notes": self.profilenote,
            "identity-rules": "user_id",
        }.get(noun)


def seed() -> Seeds:
    """One person, voice, ticket, release and source."""
    from crm.models import Profile

    now = clock.now()
    profile = profiles.resolve([("user_id", "fuzz-1")], trust="server", actor=ACTOR, now=now)
    voice = feedback.give(
        text="The gift note is lost when I go back 礼品留言丢失", channel="api",
        person=feedback.Person(identifiers=(("user_id", "fuzz-1"),), name="Fuzz Example"),
        actor=ACTOR, now=now,
    )  # fmt: skip
    ticket = tickets.open(title="Gift note is lost", actor=ACTOR, now=now)
    release = releases.create(title="1.0", actor=ACTOR, now=now)
    source = sources.create("fuzz source", trust="server", actor=ACTOR, now=now)
    segment = segments.create("Fuzzed", rule={"touchpoint": "Fuzzed"}, actor=ACTOR, now=now)
    event_kind = catalogue.announce("Fuzzed", actor=ACTOR, now=now)
    journey = journeys.create_from_template(next(iter(shipped.TEMPLATES)), name="Seed", actor=ACTOR, now=now)
    kind = registry.all_kinds()[0]
    queued = messages.queue(
        [messages.Item(kind.code, profile, "seed", dict(kind.variables))], actor=ACTOR, now=now
    )
    run = imports.upload(
        "seed.csv", [b"email,name\na@example.com,A\n"], kind="contacts", actor=ACTOR, now=now
    )
    other = profiles.resolve([("user_id", "fuzz-2")], trust="server", actor=ACTOR, now=now)
    wanted = erasure.request(other, needs_approval=True, actor=ACTOR, now=now)
    export = person_exports.request(profile, language="en", actor=ACTOR, now=now)
    trait = computed.create(
        key="fuzzed", name="Fuzzed", definition={"kind": "Fuzzed", "function": "count"}, actor=ACTOR, now=now
    )
    account = accounts.save("seed", values={"name": "Seed"}, actor=ACTOR, now=now)
    note = notes.add(profile, text="Seed", category="taste", actor=ACTOR, now=now)
    twins = [
        profiles.resolve([("user_id", f"fuzz-twin-{n}")], trust="server", actor=ACTOR, now=now)
        for n in (1, 2)
    ]
    merge = merges.merge(*twins, actor=ACTOR, now=now)
    public = Profile.objects.values_list("public_id", flat=True).get(pk=profile)
    return Seeds(
        profile, str(public), ticket.pk, voice.pk, release.pk, source.pk, segment.pk, event_kind.pk,
        journey.pk, next(iter(queued.values())), run.pk, wanted.pk,
        account.pk, str(account.public_id), trait.pk, note.pk, export.pk, merge.pk,
    )  # fmt: skip
