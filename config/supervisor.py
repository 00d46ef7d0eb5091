"""The small process behind `manage.py up`: it starts everything, watches it, and ends it.

Order up: checks, embedded servers, preparation (only when something changed), web, workers, beat.
Order down: web, beat, workers, Valkey, PostgreSQL; all gone in 20 seconds, whatever is signalled
and how often. Children live in sessions of their own, so a signal to our process group reaches us
alone. A child that dies is started again with back-off, and said so. Had a supervisor been killed,
its children are found by the pid file, checked to be really ours, and ended by the next start.

Django is not loaded here: what needs it runs as `manage.py prepare` in a process of its own.
"""

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import IO

from config import embedded, environment, processes
from config.environment import BASE_DIR, BadEnvironment, Environment

COLOURS = {"up": 36, "setup": 33, "web": 32, "worker": 35, "long": 36, "beat": 34}
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
HEALTHY_AFTER = 60.0  # a child that lived this long starts over with the first pause
# Tasks wait for disks and mail servers more than they compute: two per core keep a small machine busy.
WORKER_TASKS = max(4, os.cpu_count() or 1)
LONG_TASKS = 2  # imports, passes, exports, erasures: one may go on while another waits for a disk
WORKER_SOFT_SHUTDOWN = 7  # seconds a task may go on after the signal; then it goes back to the queue
WATCHED_SUFFIXES = {".py", ".html", ".txt", ".po", ".css", ".js", ".svg", ".toml", ".mjml", ".json"}
APPS = ("config", "crm", "lifecycle", "voc", "members", "locale")


@dataclass(slots=True)
class Child:
    """One child process: how it is started, how long it may take to end, how it fared."""

    name: str
    command: list[str]
    patience: float
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    pause: float = FIRST_PAUSE
    start_after: float = 0.0

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None


@dataclass(slots=True)
class Supervisor:
    environment: Environment
    demo: bool
    children: dict[str, Child] = field(default_factory=dict)
    servers: embedded.Servers | None = None
    stopping: threading.Event = field(default_factory=threading.Event)
    variables: dict[str, str] = field(default_factory=dict)
    _lock: int = -1
    _print: threading.Lock = field(default_factory=threading.Lock)

    # -- the whole life

    def run(self) -> int:
        """Returns the exit code: 0 after a wished stop, 1 when something could not be started."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        environment.prepare_data_dir(self.data_dir)
        self.run_dir.mkdir(mode=0o700, exist_ok=True)
        self._claim_folder()
        began = time.monotonic()
        try:
            self._end_survivors()
            self._check_port()
            self._start_servers()
            self._prepare()
            if not self.stopping.is_set():
                self._make_children()
                self._watch(began)
        except (BadEnvironment, _CannotStart) as problem:
            if not self.stopping.is_set():
                print(f"manage.py: {problem}", file=sys.stderr, flush=True)
                return 1
        finally:
            self.stopping.set()
            self._stop_everything()
        return 0

    @property
    def data_dir(self) -> Path:
        return self.environment.data_dir

    @property
    def run_dir(self) -> Path:
        return self.data_dir / "run"

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.stopping.set()

    # -- before

    def _claim_folder(self) -> None:
        """One supervisor per DATA_DIR; the lock goes away with the process, however it ends."""
        self._lock = os.open(self.run_dir / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._lock, 20).decode(errors="replace").strip() or "unknown"
            raise BadEnvironment(
                f"already running on {self.data_dir} (process {holder}): stop it first, "
                "or set another DATA_DIR and PORT"
            ) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(os.getpid()).encode(), 0)

    def _end_survivors(self) -> None:
        """Children of a supervisor that was killed: a recorded group whose members name our folder."""
        for name, group in _read_children(self.run_dir).items():
            left = processes.in_group(group, str(self.run_dir))
            if left:
                self.say(f"ending {name} (process {group}), left by a supervisor that was killed")
                _end_group(group, partial(_no_more_of, group, str(self.run_dir)), 5.0)
        _write_children(self.run_dir, {})

    def _check_port(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", self.environment.port))  # noqa: S104 (the port that web will bind)
            except OSError as problem:
                raise BadEnvironment(
                    f"PORT {self.environment.port} cannot be used ({problem.strerror}): "
                    "set PORT to a free port from 1 to 65535"
                ) from None

    def _start_servers(self) -> None:
        self.variables = dict(os.environ)
        wanted = tuple(
            name
            for name, own in (
                ("postgres", self.environment.embedded_database),
                ("valkey", self.environment.embedded_broker),
            )
            if own
        )
        self.variables |= {
            "PYTHONUNBUFFERED": "1",
            "DATA_DIR": str(self.data_dir),
            "WORKER_SOFT_SHUTDOWN": str(WORKER_SOFT_SHUTDOWN),
            # Celery then ends at once but softly on SIGTERM, instead of waiting for every task.
            "REMAP_SIGTERM": "SIGQUIT",
            "PROMETHEUS_MULTIPROC_DIR": str(self._empty_folder("metrics")),
        }
        if not wanted:
            return
        self.servers = embedded.Servers(self.data_dir, wanted)
        self.servers.start()
        self.say(f"{' and '.join(sorted(self.servers.running))} answer")

    def _empty_folder(self, name: str) -> Path:
        folder = self.run_dir / name
        folder.mkdir(exist_ok=True)
        for path in folder.iterdir():
            path.unlink()
        return folder

    def _prepare(self) -> None:
        """Migrations, catalogues, static files, roles, first user, demo: once per change."""
        state = _read_state(self.data_dir)
        wanted = {
            "fingerprint": _fingerprint(self.environment),
            "demo": self.demo or state.get("demo", False),
        }
        if state == wanted and self.environment.embedded_database:
            return
        command = [sys.executable, "manage.py", "prepare"]
        if not self.demo or (state.get("demo") and self.environment.embedded_database):
            command.append("--no-demo")
        child = Child("setup", command, patience=5.0)
        self._spawn(child)
        assert child.process is not None
        while child.process.poll() is None:
            if self.stopping.wait(0.05):
                return
        if child.process.returncode:
            raise _CannotStart("the preparation failed; its messages are above")
        _write_private(self.data_dir / "prepared.json", json.dumps(wanted))

    def _make_children(self) -> None:
        run = str(self.run_dir)
        python = sys.executable
        celery = [python, "-m", "celery", "--quiet", "-A", "config"]

        def worker(name: str, queue: str, tasks: int) -> list[str]:
            return [
                *(*celery, "worker", "--queues", queue, "--hostname", f"{name}@%h"),
                *("--pool", "prefork", "--concurrency", str(tasks)),
                *("--loglevel", "INFO", "--without-gossip", "--without-mingle"),
                *("--max-tasks-per-child", "1000", "--pidfile", f"{run}/{name}.pid"),
            ]

        for child in (
            Child(
                "web",
                web_command("config.wsgi:application", port=self.environment.port, run=run),
                patience=4.0,
            ),
            Child("worker", worker("worker", "celery", WORKER_TASKS), patience=10.0),
            Child("long", worker("long", "long", LONG_TASKS), patience=10.0),
            Child(
                "beat",
                [
                    *(*celery, "beat", "--loglevel", "WARNING"),
                    *("--schedule", f"{run}/beat-schedule", "--pidfile", f"{run}/beat.pid"),
                ],
                patience=2.0,
            ),
        ):
            self.children[child.name] = child

    # -- while it runs

    def _watch(self, began: float) -> None:
        self._spawn(self.children["web"])
        ready = False
        while not self.stopping.is_set():
            if not ready and self._is_ready():
                ready = True
                self._announce(time.monotonic() - began)
            for child in self.children.values():
                # Worker and beat wait for the pages: on few cores the first answer comes sooner.
                if child.name == "web" or ready or child.process is not None:
                    self._tend(child)
            self._tend_servers()
            self.stopping.wait(0.1 if ready else 0.05)

    def _tend(self, child: Child) -> None:
        if child.alive():
            return
        now = time.monotonic()
        if child.process is not None:
            code = child.process.returncode
            _end_group(child.process.pid, partial(_no_more_of, child.process.pid, ""), 0.0)
            lived = now - child.started_at
            child.pause = FIRST_PAUSE if lived > HEALTHY_AFTER else min(child.pause * 2, LONGEST_PAUSE)
            child.start_after = now + child.pause
            child.process = None
            self.say(
                f"{child.name} ended ({_reason(code)}) after {lived:.0f} s; "
                f"starting it again in {child.pause:.0f} s"
            )
        elif now >= child.start_after:
            self._spawn(child)

    def _tend_servers(self) -> None:
        """An embedded server that died is started again; the start itself recovers its data."""
        if self.servers is None:
            return
        for name, server in list(self.servers.running.items()):
            if not server.alive():
                self.say(f"{name} ended; starting it again")
                try:
                    self.servers.start()
                except BadEnvironment as problem:
                    self.say(f"{problem}; trying again in 2 s")
                    self.stopping.wait(2)
                    self.servers.running.setdefault(name, server)
                else:
                    self.say(f"{name} answers again")

    def _spawn(self, child: Child) -> None:
        (self.run_dir / f"{child.name}.pid").unlink(missing_ok=True)
        child.process = subprocess.Popen(
            child.command,
            cwd=BASE_DIR,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        child.started_at = time.monotonic()
        self._keep_children()
        assert child.process.stdout is not None
        threading.Thread(
            target=self._relay, args=(child.name, child.process.stdout), daemon=True, name=child.name
        ).start()

    def _keep_children(self) -> None:
        alive = {name: c.process.pid for name, c in self.children.items() if c.process is not None}
        _write_children(self.run_dir, alive)

    def _is_ready(self) -> bool:
        url = f"http://127.0.0.1:{self.environment.port}/readyz"
        host = {"Host": self.environment.allowed_hosts[0].lstrip(".") or "localhost"}
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=host), timeout=2) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    # -- the end

    def _stop_everything(self) -> None:
        for name in ("setup", "web", "beat"):
            self._stop_child(name)
        # Each may want its whole patience for the task it holds, so both are asked at once.
        workers = [threading.Thread(target=self._stop_child, args=(name,)) for name in ("long", "worker")]
        for each in workers:
            each.start()
        for each in workers:
            each.join()
        _write_children(self.run_dir, {})
        if self.servers is not None and self.servers.running:
            self.say("stopping valkey and postgres")
            self.servers.stop()
        self.say("everything has stopped")

    def _stop_child(self, name: str) -> None:
        child = self.children.get(name)
        if child is None or child.process is None:
            return
        if child.alive():
            self.say(f"stopping {name}")
        _end_group(child.process.pid, partial(_has_ended, child), child.patience, leader_only=True)

    # -- telling

    def say(self, text: str) -> None:
        self._line("up", text)

    def _relay(self, name: str, stream: IO[bytes]) -> None:
        for raw in stream:
            text = raw.decode("utf-8", errors="replace").rstrip()
            if text:
                self._line(name, text)

    def _line(self, name: str, text: str) -> None:
        prefix = f"{name:<6} |"
        if _coloured():
            prefix = f"\x1b[{COLOURS.get(name, 37)}m{prefix}\x1b[0m"
        with self._print, contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"{prefix} {text}\n")
            sys.stderr.flush()

    def _announce(self, seconds: float) -> None:
        base = self.environment.base_url
        password = (
            "the one of ADMIN_PASSWORD when it was made"
            if self.environment.admin_password
            else _kept(self.data_dir / "admin_password")
        )
        lines = [
            "",
            f"  Renxin is ready after {seconds:.1f} s",
            "",
            f"  portal      {base}/",
            f"  staff       {base}/admin/      user: admin   password: {password}",
            f"  API         {base}/api/docs/",
        ]
        key = _kept(self.data_dir / "demo_write_key")
        if key:
            lines.append(f"  write key   {key}   (demo source; POST {base}/v1/batch)")
        if not self.environment.email_is_set:
            lines.append(f"  mail        kept in {self.data_dir / 'mail'}; set EMAIL_URL to send it")
        lines += ["", "  Ctrl-C stops everything.", ""]
        with self._print, contextlib.suppress(OSError, ValueError):
            print("\n".join(lines), flush=True)


def web_command(application: str, *, port: int, run: str) -> list[str]:
    """How a WSGI application is served: the bench serves an empty one in the same way."""
    return [
        *(sys.executable, "-m", "gunicorn", application, "--preload"),
        *("--bind", f"0.0.0.0:{port}", "--worker-class", "gthread"),
        *("--workers", "2", "--threads", "16", "--timeout", "60", "--graceful-timeout", "3"),
        *("--keep-alive", "75", "--backlog", "512", "--no-control-socket"),
        *("--pid", f"{run}/web.pid", "--log-level", "warning", "--worker-tmp-dir", run),
    ]


class _CannotStart(Exception):
    """A step before the start of the children failed; its own messages were shown."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="manage.py up", description="Start everything on this machine, and watch it."
    )
    parser.add_argument("--no-demo", action="store_true", help="start empty, without the demo company")
    options = parser.parse_args(arguments)
    return Supervisor(environment.load(), demo=not options.no_demo).run()


# -- groups of processes


def _end_group(group: int, gone: Callable[[], bool], patience: float, *, leader_only: bool = False) -> None:
    """SIGTERM, wait, then SIGKILL to what is left of the group. Celery's pool must not see the
    SIGTERM that its leader turns into an orderly end, hence leader_only."""
    if patience:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            (os.kill if leader_only else os.killpg)(group, signal.SIGTERM)
        processes.wait_until(gone, patience)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
    processes.wait_until(gone, 1.0)


def _no_more_of(group: int, needle: str) -> bool:
    return not processes.in_group(group, needle)


def _has_ended(child: Child) -> bool:
    return not child.alive()


def _reason(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


# -- files


def _fingerprint(values: Environment) -> str:
    """Of all that the preparation depends on: sources by name, size and time; Python; pins."""
    digest = hashlib.sha256(f"{sys.version}\0{sys.prefix}\0{BASE_DIR}\0{values.language_code}".encode())
    for path in sorted(_sources()):
        status = path.stat()
        digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def _sources() -> Iterator[Path]:
    yield BASE_DIR / "requirements.txt"
    for app in APPS:
        for folder, _, files in os.walk(BASE_DIR / app):
            for name in files:
                path = Path(folder, name)
                if path.suffix in WATCHED_SUFFIXES:
                    yield path


def _read_state(data_dir: Path) -> dict[str, object]:
    try:
        state = json.loads((data_dir / "prepared.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def _read_children(run_dir: Path) -> dict[str, int]:
    try:
        found = json.loads((run_dir / "children.json").read_text(encoding="utf-8"))
        return {str(name): int(pid) for name, pid in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _write_children(run_dir: Path, children: dict[str, int]) -> None:
    _write_private(run_dir / "children.json", json.dumps(children))


def _write_private(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(text)
    draft.replace(path)


def _kept(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _coloured() -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or sys.stderr.isatty()
