"""`manage.py up` as its user meets it: real processes, real signals."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from config import processes
from tests import servers
from tests.servers import BASE_DIR, Stack, clean_environment, status

pytestmark = [pytest.mark.faults, pytest.mark.long]
CHILDREN = {"web", "worker", "long", "beat"}


def _until(done: Callable[[], bool], seconds: float, stack: Stack) -> None:
    assert processes.wait_until(done, seconds), stack.log.read_text()[-4000:]


def _everybody(stack: Stack) -> set[int]:
    """Every process of the stack, pool processes too."""
    pids = stack.pids
    return set(pids.values()) | {child for name in CHILDREN for child in stack.children_of(name)}


def _naming(folder: Path) -> list[str]:
    """The command lines on this machine that name the folder."""
    found = [processes.command(int(path.name)) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [line for line in found if str(folder) in line and "pytest" not in line]


def test_up_serves_watches_and_ends_in_mid_task(durable_stack: Stack) -> None:
    stack = durable_stack
    _until(lambda: set(stack.pids) >= CHILDREN, 120, stack)
    assert set(stack.pids) == {"supervisor", "postgres", "valkey", *CHILDREN}
    assert len({os.getsid(pid) for pid in stack.pids.values()}) == 7  # sessions of their own
    stack.wait_worker()
    said = stack.log.read_text()
    for line in ("Renxin is ready", stack.base_url.replace("127.0.0.1", "localhost"), "user: admin"):
        assert line in said

    # Any command given only DATA_DIR reaches these servers; its result alone is on stdout.
    only_folder = {name: value for name, value in stack.environment.items() if name != "PORT"}
    done = subprocess.run(
        [sys.executable, "manage.py", "showmigrations", "--plan"],
        cwd=BASE_DIR,
        env=only_folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0
    assert "[ ]" not in done.stdout and "[X]  kernel.0001" in done.stdout

    # A second `up` on the folder is refused in one line.
    second = stack.manage("up", check=False)
    assert second.returncode == 2
    assert second.stderr == (
        f"manage.py: already running on {stack.data_dir} (process {stack.process.pid}): "
        "stop it first, or set another DATA_DIR and PORT\n"
    )
    # So is another folder on the same port.
    port_taken = subprocess.run(
        [sys.executable, "manage.py", "up"],
        cwd=BASE_DIR,
        env=clean_environment(stack.data_dir / "other", stack.port),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert port_taken.returncode == 1
    assert f"PORT {stack.port} cannot be used" in port_taken.stderr

    # Children and servers that die are started again, and it is said.
    for name in ("web", "beat", "valkey"):
        before = stack.kill(name)
        _until(lambda name=name, before=before: stack.pids.get(name, before) != before, 120, stack)
        assert f"{name} ended" in stack.log.read_text()
    # Meanwhile /readyz said 503 or 200 and nothing else; now it says 200.
    stack.wait_ready(120)
    before = stack.kill("postgres")
    seen = set()
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not ({200, 503} <= seen and stack.pids["postgres"] != before):
        seen.add(status(f"{stack.base_url}/readyz"))
        time.sleep(0.02)
    assert seen == {200, 503}

    # The end, in the middle of a task: a lock keeps the sweep waiting inside its transaction.
    with contextlib.closing(psycopg.connect(stack.database_url)) as holder:
        holder.execute("LOCK TABLE kernel_jobslot IN ACCESS EXCLUSIVE MODE")
        with psycopg.connect(stack.database_url, autocommit=True) as watcher:

            def waiting() -> bool:
                query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                row = watcher.execute(query).fetchone()
                return row is not None and row[0] > 0

            _until(waiting, 120, stack)
        everybody = _everybody(stack)
        assert len(everybody) >= 10
        began = time.monotonic()
        os.killpg(stack.process.pid, signal.SIGTERM)
        time.sleep(0.5)
        os.killpg(stack.process.pid, signal.SIGTERM)
        os.killpg(stack.process.pid, signal.SIGINT)
        assert stack.process.wait(20) == 0, stack.log.read_text()[-4000:]
        assert time.monotonic() - began < 20
    assert [processes.command(pid) for pid in everybody if processes.is_alive(pid)] == []
    assert _naming(stack.data_dir) == []
    assert stack.log.read_text().rstrip().endswith("everything has stopped")


def test_a_killed_supervisor_is_recovered_from() -> None:
    folder = servers.new_folder("renxin-killed-")
    with servers.durable_stack(data_dir=folder) as first:
        _until(lambda: set(first.pids) >= CHILDREN, 120, first)
        password = (folder / "admin_password").read_text()
        before = first.pids
        first.process.kill()
        first.process.wait(10)
        survivors = [name for name in before if processes.is_alive(before[name])]
        assert "postgres" in survivors and "web" in survivors
        first.log.rename(folder / "first.log")

        with servers.durable_stack(data_dir=folder, port=first.port) as second:
            # The survivors answer at first: ready is what the new supervisor says.
            _until(lambda: "Renxin is ready" in second.log.read_text(), 120, second)
            _until(lambda: set(second.pids) >= CHILDREN, 120, second)
            after = second.pids
            assert after["postgres"] == before["postgres"]  # attached to, not started twice
            for name in CHILDREN:
                assert after[name] != before[name]
                assert not processes.in_group(before[name], "")
            assert "left by a supervisor that was killed" in second.log.read_text()
            assert "setup" not in second.log.read_text()  # nothing changed, nothing prepared again
            assert (folder / "admin_password").read_text() == password
            assert second.stop() == 0
        assert not any(processes.is_alive(pid) for pid in (*before.values(), *after.values()))
    assert _naming(folder) == []
    servers.remove(folder)


def test_what_cannot_start_is_said_in_one_line(tmp_path: Path) -> None:
    folder = servers.new_folder("renxin-broken-")
    try:
        (folder / "servers").write_text("not a folder")
        done = subprocess.run(
            [sys.executable, "manage.py", "up"],
            cwd=BASE_DIR,
            env=clean_environment(folder, servers.free_port()),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert done.stdout == ""
        assert [line for line in done.stderr.splitlines() if line.startswith("manage.py: ")]
    finally:
        servers.remove(folder)
