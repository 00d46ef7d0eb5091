"""Words of crm that are stored in rows: choices and their meaning. Pure Python, imported by everybody."""

from django.db import models
from django.utils.translation import gettext_lazy as _


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
    SuggestionStatus.MERGED: (),
    SuggestionStatus.DISMISSED: (),
}


class Stage(models.TextChoices):
    """The five stages a touchpoint can belong to."""

    UNKNOWN = "", _("Not mapped")
    AWARENESS = "awareness", _("Awareness")
    CONSIDERATION = "consideration", _("Consideration")
    DECISION = "decision", _("Decision")
    RETENTION = "retention", _("Retention")
    ADVOCACY = "advocacy", _("Advocacy")
