"""Stopping in mid-task: a TERM to the whole process group, and a supervisor that is killed. Either way nothing is
left running in the end, and the next start finishes what was begun."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from config import processes
from tests.faults.house import MAIL_SECONDS, House, kill

pytestmark = [
    pytest.mark.faults,
    pytest.mark.long,
    pytest.mark.timeout(600),
]
PEOPLE = 180
SECONDS_TO_END = 20
SLOWLY = 0.15  # so that a task that is asked to end cannot finish all before it must


def test_term_in_mid_task_ends_everything_and_the_next_start_goes_on(house: House) -> None:
    release = house.prepare_release("chair", PEOPLE)
    before = sum(house.mails().values())
    house.set_pace(SLOWLY)
    house.ship(release)
    house.wait(lambda: sum(house.mails().values()) > before + 20, "the task is in the middle")
    group = house.stack.process.pid
    os.killpg(group, signal.SIGTERM)
    os.killpg(group, signal.SIGTERM)  # a second one is harmless
    try:
        house.stack.process.wait(SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        pytest.fail(f"after {SECONDS_TO_END} s: {house.everything()}\n{house.stack.log.read_text()[-3000:]}")
    assert house.stack.process.returncode == 0
    assert house.everything() == {}
    went = sum(house.mails().values()) - before
    assert went < PEOPLE, "it was not in the middle"

    house.set_pace(MAIL_SECONDS)
    house.start()
    house.wait_settled(release, PEOPLE)
    # Tasks were asked to end, and did between two e-mails.
    expect_told(house, release, most_gaps=0)


def test_a_killed_supervisor_is_recovered_from_by_the_next_start(house: House) -> None:
    release = house.prepare_release("table", PEOPLE)
    before = sum(house.mails().values())
    house.set_pace(SLOWLY)
    house.ship(release)
    house.wait(lambda: sum(house.mails().values()) > before + 20, "the task is in the middle")
    old = house.stack.pids
    kill(old["supervisor"])
    house.stack.process.wait(10)

    house.set_pace(MAIL_SECONDS)
    house.start()
    house.stack.wait_ready()
    new = house.stack.pids
    for name in ("web", "worker", "long", "beat"):
        assert new.get(name) != old[name] and not processes.is_alive(old[name]), name
    # The servers never stopped: they were taken over.
    assert (new["postgres"], new["valkey"]) == (old["postgres"], old["valkey"])
    house.wait_settled(release, PEOPLE)
    expect_told(house, release, most_gaps=2)


def expect_told(house: House, release: int, *, most_gaps: int) -> None:
    """Everyone, once in the inbox; a second e-mail only for a logged gap."""
    messages = house.messages_of(release)
    accepted = {ident: number for ident, number in house.mails().items() if ident in messages}
    gaps = house.gaps(messages)
    doubled = {ident: number for ident, number in accepted.items() if number > 1}
    print(f"\ntold {len(messages)}, doubled {len(doubled)}, gaps {sum(gaps.values())}")
    assert len(messages) == PEOPLE and messages == set(accepted)
    assert all(number - 1 <= gaps[ident] for ident, number in doubled.items()), "a double without a gap"
    assert sum(gaps.values()) <= most_gaps
    assert house.rows(
        "SELECT count(*), count(DISTINCT message_id) FROM lifecycle_inboxitem WHERE message_id = ANY(%s)",
        list(messages),
    ) == [(PEOPLE, PEOPLE)]
    assert house.told_and_thanked(release) == (PEOPLE, PEOPLE, 60, 60)
    house.verify()
