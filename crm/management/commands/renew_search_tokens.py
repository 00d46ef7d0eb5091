"""manage.py renew_search_tokens: sort keys and search tokens of everybody as names are read now, resumable."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from crm.kernel import clock
from crm.models import ScanPosition
from crm.services import search_tokens


class Command(BaseCommand):
    """Goes on where the last run, or the worker, was stopped. Prints how many people were changed."""

    help = "Recompute sort keys and search tokens of all people; may be stopped and run again."

    def add_arguments(self, parser: CommandParser) -> None:
        """From the beginning, if wanted."""
        parser.add_argument("--again", action="store_true", help="start from the first person")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run to the end."""
        if options["again"]:
            ScanPosition.objects.update_or_create(
                job=search_tokens.job(), defaults={"position": 0, "finished_at": None}
            )
        self.stdout.write(str(search_tokens.renew(now=clock.now(), until=lambda: False)))
