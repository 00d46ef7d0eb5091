"""Models of crm, one file per noun."""

from crm.models.account import Account, AccountMembership
from crm.models.catalogue import EventKind, KindProperty, ObservedProperty
from crm.models.computed import (
    ComputedRun,
    ComputedTrait,
    ComputedTraitVersion,
    ComputedValue,
    PurchaseReport,
    PurchaseSummary,
)
from crm.models.contact import ConsentRecord, ContactPoint, PressureEntry, Suppression
from crm.models.export import Export, ExportPart
from crm.models.identity import Identity, IdentityRule, MergeRecord, MergeSuggestion
from crm.models.imports import ImportMapping, ImportMember, ImportReject, ImportRun
from crm.models.note import ProfileLink, ProfileNote, ScanPosition
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
from crm.models.segment import (
    Segment,
    SegmentDifference,
    SegmentEvent,
    SegmentMembership,
    SegmentRun,
    SegmentSize,
)
from crm.models.source import ApiKey, RetiredKey, Source
from crm.models.staff import StaffUser
from crm.models.touchpoint import (
    EventReceipt,
    IngestionWarning,
    SourceMinute,
    Touchpoint,
    TouchpointTally,
    TouchpointTallyDelta,
    WarningDecision,
)

__all__ = [
    "Account",
    "AccountMembership",
    "ApiKey",
    "ComputedRun",
    "ComputedTrait",
    "ComputedTraitVersion",
    "ComputedValue",
    "ConsentRecord",
    "ConsentRequest",
    "ConsentText",
    "ContactChoice",
    "ContactPoint",
    "Erasure",
    "EventKind",
    "EventReceipt",
    "Export",
    "ExportPart",
    "Identity",
    "IdentityRule",
    "ImportMapping",
    "ImportMember",
    "ImportReject",
    "ImportRun",
    "IngestionWarning",
    "KindProperty",
    "MergeRecord",
    "MergeSuggestion",
    "ObservedProperty",
    "PersonExport",
    "PressureEntry",
    "PressureReservation",
    "Profile",
    "ProfileLink",
    "ProfileNote",
    "PurchaseReport",
    "PurchaseSummary",
    "RetentionRun",
    "RetiredKey",
    "ScanPosition",
    "Segment",
    "SegmentDifference",
    "SegmentEvent",
    "SegmentMembership",
    "SegmentRun",
    "SegmentSize",
    "Source",
    "SourceMinute",
    "StaffUser",
    "Suppression",
    "Touchpoint",
    "TouchpointTally",
    "TouchpointTallyDelta",
    "WarningDecision",
]
