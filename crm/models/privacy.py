"""What privacy needs to remember: texts people agreed to, their own choices, exports, erasures, retention.

Texts are append-only: whoever agreed to version 3 agreed to these very words. None of the other tables holds a
value of a person; an erasure keeps numbers, and the hash of its certificate.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from crm.models.functions import UUIDv7
from crm.states import (
    Channel,
    ConsentRequestStatus,
    ConsentWay,
    ErasureStatus,
    ExportStatus,
    Frequency,
    Language,
    PressureClass,
    Purpose,
    ReservationStatus,
)


class ConsentText(models.Model):
    """The words of one purpose, in both languages. A change is a new version; a version never changes."""

    purpose = models.CharField(_("purpose"), max_length=12, choices=Purpose.choices)
    version = models.PositiveIntegerField(_("version"))
    text_en = models.TextField(_("text in English"))
    text_zh_hans = models.TextField(_("text in Simplified Chinese"))
    valid_from = models.DateTimeField(_("valid from"))
    created_by = models.CharField(_("written by"), max_length=80)
    created_at = models.DateTimeField(_("created"), db_default=Now())

    class Meta:
        verbose_name = _("consent text")
        verbose_name_plural = _("consent texts")
        ordering = ("purpose", "-version")
        constraints = (
            models.UniqueConstraint(fields=("purpose", "version"), name="crm_consenttext_version"),
        )

    def __str__(self) -> str:
        return self.code

    @property
    def code(self) -> str:
        """What a consent record names it by."""
        return f"{self.purpose}-{self.version}"

    def in_language(self, language: str) -> str:
        """The words as a reader of that language got them."""
        return self.text_zh_hans if language == Language.CHINESE else self.text_en


class ConsentRequest(models.Model):
    """A yes somebody gave for an address, until the owner of the address confirms it (double opt-in)."""

    profile = models.ForeignKey(
        "crm.Profile", models.PROTECT, related_name="+", db_index=False, verbose_name=_("profile")
    )
    # No foreign key: addresses are deleted by erasure, the proof of the request is not.
    contact_id = models.BigIntegerField(_("contact point"))
    channel = models.CharField(_("channel"), max_length=12, choices=Channel.choices)
    purposes = ArrayField(
        models.CharField(max_length=12, choices=Purpose.choices), verbose_name=_("purposes")
    )
    text_versions = models.JSONField(_("text versions"), default=dict, help_text=_("Per purpose."))
    language = models.CharField(
        _("language"), max_length=12, choices=Language.choices, blank=True, default=""
    )
    way = models.CharField(_("way"), max_length=16, choices=ConsentWay.choices)
    status = models.CharField(
        _("status"),
        max_length=12,
        choices=ConsentRequestStatus.choices,
        default=ConsentRequestStatus.ASKED,
    )
    actor = models.CharField(_("actor"), max_length=80)
    asked_at = models.DateTimeField(_("asked"))
    expires_at = models.DateTimeField(_("valid until"))
    decided_at = models.DateTimeField(_("decided"), null=True, blank=True)

    class Meta:
        verbose_name = _("consent request")
        verbose_name_plural = _("consent requests")
        ordering = ("-id",)
        indexes = (
            # Read by services.opt_ins: what was asked of this address lately.
            models.Index(fields=("contact_id", "-asked_at"), name="crm_consentrequest_contact"),
            # Read by the privacy page and the export of one person.
            models.Index(fields=("profile", "-id"), name="crm_consentrequest_person"),
            # Read by the sweep that closes what nobody confirmed.
            models.Index(
                fields=("expires_at",),
                name="crm_consentrequest_open",
                condition=models.Q(status=ConsentRequestStatus.ASKED),
            ),
        )
        constraints = (
            models.CheckConstraint(
                condition=models.Q(status=ConsentRequestStatus.ASKED, decided_at__isnull=True)
                | (~models.Q(status=ConsentRequestStatus.ASKED) & models.Q(decided_at__isnull=False)),
                name="crm_consentrequest_decided",
            ),
        )

    def __str__(self) -> str:
        return f"#{self.pk}"


class ContactChoice(models.Model):
    """What a person chose about being written to: a pause, how often, and hours of their own."""

    profile = models.OneToOneField("crm.Profile", models.PROTECT, related_name="+", verbose_name=_("profile"))
    paused_until = models.DateTimeField(_("paused until"), null=True, blank=True)
    frequency = models.CharField(
        _("how often"), max_length=8, choices=Frequency.choices, default=Frequency.NORMAL
    )
    quiet_start = models.PositiveSmallIntegerField(_("quiet from"), null=True, blank=True)
    quiet_end = models.PositiveSmallIntegerField(_("quiet until"), null=True, blank=True)
    updated_at = models.DateTimeField(_("updated"))
    updated_by = models.CharField(_("updated by"), max_length=80)

    class Meta:
        verbose_name = _("contact choice")
        verbose_name_plural = _("contact choices")
        constraints = (
            models.CheckConstraint(
                condition=models.Q(quiet_start__isnull=True, quiet_end__isnull=True)
                | models.Q(quiet_start__range=(0, 23), quiet_end__range=(0, 23)),
                name="crm_contactchoice_hours",
            ),
        )

    def __str__(self) -> str:
        return f"#{self.profile_id}"


class PressureReservation(models.Model):
    """A disturbance that an outside sender asked leave for: a pop-up, a survey, a message of another system."""

    public_id = models.UUIDField(_("public ID"), unique=True, editable=False, db_default=UUIDv7())
    profile = models.ForeignKey(
        "crm.Profile", models.PROTECT, related_name="+", db_index=False, verbose_name=_("profile")
    )
    pressure_class = models.CharField(_("class"), max_length=16, choices=PressureClass.choices)
    label = models.CharField(_("what is shown"), max_length=80)
    key = models.CharField(_("key of the sender"), max_length=120, blank=True, default="")
    status = models.CharField(
        _("status"), max_length=8, choices=ReservationStatus.choices, default=ReservationStatus.RESERVED
    )
    actor = models.CharField(_("reserved by"), max_length=80)
    reserved_at = models.DateTimeField(_("reserved"))
    expires_at = models.DateTimeField(_("valid until"))
    decided_at = models.DateTimeField(_("decided"), null=True, blank=True)

    class Meta:
        verbose_name = _("pressure reservation")
        verbose_name_plural = _("pressure reservations")
        ordering = ("-id",)
        constraints = (
            # A sender that asks again under the same key gets the same answer.
            models.UniqueConstraint(
                fields=("actor", "key"), condition=~models.Q(key=""), name="crm_pressurereservation_key"
            ),
            models.CheckConstraint(
                condition=models.Q(status=ReservationStatus.RESERVED, decided_at__isnull=True)
                | (~models.Q(status=ReservationStatus.RESERVED) & models.Q(decided_at__isnull=False)),
                name="crm_pressurereservation_decided",
            ),
        )
        indexes = (
            # Read by selectors.pressure and the export of one person.
            models.Index(fields=("profile", "-id"), name="crm_reservation_person"),
            # Read by the sweep that gives back what was never shown.
            models.Index(
                fields=("expires_at",),
                name="crm_reservation_open",
                condition=models.Q(status=ReservationStatus.RESERVED),
            ),
        )

    def __str__(self) -> str:
        return f"#{self.pk}"


class PersonExport(models.Model):
    """Everything about one person as a file, for whoever asked and nobody else, for a day."""

    public_id = models.UUIDField(_("public ID"), unique=True, editable=False, db_default=UUIDv7())
    profile = models.ForeignKey(
        "crm.Profile", models.PROTECT, related_name="+", db_index=False, verbose_name=_("profile")
    )
    requested_by = models.CharField(_("requested by"), max_length=80)
    language = models.CharField(_("language"), max_length=12, choices=Language.choices, default="en")
    status = models.CharField(
        _("status"), max_length=8, choices=ExportStatus.choices, default=ExportStatus.QUEUED
    )
    file_name = models.CharField(_("file"), max_length=120, blank=True, default="")
    size = models.BigIntegerField(_("bytes"), default=0)
    sha256 = models.CharField(_("SHA-256"), max_length=64, blank=True, default="")
    downloads = models.PositiveIntegerField(_("downloads"), default=0)
    claims = models.PositiveSmallIntegerField(_("claims"), default=0)
    lease_until = models.DateTimeField(_("leased until"), null=True, blank=True)
    requested_at = models.DateTimeField(_("requested"))
    ready_at = models.DateTimeField(_("ready"), null=True, blank=True)
    expires_at = models.DateTimeField(_("deleted after"))

    class Meta:
        verbose_name = _("personal export")
        verbose_name_plural = _("personal exports")
        ordering = ("-id",)
        permissions = (("export_person", _("Can export everything about one person")),)
        indexes = (
            # Read by the privacy page of one person, and by the person.
            models.Index(fields=("profile", "-id"), name="crm_personexport_person"),
            # Read by the worker and the sweep.
            models.Index(
                fields=("expires_at",),
                name="crm_personexport_open",
                condition=~models.Q(status=ExportStatus.EXPIRED),
            ),
        )

    def __str__(self) -> str:
        return f"#{self.pk}"


class Erasure(models.Model):
    """One erasure: who wanted it, who agreed, how far it is, and its certificate."""

    public_id = models.UUIDField(_("public ID"), unique=True, editable=False, db_default=UUIDv7())
    profile = models.ForeignKey(
        "crm.Profile", models.PROTECT, related_name="+", db_index=False, verbose_name=_("profile")
    )
    status = models.CharField(_("status"), max_length=10, choices=ErasureStatus.choices)
    requested_by = models.CharField(_("requested by"), max_length=80)
    approved_by = models.CharField(_("approved by"), max_length=80, blank=True, default="")
    requested_at = models.DateTimeField(_("requested"))
    due_at = models.DateTimeField(_("due"), null=True, blank=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    done_at = models.DateTimeField(_("done"), null=True, blank=True)
    cancelled_at = models.DateTimeField(_("cancelled"), null=True, blank=True)
    claims = models.PositiveSmallIntegerField(_("claims"), default=0)
    lease_until = models.DateTimeField(_("leased until"), null=True, blank=True)
    # Per eraser: rows changed. Only numbers.
    steps = models.JSONField(_("steps"), default=dict, blank=True)
    certificate = models.JSONField(_("certificate"), null=True, blank=True)
    certificate_hash = models.CharField(_("hash of the certificate"), max_length=64, blank=True, default="")

    class Meta:
        verbose_name = _("erasure")
        verbose_name_plural = _("erasures")
        ordering = ("-id",)
        permissions = (("approve_erasure", _("Can approve and run erasures")),)
        constraints = (
            # One at a time per profile; `erase` finds the open one of any id under the lock of the root.
            models.UniqueConstraint(
                fields=("profile",),
                condition=models.Q(status__in=("requested", "scheduled", "running")),
                name="crm_erasure_open",
            ),
            models.CheckConstraint(
                condition=~models.Q(status="done")
                | models.Q(done_at__isnull=False, certificate__isnull=False),
                name="crm_erasure_done",
            ),
        )
        indexes = (
            # Read by the pages of one person.
            models.Index(fields=("profile", "-id"), name="crm_erasure_person"),
            # Read by the worker.
            models.Index(
                fields=("status", "due_at"),
                name="crm_erasure_due",
                condition=models.Q(status__in=("scheduled", "running")),
            ),
        )

    def __str__(self) -> str:
        return f"#{self.pk}"


class RetentionRun(models.Model):
    """What one run of retention let go: numbers per kind, and the months that were dropped."""

    started_at = models.DateTimeField(_("started"))
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    actor = models.CharField(_("by"), max_length=80)
    months_dropped = ArrayField(
        models.CharField(max_length=40), verbose_name=_("months dropped"), default=list
    )
    rows_by_kind = models.JSONField(_("touchpoints deleted, by kind"), default=dict, blank=True)
    receipts_deleted = models.BigIntegerField(_("receipts deleted"), default=0)

    class Meta:
        verbose_name = _("retention run")
        verbose_name_plural = _("retention runs")
        ordering = ("-id",)
        permissions = (("run_retention", _("Can run retention")),)

    def __str__(self) -> str:
        return f"#{self.pk}"
