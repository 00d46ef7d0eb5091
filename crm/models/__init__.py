"""Models of crm, one file per noun."""

from crm.models.contact import ConsentRecord, ContactPoint, PressureEntry, Suppression
from crm.models.identity import Identity, IdentityRule, MergeRecord, MergeSuggestion
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
    "ContactPoint",
    "EventReceipt",
    "Identity",
    "IdentityRule",
    "IngestionWarning",
    "MergeRecord",
    "MergeSuggestion",
    "PressureEntry",
    "Profile",
    "Source",
    "StaffUser",
    "Suppression",
    "Touchpoint",
    "TouchpointTally",
    "TouchpointTallyDelta",
]
