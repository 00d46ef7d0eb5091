"""Journeys: versioned definitions, the people on their way through them, and the log of each one's way."""

from __future__ import annotations

import pghistory
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from lifecycle.states import Arm, EnrolmentEventKind, EnrolmentStatus, ExitCause, JourneyStatus


class JourneyQuerySet(models.QuerySet["Journey"]):
    """Journeys by state and viewer."""

    def active(self) -> JourneyQuerySet:
        """Those that take people in."""
        return self.filter(status=JourneyStatus.ACTIVE)

    def visible_to(self, user: object) -> JourneyQuerySet:
        """Rows this caller may see: staff with the view permission, or a key with the read scope."""
        if user is None or not getattr(user, "is_authenticated", False):
            return self.none()
        has_scope = getattr(user, "has_scope", None)
        if has_scope is not None:
            return self if has_scope("lifecycle.journey:read") else self.none()
        return self if user.has_perm("lifecycle.view_journey") else self.none()  # type: ignore[attr-defined]


@pghistory.track()
class Journey(models.Model):
    """A way through waits, conditions and messages; what it does is its newest version."""

    name = models.CharField(_("name"), max_length=120, unique=True)
    status = models.CharField(
        _("status"), max_length=8, choices=JourneyStatus.choices, default=JourneyStatus.DRAFT
    )
    version = models.PositiveIntegerField(_("version"), default=1)
    template = models.CharField(_("made from"), max_length=80, blank=True, default="")
    activated_at = models.DateTimeField(_("activated"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"), db_default=Now())
    created_by = models.CharField(_("created by"), max_length=80, blank=True, default="")

    objects = JourneyQuerySet.as_manager()

    class Meta:
        verbose_name = _("journey")
        verbose_name_plural = _("journeys")
        ordering = ["-id"]
        permissions = [("activate_journey", _("Can activate, pause and archive journeys"))]
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(status__in=(JourneyStatus.ACTIVE, JourneyStatus.PAUSED))
                | models.Q(activated_at__isnull=False),
                name="lifecycle_journey_activated",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class JourneyVersion(models.Model):
    """One definition, never changed: people finish the version they entered."""

    journey = models.ForeignKey(
        Journey, models.CASCADE, related_name="versions", db_index=False, verbose_name=_("journey")
    )
    number = models.PositiveIntegerField(_("number"))
    definition = models.JSONField(_("definition"))
    created_at = models.DateTimeField(_("created"), db_default=Now())
    created_by = models.CharField(_("created by"), max_length=80, blank=True, default="")

    class Meta:
        verbose_name = _("journey version")
        verbose_name_plural = _("journey versions")
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["journey", "number"], name="lifecycle_version_once")]

    def __str__(self) -> str:
        return f"{self.journey_id} v{self.number}"


class Enrolment(models.Model):
    """One person in one journey under one entry key."""

    journey = models.ForeignKey(
        Journey, models.PROTECT, related_name="+", db_index=False, verbose_name=_("journey")
    )
    version = models.ForeignKey(
        JourneyVersion, models.PROTECT, related_name="+", db_index=False, verbose_name=_("version")
    )
    profile = models.ForeignKey(
        "crm.Profile", models.PROTECT, related_name="+", db_index=False, verbose_name=_("person")
    )
    entry_key = models.CharField(_("entry key"), max_length=120)
    arm = models.CharField(_("arm"), max_length=9, choices=Arm.choices)
    status = models.CharField(
        _("status"), max_length=9, choices=EnrolmentStatus.choices, default=EnrolmentStatus.WAITING
    )
    exit_cause = models.CharField(
        _("left because"), max_length=10, choices=ExitCause.choices, blank=True, default=""
    )
    step = models.CharField(_("step"), max_length=40)
    context = models.JSONField(_("values"), default=dict, blank=True)
    entered_at = models.DateTimeField(_("entered"))
    run_at = models.DateTimeField(_("goes on"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    claims = models.PositiveSmallIntegerField(_("claims"), default=0)
    lease_until = models.DateTimeField(_("leased until"), null=True, blank=True)
    claim_token = models.UUIDField(_("claim token"), null=True, blank=True)

    class Meta:
        verbose_name = _("enrolment")
        verbose_name_plural = _("enrolments")
        ordering = ["-id"]
        constraints = [
            # also read by the enrolments of one person (leading column)
            models.UniqueConstraint(
                fields=["profile", "journey", "entry_key"], name="lifecycle_enrolment_once"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    status=EnrolmentStatus.WAITING, run_at__isnull=False, ended_at__isnull=True
                )
                | (~models.Q(status=EnrolmentStatus.WAITING) & models.Q(ended_at__isnull=False)),
                name="lifecycle_enrolment_ended",
            ),
        ]
        indexes = [
            # reader: enrolments.advance claims what is due
            models.Index(
                fields=["run_at", "id"],
                name="lifecycle_enrolment_due",
                condition=models.Q(status=EnrolmentStatus.WAITING),
            ),
            # reader: the funnel and the list of one journey
            models.Index(fields=["journey", "-entered_at"], name="lifecycle_enrolment_funnel"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"


class EnrolmentEvent(models.Model):
    """One thing that happened to an enrolment. Inserted only; a trigger refuses change and deletion."""

    enrolment = models.ForeignKey(
        Enrolment, models.PROTECT, related_name="events", db_index=False, verbose_name=_("enrolment")
    )
    kind = models.CharField(_("what"), max_length=10, choices=EnrolmentEventKind.choices)
    step = models.CharField(_("step"), max_length=40, blank=True, default="")
    detail = models.JSONField(_("detail"), default=dict, blank=True)
    occurred_at = models.DateTimeField(_("when"))

    class Meta:
        verbose_name = _("enrolment event")
        verbose_name_plural = _("enrolment events")
        ordering = ["id"]
        # reader: the way of one person
        indexes = [models.Index(fields=["enrolment", "id"], name="lifecycle_event_enrolment")]

    def __str__(self) -> str:
        return f"{self.kind} #{self.pk}"
