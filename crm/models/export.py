"""Files that somebody asked for: written by a worker in parts, bound to who asked, gone after a day."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from crm.models.functions import UUIDv7
from crm.states import FileStatus


class Export(models.Model):
    """One CSV file. `kind` names the registered producer of its rows, `subject` what they are of."""

    public_id = models.UUIDField(_("public ID"), unique=True, editable=False, db_default=UUIDv7())
    kind = models.CharField(_("kind"), max_length=60)
    subject = models.CharField(_("subject"), max_length=80)
    title = models.CharField(_("title"), max_length=200)
    columns = ArrayField(models.CharField(max_length=80), verbose_name=_("columns"))
    language = models.CharField(_("language"), max_length=12)
    requester = models.CharField(_("requested by"), max_length=80)
    status = models.CharField(
        _("status"), max_length=8, choices=FileStatus.choices, default=FileStatus.WAITING
    )
    position = models.BigIntegerField(_("last row written"), default=0)
    row_count = models.BigIntegerField(_("rows"), default=0)
    byte_count = models.BigIntegerField(_("bytes"), default=0)
    is_cut = models.BooleanField(_("cut at the limit"), default=False)
    error = models.CharField(_("error"), max_length=300, blank=True, default="")
    claims = models.PositiveSmallIntegerField(_("claims"), default=0)
    claim_token = models.UUIDField(null=True, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("requested"))
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires"))
    downloads = models.PositiveIntegerField(_("downloads"), default=0)

    class Meta:
        verbose_name = _("export")
        verbose_name_plural = _("exports")
        ordering = ("-id",)
        indexes = (
            # Read by the sweep: what is to be written, and what has expired.
            models.Index(
                fields=("expires_at",),
                name="crm_export_open",
                condition=~models.Q(status=FileStatus.EXPIRED),
            ),
            # Read by the page of a requester.
            models.Index(fields=("requester", "-id"), name="crm_export_requester"),
        )
        constraints = (
            models.CheckConstraint(
                condition=~models.Q(status=FileStatus.READY) | models.Q(finished_at__isnull=False),
                name="crm_export_ready",
            ),
        )

    def __str__(self) -> str:
        return self.title


class ExportPart(models.Model):
    """A compressed piece of a file; all of them in order are the file."""

    export = models.ForeignKey(Export, models.CASCADE, related_name="parts", db_index=False)
    number = models.PositiveIntegerField()
    body = models.BinaryField()

    class Meta:
        verbose_name = _("part of an export")
        verbose_name_plural = _("parts of exports")
        constraints = (models.UniqueConstraint(fields=("export", "number"), name="crm_exportpart_once"),)

    def __str__(self) -> str:
        return f"{self.export_id}/{self.number}"
