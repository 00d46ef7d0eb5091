#!/usr/bin/env python
"""Entry point of every command.

A setting with a bad value, or a database that is not there, ends in one line on stderr and a
non-zero exit code, never in a traceback. `up` is answered without loading Django: the supervisor
stays small and a second start stays fast.
"""

import os
import sys


def main(argv: list[str]) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from config import environment

    try:
        if argv[1:2] == ["up"] and not {"-h", "--help"} & set(argv[2:]):
            from config import supervisor

            return supervisor.main(argv[2:])
        return _run_django(argv)
    except environment.BadEnvironment as problem:
        print(f"manage.py: {problem}", file=sys.stderr)
        return 2


def _run_django(argv: list[str]) -> int:
    try:
        from django.conf import settings
        from django.core.management import execute_from_command_line
        from django.db import OperationalError
    except ImportError:
        print(
            "manage.py: Django is not installed in this Python; run `make up`, or use .venv/bin/python",
            file=sys.stderr,
        )
        return 2
    embedded = settings.EMBEDDED  # loads the settings, so that a bad value is met here
    try:
        execute_from_command_line(argv)
    except OperationalError as problem:
        if not embedded:
            line = str(problem).strip().splitlines()[0] if str(problem).strip() else "no answer"
            print(f"manage.py: the database of DATABASE_URL cannot be used: {line}", file=sys.stderr)
            return 1
        from config import embedded as servers

        if servers.is_running(settings.DATA_DIR):
            raise
        print(
            f"manage.py: no database is running on {settings.DATA_DIR}: "
            "start it with `make up`, or set DATABASE_URL",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
