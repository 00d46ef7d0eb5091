"""Where we may write, what we were allowed to, and how much was already asked of a person.

A contact point is not unique across people (a family may share an address); suppression is held by
address hash and binds everybody with that address. Consent records are append-only.
"""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from crm.states import Channel, ConsentWay, Language, Origin, PressureClass, Purpose, SuppressionReason


class ContactPoint(models.Model):
    """An address of one person on one channel."""

    profile = models.ForeignKey(
        "crm.Profile", models.PROTECT, related_name="+", db_index=False, verbose_name=_("profile")
    )
    channel = models.CharField(_("channel"), max_length=12, choices=Channel.choices)
    value = models.CharField(_("address"), max_length=320)
    value_hash = models.CharField(_("address hash"), max_length=64)
    origin = models.CharField(_("origin"), max_length=24, choices=Origin.choices)
    verified_at = models.DateTimeField(_("verified"), null=True, blank=True)
    is_primary = models.BooleanField(_("primary"), default=False)
    bounced_at = models.DateTimeField(_("bounced"), null=True, blank=True)
    removed_at = models.DateTimeField(
        _("removed by the person"),
        null=True,
        blank=True,
        help_text=_("The row stays, so that a source that sends the address again does not bring it back."),
    )
    created_at = models.DateTimeField(_("created"), db_default=Now())

    class Meta:
        verbose_name = _("contact point")
        verbose_name_plural = _("contact points")
        constraints = (
            # Also read by selectors.contacts.deliverable (leading columns).
            models.UniqueConstraint(fields=("profile", "channel", "value"), name="crm_contactpoint_unique"),
        )
        indexes = (
            # Read by bounces and by the people search: who has this address.
            models.Index(fields=("channel", "value_hash"), name="crm_contactpoint_hash"),
        )

    def __str__(self) -> str:
        return f"{self.channel} #{self.pk}"


class Suppression(models.Model):
    """An address that must not be written to, for one purpose or (empty) for all."""

    channel = models.CharField(_("channel"), max_length=12, choices=Channel.choices)
    value_hash = models.CharField(_("address hash"), max_length=64)
    purpose = models.CharField(_("purpose"), max_length=12, choices=Purpose.choices, blank=True, default="")
    reason = models.CharField(_("reason"), max_length=16, choices=SuppressionReason.choices)
    created_at = models.DateTimeField(_("created"), db_default=Now())

    class Meta:
        verbose_name = _("suppression")
        verbose_name_plural = _("suppressions")
        constraints = (
            models.UniqueConstraint(
                fields=("channel", "value_hash", "purpose"), name="crm_suppression_unique"
            ),
        )

    def __str__(self) -> str:
        return f"{self.channel} #{self.pk}"


class ConsentRecord(models.Model):
    """One decision of a person: yes or no, to what, through which channel, how we know. Never changed."""

    profile = models.ForeignKey(
        "crm.Profile", models.PROTECT, related_name="+", db_index=False, verbose_name=_("profile")
    )
    purpose = models.CharField(_("purpose"), max_length=12, choices=Purpose.choices)
    channel = models.CharField(_("channel"), max_length=12, choices=Channel.choices)
    granted = models.BooleanField(_("granted"))
    way = models.CharField(_("way"), max_length=16, choices=ConsentWay.choices)
    text_version = models.CharField(_("text version"), max_length=80, blank=True, default="")
    language = models.CharField(
        _("language of the text"),
        max_length=12,
        choices=Language.choices,
        blank=True,
        default="",
        db_default="",
    )
    evidence = models.JSONField(_("evidence"), default=dict, blank=True)
    actor = models.CharField(_("actor"), max_length=80)
    occurred_at = models.DateTimeField(_("when"))

    class Meta:
        verbose_name = _("consent record")
        verbose_name_plural = _("consent records")
        indexes = (
            # Read by selectors.consents.allowed: the newest decision per purpose and channel.
            models.Index(
                fields=("profile", "purpose", "channel", "-occurred_at", "-id"), name="crm_consent_latest"
            ),
        )

    def __str__(self) -> str:
        words = {"purpose": self.get_purpose_display(), "channel": self.get_channel_display()}
        decided = (
            _("%(purpose)s by %(channel)s: yes") if self.granted else _("%(purpose)s by %(channel)s: no")
        )
        return str(decided % words)


class PressureEntry(models.Model):
    """One disturbance that was spent on a person: the contact-pressure budget is the sum over a window.

    Written under the lock of the person, who is never deleted: no foreign key in the database (decision 0054).
    """

    profile = models.ForeignKey(
        "crm.Profile",
        models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
        verbose_name=_("profile"),
    )
    occurred_at = models.DateTimeField(_("when"))
    weight = models.PositiveSmallIntegerField(_("weight"))
    message_class = models.CharField(_("class"), max_length=16, choices=PressureClass.choices)
    cause = models.CharField(_("cause"), max_length=120)

    class Meta:
        verbose_name = _("pressure entry")
        verbose_name_plural = _("pressure entries")
        constraints = (
            # A cause is counted once, however often its claim is retried.
            models.UniqueConstraint(fields=("cause", "profile"), name="crm_pressure_cause"),
        )
        indexes = (
            # Read by services.pressure.reserve: the window of one person.
            models.Index(fields=("profile", "occurred_at"), name="crm_pressure_window"),
        )

    def __str__(self) -> str:
        return self.cause
