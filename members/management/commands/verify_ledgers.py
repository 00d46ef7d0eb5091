"""Check that every points account is the sum of its entries and never overdrawn."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from members.models import PointsAccount, PointsEntry
from members.services import verification


class Command(BaseCommand):
    """Prints what holds; fails when something does not."""

    help = "Check the points ledgers: balances, credits and debits."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run every check."""
        faults = verification.verify()
        if faults:
            raise CommandError(
                "\n".join(
                    f"{fault.rule}: accounts {', '.join(map(str, fault.account_ids))}" for fault in faults
                )
            )
        accounts, entries = PointsAccount.objects.count(), PointsEntry.objects.count()
        self.stdout.write(f"{accounts} accounts, {entries} entries: every balance is the sum of its entries")
