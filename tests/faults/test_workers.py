"""Workers are killed in the middle of 500 fix notices, with two schedulers running: everyone is told, in the inbox
exactly once; a second e-mail only where the log says that a crash left its fate unknown."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from config.environment import BASE_DIR
from tests.faults.house import House, kill

pytestmark = [
    pytest.mark.faults,
    pytest.mark.long,
    pytest.mark.timeout(600),
]
PEOPLE = 500
# As lifecycle.send_tasks and lifecycle.connections_per_task: each connection has at most one e-mail in doubt.
SENDING_TASKS, CONNECTIONS = 1, 4
# After so many accepted e-mails: whom to kill.
KILLS = ((60, "pool"), (160, "worker"), (280, "child"), (390, "worker"))


@contextlib.contextmanager
def second_beat(house: House) -> Iterator[None]:
    """Another scheduler on the same system."""
    schedule, pid = (str(house.folder / "run" / f"second-beat.{end}") for end in ("schedule", "pid"))
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "celery", "--quiet", "-A", "config", "beat", "--loglevel", "ERROR"),
            *("--schedule", schedule, "--pidfile", pid),
        ],
        cwd=BASE_DIR,
        env=house.stack.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.kill()
        process.wait(10)


def test_kill_9_of_workers_loses_nothing_and_doubles_only_in_logged_gaps(house: House) -> None:
    release = house.prepare_release("lamp", PEOPLE)
    before = sum(house.mails().values())
    killed = connections = 0
    with second_beat(house):
        house.ship(release)
        for threshold, whom in KILLS:
            house.wait(
                lambda at=before + threshold: sum(house.mails().values()) >= at,
                f"{threshold} e-mails before the next kill; {sum(house.mails().values()) - before} went out",
            )
            pool = house.stack.children_of("worker")
            victims = {"pool": pool, "child": pool[:1], "worker": [house.stack.pids["worker"]]}[whom]
            for pid in victims:
                kill(pid)
            killed += len(victims)
            connections += CONNECTIONS * (1 if whom == "child" else SENDING_TASKS)
            if whom == "worker":
                house.wait_replaced("worker", victims[0])
        house.wait_settled(release, PEOPLE)

    messages = house.messages_of(release)
    accepted = {ident: number for ident, number in house.mails().items() if ident in messages}
    gaps = house.gaps(messages)
    doubled = {ident: number for ident, number in accepted.items() if number > 1}
    print(
        f"\nkilled {killed} processes with up to {connections} connections; told {len(messages)}, "
        f"lost {len(messages - set(accepted))}, doubled {len(doubled)}, gaps {sum(gaps.values())}"
    )
    assert len(messages) == PEOPLE
    assert messages - set(accepted) == set(), "lost"
    assert all(number - 1 <= gaps[ident] for ident, number in doubled.items()), "a double without a gap"
    assert sum(number - 1 for number in doubled.values()) <= connections
    for ident, decision, status, copies in house.rows(
        "SELECT m.id, m.decision, d.status, (SELECT count(*) FROM lifecycle_inboxitem i WHERE i.message_id = m.id)"
        " FROM lifecycle_outboundmessage m JOIN lifecycle_delivery d ON d.message_id = m.id WHERE m.id = ANY(%s)",
        list(messages),
    ):
        # Killed twice over the same e-mail: it went out, and is not sent a third time.
        assert (decision, status) == ("sent", "unknown" if gaps[ident] > 1 else "sent"), ident
        assert copies == 1, ident
    assert house.told_and_thanked(release) == (PEOPLE, PEOPLE, 167, 167)
    house.verify()
