"""Which fields of lifecycle hold personal data, for the register of processing."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from crm.privacy_registry import Basis, Category, Kept, nothing_personal, tag

WRITE = _("To write to people, once, and to be able to say what was written")
JOURNEY = _("To take people along a journey and measure whether it helps")

tag(
    "lifecycle.OutboundMessage", "profile", "context",
    category=Category.CONTENT, purpose=WRITE, basis=Basis.CONTRACT, kept=Kept.RELATION,
    survives=_("That a message of a kind went stays, without its values"),
)  # fmt: skip
tag(
    "lifecycle.InboxItem", "profile", "subject", "body",
    category=Category.CONTENT, purpose=WRITE, basis=Basis.CONTRACT, kept=Kept.RELATION,
)  # fmt: skip
tag(
    "lifecycle.Delivery", "address_hash", "provider_ref", "error",
    category=Category.CONTACT, purpose=WRITE, basis=Basis.CONTRACT, kept=Kept.RELATION,
)  # fmt: skip
tag(
    "lifecycle.Enrolment", "profile", "context",
    category=Category.BEHAVIOUR, purpose=JOURNEY, basis=Basis.INTEREST, kept=Kept.RELATION,
    survives=_("That somebody was on a journey stays, for its numbers"),
)  # fmt: skip
tag(
    "lifecycle.EnrolmentEvent", "detail",
    category=Category.BEHAVIOUR, purpose=JOURNEY, basis=Basis.INTEREST, kept=Kept.RELATION,
)  # fmt: skip

nothing_personal("lifecycle.Journey", "name", "template", "created_by")
nothing_personal("lifecycle.JourneyVersion", "definition", "created_by")
nothing_personal("lifecycle.Enrolment", "entry_key", "step")
nothing_personal("lifecycle.EnrolmentEvent", "step")
nothing_personal("lifecycle.OutboundMessage", "kind", "subject_key", "language")
nothing_personal("lifecycle.SendRun", "undecided")
nothing_personal("lifecycle.MessageTemplate", "kind", "subject", "body", "updated_by")
