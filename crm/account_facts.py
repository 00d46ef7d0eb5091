"""What rules may ask about accounts: which one a person belongs to. A browser's claim does not count."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_lazy as _

from crm import facts


def _accounts(now: datetime) -> tuple[str, Sequence[Any]]:
    return (
        "SELECT m.profile_id, a.group_id::text AS value FROM crm_accountmembership m"
        " JOIN crm_account a ON a.id = m.account_id WHERE m.until IS NULL AND m.trust <> 'browser'",
        [],
    )


facts.register(
    "account", label=_("group ID"), type=facts.TEXT, group=_("Accounts"), rows=_accounts, changed_by=("group",),
    help=_("The account a person belongs to, by its group ID, as servers and staff said."),
)  # fmt: skip
