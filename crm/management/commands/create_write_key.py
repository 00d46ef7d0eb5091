"""`create_write_key NAME [--browser]`: the write key of a source, made when there is none of that name.

The key alone is the last line on stdout. A name that exists gives its key again, so scripts may repeat the command;
asking for the other trust under the same name is refused.
"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from crm.kernel import actors, clock
from crm.kernel.errors import DomainError
from crm.services import sources
from crm.states import Trust


class Command(BaseCommand):
    """Make or show a write key."""

    help = "Makes a source and prints its write key; an existing source of that name gives its key again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="name of the source, as staff will read it")
        parser.add_argument(
            "--browser", action="store_true", help="a public key for browsers and apps, believed less"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        trust = Trust.BROWSER if options["browser"] else Trust.SERVER
        try:
            source, _created = sources.get_or_create(
                options["name"], trust=trust, actor=actors.system("create_write_key"), now=clock.now()
            )
        except DomainError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(source.write_key)
