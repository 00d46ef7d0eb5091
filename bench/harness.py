"""The real system on a folder of its own, ended again however the bench ends; and the form of the results."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config import embedded

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("RENXIN_DATA", ROOT.parent / "shared" / "data"))
READY_SECONDS = 180
# What belongs to the system under measurement and is never taken from whoever runs the bench.
OWN = (
    "DATABASE_URL",
    "REDIS_URL",
    "SECRET_KEY",
    "BASE_URL",
    "EMAIL_URL",
    "PORT",
    "DATA_DIR",
    "ALLOWED_HOSTS",
)


@dataclass(frozen=True)
class Goal:
    """One figure beside its limit. `goal` is the least ratio of ours to limit (the greatest one where
    `at_most` is set: a time, a size), or None for a figure alone."""

    bench: str
    ours: float
    limit: float | None
    goal: float | None
    unit: str
    at_most: bool = False

    @property
    def ratio(self) -> float | None:
        """Ours over the limit."""
        return self.ours / self.limit if self.limit else None

    @property
    def ok(self) -> bool:
        """Whether the goal is reached; a figure without a goal is always ok."""
        if self.goal is None:
            return True
        if self.ratio is None:
            return False
        return self.ratio <= self.goal if self.at_most else self.ratio >= self.goal

    def line(self) -> str:
        """The JSON line."""
        return json.dumps(
            {
                "bench": self.bench,
                "ours": round(self.ours, 2),
                "limit": None if self.limit is None else round(self.limit, 2),
                "ratio": None if self.ratio is None else round(self.ratio, 3),
                "goal": None if self.goal is None else f"{'<=' if self.at_most else '>='}{self.goal}",
                "unit": self.unit,
                "ok": self.ok,
            }
        )


@dataclass(frozen=True)
class Stack:
    """A running system."""

    port: int
    data_dir: Path
    environment: dict[str, str]

    def manage(self, *arguments: str, text: str | None = None) -> str:
        """Run a management command against it. Returns its standard output."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"manage.py {arguments[0]} failed:\n{done.stderr[-2000:]}")
        return done.stdout

    def last_line(self, *arguments: str) -> str:
        """The last line a management command printed: a key."""
        return self.manage(*arguments).strip().splitlines()[-1]

    def python(self, code: str) -> str:
        """Run Python inside the product, against this system."""
        return self.manage("shell", "--verbosity", "0", "--command", code)

    @property
    def dsn(self) -> str:
        """How psycopg reaches its database."""
        return embedded.urls(self.data_dir)[0]

    def source(self, name: str) -> int:
        """Make a source of server trust and return its id."""
        self.manage("create_write_key", name)
        code = f"from crm.models import Source; print(Source.objects.get(name={name!r}).pk)"
        return int(self.python(code).strip().splitlines()[-1])


@contextlib.contextmanager
def servers(folder: Path) -> Iterator[Stack]:
    """The database and the broker of a folder, prepared, without the product's processes; the folder stays."""
    running = embedded.Servers(folder).open()
    running.start()
    try:
        environment = {name: value for name, value in os.environ.items() if name not in OWN}
        prepared = Stack(0, folder, environment | {"DATA_DIR": str(folder), "EMAIL_URL": "memory://"})
        prepared.manage("prepare", "--no-demo")
        yield prepared
    finally:
        running.stop()


def free_port() -> int:
    """A port nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def stack(*, folder: Path | None = None, **extra: str) -> Iterator[Stack]:
    """Start `manage.py up --no-demo` with durable settings and yield it once it is ready.

    With a `folder` it runs on that one, which stays; else on a new one, which is removed.
    """
    kept = folder is not None
    folder = folder or Path(tempfile.mkdtemp(prefix="renxin-bench-"))
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if name not in OWN}
    environment |= {"DATA_DIR": str(folder), "PORT": str(port), "EMAIL_URL": "memory://", **extra}
    log = (folder / "bench-up.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "manage.py", "up", "--no-demo"],
        cwd=ROOT,
        env=environment,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        wait_ready(port, process, folder / "bench-up.log")
        yield Stack(port, folder, environment)
    except BaseException:
        text = (folder / "bench-up.log").read_text(errors="replace")
        print("the system's last lines:\n" + text[-4000:], file=sys.stderr)
        raise
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        log.close()
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


def wait_ready(port: int, process: subprocess.Popen, log: Path) -> None:
    """Wait for /readyz. Raises SystemExit with the log's tail when the system ends or takes too long."""
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError):
            if urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5).status == 200:
                return
        time.sleep(0.2)
    raise SystemExit("the system did not get ready:\n" + log.read_text(errors="replace")[-3000:])


def call(stack: Stack, method: str, path: str, key: str, body: Any = None) -> Any:
    """One API call; raises SystemExit with the answer when it is an error."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{stack.port}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Api-Key {key}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{method} {path}: {error.code} {error.read()[:500]!r}") from None
    return json.loads(text) if text else None


@contextlib.contextmanager
def sink(log: Path | None = None) -> Iterator[int]:
    """Run the counting mail server; yields its port."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "bench" / "smtp_sink.py"), *([str(log)] if log else [])],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(10)


def table(rows: list[tuple[Any, ...]]) -> None:
    """Print rows in columns."""
    widths = [max(len(str(row[index])) for row in rows) for index in range(len(rows[0]))]
    for row in rows:
        print("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def say(text: str) -> None:
    """Progress, for whoever watches."""
    print(f"… {text}", flush=True)
