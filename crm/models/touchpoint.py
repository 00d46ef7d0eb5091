"""Touchpoint, its dedupe receipts and tallies, and the warnings of the door.

The touchpoint and receipt tables are partitioned, so their SQL is in migration 0002; the models describe
them for reading. Rows are written by services.touchpoints alone. No foreign key points in or out, and the
key begins with profile_id, so the table can be distributed by it.
"""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from crm.states import QuietState


class Touchpoint(models.Model):
    """Something that happened between one person and us."""

    pk = models.CompositePrimaryKey("profile_id", "occurred_at", "id")
    profile_id = models.BigIntegerField()
    occurred_at = models.DateTimeField()
    id = models.UUIDField()
    received_at = models.DateTimeField()
    kind = models.TextField()
    channel = models.TextField(db_default="")
    source_id = models.BigIntegerField(null=True)
    stage = models.TextField(db_default="")
    properties = models.JSONField(db_default={})
    context = models.JSONField(null=True)

    class Meta:
        db_table = "crm_touchpoint"
        verbose_name = _("touchpoint")
        verbose_name_plural = _("touchpoints")

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


class EventReceipt(models.Model):
    """That an event was stored: 16 bytes of (source, message id). Kept as long as its touchpoint."""

    digest = models.UUIDField(primary_key=True)
    occurred_at = models.DateTimeField()

    class Meta:
        db_table = "crm_eventreceipt"
        verbose_name = _("event receipt")
        verbose_name_plural = _("event receipts")

    def __str__(self) -> str:
        return str(self.digest)


class TouchpointTally(models.Model):
    """How many touchpoints arrived per UTC day, source and kind; folded from deltas, read by dashboards."""

    received_on = models.DateField(_("day"))
    source_id = models.BigIntegerField(_("source"), default=0)
    kind = models.TextField(_("kind"))
    count = models.BigIntegerField(_("count"))

    class Meta:
        verbose_name = _("touchpoint tally")
        verbose_name_plural = _("touchpoint tallies")
        constraints = (
            models.UniqueConstraint(fields=("received_on", "source_id", "kind"), name="crm_tally_unique"),
        )

    def __str__(self) -> str:
        return f"{self.received_on} {self.kind}"


class TouchpointTallyDelta(models.Model):
    """One batch's share of a tally. Insert-only, so concurrent batches never wait for each other."""

    received_on = models.DateField()
    source_id = models.BigIntegerField(default=0)
    kind = models.TextField()
    count = models.IntegerField()
    # When the batch arrived; folding reads the minute from it.
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = _("touchpoint tally delta")
        verbose_name_plural = _("touchpoint tally deltas")

    def __str__(self) -> str:
        return f"{self.received_on} {self.kind}"


class SourceMinute(models.Model):
    """How many touchpoints one source brought in one minute; kept for a few days, for the page of the source."""

    source_id = models.BigIntegerField()
    minute = models.DateTimeField()
    count = models.BigIntegerField()

    class Meta:
        verbose_name = _("minute of a source")
        verbose_name_plural = _("minutes of sources")
        constraints = (
            models.UniqueConstraint(fields=("source_id", "minute"), name="crm_sourceminute_unique"),
        )

    def __str__(self) -> str:
        return f"{self.source_id} {self.minute:%H:%M}"


class IngestionWarning(models.Model):
    """What a source sent that was refused or changed: counted per source, code, subject and day, with a sample.

    `subject` names the kind where the code is about one kind (a schema, a block), else it is empty.
    """

    source = models.ForeignKey(
        "crm.Source", models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("source")
    )
    code = models.CharField(_("code"), max_length=40)
    subject = models.CharField(_("about"), max_length=200, db_default="", default="", blank=True)
    seen_on = models.DateField(_("day"))
    count = models.BigIntegerField(_("count"), default=0)
    sample = models.JSONField(_("sample"), default=dict, blank=True)
    first_seen_at = models.DateTimeField(_("first seen"))
    last_seen_at = models.DateTimeField(_("last seen"))

    class Meta:
        verbose_name = _("ingestion warning")
        verbose_name_plural = _("ingestion warnings")
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("source", "code", "subject", "seen_on"),
                name="crm_warning_per_day",
                nulls_distinct=False,
            ),
        )

    def __str__(self) -> str:
        return f"{self.code} ({self.count})"


class WarningDecision(models.Model):
    """What staff decided about one warning of one source: it is quiet until `quiet_until`, and open again as soon
    as it happens after that."""

    source = models.ForeignKey(
        "crm.Source", models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("source")
    )
    code = models.CharField(_("code"), max_length=40)
    subject = models.CharField(_("about"), max_length=200, default="", blank=True)
    state = models.CharField(_("state"), max_length=10, choices=QuietState.choices)
    quiet_until = models.DateTimeField(_("quiet until"))
    note = models.CharField(_("note"), max_length=300, blank=True)
    decided_at = models.DateTimeField(_("decided"))
    decided_by = models.CharField(_("decided by"), max_length=80)

    class Meta:
        verbose_name = _("decision about a warning")
        verbose_name_plural = _("decisions about warnings")
        constraints = (
            models.UniqueConstraint(
                fields=("source", "code", "subject"), name="crm_warningdecision_unique", nulls_distinct=False
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=QuietState.values), name="crm_warningdecision_state"
            ),
        )

    def __str__(self) -> str:
        return f"{self.code} {self.state}"
