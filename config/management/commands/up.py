"""`manage.py up`: everything on this machine, under one supervisor.

manage.py answers `up` before Django is loaded; this command is the same door for `help` and for
callers from Python.
"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from config import supervisor


class Command(BaseCommand):
    help = "Start the database, the broker, web, worker and beat on this machine, and watch them."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--no-demo", action="store_true", help="start empty, without the demo company")

    def handle(self, *args: Any, **options: Any) -> None:
        code = supervisor.main(["--no-demo"] if options["no_demo"] else [])
        if code:
            raise SystemExit(code)
