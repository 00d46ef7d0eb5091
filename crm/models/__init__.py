"""Models of crm, one file per noun."""

from crm.models.contact import ConsentRecord, ContactPoint, PressureEntry, Suppression
from crm.models.identity import Identity, IdentityRule, MergeRecord, MergeSuggestion
from crm.models.privacy import (
    ConsentRequest,
    ConsentText,
    ContactChoice,
    Erasure,
    PersonExport,
    PressureReservation,
    RetentionRun,
)
from crm.models.profile import Profile
from crm.models.source import ApiKey, Source
from crm.models.staff import StaffUser
from crm.models.touchpoint import (
    EventReceipt,
    IngestionWarning,
    Touchpoint,
    TouchpointTally,
    TouchpointTallyDelta,
)

__all__ = [
    "ApiKey",
    "ConsentRecord",
    "ConsentRequest",
    "ConsentText",
    "ContactChoice",
    "ContactPoint",
    "Erasure",
    "EventReceipt",
    "Identity",
    "IdentityRule",
    "IngestionWarning",
    "MergeRecord",
    "MergeSuggestion",
    "PersonExport",
    "PressureEntry",
    "PressureReservation",
    "Profile",
    "RetentionRun",
    "Source",
    "StaffUser",
    "Suppression",
    "Touchpoint",
    "TouchpointTally",
    "TouchpointTallyDelta",
]
