"""Check the chain of the action log."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from crm.kernel import actionlog


class Command(BaseCommand):
    """Name the first row that does not fit the chain; report the unsealed tail."""

    help = "Verify the seal chain of the action log."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print one line; exit with an error when the chain is broken."""
        result = actionlog.verify()
        if result.first_bad_id is not None:
            raise CommandError(
                f"action log broken at row {result.first_bad_id} after {result.sealed} good rows"
            )
        self.stdout.write(
            f"action log whole: {result.sealed} sealed, {result.unsealed} waiting for the sealer"
        )
