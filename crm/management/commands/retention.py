"""`manage.py retention`: what is past its retention, month by month; `--run` lets it go."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from crm.kernel import actors, clock
from crm.selectors import retention as reads
from crm.services import retention


class Command(BaseCommand):
    """Show or run retention. Without `--run` nothing is changed."""

    help = "show what is past its retention, or delete it with --run"

    def add_arguments(self, parser: CommandParser) -> None:
        """`--run`, and `--any-time` for by day."""
        parser.add_argument("--run", action="store_true", help="delete it")
        parser.add_argument("--any-time", action="store_true", help="also outside the hours of the night")

    def handle(self, *args: Any, **options: Any) -> None:
        """One line per month in which something goes."""
        now = clock.now()
        for plan in reads.plan(now=now):
            if plan.action != "keep":
                kinds = ", ".join(f"{kind} {number}" for kind, number in plan.kinds)
                self.stdout.write(f"{plan.month.start:%Y-%m} {plan.action} {plan.rows} {kinds}".rstrip())
        if not options["run"]:
            return
        if not options["any_time"] and not retention.is_night(now=now):
            raise CommandError(_("It is not the time of day for this; give --any-time to do it now."))
        run = retention.run(actor=actors.system("manage.py"), now=now, seconds=86400)
        self.stdout.write("nothing to do" if run is None else f"run {run.pk} {run.rows_by_kind}")
