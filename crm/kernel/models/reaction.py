"""Facts that a receiver has still to react to: the queue of record behind every reaction."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _


class PendingReactionQuerySet(models.QuerySet):
    """Rows by what is to be done with them."""

    def due(self, now: datetime) -> PendingReactionQuerySet:
        """Neither parked nor under a live lease."""
        return self.filter(parked_at=None).filter(
            models.Q(lease_until=None) | models.Q(lease_until__lt=now), run_at__lte=now
        )

    def parked(self) -> PendingReactionQuerySet:
        """Given up after too many claims; staff can read the reason and replay."""
        return self.exclude(parked_at=None)


class PendingReaction(models.Model):
    """One (batch, receiver) pair: the touchpoints, or the ids of a published fact, still to be handled."""

    receiver = models.CharField(_("receiver"), max_length=120)
    kind = models.CharField(
        _("kind"), max_length=120, blank=True, help_text=_("Set for a published fact; empty for touchpoints.")
    )
    items = models.JSONField(
        _("items"), help_text=_("Ids, or [profile, occurred at, touchpoint id] for each touchpoint.")
    )
    created_at = models.DateTimeField(_("created at"))
    run_at = models.DateTimeField(_("run at"))
    claims = models.PositiveSmallIntegerField(_("claims"), default=0)
    lease_until = models.DateTimeField(_("leased until"), null=True, blank=True)
    claim_token = models.UUIDField(_("claim token"), null=True, blank=True)
    parked_at = models.DateTimeField(_("parked at"), null=True, blank=True)
    last_error = models.TextField(_("last error"), blank=True)

    objects = PendingReactionQuerySet.as_manager()

    class Meta:
        verbose_name = _("pending reaction")
        verbose_name_plural = _("pending reactions")
        ordering = ["id"]
        indexes = [
            # reader: reactions.run claims the due rows of one receiver, oldest first
            models.Index("receiver", "run_at", "id", name="reaction_due", condition=models.Q(parked_at=None)),
            # reader: the dead-letter list
            models.Index("parked_at", name="reaction_parked", condition=~models.Q(parked_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.receiver} #{self.pk}"
