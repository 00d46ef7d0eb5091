"""Which fields of crm hold personal data, why they are there, and how long: the source of the register of processing.

A field that can hold a text and is in neither list fails the check `crm.W010`.
"""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from crm.privacy_registry import Basis, Category, Kept, nothing_personal, tag

RECOGNISE = _("To know one person again over all channels")
ADDRESS_THEM = _("To write to people by name, in their language, at their time of day")
REACH = _("To reach people where they want to be reached")
UNDERSTAND = _("To understand what people need and to help at the right moment")
PROVE = _("To prove what was allowed, and to obey it")
SPARE = _("Not to disturb anybody more than agreed")
RIGHTS = _("To answer people's rights over their own data")
WORK = _("To know who did what in the system")
LISTS = _("To take over lists that people are on already")
NO_NAME = _("Only a number or a hash stays, which names nobody")
PROOF = _("Decisions stay as proof that nothing was sent without one")

tag(
    "crm.Profile", "display_name", "family_name", "given_name", "name_sort", "search_tokens",
    category=Category.IDENTITY, purpose=ADDRESS_THEM, basis=Basis.CONTRACT, kept=Kept.RELATION,
)  # fmt: skip
tag(
    "crm.Profile", "birthday", "country", "region", "time_zone",
    category=Category.IDENTITY, purpose=ADDRESS_THEM, basis=Basis.CONTRACT, kept=Kept.RELATION,
)  # fmt: skip
tag(
    "crm.Profile", "traits", "value_sources",
    category=Category.BEHAVIOUR, purpose=UNDERSTAND, basis=Basis.INTEREST, kept=Kept.RELATION,
)  # fmt: skip
tag(
    "crm.Profile", "merged_into",
    category=Category.IDENTITY, purpose=RECOGNISE, basis=Basis.INTEREST, kept=Kept.PROOF, survives=NO_NAME,
)  # fmt: skip
tag(
    "crm.Identity", "value", "profile",
    category=Category.IDENTITY, purpose=RECOGNISE, basis=Basis.CONTRACT, kept=Kept.RELATION,
)  # fmt: skip
tag(
    "crm.MergeRecord", "winner", "loser", "changes",
    category=Category.IDENTITY, purpose=RECOGNISE, basis=Basis.INTEREST, kept=Kept.RELATION, survives=NO_NAME,
)  # fmt: skip
tag(
    "crm.MergeSuggestion", "first", "second", "evidence",
    category=Category.IDENTITY, purpose=RECOGNISE, basis=Basis.INTEREST, kept=Kept.RELATION, survives=NO_NAME,
)  # fmt: skip
tag(
    "crm.ContactPoint", "profile", "value", "value_hash",
    category=Category.CONTACT, purpose=REACH, basis=Basis.CONTRACT, kept=Kept.RELATION,
)  # fmt: skip
tag(
    "crm.Suppression", "value_hash",
    category=Category.CONTACT, purpose=SPARE, basis=Basis.DUTY, kept=Kept.PROOF,
    survives=_("So that an address that comes back is not written to"),
)  # fmt: skip
tag(
    "crm.ConsentRecord", "profile", "evidence",
    category=Category.PREFERENCE, purpose=PROVE, basis=Basis.DUTY, kept=Kept.PROOF, survives=PROOF,
)  # fmt: skip
tag(
    "crm.ConsentRequest", "profile",
    category=Category.PREFERENCE, purpose=PROVE, basis=Basis.DUTY, kept=Kept.PROOF, survives=PROOF,
)  # fmt: skip
tag(
    "crm.ContactChoice", "profile",
    category=Category.PREFERENCE, purpose=SPARE, basis=Basis.CONSENT, kept=Kept.RELATION,
)  # fmt: skip
tag(
    "crm.PressureEntry", "profile",
    category=Category.PREFERENCE, purpose=SPARE, basis=Basis.INTEREST, kept=Kept.RELATION, survives=NO_NAME,
)  # fmt: skip
tag(
    "crm.PressureReservation", "profile", "label", "key",
    category=Category.PREFERENCE, purpose=SPARE, basis=Basis.INTEREST, kept=Kept.RELATION, survives=NO_NAME,
)  # fmt: skip
tag(
    "crm.Touchpoint", "profile_id", "properties", "context",
    category=Category.BEHAVIOUR, purpose=UNDERSTAND, basis=Basis.INTEREST, kept=Kept.RETENTION,
    survives=_("Kind and day stay, so that counts over everybody are true"),
)  # fmt: skip
tag(
    "crm.ComputedValue", "profile", "text", "list",
    category=Category.BEHAVIOUR, purpose=UNDERSTAND, basis=Basis.INTEREST, kept=Kept.RELATION,
)  # fmt: skip
tag(
    "crm.PurchaseSummary", "profile",
    category=Category.BEHAVIOUR, purpose=UNDERSTAND, basis=Basis.CONTRACT, kept=Kept.RELATION,
)  # fmt: skip
tag(
    "crm.SegmentMembership", "profile_id",
    category=Category.BEHAVIOUR, purpose=UNDERSTAND, basis=Basis.INTEREST, kept=Kept.RELATION,
)  # fmt: skip
tag(
    "crm.SegmentDifference", "profile_id",
    category=Category.BEHAVIOUR, purpose=UNDERSTAND, basis=Basis.INTEREST, kept=Kept.DAY,
)  # fmt: skip
tag(
    "crm.AccountMembership", "profile", "role",
    category=Category.IDENTITY, purpose=UNDERSTAND, basis=Basis.CONTRACT, kept=Kept.RELATION,
)  # fmt: skip
tag(
    "crm.ProfileNote", "profile", "text",
    category=Category.CONTENT, purpose=UNDERSTAND, basis=Basis.INTEREST, kept=Kept.RELATION,
)  # fmt: skip
tag(
    "crm.ProfileLink", "first", "second",
    category=Category.IDENTITY, purpose=UNDERSTAND, basis=Basis.INTEREST, kept=Kept.RELATION,
)  # fmt: skip
tag(
    "crm.ImportMember", "profile_id",
    category=Category.IDENTITY, purpose=LISTS, basis=Basis.INTEREST, kept=Kept.RELATION,
)  # fmt: skip
tag(
    "crm.ImportReject", "excerpt",
    category=Category.IDENTITY, purpose=LISTS, basis=Basis.INTEREST, kept=Kept.DAYS,
)  # fmt: skip
tag(
    "crm.IngestionWarning", "sample",
    category=Category.BEHAVIOUR, purpose=_("To see what sources send wrongly"), basis=Basis.INTEREST, kept=Kept.DAYS,
)  # fmt: skip
tag(
    "crm.ObservedProperty", "samples",
    category=Category.BEHAVIOUR, purpose=_("To see what sources send"), basis=Basis.INTEREST, kept=Kept.DAYS,
)  # fmt: skip
tag(
    "crm.PersonExport", "profile", "file_name",
    category=Category.CONTENT, purpose=RIGHTS, basis=Basis.DUTY, kept=Kept.DAY, survives=NO_NAME,
)  # fmt: skip
tag(
    "crm.Erasure", "profile", "certificate",
    category=Category.PREFERENCE, purpose=RIGHTS, basis=Basis.DUTY, kept=Kept.PROOF, survives=NO_NAME,
)  # fmt: skip
tag(
    "crm.StaffUser", "username", "first_name", "last_name", "email", "password", "time_zone", "team",
    category=Category.STAFF, purpose=WORK, basis=Basis.CONTRACT, kept=Kept.EMPLOYMENT,
    survives=pgettext_lazy("register", "Not part of a customer's data"),
)  # fmt: skip

nothing_personal(
    "crm.Account",
    "group_id",
    "name",
    "domain",
    "traits",
    "value_sources",
    "search_tokens",
    "orders",
    "figures",
)
nothing_personal(
    "crm.EventKind", "name", "description_en", "description_zh", "purpose", "first_seen_on", "last_seen_on"
)
nothing_personal("crm.KindProperty", "name", "allowed_values", "description")
nothing_personal("crm.ObservedProperty", "name", "types")
nothing_personal("crm.ComputedTrait", "key", "name", "description", "created_by")
nothing_personal("crm.ComputedTraitVersion", "definition", "created_by")
nothing_personal("crm.ComputedRun", "settings")
nothing_personal("crm.PurchaseSummary", "currency")
nothing_personal("crm.PurchaseReport", "kind", "currency", "cuts", "cells", "cohorts")
# An actor is a kind and a number; a version is a name of a text.
nothing_personal("crm.ConsentRecord", "text_version", "actor")
nothing_personal("crm.PressureEntry", "cause")
nothing_personal("crm.Export", "kind", "subject", "title", "columns", "language", "requester", "error")
nothing_personal("crm.Identity", "kind")
nothing_personal("crm.IdentityRule", "kind", "blocked_values", "blocked_patterns", "origins")
nothing_personal("crm.MergeRecord", "actor", "undone_by")
nothing_personal("crm.MergeSuggestion", "reason", "decided_by")
nothing_personal(
    "crm.ImportRun", "file_name", "sha256", "shape", "fingerprint", "mapping", "consent", "options", "digest", "report",
    "counters", "undo", "error", "actor",
)  # fmt: skip
nothing_personal("crm.ImportMapping", "fingerprint", "mapping", "actor")
nothing_personal("crm.ImportReject", "column", "code")
nothing_personal("crm.ProfileNote", "actor")
nothing_personal("crm.ProfileLink", "actor")
nothing_personal("crm.ScanPosition", "job")
nothing_personal("crm.ConsentText", "text_en", "text_zh_hans", "created_by")
nothing_personal("crm.ConsentRequest", "purposes", "text_versions", "actor")
nothing_personal("crm.ContactChoice", "updated_by")
nothing_personal("crm.PressureReservation", "actor")
nothing_personal("crm.PersonExport", "requested_by", "sha256")
nothing_personal("crm.Erasure", "requested_by", "approved_by", "steps", "certificate_hash")
nothing_personal("crm.RetentionRun", "actor", "months_dropped", "rows_by_kind")
nothing_personal("crm.Segment", "key", "name", "description", "rule", "last_error", "created_by")
nothing_personal("crm.SegmentSize", "day")
nothing_personal("crm.SegmentEvent", "actor", "rule")
nothing_personal("crm.SegmentRun", "error")
nothing_personal("crm.Source", "name", "write_key")
nothing_personal("crm.RetiredKey", "write_key")
nothing_personal("crm.ApiKey", "name", "prefix", "secret_hash", "scopes")
nothing_personal("crm.Touchpoint", "kind", "channel", "stage")
nothing_personal("crm.TouchpointTally", "received_on", "kind")
nothing_personal("crm.TouchpointTallyDelta", "received_on", "kind")
nothing_personal("crm.IngestionWarning", "code", "subject", "seen_on")
nothing_personal("crm.WarningDecision", "code", "subject", "note", "decided_by")
