"""What is computed about people from their touchpoints: traits that staff define, and purchases.

A definition is versioned and never changed; values hang on the root of a person and are derived, so they may be
thrown away and computed again at any time. A run is one pass over everybody, with its place in the row, so that
another worker goes on where a killed one stopped.
"""

import pghistory
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from crm.states import ComputedStatus, RfmSegment, RunPurpose, RunStatus


class ComputedTraitQuerySet(models.QuerySet["ComputedTrait"]):
    """Computed traits by state and viewer."""

    def followed(self) -> "ComputedTraitQuerySet":
        """Those whose values follow events."""
        return self.filter(status=ComputedStatus.ACTIVE)

    def visible_to(self, user: object) -> "ComputedTraitQuerySet":
        """Rows this caller may see: staff with the view permission, or a key with the read scope."""
        if user is None or not getattr(user, "is_authenticated", False):
            return self.none()
        has_scope = getattr(user, "has_scope", None)
        if has_scope is not None:
            allowed = has_scope("crm.computedtrait:read") or has_scope("crm.computedtrait:write")
            return self if allowed else self.none()
        return self if user.has_perm("crm.view_computedtrait") else self.none()  # type: ignore[attr-defined]


@pghistory.track()
class ComputedTrait(models.Model):
    """A value that is computed for each person from touchpoints; what it computes is its newest version."""

    key = models.CharField(
        _("key"),
        max_length=60,
        unique=True,
        help_text=_("Small letters, digits and underscores. Segments and the API use it; it never changes."),
    )
    name = models.CharField(_("name"), max_length=120, unique=True)
    description = models.CharField(_("description"), max_length=300, blank=True, default="")
    status = models.CharField(
        _("status"), max_length=8, choices=ComputedStatus.choices, default=ComputedStatus.DRAFT
    )
    version = models.PositiveIntegerField(_("version"), default=1)
    activated_at = models.DateTimeField(_("activated"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"), db_default=Now())
    created_by = models.CharField(_("created by"), max_length=80, blank=True, default="")

    objects = ComputedTraitQuerySet.as_manager()

    class Meta:
        verbose_name = _("computed trait")
        verbose_name_plural = _("computed traits")
        ordering = ("name",)
        permissions = (("activate_computedtrait", _("Can activate, pause and archive computed traits")),)
        constraints = (
            models.CheckConstraint(
                condition=~models.Q(status__in=(ComputedStatus.ACTIVE, ComputedStatus.PAUSED))
                | models.Q(activated_at__isnull=False),
                name="crm_computedtrait_activated",
            ),
        )

    def __str__(self) -> str:
        return self.name


class ComputedTraitVersion(models.Model):
    """One definition, never changed."""

    trait = models.ForeignKey(
        ComputedTrait,
        models.CASCADE,
        related_name="versions",
        db_index=False,
        verbose_name=_("computed trait"),
    )
    number = models.PositiveIntegerField(_("number"))
    definition = models.JSONField(_("definition"))
    created_at = models.DateTimeField(_("created"), db_default=Now())
    created_by = models.CharField(_("created by"), max_length=80, blank=True, default="")

    class Meta:
        verbose_name = _("version of a computed trait")
        verbose_name_plural = _("versions of computed traits")
        ordering = ("-number",)
        constraints = (models.UniqueConstraint(fields=("trait", "number"), name="crm_computedversion_once"),)

    def __str__(self) -> str:
        return f"{self.trait_id} v{self.number}"


class ComputedRun(models.Model):
    """One pass over everybody, in chunks of people. `trait` empty: the pass over purchases.

    `cursor` is the last profile id that is done, `upper` the newest one when the run began; whoever came later is
    computed by their events.
    """

    trait = models.ForeignKey(
        ComputedTrait,
        models.CASCADE,
        related_name="runs",
        db_index=False,
        null=True,
        blank=True,
        verbose_name=_("computed trait"),
    )
    purpose = models.CharField(_("purpose"), max_length=8, choices=RunPurpose.choices)
    version = models.PositiveIntegerField(_("version"), default=1)
    status = models.CharField(
        _("status"), max_length=10, choices=RunStatus.choices, default=RunStatus.WAITING
    )
    cursor = models.BigIntegerField(_("last person done"), default=0)
    upper = models.BigIntegerField(_("last person"), default=0)
    values_written = models.BigIntegerField(_("values written"), default=0)
    settings = models.JSONField(_("settings"), default=dict, blank=True)
    created_at = models.DateTimeField(_("created"))
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    claims = models.PositiveSmallIntegerField(_("claims"), default=0)
    lease_until = models.DateTimeField(_("leased until"), null=True, blank=True)
    claim_token = models.UUIDField(_("claim token"), null=True, blank=True)

    class Meta:
        verbose_name = _("run of a computed trait")
        verbose_name_plural = _("runs of computed traits")
        ordering = ("-id",)
        constraints = (
            # At most one pass per trait at a time; a newer wish replaces the older one.
            models.UniqueConstraint(
                fields=("trait",),
                condition=models.Q(status__in=(RunStatus.WAITING, RunStatus.RUNNING)),
                nulls_distinct=False,
                name="crm_computedrun_open",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    status__in=(RunStatus.WAITING, RunStatus.RUNNING), finished_at__isnull=True
                )
                | models.Q(
                    status__in=(RunStatus.DONE, RunStatus.CANCELLED, RunStatus.FAILED),
                    finished_at__isnull=False,
                ),
                name="crm_computedrun_finished",
            ),
        )
        indexes = (
            # Read by the page of a trait: its newest run.
            models.Index(fields=("trait", "-id"), name="crm_computedrun_latest"),
        )

    def __str__(self) -> str:
        return f"#{self.pk}"

    @property
    def percent(self) -> int:
        """How far it is, 0 to 100."""
        if self.status == RunStatus.DONE:
            return 100
        return min(99, self.cursor * 100 // self.upper) if self.upper else 0


class ComputedValue(models.Model):
    """The value of one trait for one person: in the column of its type. People without a value have no row.

    Money is in minor units of the trait's currency. `moves_at` is when the first counted touchpoint leaves the
    window, so that the pass over moved windows reads an index and nobody else. No foreign key in the database to
    profiles: they are never deleted, and a check per row would double the cost of a pass over a million people.
    """

    profile = models.ForeignKey(
        "crm.Profile",
        models.DO_NOTHING,
        related_name="+",
        db_index=False,
        db_constraint=False,
        verbose_name=_("profile"),
    )
    trait = models.ForeignKey(
        ComputedTrait, models.CASCADE, related_name="+", db_index=False, verbose_name=_("computed trait")
    )
    number = models.DecimalField(_("number"), max_digits=38, decimal_places=6, null=True, blank=True)
    text = models.CharField(_("text"), max_length=200, null=True, blank=True)  # noqa: DJ001 - one column per type
    moment = models.DateTimeField(_("moment"), null=True, blank=True)
    list = ArrayField(models.TextField(), verbose_name=_("list"), null=True, blank=True)
    computed_at = models.DateTimeField(_("computed"))
    moves_at = models.DateTimeField(_("window moves"), null=True, blank=True)

    class Meta:
        verbose_name = _("computed value")
        verbose_name_plural = _("computed values")
        constraints = (
            # Also read by the customer page: all values of a person.
            models.UniqueConstraint(fields=("profile", "trait"), name="crm_computedvalue_once"),
        )
        indexes = (
            # Read by segments: who has a number, text or moment in a range. Each holds its own type only.
            models.Index(
                fields=("trait", "number"),
                name="crm_computedvalue_number",
                include=("profile",),
                condition=models.Q(number__isnull=False),
            ),
            models.Index(
                fields=("trait", "text"),
                name="crm_computedvalue_text",
                include=("profile",),
                condition=models.Q(text__isnull=False),
            ),
            models.Index(
                fields=("trait", "moment"),
                name="crm_computedvalue_moment",
                include=("profile",),
                condition=models.Q(moment__isnull=False),
            ),
            # Read by segments over lists.
            models.Index(
                fields=("trait", "profile"),
                name="crm_computedvalue_list",
                condition=models.Q(list__isnull=False),
            ),
            # Read by the pass over moved windows.
            models.Index(
                fields=("trait", "moves_at"),
                name="crm_computedvalue_moves",
                condition=models.Q(moves_at__isnull=False),
            ),
        )

    def __str__(self) -> str:
        return f"{self.trait_id} #{self.profile_id}"


class PurchaseSummary(models.Model):
    """Orders of one person in the currency of the organisation: recency, frequency, monetary value, and rhythm.

    Scores run from 1 (low) to 5 (high) by the cut points of the newest report; amounts are minor units.
    """

    profile = models.OneToOneField(
        "crm.Profile",
        models.DO_NOTHING,
        primary_key=True,
        related_name="+",
        db_constraint=False,
        verbose_name=_("profile"),
    )
    orders = models.PositiveIntegerField(_("orders"))
    spent = models.BigIntegerField(_("spent"))
    currency = models.CharField(_("currency"), max_length=3)
    first_order_at = models.DateTimeField(_("first order"))
    second_order_at = models.DateTimeField(_("second order"), null=True, blank=True)
    last_order_at = models.DateTimeField(_("last order"))
    median_gap_days = models.FloatField(_("days between orders"), null=True, blank=True)
    recency = models.PositiveSmallIntegerField(_("recency score"), default=0)
    frequency = models.PositiveSmallIntegerField(_("frequency score"), default=0)
    monetary = models.PositiveSmallIntegerField(_("monetary score"), default=0)
    segment = models.CharField(
        _("RFM group"), max_length=20, choices=RfmSegment.choices, blank=True, default=""
    )
    computed_at = models.DateTimeField(_("computed"))

    class Meta:
        verbose_name = _("buyer")
        verbose_name_plural = _("buyers")
        permissions = (("recompute_purchases", _("Can have purchases and RFM computed again")),)
        indexes = (
            # Read by the cut points of each score, and by the list of buyers.
            models.Index(fields=("last_order_at", "profile"), name="crm_purchase_recency"),
            models.Index(fields=("orders",), name="crm_purchase_frequency"),
            models.Index(fields=("spent",), name="crm_purchase_monetary"),
            # Read by the list of buyers behind one cell of the grid.
            models.Index(fields=("recency", "frequency", "-profile"), name="crm_purchase_cell"),
            # Read by segments, and by the list of buyers of one group.
            models.Index(fields=("segment", "-profile"), name="crm_purchase_group"),
        )

    def __str__(self) -> str:
        return f"#{self.pk}"


class PurchaseReport(models.Model):
    """What the nightly pass found: cut points by which everybody is scored, the RFM grid, and cohorts."""

    computed_at = models.DateTimeField(_("computed"), unique=True)
    kind = models.CharField(_("order kind"), max_length=200)
    currency = models.CharField(_("currency"), max_length=3)
    people = models.PositiveIntegerField(_("buyers"))
    cuts = models.JSONField(_("cut points"))
    cells = models.JSONField(_("grid"))
    cohorts = models.JSONField(_("cohorts"))

    class Meta:
        verbose_name = _("RFM and repurchase")
        verbose_name_plural = _("RFM and repurchase")
        ordering = ("-computed_at",)

    def __str__(self) -> str:
        return f"{self.computed_at:%Y-%m-%d}"
