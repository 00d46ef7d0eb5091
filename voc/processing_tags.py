"""Which fields of voc hold personal data, for the register of processing."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from crm.privacy_registry import Basis, Category, Kept, nothing_personal, tag

ANSWER = _("To answer what people tell us, and to tell them when it is fixed")
TOLD = _("That somebody was told stays, as a number")

tag(
    "voc.Feedback", "text", "profile", "credit_name", "reference", "reason", "tokens",
    category=Category.CONTENT, purpose=ANSWER, basis=Basis.CONTRACT, kept=Kept.RELATION,
    survives=_("That somebody asked stays with the ticket"),
)  # fmt: skip
tag(
    "voc.Ticket", "title", "description", "tokens",
    category=Category.CONTENT, purpose=ANSWER, basis=Basis.CONTRACT, kept=Kept.RELATION,
    survives=_("Others asked for the same; what names the person is taken out"),
)  # fmt: skip
tag(
    "voc.TicketEvent", "note", "data",
    category=Category.CONTENT, purpose=ANSWER, basis=Basis.CONTRACT, kept=Kept.RELATION,
    survives=_("Others asked for the same; what names the person is taken out"),
)  # fmt: skip
tag(
    "voc.TicketFollower", "profile", "credit_name",
    category=Category.IDENTITY, purpose=ANSWER, basis=Basis.CONSENT, kept=Kept.RELATION, survives=TOLD,
)  # fmt: skip
tag(
    "voc.FixNotice", "profile",
    category=Category.CONTENT, purpose=ANSWER, basis=Basis.CONTRACT, kept=Kept.PROOF, survives=TOLD,
)  # fmt: skip
tag(
    "voc.SubmissionCount", "sender_hash",
    category=Category.CONTACT, purpose=_("To keep programs from flooding the forms"), basis=Basis.INTEREST,
    kept=Kept.DAYS,
)  # fmt: skip

nothing_personal("voc.Feedback", "token", "created_by", "decided_by")
nothing_personal("voc.Release", "token", "title", "notes", "withdrawn_reason", "created_by")
nothing_personal("voc.ReleaseItem", "note")
nothing_personal("voc.ReleaseEvent", "note", "actor")
nothing_personal("voc.SubmissionCount", "action")
nothing_personal("voc.Ticket", "token", "theme", "created_by")
nothing_personal("voc.TicketEvent", "actor")
