"""Segments: who belongs together, by a rule or by hand, and how their number went.

Members are rows of living roots, written under the advisory lock of their segment; a change and its touchpoint are
one transaction. A run is one pass over everybody: it finds the difference between the rule and the rows at once, keeps
it in rows of its own, and works it off in chunks, so a killed pass goes on where it stood.
"""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from crm.states import RunStatus, SegmentEventKind, SegmentKind, SegmentRunCause, SegmentStatus


class SegmentQuerySet(models.QuerySet["Segment"]):
    """The vocabulary of reading segments."""

    def followed(self) -> "SegmentQuerySet":
        """Those whose members follow events."""
        return self.filter(kind=SegmentKind.DYNAMIC, status=SegmentStatus.ACTIVE)

    def visible_to(self, user: object) -> "SegmentQuerySet":
        """Rows this caller may see: staff with the view permission, or a key with the read scope."""
        if user is None or not getattr(user, "is_authenticated", False):
            return self.none()
        has_scope = getattr(user, "has_scope", None)
        if has_scope is not None:
            return self if has_scope("crm.segment:read") or has_scope("crm.segment:write") else self.none()
        return self if user.has_perm("crm.view_segment") else self.none()  # type: ignore[attr-defined]


class Segment(models.Model):
    """A named group of people. `size` is kept with every change of its members."""

    key = models.CharField(
        _("key"),
        max_length=60,
        unique=True,
        help_text=_(
            "Small letters, digits, hyphens and underscores. Rules and the API use it; it never changes."
        ),
    )
    name = models.CharField(_("name"), max_length=120, unique=True)
    description = models.CharField(_("description"), max_length=500, blank=True, default="")
    kind = models.CharField(_("kind"), max_length=8, choices=SegmentKind.choices)
    rule = models.JSONField(_("rule"), null=True, blank=True)
    status = models.CharField(
        _("status"), max_length=8, choices=SegmentStatus.choices, default=SegmentStatus.DRAFT
    )
    version = models.PositiveIntegerField(_("version"), default=1)
    size = models.BigIntegerField(_("people"), default=0)
    owner = models.ForeignKey(
        "crm.StaffUser",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        verbose_name=_("owner"),
    )
    activated_at = models.DateTimeField(_("activated"), null=True, blank=True)
    last_verified_at = models.DateTimeField(_("last checked"), null=True, blank=True)
    last_error = models.CharField(_("last error"), max_length=300, blank=True, default="")
    created_at = models.DateTimeField(_("created"), db_default=Now())
    created_by = models.CharField(_("created by"), max_length=80, blank=True, default="")

    objects = SegmentQuerySet.as_manager()

    class Meta:
        verbose_name = _("segment")
        verbose_name_plural = _("segments")
        ordering = ("name",)
        permissions = (
            ("activate_segment", _("Can activate, pause and archive segments")),
            ("export_segment", _("Can export the people of a segment")),
        )
        constraints = (
            models.CheckConstraint(
                condition=models.Q(kind=SegmentKind.STATIC, rule__isnull=True)
                | models.Q(kind=SegmentKind.DYNAMIC, rule__isnull=False),
                name="crm_segment_rule_of_kind",
            ),
            models.CheckConstraint(
                condition=~models.Q(status__in=(SegmentStatus.ACTIVE, SegmentStatus.PAUSED))
                | models.Q(activated_at__isnull=False),
                name="crm_segment_activated",
            ),
            models.CheckConstraint(condition=models.Q(size__gte=0), name="crm_segment_size"),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def is_dynamic(self) -> bool:
        """Whether a rule decides."""
        return self.kind == SegmentKind.DYNAMIC


class SegmentMembership(models.Model):
    """That a person is in a segment. `is_initial`: there when the segment was filled, so without a touchpoint.

    No foreign keys: a pass writes hundreds of thousands at once, and neither end is ever deleted.
    """

    pk = models.CompositePrimaryKey("segment_id", "profile_id")
    segment_id = models.BigIntegerField()
    profile_id = models.BigIntegerField()
    entered_at = models.DateTimeField(_("entered"))
    is_initial = models.BooleanField(_("there from the beginning"), default=False)

    class Meta:
        verbose_name = _("member of a segment")
        verbose_name_plural = _("members of segments")
        indexes = (
            # Read by the customer page and by the follow-up of events: the segments of a person.
            models.Index(fields=("profile_id",), name="crm_segmentmember_profile"),
        )

    def __str__(self) -> str:
        return f"{self.segment_id}/{self.profile_id}"


class SegmentSize(models.Model):
    """How many were in at the end of a day (UTC), and how many came and went."""

    segment = models.ForeignKey(
        Segment, models.CASCADE, related_name="+", db_index=False, verbose_name=_("segment")
    )
    day = models.DateField(_("day"))
    size = models.BigIntegerField(_("people"))
    entered = models.BigIntegerField(_("entered"), default=0)
    left = models.BigIntegerField(_("left"), default=0)

    class Meta:
        verbose_name = _("size of a segment")
        verbose_name_plural = _("sizes of segments")
        ordering = ("-day",)
        constraints = (
            # Also read by the chart: the days of one segment.
            models.UniqueConstraint(fields=("segment", "day"), name="crm_segmentsize_once"),
        )

    def __str__(self) -> str:
        return f"{self.segment_id} {self.day}: {self.size}"


class SegmentEvent(models.Model):
    """What was done to a segment, by whom; a change of its rule keeps the new one. Never changed."""

    segment = models.ForeignKey(
        Segment, models.CASCADE, related_name="+", db_index=False, verbose_name=_("segment")
    )
    kind = models.CharField(_("what"), max_length=10, choices=SegmentEventKind.choices)
    actor = models.CharField(_("actor"), max_length=80)
    at = models.DateTimeField(_("when"))
    rule = models.JSONField(_("rule"), null=True, blank=True)
    number = models.BigIntegerField(_("people"), null=True, blank=True)

    class Meta:
        verbose_name = _("change of a segment")
        verbose_name_plural = _("changes of segments")
        ordering = ("-id",)
        indexes = (
            # Read by the page of a segment: its newest changes.
            models.Index(fields=("segment", "-id"), name="crm_segmentevent_segment"),
        )

    def __str__(self) -> str:
        return f"{self.segment_id} {self.kind}"


class SegmentRun(models.Model):
    """One pass over everybody. `evaluated_at` is set once the difference is known; then it is worked off."""

    segment = models.ForeignKey(
        Segment, models.CASCADE, related_name="runs", db_index=False, verbose_name=_("segment")
    )
    cause = models.CharField(_("cause"), max_length=10, choices=SegmentRunCause.choices)
    status = models.CharField(
        _("status"), max_length=10, choices=RunStatus.choices, default=RunStatus.WAITING
    )
    is_quiet = models.BooleanField(
        _("without touchpoints"), default=False, help_text=_("Whoever enters or leaves gets no touchpoint.")
    )
    run_at = models.DateTimeField(_("not before"))
    evaluated_at = models.DateTimeField(_("evaluated"), null=True, blank=True)
    total = models.BigIntegerField(_("changes found"), default=0)
    done = models.BigIntegerField(_("changes looked at"), default=0)
    entered = models.BigIntegerField(_("entered"), default=0)
    left = models.BigIntegerField(_("left"), default=0)
    claims = models.PositiveSmallIntegerField(_("claims"), default=0)
    claim_token = models.UUIDField(null=True, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    error = models.CharField(_("error"), max_length=300, blank=True, default="")
    created_at = models.DateTimeField(_("created"))
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    class Meta:
        verbose_name = _("pass of a segment")
        verbose_name_plural = _("passes of segments")
        ordering = ("-id",)
        constraints = (
            # Two passes of one segment at once are impossible.
            models.UniqueConstraint(
                fields=("segment",),
                condition=models.Q(status__in=(RunStatus.WAITING, RunStatus.RUNNING)),
                name="crm_segmentrun_one_open",
            ),
            models.CheckConstraint(
                condition=~models.Q(status__in=(RunStatus.DONE, RunStatus.CANCELLED, RunStatus.FAILED))
                | models.Q(finished_at__isnull=False),
                name="crm_segmentrun_finished",
            ),
        )
        indexes = (
            # Read by the worker: what is due.
            models.Index(
                fields=("run_at", "id"),
                name="crm_segmentrun_due",
                condition=models.Q(status__in=(RunStatus.WAITING, RunStatus.RUNNING)),
            ),
            # Read by the page of a segment: its newest passes.
            models.Index(fields=("segment", "-id"), name="crm_segmentrun_segment"),
        )

    def __str__(self) -> str:
        return f"{self.segment_id} {self.status}"


class SegmentDifference(models.Model):
    """Somebody whose membership a pass found to differ from the rule; gone when that was looked at.

    Under the negative number of a pass: somebody who was looked at while it was at work, for another reason.
    """

    pk = models.CompositePrimaryKey("run_id", "profile_id")
    run_id = models.BigIntegerField()
    profile_id = models.BigIntegerField()

    class Meta:
        verbose_name = _("difference of a pass")
        verbose_name_plural = _("differences of passes")

    def __str__(self) -> str:
        return f"{self.run_id}/{self.profile_id}"
