"""What must hold in the database at any moment, whatever was killed; each promise is one query.

A check returns the rows that break it, named by their ids. Nothing here repairs, locks or writes; all checks of
one run look at the same snapshot. Where the numbers of a promise may be turned by staff (a cap, quiet hours),
only what happened since they were last turned is judged, and a time that two transactions may see differently
is given GRACE. The tables of all apps are read here, by name, on purpose: a check must not believe the code it
checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection, transaction

from crm.kernel import actionlog, knobs, reactions
from crm.states import OPT_IN_PURPOSES, Channel, MessageClass
from lifecycle import registry

# A withdrawal may wait for the lock that a claim holds: its stamp is then older than the send it came too late for.
GRACE: Final = timedelta(seconds=5)
# A knob is read from a cache that is at most five seconds old.
KNOB_GRACE: Final = timedelta(seconds=10)
# Whoever is due and has no notice after this long has been forgotten, not merely not reached yet.
LONGEST_TELLING: Final = timedelta(minutes=15)
EPOCH: Final = "1970-01-01T00:00:00+00:00"
SAMPLES: Final = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer of one check: how many rows break the promise, and the ids of the first of them."""

    name: str
    promise: str
    count: int
    samples: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing breaks it."""
        return self.count == 0


@dataclass(frozen=True, slots=True)
class Invariant:
    """A promise and the function that looks for what breaks it: (number, first ids)."""

    name: str
    promise: str
    find: Callable[[datetime], tuple[int, tuple[str, ...]]]


_invariants: dict[str, Invariant] = {}


def check(*, now: datetime) -> Iterator[Finding]:
    """Run every check on one snapshot, in order. Inside a transaction the caller's snapshot is used."""
    nested = connection.in_atomic_block
    with transaction.atomic():
        if not nested:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        for one in _invariants.values():
            count, samples = one.find(now)
            yield Finding(one.name, one.promise, count, samples)


def names() -> list[str]:
    """The names of all checks, in the order they run."""
    return list(_invariants)


def _invariant(name: str, promise: str) -> Callable[[Callable[[datetime], Any]], Callable[[datetime], Any]]:
    def add(function: Callable[[datetime], Any]) -> Callable[[datetime], Any]:
        _invariants[name] = Invariant(name, promise, function)
        return function

    return add


def _count(sql: str, params: Mapping[str, Any]) -> tuple[int, tuple[str, ...]]:
    """`sql` selects one text per row that breaks the promise."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*), (array_agg(what ORDER BY what))[1:{SAMPLES}] FROM ({sql}) AS broken(what)",
            params,
        )
        count, samples = cursor.fetchone()
    return count, tuple(samples or ())


def _turned_since(*knob_names: str) -> str:
    """SQL: when the last of these knobs was turned."""
    listed = ", ".join(f"'{name}'" for name in knob_names)
    return (
        f"COALESCE((SELECT max(changed_at) + interval '{KNOB_GRACE.seconds} s' FROM kernel_knob"
        f" WHERE name IN ({listed})), '{EPOCH}')"
    )


# -- telling

# Fixed tickets by root, with the round that shipped; everything merged into a root is its family.
_FIXES = """
item AS (
    SELECT r.id AS release_id, r.shipped_at, r.told_at, COALESCE(t.merged_into_id, t.id) AS root, max(i.round) AS round
      FROM voc_release r
      JOIN voc_releaseitem i ON i.release_id = r.id AND i.round IS NOT NULL
      JOIN voc_ticket t ON t.id = i.ticket_id
     WHERE r.status = 'shipped'
     GROUP BY r.id, COALESCE(t.merged_into_id, t.id)
), family AS (
    SELECT item.*, t.id AS ticket_id FROM item JOIN voc_ticket t ON t.id = item.root OR t.merged_into_id = item.root
)
"""


@_invariant("asker_told", "each due asker has a notice")
def _asker_told(now: datetime) -> tuple[int, tuple[str, ...]]:
    return _count(
        f"""
        WITH {_FIXES}, told AS (
            SELECT DISTINCT family.release_id, family.root, COALESCE(p.merged_into_id, p.id) AS person
              FROM family
              JOIN voc_fixnotice n ON n.ticket_id = family.ticket_id AND n.round >= family.round
              JOIN crm_profile p ON p.id = n.profile_id
        )
        SELECT DISTINCT format('release %%s ticket %%s person %%s', family.release_id, family.root,
                               COALESCE(p.merged_into_id, p.id))
          FROM family
          JOIN voc_ticketfollower f ON f.ticket_id = family.ticket_id AND f.left_at IS NULL
          JOIN crm_profile p ON p.id = f.profile_id
          LEFT JOIN told ON told.release_id = family.release_id AND told.root = family.root
                        AND told.person = COALESCE(p.merged_into_id, p.id)
         WHERE told.person IS NULL
           AND (family.told_at IS NOT NULL OR GREATEST(family.shipped_at, f.created_at) < %(late)s)
        """,
        {"late": now - LONGEST_TELLING},
    )


@_invariant("notice_once", "nobody has two notices of one fix")
def _notice_once(now: datetime) -> tuple[int, tuple[str, ...]]:
    """Two people who were both told and then turned out to be one are no fault, nor are two tickets merged later."""
    return _count(
        """
        WITH notice AS (
            SELECT n.id, n.round, n.created_at, n.ticket_id, n.profile_id,
                   COALESCE(t.merged_into_id, t.id) AS ticket, COALESCE(p.merged_into_id, p.id) AS person
              FROM voc_fixnotice n
              JOIN voc_ticket t ON t.id = n.ticket_id
              JOIN crm_profile p ON p.id = n.profile_id
        )
        SELECT format('ticket %%s person %%s', b.ticket, b.person)
          FROM notice a
          JOIN notice b ON a.ticket = b.ticket AND a.person = b.person AND a.round = b.round AND a.id < b.id
         WHERE (a.profile_id = b.profile_id OR NOT EXISTS (
                SELECT 1 FROM crm_mergerecord m JOIN crm_profile l ON l.id = m.loser_id
                 WHERE m.undone_at IS NULL AND COALESCE(l.merged_into_id, l.id) = b.person
                   AND m.created_at >= b.created_at - %(grace)s::interval))
           AND (a.ticket_id = b.ticket_id OR NOT EXISTS (
                SELECT 1 FROM voc_ticketevent e JOIN voc_ticket t ON t.id = e.ticket_id
                 WHERE e.kind = 'merged' AND t.merged_into_id = b.ticket
                   AND e.at >= b.created_at - %(grace)s::interval))
        """,
        {"grace": GRACE},
    )


@_invariant("notice_carried", "each notice is carried by a message")
def _notice_carried(now: datetime) -> tuple[int, tuple[str, ...]]:
    return _count("SELECT format('notice %%s', id) FROM voc_fixnotice WHERE message_id IS NULL", {})


@_invariant("inbox_copy", "each message that went out has its copy in the inbox")
def _inbox_copy(now: datetime) -> tuple[int, tuple[str, ...]]:
    kinds = [kind.code for kind in registry.all_kinds() if Channel.IN_APP in kind.channels]
    return _count(
        """
        SELECT format('message %%s', m.id) FROM lifecycle_outboundmessage m JOIN crm_profile p ON p.id = m.profile_id
         WHERE m.decision = 'sent' AND m.kind = ANY(%(kinds)s) AND p.erased_at IS NULL
           AND NOT EXISTS (SELECT 1 FROM lifecycle_inboxitem i WHERE i.message_id = m.id)
        """,
        {"kinds": kinds},
    )


# -- ledgers


@_invariant("balance_is_sum", "balances are the sum of their entries, and not negative")
def _balance_is_sum(now: datetime) -> tuple[int, tuple[str, ...]]:
    return _count(
        """
        SELECT format('account %%s', a.id) FROM members_pointsaccount a
          LEFT JOIN (SELECT account_id, sum(amount) AS total FROM members_pointsentry GROUP BY 1) e
            ON e.account_id = a.id
         WHERE a.balance <> COALESCE(e.total, 0) OR a.balance < 0
        """,
        {},
    )


@_invariant("lot_not_overspent", "no credit is spent beyond its amount, and each debit is covered by credits")
def _lot_not_overspent(now: datetime) -> tuple[int, tuple[str, ...]]:
    return _count(
        """
        SELECT format('entry %%s', e.id) FROM members_pointsentry e
          JOIN (SELECT credit_id, sum(amount) AS spent FROM members_lotspend GROUP BY 1) s ON s.credit_id = e.id
         WHERE s.spent > e.amount
        UNION ALL
        SELECT format('entry %%s', e.id) FROM members_pointsentry e
          LEFT JOIN (SELECT debit_id, sum(amount) AS covered FROM members_lotspend GROUP BY 1) s ON s.debit_id = e.id
         WHERE e.amount < 0 AND COALESCE(s.covered, 0) <> -e.amount
        """,
        {},
    )


# -- people


@_invariant("alias_resolves", "every alias resolves to one live person, without a cycle")
def _alias_resolves(now: datetime) -> tuple[int, tuple[str, ...]]:
    return _count(
        """
        SELECT format('person %%s points at %%s, who is merged too', p.id, r.id)
          FROM crm_profile p JOIN crm_profile r ON r.id = p.merged_into_id WHERE r.merged_into_id IS NOT NULL
        UNION ALL
        SELECT format('identifier %%s of an erased person', i.id)
          FROM crm_identity i JOIN crm_profile p ON p.id = i.profile_id
          JOIN crm_profile r ON r.id = COALESCE(p.merged_into_id, p.id)
         WHERE r.erased_at IS NOT NULL
        UNION ALL
        SELECT format('merge %%s of people who are apart', m.id)
          FROM crm_mergerecord m JOIN crm_profile l ON l.id = m.loser_id JOIN crm_profile w ON w.id = m.winner_id
         WHERE m.undone_at IS NULL
           AND (l.merged_into_id IS NULL OR l.merged_into_id <> COALESCE(w.merged_into_id, w.id))
        UNION ALL
        SELECT format('person %%s is merged without a record', p.id) FROM crm_profile p
         WHERE p.merged_into_id IS NOT NULL
           AND NOT EXISTS (SELECT 1 FROM crm_mergerecord m WHERE m.loser_id = p.id AND m.undone_at IS NULL)
        """,
        {},
    )


@_invariant("member_is_root", "members of segments are living people, each as one row")
def _member_is_root(now: datetime) -> tuple[int, tuple[str, ...]]:
    """Somebody who was merged or erased a moment ago is followed within seconds, when a worker is there."""
    return _count(
        """
        SELECT format('segment %%s person %%s', s.segment_id, s.profile_id)
          FROM crm_segmentmembership s LEFT JOIN crm_profile p ON p.id = s.profile_id
         WHERE (p.id IS NULL OR p.merged_into_id IS NOT NULL OR p.erased_at IS NOT NULL)
           AND NOT EXISTS (SELECT 1 FROM kernel_pendingreaction r
                            WHERE r.receiver = 'crm.receivers.follow_segments')
        UNION ALL
        SELECT format('person %%s in segment %%s that is archived or not there', s.profile_id, s.segment_id)
          FROM crm_segmentmembership s LEFT JOIN crm_segment g ON g.id = s.segment_id
         WHERE (g.id IS NULL OR g.status IN ('archived', 'draft'))
           AND NOT EXISTS (SELECT 1 FROM crm_segmentrun r
                            WHERE r.segment_id = s.segment_id AND r.status IN ('waiting', 'running'))
        """,
        {},
    )


@_invariant("segment_size", "the size of a segment is the number of its rows")
def _segment_size(now: datetime) -> tuple[int, tuple[str, ...]]:
    return _count(
        """
        SELECT format('segment %%s says %%s, has %%s', g.id, g.size, COALESCE(n.number, 0)) FROM crm_segment g
          LEFT JOIN (SELECT segment_id, count(*) AS number FROM crm_segmentmembership GROUP BY 1) n
            ON n.segment_id = g.id
         WHERE g.size <> COALESCE(n.number, 0)
        """,
        {},
    )


# -- sending

# E-mails that went out, and every id the person had then. Somebody merged since is judged by the own id alone.
_MAIL = """
mail AS (
    SELECT m.id, m.profile_id, k.purpose, d.address_hash, COALESCE(d.claimed_at, d.created_at) AS at,
           COALESCE(p.merged_into_id, p.id) AS root
      FROM lifecycle_delivery d
      JOIN lifecycle_outboundmessage m ON m.id = d.message_id
      JOIN crm_profile p ON p.id = m.profile_id
      JOIN unnest(%(codes)s::text[], %(purposes)s::text[]) AS k(code, purpose) ON k.code = m.kind
     WHERE d.channel = 'email' AND d.status IN ('sent', 'unknown')
), stable AS (
    SELECT mail.* FROM mail
     WHERE NOT EXISTS (
           SELECT 1 FROM crm_mergerecord r JOIN crm_profile l ON l.id = r.loser_id
            WHERE COALESCE(l.merged_into_id, l.id) = mail.root
              AND GREATEST(r.created_at, r.undone_at) > mail.at - %(grace)s::interval)
), person AS (
    SELECT id, profile_id AS member FROM mail
    UNION SELECT id, root FROM stable
    UNION SELECT stable.id, p.id FROM stable JOIN crm_profile p ON p.merged_into_id = stable.root
)
"""


def _mail_params() -> dict[str, Any]:
    """Kinds that go to the address of a person (not the question whether an address is somebody's)."""
    kinds = [kind for kind in registry.all_kinds() if kind.to == "person"]
    return {
        "codes": [kind.code for kind in kinds],
        "purposes": [str(kind.consent_purpose) for kind in kinds],
        "opt_in": [str(purpose) for purpose in OPT_IN_PURPOSES],
        "grace": GRACE,
    }


@_invariant("consent_valid", "nothing was sent without a consent that was valid when it was sent")
def _consent_valid(now: datetime) -> tuple[int, tuple[str, ...]]:
    return _count(
        f"""
        WITH {_MAIL}, decision AS (
            SELECT mail.id, c.granted, c.occurred_at > mail.at - %(grace)s::interval AS is_fresh,
                   row_number() OVER (PARTITION BY mail.id, c.profile_id
                                      ORDER BY c.occurred_at DESC, c.id DESC) AS place
              FROM mail JOIN person ON person.id = mail.id
              JOIN crm_consentrecord c ON c.profile_id = person.member AND c.purpose = mail.purpose
                   AND c.channel = 'email' AND c.occurred_at <= mail.at + %(grace)s::interval
        )
        SELECT format('message %%s after a no', id) FROM decision WHERE place = 1 AND NOT granted AND NOT is_fresh
        UNION ALL
        SELECT format('message %%s without a yes', mail.id) FROM mail
         WHERE mail.purpose = ANY(%(opt_in)s)
           AND NOT EXISTS (SELECT 1 FROM decision WHERE decision.id = mail.id AND decision.granted)
        UNION ALL
        SELECT format('message %%s to a barred address', mail.id) FROM mail
          JOIN crm_suppression s ON s.channel = 'email' AND s.value_hash = mail.address_hash
               AND s.purpose IN ('', mail.purpose) AND s.created_at < mail.at - %(grace)s::interval
        """,
        _mail_params(),
    )


@_invariant("cap_kept", "nobody got more than the cap and the budget of contact pressure allow")
def _cap_kept(now: datetime) -> tuple[int, tuple[str, ...]]:
    """Each message is counted by an entry; entries of one person are numbered in the order of their decisions."""
    capped = (MessageClass.MARKETING, MessageClass.CARE)
    counted = [
        kind.code
        for kind in registry.all_kinds()
        if kind.message_class in capped
        and knobs.get(f"crm.pressure_weight_{MessageClass(kind.message_class).value}")
    ]
    turned = _turned_since(
        *("crm.pressure_window_hours", "crm.pressure_marketing_cap", "crm.pressure_budget"),
        *(f"crm.pressure_weight_{one}" for one in ("marketing", "service", "care")),
    )
    return _count(
        f"""
        SELECT format('message %%s is not counted', m.id) FROM lifecycle_outboundmessage m
         WHERE m.kind = ANY(%(counted)s) AND m.decision = 'sent' AND m.decided_at > {turned}
           AND NOT EXISTS (SELECT 1 FROM crm_pressureentry e WHERE e.cause = 'lifecycle.message:' || m.id)
        UNION ALL
        SELECT format('person %%s at %%s', e.profile_id, e.cause) FROM crm_pressureentry e, LATERAL (
               SELECT sum(b.weight) AS points, count(*) FILTER (WHERE b.message_class = 'marketing') AS marketing
                 FROM crm_pressureentry b
                WHERE b.profile_id = e.profile_id AND b.id <= e.id
                  AND b.occurred_at > e.occurred_at - %(window)s::interval) AS spent
         WHERE e.occurred_at > {turned} AND e.message_class = ANY(%(capped)s)
           AND (spent.points > %(budget)s OR (e.message_class = 'marketing' AND spent.marketing > %(cap)s))
        """,
        {
            "counted": counted,
            "capped": [str(one) for one in capped],
            "cap": knobs.get("crm.pressure_marketing_cap"),
            "budget": knobs.get("crm.pressure_budget"),
            "window": timedelta(hours=knobs.get("crm.pressure_window_hours")),
        },
    )


@_invariant("quiet_hours_kept", "nothing was sent inside quiet hours")
def _quiet_hours_kept(now: datetime) -> tuple[int, tuple[str, ...]]:
    """By the zone the person still has, so only of the last two days, and not of who has moved or was merged since."""
    start, end = knobs.get("crm.quiet_hours_start"), knobs.get("crm.quiet_hours_end")
    waiting = [kind.code for kind in registry.all_kinds() if not kind.is_transactional]
    if not knobs.get("lifecycle.service_waits_for_morning"):
        waiting = [code for code in waiting if registry.get(code).message_class != MessageClass.SERVICE]
    turned = _turned_since(
        *(
            "crm.quiet_hours_start",
            "crm.quiet_hours_end",
            "crm.time_zone",
            "lifecycle.service_waits_for_morning",
        )
    )
    return _count(
        f"""
        WITH went AS (
            SELECT m.id, r.id AS root, COALESCE(d.claimed_at, m.decided_at) AS at,
                   r.value_sources -> 'time_zone' ->> 'at' AS zone_at,
                   COALESCE(z.name, o.name, 'UTC') AS zone, c.updated_at AS chosen_at,
                   COALESCE(c.quiet_start, %(start)s) AS quiet_start, COALESCE(c.quiet_end, %(end)s) AS quiet_end
              FROM lifecycle_outboundmessage m
              LEFT JOIN lifecycle_delivery d ON d.message_id = m.id
              JOIN crm_profile p ON p.id = m.profile_id
              JOIN crm_profile r ON r.id = COALESCE(p.merged_into_id, p.id) AND r.erased_at IS NULL
              LEFT JOIN pg_timezone_names z ON z.name = r.time_zone
              LEFT JOIN pg_timezone_names o ON o.name = %(zone)s
              LEFT JOIN crm_contactchoice c ON c.profile_id = r.id
             WHERE m.decision = 'sent' AND m.kind = ANY(%(waiting)s) AND m.decided_at > %(since)s
               AND (d.id IS NULL OR d.status IN ('sent', 'unknown'))
        )
        SELECT format('message %%s', id) FROM (
            SELECT *, extract(hour FROM at AT TIME ZONE zone) AS hour FROM went) AS went
         WHERE at > {turned}
           AND CASE WHEN quiet_start = quiet_end THEN false
                    WHEN quiet_start < quiet_end THEN hour >= quiet_start AND hour < quiet_end
                    ELSE hour >= quiet_start OR hour < quiet_end END
           AND (chosen_at IS NULL OR chosen_at < at)
           AND (zone_at IS NULL OR zone_at::timestamptz < at)
           AND NOT EXISTS (
               SELECT 1 FROM crm_mergerecord e JOIN crm_profile l ON l.id = e.loser_id
                WHERE COALESCE(l.merged_into_id, l.id) = went.root
                  AND GREATEST(e.created_at, e.undone_at) > went.at - %(grace)s::interval)
        """,
        {
            "waiting": waiting,
            "zone": knobs.get("crm.time_zone"),
            "start": start,
            "end": end,
            "since": now - timedelta(days=2),
            "grace": GRACE,
        },
    )


# -- machinery


@_invariant("lease_young", "no expired lease is older than twice its length")
def _lease_young(now: datetime) -> tuple[int, tuple[str, ...]]:
    """Somebody should have taken the work up long ago. While sending is paused, nobody takes messages up."""
    lifecycle_lease = timedelta(seconds=knobs.get("lifecycle.lease_seconds"))
    return _count(
        """
        SELECT format('reaction %%s', id) FROM kernel_pendingreaction
         WHERE parked_at IS NULL AND lease_until + %(reaction)s::interval < clock_timestamp()
        UNION ALL
        SELECT format('send run %%s', token) FROM lifecycle_sendrun
         WHERE NOT %(paused)s AND lease_until + %(sending)s::interval < clock_timestamp()
        UNION ALL
        SELECT format('enrolment %%s', id) FROM lifecycle_enrolment
         WHERE NOT %(paused)s AND status = 'waiting' AND lease_until + %(sending)s::interval < clock_timestamp()
        """,
        {
            "reaction": reactions.lease(),
            "sending": lifecycle_lease,
            "paused": knobs.get("lifecycle.sending_paused"),
        },
    )


@_invariant("claim_whole", "what a run has claimed belongs to a run that exists")
def _claim_whole(now: datetime) -> tuple[int, tuple[str, ...]]:
    return _count(
        """
        SELECT format('delivery %%s', d.id) FROM lifecycle_delivery d
         WHERE d.status = 'claimed' AND NOT EXISTS (SELECT 1 FROM lifecycle_sendrun r WHERE r.token = d.run)
        """,
        {},
    )


# What the database itself does not check row by row (decision 0054): table, column, and what it names.
UNCHECKED: Final = (
    ("crm_pressureentry", "profile_id", "crm_profile"),
    ("lifecycle_outboundmessage", "profile_id", "crm_profile"),
    ("lifecycle_inboxitem", "profile_id", "crm_profile"),
    ("lifecycle_inboxitem", "message_id", "lifecycle_outboundmessage"),
    ("lifecycle_delivery", "message_id", "lifecycle_outboundmessage"),
    ("voc_fixnotice", "ticket_id", "voc_ticket"),
    ("voc_fixnotice", "profile_id", "crm_profile"),
    ("voc_fixnotice", "release_id", "voc_release"),
    ("voc_fixnotice", "message_id", "lifecycle_outboundmessage"),
    ("members_pointsaccount", "profile_id", "crm_profile"),
    ("members_pointsentry", "account_id", "members_pointsaccount"),
)


@_invariant("named_exist", "messages, notices and points name people and records that exist")
def _named_exist(now: datetime) -> tuple[int, tuple[str, ...]]:
    return _count(
        " UNION ALL ".join(
            f"SELECT format('{table} %%s: {column} %%s', r.id, r.{column}) FROM {table} r"
            f" WHERE r.{column} IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {named} n WHERE n.id = r.{column})"
            for table, column, named in UNCHECKED
        ),
        {},
    )


@_invariant("computed_values", "computed values belong to living people themselves")
def _computed_values(now: datetime) -> tuple[int, tuple[str, ...]]:
    """Merges and erasures are followed by reactions, so only what none of them is on its way for is wrong."""
    return _count(
        """
        SELECT format('value of trait %%s for person %%s', v.trait_id, p.id)
          FROM crm_profile p JOIN crm_computedvalue v ON v.profile_id = p.id
         WHERE (p.merged_into_id IS NOT NULL OR p.erased_at IS NOT NULL)
           AND NOT EXISTS (SELECT 1 FROM kernel_pendingreaction WHERE receiver LIKE 'crm.receivers.%%')
        """,
        {},
    )


@_invariant("audit_chain", "the chain of the action log is whole")
def _audit_chain(now: datetime) -> tuple[int, tuple[str, ...]]:
    result = actionlog.verify()
    return (0, ()) if result.first_bad_id is None else (1, (f"row {result.first_bad_id}",))
