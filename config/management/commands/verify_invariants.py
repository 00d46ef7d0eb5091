"""`manage.py verify_invariants`: does everything hold that must always hold?

One line per check on standard output: `ok` or `FAIL`, the number of rows that break it, the promise, and the ids
of the first of them. Exits with an error when one does not hold. Reads only.
"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config import invariants
from crm.kernel import clock


class Command(BaseCommand):
    """Run every check on one snapshot of the database."""

    help = "Check in the database what must always hold: notices, ledgers, aliases, consent, caps, leases, the log."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print one line per check; exit with an error when one does not hold."""
        broken = 0
        for finding in invariants.check(now=clock.now()):
            line = f"{'ok  ' if finding.holds else 'FAIL'} {finding.count:>6}  {finding.promise}"
            if not finding.holds:
                broken += 1
                line += (
                    f": {', '.join(finding.samples)}{', …' if finding.count > len(finding.samples) else ''}"
                )
            self.stdout.write(line)
        if broken:
            raise CommandError(f"{broken} of {len(invariants.names())} invariants do not hold")
