"""What the loading of the demo company knows, and how it lets time pass.

E-mail is written to a folder, never sent, whatever EMAIL_URL says.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final

from django.conf import settings
from django.core import mail

from crm.kernel import actors, clock, reactions
from crm.kernel.models import PendingReaction
from crm.services.touchpoints import SourceRef
from lifecycle.services import enrolments, messages
from lifecycle.services.mailer import Mailer

ACTOR: Final = actors.system("config.load_demo")
Act = Callable[[datetime], None]
Planned = tuple[datetime, Act]
OPENS: Final = time(1, 30)  # UTC; half past nine in Shanghai
WORKDAY: Final = timedelta(hours=10)


@dataclass(slots=True)
class Company:
    """Ids by key, and the moment of the load; plans give their times as days before it.

    Things happen during the day: some minutes after the house opens, the same ones at every load.
    """

    now: datetime
    mailer: Mailer
    server: SourceRef
    browser: SourceRef
    write_key: str = ""
    staff: dict[str, Any] = field(default_factory=dict)
    profiles: dict[str, int] = field(default_factory=dict)
    tickets: dict[str, int] = field(default_factory=dict)
    releases: dict[str, int] = field(default_factory=dict)
    dice: random.Random = field(default_factory=lambda: random.Random("lantern hours"))

    def ago(self, days: float) -> datetime:
        """A moment of the working day that many days back; two moments half a day apart keep their order."""
        opened = datetime.combine(self.now.date(), OPENS, UTC)
        if opened > self.now:
            opened -= timedelta(days=1)
        at = opened - timedelta(days=days) + self.dice.random() * WORKDAY
        return min(at, self.now - timedelta(minutes=40))

    def colleague(self, username: str) -> actors.Actor:
        """A member of staff as the one who acts."""
        return actors.staff(self.staff[username])


class KeptMailer(Mailer):
    """Writes e-mail to files (in tests, to memory): demo mail must not reach a mail server."""

    def _open(self) -> None:
        if self._backend is not None:
            return
        if settings.EMAIL_BACKEND.endswith("locmem.EmailBackend"):
            self._backend = mail.get_connection()
        else:
            self._backend = mail.get_connection(
                "django.core.mail.backends.filebased.EmailBackend",
                file_path=str(settings.DATA_DIR / "mail" / "demo"),
            )


def settle(company: Company, at: datetime) -> None:
    """Do what the workers would have done by then: reactions, journeys, and messages that are due."""
    with clock.stopped(at):
        for _round in range(50):
            names = PendingReaction.objects.order_by().values_list("receiver", flat=True).distinct()
            handled = sum(reactions.run(name, now=at).claimed for name in sorted(names))
            moved = enrolments.advance(now=at).claimed
            sent = messages.deliver(now=at, mailers=[company.mailer]).claimed
            if not handled + moved + sent:
                return
