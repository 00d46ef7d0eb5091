"""verify_invariants: all of it holds in a lived-in database, and each check names what was broken behind its back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from config import invariants
from crm.kernel import actionlog, knobs
from crm.services import consents, merges, partitions
from lifecycle import registry
from lifecycle.services import messages
from members.services import points
from tests.voc import build

pytestmark = pytest.mark.django_db

LATER = build.NOW + timedelta(hours=1)
COUPON = "lifecycle.browsed_not_bought"

PLANTED_BESIDE = {
    ("lifecycle_inboxitem", "message_id"),
    ("members_pointsentry", "account_id"),
    ("voc_fixnotice", "ticket_id"),
    ("voc_fixnotice", "profile_id"),
}

# Check -> statements that break it, and nothing else.
PLANTS: dict[str, tuple[str, ...]] = {
    "asker_told": (
        "DELETE FROM voc_fixnotice WHERE profile_id = %(ann)s",
        # Nobody ever came to tell them.
        "UPDATE voc_release SET told_at = NULL; DELETE FROM voc_fixnotice WHERE profile_id = %(ann)s",
    ),
    "notice_once": (
        "INSERT INTO voc_fixnotice (ticket_id, profile_id, round, release_id, role, message_id, created_at)"
        " SELECT ticket_id, %(old_bob)s, round, release_id, role, message_id, created_at FROM voc_fixnotice"
        " WHERE profile_id = %(bob)s",
    ),
    "notice_carried": ("UPDATE voc_fixnotice SET message_id = NULL WHERE profile_id = %(ann)s",),
    "inbox_copy": ("DELETE FROM lifecycle_inboxitem WHERE profile_id = %(ann)s",),
    "balance_is_sum": (
        "UPDATE members_pointsaccount SET balance = balance + 1",
        "UPDATE members_pointsentry SET amount = amount + 5 WHERE amount > 0",
    ),
    "lot_not_overspent": (
        "DELETE FROM members_lotspend",
        "UPDATE members_lotspend SET amount = 60",
    ),
    "alias_resolves": (
        "UPDATE crm_profile SET merged_into_id = %(cat)s WHERE id = %(bob)s",
        "UPDATE crm_profile SET merged_into_id = %(old_bob)s WHERE id = %(bob)s",
        "UPDATE crm_profile SET merged_into_id = NULL WHERE id = %(old_bob)s",
        "UPDATE crm_mergerecord SET undone_at = created_at",
        "UPDATE crm_profile SET erased_at = now() WHERE id = %(ann)s",
    ),
    "member_is_root": (
        "INSERT INTO crm_segment"
        " (key, name, description, kind, status, version, size, last_error, created_at, created_by, activated_at)"
        " VALUES ('planted', 'Planted', '', 'static', 'active', 1, 1, '', now(), 'tests', now());"
        " INSERT INTO crm_segmentmembership (segment_id, profile_id, entered_at, is_initial)"
        " SELECT id, %(old_bob)s, now(), false FROM crm_segment",
        "INSERT INTO crm_segment"
        " (key, name, description, kind, status, version, size, last_error, created_at, created_by, activated_at)"
        " VALUES ('planted', 'Planted', '', 'static', 'active', 1, 1, '', now(), 'tests', now());"
        " INSERT INTO crm_segmentmembership (segment_id, profile_id, entered_at, is_initial)"
        " SELECT id, %(ann)s, now(), false FROM crm_segment;"
        " UPDATE crm_segment SET status = 'archived'",
    ),
    "segment_size": (
        "INSERT INTO crm_segment"
        " (key, name, description, kind, status, version, size, last_error, created_at, created_by, activated_at)"
        " VALUES ('planted', 'Planted', '', 'static', 'active', 1, 3, '', now(), 'tests', now())",
    ),
    "consent_valid": (
        "INSERT INTO crm_consentrecord (profile_id, purpose, channel, granted, way, text_version, evidence, actor,"
        " occurred_at) VALUES (%(ann)s, 'service', 'email', false, 'form', '', '{}', 'tests', %(earlier)s)",
        # A no of the profile that bob once was.
        "INSERT INTO crm_consentrecord (profile_id, purpose, channel, granted, way, text_version, evidence, actor,"
        " occurred_at) VALUES (%(old_bob)s, 'service', 'email', false, 'form', '', '{}', 'tests', %(earlier)s)",
        "DELETE FROM crm_consentrecord",
        "INSERT INTO crm_suppression (channel, value_hash, purpose, reason, created_at) SELECT 'email', value_hash,"
        " 'service', 'staff', %(earlier)s FROM crm_contactpoint WHERE profile_id = %(bob)s",
    ),
    "cap_kept": (
        "DELETE FROM crm_pressureentry WHERE message_class = 'marketing'",
        "INSERT INTO crm_pressureentry (profile_id, occurred_at, weight, message_class, cause)"
        " SELECT %(ann)s, %(now)s, 1, 'marketing', 'planted:' || n FROM generate_series(1, 3) AS n",
        "INSERT INTO crm_pressureentry (profile_id, occurred_at, weight, message_class, cause)"
        " VALUES (%(ann)s, %(now)s, 20, 'care', 'planted')",
    ),
    "quiet_hours_kept": (
        "UPDATE lifecycle_delivery SET claimed_at = claimed_at + interval '13 hours'",
        "UPDATE lifecycle_delivery SET claimed_at = claimed_at + interval '23 hours 59 minutes'",
    ),
    "lease_young": (
        "INSERT INTO lifecycle_sendrun (token, undecided, position, in_flight, lease_until, started_at)"
        " VALUES (gen_random_uuid(), '{}', 0, false, now() - interval '1 hour', now())",
        "INSERT INTO lifecycle_sendrun (token, undecided, position, in_flight, lease_until, started_at)"
        " SELECT gen_random_uuid(), array_agg(id), 0, false, now() - interval '1 hour', now()"
        " FROM lifecycle_outboundmessage",
        "INSERT INTO kernel_pendingreaction"
        " (receiver, kind, items, created_at, run_at, claims, lease_until, last_error)"
        " VALUES ('tests', '', '[]', now(), now(), 1, now() - interval '1 hour', '')",
    ),
    "claim_whole": (
        "UPDATE lifecycle_delivery SET status = 'claimed', run = gen_random_uuid() WHERE message_id IN"
        " (SELECT message_id FROM voc_fixnotice WHERE profile_id = %(ann)s)",
    ),
    "named_exist": (
        *(
            f"UPDATE {table} SET {column} = -1 WHERE id = (SELECT max(id) FROM {table})"
            for table, column, _named in invariants.UNCHECKED
            # The rows of the others must stay where they are, or another promise is broken too.
            if (table, column) not in PLANTED_BESIDE
        ),
        "INSERT INTO lifecycle_inboxitem (message_id, profile_id, subject, body, created_at)"
        " SELECT -1, profile_id, subject, body, created_at FROM lifecycle_inboxitem WHERE profile_id = %(ann)s LIMIT 1",
        "INSERT INTO voc_fixnotice (ticket_id, profile_id, round, release_id, role, message_id, created_at)"
        " SELECT -1, profile_id, round, release_id, role, message_id, created_at FROM voc_fixnotice LIMIT 1",
        "INSERT INTO voc_fixnotice (ticket_id, profile_id, round, release_id, role, message_id, created_at)"
        " SELECT ticket_id, -1, round, release_id, role, message_id, created_at FROM voc_fixnotice LIMIT 1",
        "INSERT INTO members_pointsentry (account_id, kind, amount, idempotency_key, request_hash, note, missing,"
        " balance_after, actor, created_at) VALUES (-1, 'granted', 5, 'planted', '', '', 0, 5, 'tests', now())",
    ),
    "computed_values": (
        "DELETE FROM kernel_pendingreaction WHERE receiver LIKE 'crm.receivers.%%';"
        " INSERT INTO crm_computedtrait (key, name, description, status, version, created_by)"
        " VALUES ('plant', 'Plant', '', 'draft', 1, '');"
        " INSERT INTO crm_computedvalue (profile_id, trait_id, number, computed_at)"
        " SELECT %(old_bob)s, id, 1, now() FROM crm_computedtrait WHERE key = 'plant'",
    ),
    "audit_chain": (
        "UPDATE kernel_actionlog SET action = 'nothing.happened' WHERE position = 2",
        "DELETE FROM kernel_actionlog WHERE position = 2",
    ),
}


@pytest.fixture(autouse=True)
def forgetful_caches() -> Iterator[None]:
    """A row that a test rolled back must not live on in a cache of the process."""
    yield
    partitions.forget()
    knobs.forget()


@pytest.fixture
def people() -> dict[str, int]:
    """Ann and bob (who was two people once) asked for a fix and were told, ann got a coupon; cat is there."""
    ann, bob, old_bob = (
        build.person(name, email=f"{name}@example.com") for name in ("ann", "bob", "old-bob")
    )
    merges.merge(bob, old_bob, actor=build.AGENT, now=build.NOW - timedelta(hours=2))
    release = build.shipped("Calmer", build.ticket("The lamp flickers", ann, bob))
    build.tell(release)
    consents.record(
        ann, purpose="marketing", channel="email", granted=True, way="form", text_version="1", evidence={},
        actor=build.AGENT, now=build.NOW,
    )  # fmt: skip
    coupon = messages.Item(COUPON, ann, "lamp", dict(registry.get(COUPON).variables))
    messages.queue([coupon], actor=build.AGENT, now=build.NOW)
    build.deliver()
    points.credit(ann, amount=50, key="one", kind="granted", actor=build.AGENT, now=build.NOW)
    points.debit(ann, amount=30, key="two", kind="spent", actor=build.AGENT, now=build.NOW)
    actionlog.seal()
    return {"ann": ann, "bob": bob, "old_bob": old_bob, "cat": build.person("cat")}


def broken() -> set[str]:
    """The names of the checks that fail."""
    return {finding.name for finding in invariants.check(now=LATER) if not finding.holds}


def plant(statements: str, people: dict[str, int]) -> None:
    """Change rows as somebody would who has the database's own password."""
    values = people | {"now": build.NOW, "earlier": build.NOW - timedelta(minutes=30)}
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for statement in statements.split(";"):
            cursor.execute(statement, values)
            assert cursor.rowcount > 0, statement


def test_everything_holds_in_an_empty_database() -> None:
    assert broken() == set()


def test_everything_holds_in_a_lived_in_database(people: dict[str, int]) -> None:
    assert broken() == set()


def test_every_check_is_shown_to_fail() -> None:
    assert set(PLANTS) == set(invariants.names())


def test_what_is_broken_is_named_and_nothing_else(people: dict[str, int]) -> None:
    found = {}
    for statements in (one for plants in PLANTS.values() for one in plants):
        with transaction.atomic():
            plant(statements, people)
            found[statements] = broken()
            transaction.set_rollback(True)
    assert found == {one: {name} for name, plants in PLANTS.items() for one in plants}
    assert broken() == set()


def test_the_command_prints_a_line_per_check_and_fails_when_one_fails(people: dict[str, int]) -> None:
    out = StringIO()
    call_command("verify_invariants", stdout=out)
    lines = out.getvalue().splitlines()
    assert len(lines) == len(invariants.names())
    assert all(line.startswith("ok ") for line in lines)

    plant("DELETE FROM lifecycle_inboxitem WHERE profile_id = %(bob)s", people)
    out = StringIO()
    with pytest.raises(CommandError, match="1 of 17 invariants do not hold"):
        call_command("verify_invariants", stdout=out)
    [line] = [line for line in out.getvalue().splitlines() if line.startswith("FAIL")]
    assert "      1  each message that went out has its copy in the inbox: message " in line
    assert sum(line.startswith("ok ") for line in out.getvalue().splitlines()) == 16
