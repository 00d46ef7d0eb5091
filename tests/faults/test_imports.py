"""A list on its way in while its workers are killed: what comes of it is what an undisturbed run makes.

The processes that import are real ones, ended by SIGKILL in the middle of their chunks; each time the next one goes
on after the last chunk that was committed.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from config import embedded
from tests import servers

pytestmark = [
    pytest.mark.faults,
    pytest.mark.long,
    pytest.mark.timeout(900),
]
ROWS = int(os.environ.get("KILL_IMPORT_ROWS", "8000"))
KILLS = int(os.environ.get("KILL_IMPORT_TIMES", "10"))
# Everything an import writes, by what does not change from run to run: neither ids nor the time of writing.
CHECKSUM = """
WITH who AS (SELECT profile_id, string_agg(kind || '=' || value, ' ' ORDER BY kind, value) AS name
               FROM crm_identity GROUP BY profile_id), lines AS (
SELECT concat_ws('|', 'profile', w.name, p.display_name, p.name_sort, array_to_string(p.search_tokens, ','), p.birthday,
                 p.region, p.traits - 'x',
                 (SELECT string_agg(k, ',' ORDER BY k) FROM jsonb_object_keys(p.value_sources) k))
       AS line FROM crm_profile p LEFT JOIN who w ON w.profile_id = p.id
UNION ALL SELECT concat_ws('|', 'contact', w.name, c.channel, c.value, c.value_hash, c.origin, c.is_primary)
  FROM crm_contactpoint c LEFT JOIN who w USING (profile_id)
UNION ALL SELECT concat_ws('|', 'consent', w.name, c.purpose, c.channel, c.granted, c.way, c.evidence - 'import')
  FROM crm_consentrecord c LEFT JOIN who w USING (profile_id)
UNION ALL SELECT concat_ws('|', 'member', w.name, m.row, m.is_new)
  FROM crm_importmember m LEFT JOIN who w USING (profile_id)
UNION ALL SELECT concat_ws('|', 'reject', row, "column", code, excerpt, whole_row) FROM crm_importreject
UNION ALL SELECT concat_ws('|', 'run', status, rows_total, counters) FROM crm_importrun)
SELECT count(*), md5(string_agg(line, E'\\n' ORDER BY line COLLATE "C")) FROM lines
"""
TABLES = "crm_profile, crm_importrun, crm_importmember, crm_importreject, crm_importmapping, crm_importseen, crm_source"


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[Path, dict[str, str], str]]:
    """A database with durable settings, without the product's own processes."""
    folder = servers.new_folder("renxin-imports-")
    running = embedded.Servers(folder).open()
    try:
        running.start()
        environment = servers.clean_environment(folder, 8000, EMAIL_URL="memory://")
        _manage(environment, "prepare", "--no-demo")
        yield folder, environment, embedded.urls(folder)[0]
    finally:
        running.stop()
        servers.remove(folder)


def _manage(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=servers.BASE_DIR, env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def _write_list(path: Path, rows: int) -> None:
    chance = random.Random(3)
    with path.open("w", encoding="gb18030", newline="") as stream:
        stream.write("姓名,手机号,邮箱,生日,省份,同意\r\n")
        for number in range(rows):
            name = "".join(chance.choices("王李张刘陈杨黄赵吴周伟芳娜敏静丽强磊军洋", k=3))
            mobile = "1.38E+10" if number % 97 == 0 else f"138{number % (rows - rows // 20):08d}"
            email = "" if number % 3 else f"fan{number}@example.com" if number % 41 else "not an address"
            stream.write(
                f"{name},{mobile},{email},1990-0{number % 9 + 1}-1{number % 9},江苏,{'是否'[number % 7 == 0]}\r\n"
            )


def _arguments(path: Path) -> list[str]:
    return [
        "import_contacts", str(path), "--source", "Fans", "--tie-strength", "weak",
        "--map", "同意=consent:marketing:sms",
        "--consent-evidence", "Signed at the counter of the shop", "--agreed", "marketing:email",
    ]  # fmt: skip


def _checksum(dsn: str) -> tuple[int, str]:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(CHECKSUM).fetchone()
    assert row is not None
    return int(row[0]), str(row[1])


def test_an_import_killed_ten_times_ends_as_an_undisturbed_one(place: Any) -> None:
    folder, environment, dsn = place
    path = folder / "fans.csv"
    _write_list(path, ROWS)
    with psycopg.connect(dsn, autocommit=True) as connection:
        small = max(100, ROWS // 40)
        connection.execute(
            "INSERT INTO kernel_knob (name, value, changed_at, changed_by) VALUES"
            " ('crm.import_chunk_rows', %s::jsonb, now(), 'system:test'),"
            " ('crm.import_lease_seconds', '3'::jsonb, now(), 'system:test')",
            [str(small)],
        )
    answer = json.loads(_manage(environment, *_arguments(path)))
    assert answer["status"] == "done" and answer["rows"] == ROWS and answer["rejected"] > 0, answer
    undisturbed = _checksum(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"TRUNCATE {TABLES} RESTART IDENTITY CASCADE")
    _manage(environment, *_arguments(path), "--dry-run")
    with psycopg.connect(dsn, autocommit=True) as connection:
        [[run_id]] = connection.execute("SELECT id FROM crm_importrun").fetchall()
        script = (
            "from crm.kernel import actors, clock; from crm.services import imports;"
            f"imports.start({run_id}, actor=actors.system('import_contacts'), now=clock.now())"
        )
        _manage(environment, "shell", "--verbosity", "0", "--command", script)
        chance, kills, cursors = random.Random(5), 0, []
        with _workers(environment, run_id) as start:
            while kills < KILLS and _status(connection) == "running":
                before, pid = _cursor(connection), start()
                assert _until(lambda before=before: _cursor(connection) > before, 120)
                time.sleep(chance.uniform(0, 0.05))
                os.kill(pid, signal.SIGKILL)
                kills += 1
                cursors.append(_cursor(connection))
            assert kills == KILLS, f"done after {kills} kills: {cursors}"
            start()
            assert _until(lambda: _status(connection) != "running", 240)
        assert _status(connection) == "done"
        assert cursors == sorted(cursors) and len(set(cursors)) == KILLS
    killed = _checksum(dsn)
    print(f"rows {ROWS}, kills {kills} at rows {cursors}: {undisturbed} and {killed}")
    assert killed == undisturbed


_PARENT = """
import os, sys
from crm.kernel import clock
from crm.models import ImportRun
from crm.services import import_work
for line in sys.stdin:
    child = os.fork()
    if child:
        print(child, flush=True)
        os.waitpid(child, 0)
        continue
    import time
    while ImportRun.objects.get(pk=RUN).status == 'running':
        import_work.work(RUN, now=clock.now())
        time.sleep(0.05)
    os._exit(0)
"""


@contextlib.contextmanager
def _workers(environment: dict[str, str], run_id: int) -> Iterator[Callable[[], int]]:
    """Call what it yields to start a worker, one after the other: a process that has the product loaded already and
    does what the task does, once the lease of the dead one is over. Returns its pid."""
    parent = subprocess.Popen(
        [sys.executable, "manage.py", "shell", "--verbosity", "0", "--command", _PARENT.replace("RUN", str(run_id))],
        cwd=servers.BASE_DIR, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True, bufsize=1,
    )  # fmt: skip
    assert parent.stdin is not None and parent.stdout is not None
    running: list[int] = []

    def start() -> int:
        parent.stdin.write("go\n")
        running[:] = [int(parent.stdout.readline())]
        return running[0]

    try:
        yield start
    finally:
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        parent.kill()
        parent.wait(10)


def _until(what: Any, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(psycopg.OperationalError):
            if what():
                return True
        time.sleep(0.005)
    return False


def _cursor(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT cursor_row FROM crm_importrun").fetchone()
    assert row is not None
    return int(row[0])


def _status(connection: psycopg.Connection[Any]) -> str:
    row = connection.execute("SELECT status FROM crm_importrun").fetchone()
    assert row is not None
    return str(row[0])
