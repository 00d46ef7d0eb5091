"""Embedded PostgreSQL and Valkey for one run of the suite, and whole stacks for fault tests.

Loaded with `-p tests.servers` before Django's settings. The controlling process starts the servers
in a temporary folder (or in TEST_DATA_DIR, which is kept) and says where they are by environment
variables, which xdist's workers inherit; when the run ends, however it ends, nothing is left. The
ordinary suite runs without fsync. `durable_stack` starts `manage.py up` with everything as in
production, on a folder and a port of its own.
"""

import compileall
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from config import embedded, processes, programs

BASE_DIR = Path(__file__).resolve().parent.parent
# Sixty processes and more are started in a run: they shall not all compile the product again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
OWNER = "RENXIN_TEST_SERVERS"
# A shell's own settings must not change what the suite tests.
FOREIGN = (
    *("PORT", "DATA_DIR", "DATABASE_URL", "REDIS_URL", "EMAIL_URL", "SECRET_KEY", "ALLOWED_HOSTS"),
    *("BASE_URL", "ADMIN_PASSWORD", "LANGUAGE_CODE", "TIME_ZONE", "METRICS_TOKEN"),
)
_servers: embedded.Servers | None = None
_folder: Path | None = None
_template: "subprocess.Popen[bytes] | None" = None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests() -> Generator[None, object, object]:
    if OWNER not in os.environ:
        _start()
    return (yield)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """While the processes load the tests, one more migrates the database that they copy."""
    global _template
    from tests import databases

    _template = databases.start_template()


def pytest_unconfigure() -> None:
    if _template is not None:
        _template.wait(300)
    _stop()


def _start() -> None:
    global _servers, _folder
    for name in FOREIGN:
        os.environ.pop(name, None)
    kept = os.environ.get("TEST_DATA_DIR")
    if kept:
        data_dir = Path(kept).absolute()
    else:
        data_dir = _folder = new_folder("renxin-test-")
    for package in ("config", "crm", "lifecycle", "members", "voc"):
        compileall.compile_dir(BASE_DIR / package, quiet=2)
    _servers = embedded.Servers(data_dir, durable=False, end_with_parent=True)
    _servers.start()
    os.environ |= {
        OWNER: str(os.getpid()),
        "DATA_DIR": str(data_dir),
        "DATABASE_URL": _servers.database_url,
        "REDIS_URL": _servers.redis_url,
        "SECRET_KEY": secrets.token_urlsafe(64),
        "EMAIL_URL": "memory://",
    }


def _stop() -> None:
    global _servers, _folder
    if _servers is not None:
        if _folder is None:
            _servers.stop()
        else:
            _servers.destroy()
        _servers = None
        os.environ.pop(OWNER, None)
    if _folder is not None:
        shutil.rmtree(_folder, ignore_errors=True)
        _folder = None


def new_folder(prefix: str) -> Path:
    """A temporary folder that the servers' own account may pass through."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    folder.chmod(0o711)
    return folder


def remove(folder: Path) -> None:
    """End what still runs on the folder, and remove all of it, wherever it is kept."""
    if embedded.read_record(folder):
        with contextlib.suppress(programs.ServerFailed):  # a folder that never could be used
            left = embedded.Servers(folder).open()
            left.attach()
            left.destroy()
    shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class Stack:
    """A running `manage.py up` of its own: its folder, address, and processes."""

    data_dir: Path
    port: int
    process: "subprocess.Popen[bytes]"
    environment: dict[str, str]
    log: Path

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pids(self) -> dict[str, int]:
        """Now: supervisor, postgres, valkey, and the children web, worker, long, beat."""
        found = {"supervisor": self.process.pid}
        record = embedded.read_record(self.data_dir)
        found |= {name: int(pid) for name, pid in record.get("pids", {}).items()}
        with contextlib.suppress(FileNotFoundError, ValueError):
            state = json.loads((self.data_dir / "run" / "children.json").read_text())
            found |= {name: int(pid) for name, pid in state.items()}
        return found

    @property
    def database_url(self) -> str:
        return embedded.urls(self.data_dir)[0]

    @property
    def redis_url(self) -> str:
        return embedded.urls(self.data_dir)[1]

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Signal one process by its name; returns the pid it had."""
        pid = self.pids[name]
        os.kill(pid, number)
        return pid

    def children_of(self, name: str) -> list[int]:
        """The pool processes of a child (its process group without the leader)."""
        leader = self.pids[name]
        return [pid for pid in processes.in_group(leader, "") if pid != leader]

    def manage(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=BASE_DIR,
            env=self.environment,
            capture_output=True,
            text=True,
            check=check,
            timeout=300,
        )

    def wait_ready(self, seconds: float = 240) -> None:
        deadline = time.monotonic() + seconds
        while status(f"{self.base_url}/readyz") != 200:
            if self.process.poll() is not None:
                raise AssertionError(f"the stack ended:\n{self.log.read_text()[-4000:]}")
            if time.monotonic() > deadline:
                raise AssertionError(f"not ready in {seconds} s:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.1)

    def wait_worker(self, seconds: float = 180) -> None:
        """Until a Celery worker has taken a task."""
        import redis

        client = redis.Redis.from_url(self.redis_url)
        client.delete("renxin:heartbeat:celery")
        from celery import Celery

        sender = Celery(broker=self.redis_url.replace("unix://", "redis+socket://", 1))
        sender.send_task("config.heartbeat", ignore_result=True)
        sender.close()
        assert processes.wait_until(lambda: bool(client.exists("renxin:heartbeat:celery")), seconds), (
            self.log.read_text()[-4000:]
        )
        client.close()

    def stop(self, seconds: float = 25) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(seconds)


def status(url: str) -> int:
    """The status of a GET, 0 when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as answer:
        return answer.code
    except OSError:
        return 0


def clean_environment(data_dir: Path, port: int, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in (*FOREIGN, OWNER)}
    for name in list(kept):
        if name.startswith(("PYTEST_", "DJANGO_")):
            del kept[name]
    return kept | {"DATA_DIR": str(data_dir), "PORT": str(port), **more}


@contextlib.contextmanager
def durable_stack(
    *,
    demo: bool = False,
    data_dir: Path | None = None,
    port: int = 0,
    wait: bool = True,
    **environment: str,
) -> Iterator[Stack]:
    """Start `manage.py up` with durable servers on a private folder and port; yield its handle;
    stop everything and remove the folder (unless one was given)."""
    folder = data_dir or new_folder("renxin-stack-")
    port = port or free_port()
    variables = clean_environment(folder, port, **environment)
    log = folder / "up.log"
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "up", *([] if demo else ["--no-demo"])],
            cwd=BASE_DIR,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    stack = Stack(folder, port, process, variables, log)
    try:
        if wait:
            stack.wait_ready()
        yield stack
    finally:
        try:
            stack.stop()
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        if data_dir is None:
            remove(folder)
