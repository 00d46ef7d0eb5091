"""Words of crm that are stored in rows: choices and their meaning. Pure Python, imported by everybody."""

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class Language(models.TextChoices):
    """Languages a person can be written to in; empty means the organisation's default."""

    UNKNOWN = "", _("Unknown")
    ENGLISH = "en", _("English")
    CHINESE = "zh-hans", _("Simplified Chinese")


class Trust(models.TextChoices):
    """How far a source's claims about people are believed. A browser key is public, a server key is not."""

    SERVER = "server", _("Server (secret key)")
    BROWSER = "browser", _("Browser (public key)")


class IdentifierKind(models.TextChoices):
    """Identifier kinds that the door knows by name; external identifiers bring their own."""

    USER_ID = "user_id", _("User ID")
    EMAIL = "email", _("E-mail")
    PHONE = "phone", _("Phone")
    WECHAT_UNIONID = "wechat_unionid", _("WeChat union ID")
    WECHAT_OPENID = "wechat_openid", _("WeChat open ID")
    ANONYMOUS_ID = "anonymous_id", _("Anonymous ID")


class Channel(models.TextChoices):
    """Where a person can be reached."""

    EMAIL = "email", _("E-mail")
    SMS = "sms", _("Text message")
    IN_APP = "in_app", _("In-app inbox")
    WECHAT = "wechat", _("WeChat")


class Origin(models.TextChoices):
    """Where a contact point came from. Only TRUSTED_ORIGINS may be written to before the owner confirmed."""

    SERVER = "server", _("Own system")
    STAFF = "staff", _("Staff")
    IMPORT = "import", _("Import without evidence")
    IMPORT_WITH_EVIDENCE = "import_with_evidence", _("Import with consent evidence")
    BROWSER = "browser", _("Browser")
    FORM = "form", _("Form")


TRUSTED_ORIGINS = (Origin.SERVER, Origin.STAFF, Origin.IMPORT_WITH_EVIDENCE)


class Purpose(models.TextChoices):
    """What a message is for; consent is given per purpose and channel."""

    MARKETING = "marketing", _("Marketing")
    SERVICE = "service", _("Service")
    CARE = "care", _("Care")
    SURVEY = "survey", _("Surveys")


# Purposes that need a yes before anything is sent; the others are allowed until withdrawn.
OPT_IN_PURPOSES = (Purpose.MARKETING, Purpose.SURVEY)


class ConsentWay(models.TextChoices):
    """How a consent decision reached us."""

    FORM = "form", _("Form")
    API = "api", _("API")
    STAFF = "staff", _("Staff")
    IMPORT = "import", _("Import")
    UNSUBSCRIBE = "unsubscribe", _("Unsubscribe link")
    PREFERENCES = "preferences", _("Preference page")
    CONFIRMATION = "confirmation", _("Confirmation link")
    DOUBLE_OPT_IN = "double_opt_in", _("Double opt-in")
    ONE_CLICK = "one_click", _("One-click unsubscribe")


class SuppressionReason(models.TextChoices):
    """Why an address is never written to, whoever it belongs to."""

    UNSUBSCRIBED = "unsubscribed", _("Unsubscribed")
    BOUNCED = "bounced", _("Bounced")
    COMPLAINED = "complained", _("Complained")
    ERASED = "erased", _("Erased")
    STAFF = "staff", _("Set by staff")


class MessageClass(models.TextChoices):
    """Classes of message; the class decides how much of the contact-pressure budget one message takes."""

    TRANSACTIONAL = "transactional", _("Transactional")
    SERVICE = "service", _("Service")
    CARE = "care", _("Care")
    MARKETING = "marketing", _("Marketing")


class PressureClass(models.TextChoices):
    """What can disturb a person: the classes of message, and what others show them. Each has its weight."""

    TRANSACTIONAL = "transactional", _("Transactional")
    SERVICE = "service", _("Service")
    CARE = "care", _("Care")
    MARKETING = "marketing", _("Marketing")
    SURVEY = "survey", _("Survey")
    POPUP = "popup", _("Pop-up")


class Frequency(models.TextChoices):
    """How much of the budget of contact pressure a person lets us use."""

    NORMAL = "normal", _("As it comes")
    FEWER = "fewer", _("Fewer messages")
    LEAST = "least", _("Only the most important")


class ReservationStatus(models.TextChoices):
    """What became of a disturbance that an outside sender asked for."""

    RESERVED = "reserved", _("Granted, not shown yet")
    SETTLED = "settled", _("Shown")
    RELEASED = "released", _("Given back")


RESERVATION_TRANSITIONS: dict[str, tuple[str, ...]] = {
    ReservationStatus.RESERVED: (ReservationStatus.SETTLED, ReservationStatus.RELEASED),
    ReservationStatus.SETTLED: (),
    ReservationStatus.RELEASED: (),
}


class ConsentRequestStatus(models.TextChoices):
    """A yes that waits for the owner of the address to confirm it."""

    ASKED = "asked", _("Waiting for confirmation")
    CONFIRMED = "confirmed", _("Confirmed by the owner")
    EXPIRED = "expired", _("Not confirmed in time")


CONSENT_REQUEST_TRANSITIONS: dict[str, tuple[str, ...]] = {
    ConsentRequestStatus.ASKED: (ConsentRequestStatus.CONFIRMED, ConsentRequestStatus.EXPIRED),
    ConsentRequestStatus.CONFIRMED: (),
    ConsentRequestStatus.EXPIRED: (),
}


class ExportStatus(models.TextChoices):
    """An export of everything about one person."""

    QUEUED = "queued", pgettext_lazy("export", "Being prepared")
    READY = "ready", pgettext_lazy("export", "Ready")
    EXPIRED = "expired", pgettext_lazy("export", "Deleted after its time")
    FAILED = "failed", pgettext_lazy("export", "Failed")


EXPORT_TRANSITIONS: dict[str, tuple[str, ...]] = {
    ExportStatus.QUEUED: (ExportStatus.READY, ExportStatus.FAILED, ExportStatus.EXPIRED),
    ExportStatus.READY: (ExportStatus.EXPIRED,),
    ExportStatus.FAILED: (ExportStatus.EXPIRED,),
    ExportStatus.EXPIRED: (),
}


class ErasureStatus(models.TextChoices):
    """The way of an erasure from the wish to the certificate."""

    REQUESTED = "requested", pgettext_lazy("erasure", "Waits for a second person")
    SCHEDULED = "scheduled", pgettext_lazy("erasure", "Scheduled")
    RUNNING = "running", pgettext_lazy("erasure", "Running")
    DONE = "done", pgettext_lazy("erasure", "Done")
    CANCELLED = "cancelled", pgettext_lazy("erasure", "Cancelled")


ERASURE_TRANSITIONS: dict[str, tuple[str, ...]] = {
    ErasureStatus.REQUESTED: (ErasureStatus.SCHEDULED, ErasureStatus.CANCELLED, ErasureStatus.RUNNING),
    ErasureStatus.SCHEDULED: (ErasureStatus.RUNNING, ErasureStatus.CANCELLED),
    ErasureStatus.RUNNING: (ErasureStatus.DONE,),
    ErasureStatus.DONE: (),
    ErasureStatus.CANCELLED: (),
}


class CorrectionReason(models.TextChoices):
    """Why a value of a person was corrected. A word from a list, so that the log holds no personal value."""

    PERSON_ASKED = "person_asked", _("The person asked for it")
    DOCUMENT = "document", _("A document shows it")
    WRONG_SOURCE = "wrong_source", _("The source was wrong")
    TYPING_ERROR = "typing_error", _("Typing error")


class MergeCause(models.TextChoices):
    """Why two profiles were joined."""

    AUTOMATIC = "automatic", _("Automatic (shared identifier)")
    STAFF = "staff", _("Staff")
    API = "api", _("API")


class SuggestionStatus(models.TextChoices):
    """What became of a merge suggestion."""

    OPEN = "open", _("Open")
    MERGED = "merged", _("Merged")
    DISMISSED = "dismissed", _("Dismissed")


SUGGESTION_TRANSITIONS: dict[str, tuple[str, ...]] = {
    SuggestionStatus.OPEN: (SuggestionStatus.MERGED, SuggestionStatus.DISMISSED),
    SuggestionStatus.MERGED: (SuggestionStatus.DISMISSED,),  # the merge was undone: they are two people
    SuggestionStatus.DISMISSED: (
        SuggestionStatus.OPEN,
        SuggestionStatus.MERGED,
    ),  # new evidence; merged by hand
}


class SuggestionReason(models.TextChoices):
    """Why two people may be one."""

    SAME_PHONE = "same_phone", _("The same phone number")
    SAME_EMAIL = "same_email", _("The same e-mail address")
    SAME_NAME = "same_name", _("The same name")
    SIMILAR_NAME = "similar_name", _("A similar name")
    SAME_DOMAIN = "same_domain", _("E-mail addresses of the same company")
    SAME_BIRTHDAY = "same_birthday", _("The same birthday")
    SAME_REGION = "same_region", _("The same region")
    BROWSER_CLAIM = "browser_claim", _("A public browser key named both as one person")


class Stage(models.TextChoices):
    """The five stages a touchpoint can belong to."""

    UNKNOWN = "", _("Not mapped")
    AWARENESS = "awareness", _("Awareness")
    CONSIDERATION = "consideration", _("Consideration")
    DECISION = "decision", _("Decision")
    RETENTION = "retention", _("Retention")
    ADVOCACY = "advocacy", _("Advocacy")


class PropertyType(models.TextChoices):
    """What a property of an event may be; the words of JSON Schema, and times."""

    ANY = "", _("Anything")
    STRING = "string", pgettext_lazy("value type", "Text")
    NUMBER = "number", pgettext_lazy("value type", "Number")
    INTEGER = "integer", _("Whole number")
    BOOLEAN = "boolean", _("Yes or no")
    TIME = "time", _("Date or time")
    ARRAY = "array", pgettext_lazy("value type", "List")
    OBJECT = "object", _("Object")


class ViolationAnswer(models.TextChoices):
    """What the door does with an event that breaks the schema of its kind."""

    NOTHING = "nothing", _("Nothing")
    WARN = "warn", _("Store it and warn")
    REFUSE = "refuse", _("Refuse it")


class QuietState(models.TextChoices):
    """What staff decided about a warning of the door. It is open when there is no decision, or when it happened
    after the decision ran out."""

    RESOLVED = "resolved", _("Resolved")
    MUTED = "muted", _("Muted")


class ComputedStatus(models.TextChoices):
    """Whether a computed trait follows events."""

    DRAFT = "draft", _("Draft")
    ACTIVE = "active", pgettext_lazy("computed trait", "Active")
    PAUSED = "paused", pgettext_lazy("computed trait", "Paused")
    ARCHIVED = "archived", pgettext_lazy("computed trait", "Archived")


COMPUTED_TRANSITIONS: dict[str, tuple[str, ...]] = {
    ComputedStatus.DRAFT: (ComputedStatus.ACTIVE, ComputedStatus.ARCHIVED),
    ComputedStatus.ACTIVE: (ComputedStatus.PAUSED, ComputedStatus.ARCHIVED),
    ComputedStatus.PAUSED: (ComputedStatus.ACTIVE, ComputedStatus.ARCHIVED),
    ComputedStatus.ARCHIVED: (),
}


class ComputedFunction(models.TextChoices):
    """What is done with the touchpoints that count."""

    COUNT = "count", pgettext_lazy("function", "How many times")
    SUM = "sum", pgettext_lazy("function", "Sum")
    AVERAGE = "average", pgettext_lazy("function", "Average")
    MINIMUM = "minimum", pgettext_lazy("function", "Smallest")
    MAXIMUM = "maximum", pgettext_lazy("function", "Largest")
    FIRST = "first", pgettext_lazy("function", "First")
    LAST = "last", pgettext_lazy("function", "Last")
    MOST_FREQUENT = "most_frequent", pgettext_lazy("function", "Most frequent")
    UNIQUE_LIST = "unique_list", pgettext_lazy("function", "All different values")


class ComputedType(models.TextChoices):
    """What a computed value is."""

    NUMBER = "number", pgettext_lazy("value type", "Number")
    MONEY = "money", pgettext_lazy("value type", "Amount of money")
    TEXT = "text", pgettext_lazy("value type", "Text")
    MOMENT = "moment", pgettext_lazy("value type", "Date and time")
    LIST = "list", pgettext_lazy("value type", "List")


class RunStatus(models.TextChoices):
    """What became of a pass over everybody."""

    WAITING = "waiting", pgettext_lazy("run", "Waiting")
    RUNNING = "running", pgettext_lazy("run", "Running")
    DONE = "done", pgettext_lazy("run", "Done")
    CANCELLED = "cancelled", pgettext_lazy("run", "Cancelled")
    FAILED = "failed", pgettext_lazy("run", "Failed")


RUN_TRANSITIONS: dict[str, tuple[str, ...]] = {
    RunStatus.WAITING: (RunStatus.RUNNING, RunStatus.CANCELLED),
    RunStatus.RUNNING: (RunStatus.DONE, RunStatus.CANCELLED, RunStatus.FAILED),
    RunStatus.DONE: (),
    RunStatus.CANCELLED: (),
    RunStatus.FAILED: (),
}


class RunPurpose(models.TextChoices):
    """What a pass does."""

    COMPUTE = "compute", pgettext_lazy("run", "Compute")
    CLEAR = "clear", pgettext_lazy("run", "Remove values")


class RfmSegment(models.TextChoices):
    """Groups of buyers by recency and frequency; together they cover the whole grid."""

    CHAMPIONS = "champions", pgettext_lazy("RFM", "Champions")
    LOYAL = "loyal", pgettext_lazy("RFM", "Loyal")
    POTENTIAL = "potential", pgettext_lazy("RFM", "On the way to loyal")
    NEW = "new", pgettext_lazy("RFM", "New")
    PROMISING = "promising", pgettext_lazy("RFM", "Promising")
    ATTENTION = "attention", pgettext_lazy("RFM", "Needs attention")
    SLEEPY = "sleepy", pgettext_lazy("RFM", "About to fall asleep")
    AT_RISK = "at_risk", pgettext_lazy("RFM", "At risk")
    MUST_KEEP = "must_keep", pgettext_lazy("RFM", "Must not be lost")
    HIBERNATING = "hibernating", pgettext_lazy("RFM", "Asleep")
    LOST = "lost", pgettext_lazy("RFM", "Lost")


# Rows: recency score 1 to 5; columns: frequency score 1 to 5. The grid the field settled on.
RFM_GRID: dict[int, tuple[RfmSegment, ...]] = {
    1: (RfmSegment.LOST, RfmSegment.LOST, RfmSegment.AT_RISK, RfmSegment.AT_RISK, RfmSegment.MUST_KEEP),
    2: (
        RfmSegment.HIBERNATING,
        RfmSegment.HIBERNATING,
        RfmSegment.AT_RISK,
        RfmSegment.AT_RISK,
        RfmSegment.MUST_KEEP,
    ),
    3: (RfmSegment.SLEEPY, RfmSegment.SLEEPY, RfmSegment.ATTENTION, RfmSegment.LOYAL, RfmSegment.LOYAL),
    4: (
        RfmSegment.PROMISING,
        RfmSegment.POTENTIAL,
        RfmSegment.POTENTIAL,
        RfmSegment.LOYAL,
        RfmSegment.LOYAL,
    ),
    5: (
        RfmSegment.NEW,
        RfmSegment.POTENTIAL,
        RfmSegment.POTENTIAL,
        RfmSegment.CHAMPIONS,
        RfmSegment.CHAMPIONS,
    ),
}


class NoteCategory(models.TextChoices):
    """What a note about a person is for. The first two are shown on top of the customer page."""

    ACCESSIBILITY = "accessibility", _("Accessibility")
    PREFERENCE = "preference", _("Preference")
    TASTE = "taste", pgettext_lazy("note", "Taste")
    HANDOVER = "handover", _("Handover")


# Read before anything else is done with a person.
FIRST_NOTES = (NoteCategory.ACCESSIBILITY, NoteCategory.PREFERENCE)


class LinkKind(models.TextChoices):
    """How two people belong together."""

    HOUSEHOLD = "household", _("Same household")
    FAMILY = "family", _("Family")
    COLLEAGUE = "colleague", _("Colleagues")
    OTHER = "other", pgettext_lazy("link", "Other")


class ImportKind(models.TextChoices):
    """What the rows of a list are about."""

    CONTACTS = "contacts", _("People")
    EVENTS = "events", _("Events")


class TieStrength(models.TextChoices):
    """How well the people of a list know us; a trait apart from trust."""

    WEAK = "weak", _("Weak: followed or left a number once")
    MEDIUM = "medium", _("Medium: bought or wrote to us")
    STRONG = "strong", _("Strong: regulars and members")


class ImportStatus(models.TextChoices):
    """Where a list stands on its way in."""

    DRAFT = "draft", pgettext_lazy("import", "Draft")
    CHECKING = "checking", pgettext_lazy("import", "Dry run")
    CHECKED = "checked", pgettext_lazy("import", "Checked")
    RUNNING = "running", pgettext_lazy("import", "Running")
    PAUSED = "paused", pgettext_lazy("import", "Paused")
    CANCELLED = "cancelled", pgettext_lazy("import", "Cancelled")
    DONE = "done", pgettext_lazy("import", "Done")
    FAILED = "failed", pgettext_lazy("import", "Stopped by an error")
    UNDOING = "undoing", pgettext_lazy("import", "Being taken back")
    UNDONE = "undone", pgettext_lazy("import", "Taken back")
    UNDO_FAILED = "undo_failed", pgettext_lazy("import", "Taking back was stopped by an error")


IMPORT_TRANSITIONS: dict[str, tuple[str, ...]] = {
    ImportStatus.DRAFT: (ImportStatus.CHECKING, ImportStatus.CANCELLED),
    ImportStatus.CHECKING: (
        ImportStatus.CHECKED, ImportStatus.DRAFT, ImportStatus.FAILED, ImportStatus.CANCELLED,
    ),
    ImportStatus.CHECKED: (
        ImportStatus.RUNNING, ImportStatus.CHECKING, ImportStatus.DRAFT, ImportStatus.CANCELLED,
    ),
    ImportStatus.RUNNING: (
        ImportStatus.PAUSED, ImportStatus.DONE, ImportStatus.FAILED, ImportStatus.CANCELLED,
    ),
    ImportStatus.PAUSED: (ImportStatus.RUNNING, ImportStatus.CANCELLED, ImportStatus.UNDOING),
    ImportStatus.FAILED: (
        ImportStatus.RUNNING, ImportStatus.CHECKING, ImportStatus.CANCELLED, ImportStatus.UNDOING,
    ),
    ImportStatus.CANCELLED: (ImportStatus.UNDOING,),
    ImportStatus.DONE: (ImportStatus.UNDOING,),
    ImportStatus.UNDOING: (ImportStatus.UNDONE, ImportStatus.UNDO_FAILED),
    ImportStatus.UNDO_FAILED: (ImportStatus.UNDOING,),
    ImportStatus.UNDONE: (),
}  # fmt: skip


class SegmentKind(models.TextChoices):
    """Whether a rule decides who is in a segment, or staff do."""

    DYNAMIC = "dynamic", pgettext_lazy("segment", "Dynamic (by rule)")
    STATIC = "static", pgettext_lazy("segment", "Static list")


class SegmentStatus(models.TextChoices):
    """Whether a segment follows what happens. A paused one keeps its people as they were."""

    DRAFT = "draft", pgettext_lazy("segment", "Draft")
    ACTIVE = "active", pgettext_lazy("segment", "Active")
    PAUSED = "paused", pgettext_lazy("segment", "Paused")
    ARCHIVED = "archived", pgettext_lazy("segment", "Archived")


SEGMENT_TRANSITIONS: dict[str, tuple[str, ...]] = {
    SegmentStatus.DRAFT: (SegmentStatus.ACTIVE, SegmentStatus.ARCHIVED),
    SegmentStatus.ACTIVE: (SegmentStatus.PAUSED, SegmentStatus.ARCHIVED),
    SegmentStatus.PAUSED: (SegmentStatus.ACTIVE, SegmentStatus.ARCHIVED),
    SegmentStatus.ARCHIVED: (),
}


class SegmentEventKind(models.TextChoices):
    """What was done to a segment."""

    CREATED = "created", pgettext_lazy("segment", "Created")
    EDITED = "edited", pgettext_lazy("segment", "Changed")
    ACTIVATED = "activated", pgettext_lazy("segment", "Activated")
    PAUSED = "paused", pgettext_lazy("segment", "Paused")
    ARCHIVED = "archived", pgettext_lazy("segment", "Archived")
    ADDED = "added", pgettext_lazy("segment", "People added")
    REMOVED = "removed", pgettext_lazy("segment", "People removed")


class SegmentRunCause(models.TextChoices):
    """Why everybody is looked at."""

    ACTIVATED = "activated", pgettext_lazy("segment run", "Activated")
    EDITED = "edited", pgettext_lazy("segment run", "Rule changed")
    NIGHTLY = "nightly", pgettext_lazy("segment run", "Nightly check")
    ASKED = "asked", pgettext_lazy("segment run", "Asked for by staff")


class FileStatus(models.TextChoices):
    """What became of a file that somebody asked for."""

    WAITING = "waiting", pgettext_lazy("export", "Waiting")
    RUNNING = "running", pgettext_lazy("export", "Being written")
    READY = "ready", pgettext_lazy("export", "Ready")
    FAILED = "failed", pgettext_lazy("export", "Failed")
    EXPIRED = "expired", pgettext_lazy("export", "Expired")


FILE_TRANSITIONS: dict[str, tuple[str, ...]] = {
    FileStatus.WAITING: (FileStatus.RUNNING, FileStatus.FAILED, FileStatus.EXPIRED),
    FileStatus.RUNNING: (FileStatus.READY, FileStatus.FAILED, FileStatus.EXPIRED),
    FileStatus.READY: (FileStatus.EXPIRED,),
    FileStatus.FAILED: (FileStatus.EXPIRED,),
    FileStatus.EXPIRED: (),
}
