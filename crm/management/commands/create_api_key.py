"""`create_api_key NAME --scope crm.profile:read …`: a new API key for /api/v1/.

The key alone is the last line on stdout and is never shown again. Each call makes a new key; the name is only a
label for staff.
"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from crm.kernel import actors, clock
from crm.kernel.errors import DomainError
from crm.services import sources


class Command(BaseCommand):
    """Make an API key."""

    help = "Makes an API key with the given scopes and prints it once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="who will use the key")
        parser.add_argument(
            "--scope", action="append", required=True, nargs="+", metavar="APP.NOUN:read|write",
            help="may be repeated; both read and write have to be named",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        scopes = [scope for group in options["scope"] for part in group for scope in part.split(",") if scope]
        try:
            _key, text = sources.create_api_key(
                options["name"], scopes=scopes, actor=actors.system("create_api_key"), now=clock.now()
            )
        except DomainError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(text)
