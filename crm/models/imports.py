"""Lists that came in: the run of a list, how its columns were read, whom it brought, and what was left out.

A run is the record of its own work: its cursor moves in the transaction of each chunk, under the claim token of the
worker that holds it, so a killed worker loses nothing and a second one repeats nothing. Files and excerpts are kept
for a few days only; who came with which list is kept.
"""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from crm.models.functions import UUIDv7
from crm.states import ImportKind, ImportStatus, TieStrength


class ImportRun(models.Model):
    """One list on its way in. `cursor_row` rows, ending at byte `cursor_offset`, are done."""

    public_id = models.UUIDField(_("public ID"), unique=True, editable=False, db_default=UUIDv7())
    kind = models.CharField(_("kind"), max_length=12, choices=ImportKind.choices, default=ImportKind.CONTACTS)
    status = models.CharField(
        _("status"), max_length=12, choices=ImportStatus.choices, default=ImportStatus.DRAFT
    )
    source = models.ForeignKey(
        "crm.Source", models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("source")
    )
    tie_strength = models.CharField(
        _("tie strength"), max_length=12, choices=TieStrength.choices, blank=True, default=""
    )
    file_name = models.CharField(_("file"), max_length=200)
    file_size = models.BigIntegerField(_("file size"))
    sha256 = models.CharField(_("checksum"), max_length=64)
    shape = models.JSONField(
        _("shape"), default=dict, help_text=_("Format, encoding, delimiter, sheet, headers, first rows.")
    )
    fingerprint = models.CharField(_("fingerprint of the headers"), max_length=64)
    mapping = models.JSONField(_("columns"), default=list)
    consent = models.JSONField(
        _("consent"), default=dict, help_text=_("What was agreed to, when, in which words, and the evidence.")
    )
    options = models.JSONField(_("options"), default=dict)
    digest = models.CharField(_("digest of file and columns"), max_length=64, blank=True, default="")
    is_forced = models.BooleanField(_("imported again on purpose"), default=False)
    report = models.JSONField(_("report of the dry run"), default=dict, blank=True)
    counters = models.JSONField(_("counters"), default=dict, blank=True)
    undo = models.JSONField(
        _("taking back"), default=dict, blank=True, help_text=_("How far it is, and what was taken back.")
    )
    rows_total = models.BigIntegerField(_("rows"), null=True, blank=True)
    cursor_row = models.BigIntegerField(_("rows done"), default=0)
    cursor_offset = models.BigIntegerField(_("bytes done"), default=0)
    working_seconds = models.FloatField(_("seconds of work"), default=0)
    error = models.CharField(_("error"), max_length=300, blank=True, default="")
    claim_token = models.UUIDField(null=True, blank=True, editable=False)
    leased_until = models.DateTimeField(null=True, blank=True, editable=False)
    claims = models.PositiveSmallIntegerField(_("claims"), default=0)
    actor = models.CharField(_("actor"), max_length=80)
    created_at = models.DateTimeField(_("created"), db_default=Now())
    checked_at = models.DateTimeField(_("checked"), null=True, blank=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    file_removed_at = models.DateTimeField(_("file removed"), null=True, blank=True)

    class Meta:
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        ordering = ("-id",)
        permissions = (
            ("import_profile", _("Can import lists of people and events")),
            ("undo_importrun", _("Can take imports back")),
        )
        indexes = (
            # Read by the sweep: runs that a worker should hold.
            models.Index(
                fields=("id",),
                name="crm_import_working",
                condition=models.Q(status__in=("checking", "running", "undoing")),
            ),
        )
        constraints = (
            # The same file read the same way is imported once, unless somebody insists.
            models.UniqueConstraint(
                fields=("digest",),
                name="crm_import_once",
                condition=models.Q(
                    is_forced=False,
                    started_at__isnull=False,
                    status__in=("running", "paused", "failed", "done", "undoing", "undo_failed"),
                )
                & ~models.Q(digest=""),
            ),
            models.CheckConstraint(
                condition=~models.Q(status__in=("running", "paused", "done"))
                | models.Q(started_at__isnull=False),
                name="crm_import_started",
            ),
            models.CheckConstraint(
                condition=~models.Q(status__in=("done", "cancelled")) | models.Q(finished_at__isnull=False),
                name="crm_import_finished",
            ),
        )

    def __str__(self) -> str:
        return self.file_name


class ImportMapping(models.Model):
    """How staff read a list with these headers last time; offered for the next one."""

    fingerprint = models.CharField(_("fingerprint of the headers"), max_length=64)
    kind = models.CharField(_("kind"), max_length=12, choices=ImportKind.choices)
    mapping = models.JSONField(_("columns"), default=list)
    changed_at = models.DateTimeField(_("changed"))
    actor = models.CharField(_("actor"), max_length=80)

    class Meta:
        verbose_name = _("remembered columns")
        verbose_name_plural = _("remembered columns")
        constraints = (
            models.UniqueConstraint(fields=("fingerprint", "kind"), name="crm_importmapping_unique"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.fingerprint[:8]}"


class ImportMember(models.Model):
    """That a person came with, or was found in, a list. No foreign keys: a million rows come in at once, and
    neither end is ever deleted."""

    pk = models.CompositePrimaryKey("run_id", "profile_id")
    run_id = models.BigIntegerField()
    profile_id = models.BigIntegerField()
    row = models.BigIntegerField(_("row"))
    is_new = models.BooleanField(_("new"))

    class Meta:
        verbose_name = _("person of an import")
        verbose_name_plural = _("people of imports")
        indexes = (
            # Read by the customer page: the lists a person came with.
            models.Index(fields=("profile_id",), name="crm_importmember_profile"),
        )

    def __str__(self) -> str:
        return f"{self.run_id}/{self.profile_id}"


class ImportReject(models.Model):
    """A row or a value that was left out, and why. Removed with the file."""

    run = models.ForeignKey(
        ImportRun, models.CASCADE, related_name="+", db_index=False, verbose_name=_("import")
    )
    row = models.BigIntegerField(_("row"))
    column = models.CharField(_("column"), max_length=200, blank=True, default="")
    code = models.CharField(_("reason"), max_length=40)
    excerpt = models.CharField(_("value"), max_length=80, blank=True, default="")
    whole_row = models.BooleanField(_("whole row"), default=True)

    class Meta:
        verbose_name = _("rejected row")
        verbose_name_plural = _("rejected rows")
        indexes = (
            # Read by the reject file and the API, page by page.
            models.Index(fields=("run", "id"), name="crm_importreject_run"),
        )

    def __str__(self) -> str:
        return f"{self.row} {self.code}"
