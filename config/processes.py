"""Looking at processes by pid, on Linux and elsewhere.

A pid from a file proves nothing: the number may belong to somebody else by now. Whoever wants to
signal one asks here first whether its command line is the one that was started.
"""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PROC = Path("/proc")


def command(pid: int) -> str:
    """The command line of a process with blanks between its words; "" when there is none.
    A zombie has none."""
    if PROC.joinpath("self").exists():
        try:
            raw = PROC.joinpath(str(pid), "cmdline").read_bytes()
        except OSError:
            return ""
        return raw.replace(b"\0", b" ").decode(errors="replace").strip()
    done = subprocess.run(
        ["ps", "-o", "command=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def command_has(pid: int, needle: str) -> bool:
    return pid > 0 and needle in command(pid)


def is_alive(pid: int) -> bool:
    return pid > 0 and command(pid) != ""


def in_group(group: int, needle: str) -> list[int]:
    """The live processes of a process group whose command line contains the needle."""
    found = []
    if PROC.joinpath("self").exists():
        for entry in PROC.iterdir():
            if entry.name.isdigit():
                pid = int(entry.name)
                try:
                    if os.getpgid(pid) == group and command_has(pid, needle):
                        found.append(pid)
                except (ProcessLookupError, PermissionError):
                    continue
        return found
    return [group] if command_has(group, needle) else []


def wait_until(done: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
