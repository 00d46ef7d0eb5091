"""`python -m bench [name …]`: run benches, print their tables and goal lines, fail when a goal is missed."""

import importlib
import signal
import sys
import time

BENCHES = ("ingest", "fanout", "feedback", "imports", "pages", "merges", "segments")


def main(names: list[str]) -> int:
    """Run the named benches, or all. Returns the exit status."""
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        print(f"no bench named {', '.join(unknown)}; there are: {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    # Ended from outside, the system that a bench started must end too: turn TERM into an exception.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    goals = []
    for name in names or BENCHES:
        started = time.monotonic()
        print(f"\n== {name}", flush=True)
        goals += importlib.import_module(f"bench.{name}").run()
        print(f"({time.monotonic() - started:.0f} s)", flush=True)
    print()
    for goal in goals:
        print(goal.line())
    return 0 if all(goal.ok for goal in goals) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
