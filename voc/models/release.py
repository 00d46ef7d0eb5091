"""Release, its items, its history, and the notices that make telling happen once.

A FixNotice is the promise "this person is told once that this ticket was fixed in this round" as a unique row.
It is claimed together with the message that carries it, so there is never one without the other.
"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from voc.models.tokens import public_token
from voc.states import FollowerRole, ReleaseStatus


class ReleaseQuerySet(models.QuerySet["Release"]):
    """The vocabulary of reading releases."""

    def shipped(self) -> ReleaseQuerySet:
        """Releases that are out and were not withdrawn."""
        return self.filter(status=ReleaseStatus.SHIPPED)

    def telling(self) -> ReleaseQuerySet:
        """Shipped releases whose followers may not all have been claimed."""
        return self.shipped().filter(told_at=None)

    def visible_to(self, user: Any) -> ReleaseQuerySet:
        """Rows this caller may see: staff with the view permission, or an API key let in by its scope."""
        if user is None or not getattr(user, "is_authenticated", False):
            return self.none()
        if hasattr(user, "has_scope"):
            return (
                self
                if any(user.has_scope(f"voc.release:{verb}") for verb in ("read", "write"))
                else self.none()
            )
        return self if user.has_perm("voc.view_release") else self.none()


class Release(models.Model):
    """A set of fixes that reaches people together.

    `telling` counts whatever may have added somebody to tell; `told_at` is set only by a run that saw nobody
    left at that count, so a follower who comes in meanwhile is never missed.
    """

    token = models.CharField(
        _("public token"), max_length=32, unique=True, editable=False, default=public_token
    )
    title = models.CharField(_("title"), max_length=120)
    notes = models.TextField(
        _("notes"), blank=True, default="", help_text=_("Shown on the public changelog.")
    )
    status = models.CharField(
        _("status"), max_length=12, choices=ReleaseStatus.choices, default=ReleaseStatus.DRAFT
    )
    shipped_at = models.DateTimeField(_("shipped"), null=True, blank=True)
    withdrawn_at = models.DateTimeField(_("withdrawn"), null=True, blank=True)
    withdrawn_reason = models.CharField(_("reason"), max_length=200, blank=True, default="")
    telling = models.PositiveIntegerField(_("telling"), default=0)
    told_at = models.DateTimeField(_("everyone claimed"), null=True, blank=True)
    created_by = models.CharField(_("created by"), max_length=80)
    created_at = models.DateTimeField(_("created"))

    objects = ReleaseQuerySet.as_manager()

    class Meta:
        verbose_name = _("release")
        verbose_name_plural = _("releases")
        ordering = ("-id",)
        permissions = (
            ("ship_release", _("Can ship releases")),
            ("withdraw_release", _("Can withdraw releases")),
        )
        indexes = (
            # Read by telling.sweep.
            models.Index(
                fields=("id",),
                name="voc_release_telling",
                condition=models.Q(status=ReleaseStatus.SHIPPED, told_at=None),
            ),
            # Read by the changelog.
            models.Index(
                fields=("-shipped_at", "-id"),
                name="voc_release_changelog",
                condition=models.Q(status=ReleaseStatus.SHIPPED),
            ),
        )
        constraints = (
            models.CheckConstraint(
                condition=(
                    models.Q(status=ReleaseStatus.DRAFT, shipped_at=None, withdrawn_at=None)
                    | models.Q(status=ReleaseStatus.SHIPPED, shipped_at__isnull=False, withdrawn_at=None)
                    | models.Q(
                        status=ReleaseStatus.WITHDRAWN, shipped_at__isnull=False, withdrawn_at__isnull=False
                    )
                ),
                name="voc_release_status_has_times",
            ),
        )

    def __str__(self) -> str:
        return self.title


class ReleaseItem(models.Model):
    """One ticket in a release; `round` is the ticket's round when the release shipped."""

    release = models.ForeignKey(
        "voc.Release", models.PROTECT, related_name="items", db_index=False, verbose_name=_("release")
    )
    ticket = models.ForeignKey("voc.Ticket", models.PROTECT, related_name="+", verbose_name=_("ticket"))
    note = models.CharField(_("note"), max_length=200, blank=True, default="")
    round = models.PositiveIntegerField(_("round"), null=True, blank=True)

    class Meta:
        verbose_name = _("release item")
        verbose_name_plural = _("release items")
        ordering = ("id",)
        constraints = (models.UniqueConstraint(fields=("release", "ticket"), name="voc_releaseitem_once"),)

    def __str__(self) -> str:
        return f"#{self.ticket_id}"


class ReleaseEvent(models.Model):
    """One thing that happened to a release. The database refuses to change or delete it."""

    release = models.ForeignKey(
        "voc.Release", models.PROTECT, related_name="events", db_index=False, verbose_name=_("release")
    )
    from_status = models.CharField(
        _("from"), max_length=12, choices=ReleaseStatus.choices, blank=True, default=""
    )
    to_status = models.CharField(_("to"), max_length=12, choices=ReleaseStatus.choices)
    note = models.CharField(_("note"), max_length=200, blank=True, default="")
    actor = models.CharField(_("by"), max_length=80)
    at = models.DateTimeField(_("at"))

    class Meta:
        verbose_name = _("release event")
        verbose_name_plural = _("release events")
        ordering = ("-id",)
        # Read by the history on the release page.
        indexes = (models.Index(fields=("release", "-id"), name="voc_releaseevent_history"),)

    def __str__(self) -> str:
        return f"{self.to_status} #{self.release_id}"


class FixNotice(models.Model):
    """One person is told once of one fix. `ticket` and `profile` are the roots when it was claimed.

    No foreign keys in the database (decision 0054): what it names is locked when it is written, and never deleted.
    """

    ticket = models.ForeignKey(
        "voc.Ticket",
        models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
        verbose_name=_("ticket"),
    )
    profile = models.ForeignKey(
        "crm.Profile", models.PROTECT, related_name="+", db_constraint=False, verbose_name=_("person")
    )
    round = models.PositiveIntegerField(_("round"))
    release = models.ForeignKey(
        "voc.Release", models.PROTECT, related_name="+", db_constraint=False, verbose_name=_("release")
    )
    role = models.CharField(_("role"), max_length=12, choices=FollowerRole.choices)
    message = models.ForeignKey(
        "lifecycle.OutboundMessage",
        models.PROTECT,
        null=True,
        related_name="+",
        db_constraint=False,
        verbose_name=_("message"),
    )
    created_at = models.DateTimeField(_("claimed"))

    class Meta:
        verbose_name = _("fix notice")
        verbose_name_plural = _("fix notices")
        constraints = (
            # Also read by telling (leading columns).
            models.UniqueConstraint(fields=("ticket", "profile", "round"), name="voc_fixnotice_once"),
        )

    def __str__(self) -> str:
        return f"#{self.ticket_id} round {self.round}"
