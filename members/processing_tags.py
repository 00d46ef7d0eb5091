"""Which fields of members hold personal data, for the register of processing."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from crm.privacy_registry import Basis, Category, Kept, nothing_personal, tag

LEDGER = _("To keep the account of what was promised and given")
SUMS = _("The sums of the ledger must stay true; the account has no name any more")

tag(
    "members.PointsAccount", "profile",
    category=Category.LEDGER, purpose=LEDGER, basis=Basis.CONTRACT, kept=Kept.PROOF, survives=SUMS,
)  # fmt: skip
tag(
    "members.PointsEntry", "note",
    category=Category.LEDGER, purpose=LEDGER, basis=Basis.CONTRACT, kept=Kept.RELATION,
)  # fmt: skip

nothing_personal("members.PointsEntry", "idempotency_key", "request_hash", "actor")
