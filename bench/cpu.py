"""CPU time of the processes of a running system, by kind: it counts on a busy machine, when wall clocks lie."""

from __future__ import annotations

import json
import os
from pathlib import Path

from bench.harness import Stack

PROC = Path("/proc")
TICK = 1_000_000 / os.sysconf("SC_CLK_TCK")
KINDS = (("gunicorn", "web"), ("celery", "worker"), ("postgres", "postgres"), ("valkey", "valkey"))


def spent(system: Stack) -> dict[str, float]:
    """Microseconds so far, by kind of process, children that ended included."""
    found: dict[str, float] = {}
    folders = _folders(system)
    for folder in PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            text = (folder / "stat").read_text().rpartition(")")[2].split()
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            place = str((folder / "cwd").readlink())
            owned = any(own in command or place.startswith(own) for own in folders)
            owned = owned or f"DATA_DIR={system.data_dir}".encode() in (folder / "environ").read_bytes()
        except OSError:
            continue
        kind = next((kind for word, kind in KINDS if word in command), "supervisor")
        if owned:
            # 11 and 12: itself; 13 and 14: children that ended, such as connections of PostgreSQL.
            found[kind] = found.get(kind, 0.0) + TICK * sum(map(int, text[11:15]))
    return found


def _folders(system: Stack) -> tuple[str, ...]:
    """Where the system lives; started by root, its servers have a home of their own."""
    kept = system.data_dir / "embedded.json"
    home = json.loads(kept.read_text()).get("home") if kept.exists() else None
    return (str(system.data_dir), *([home] if home else []))


def between(begun: dict[str, float], ended: dict[str, float], events: int) -> dict[str, float]:
    """Microseconds per event between two readings."""
    return {kind: (ended[kind] - begun.get(kind, 0.0)) / events for kind in ended}
