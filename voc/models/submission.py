"""Counters of what anonymous visitors sent: limits that matter are rows, so every process sees them."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class SubmissionCount(models.Model):
    """How often one sender did one thing in one window. The sender is a keyed hash, never an address."""

    action = models.CharField(_("action"), max_length=24)
    sender_hash = models.CharField(_("sender hash"), max_length=64)
    window_start = models.DateTimeField(_("window"))
    count = models.PositiveIntegerField(_("count"))

    class Meta:
        verbose_name = _("submission count")
        verbose_name_plural = _("submission counts")
        constraints = (
            models.UniqueConstraint(
                fields=("action", "sender_hash", "window_start"), name="voc_submission_window"
            ),
        )
        # Read by the housekeeping that forgets old windows.
        indexes = (models.Index(fields=("window_start",), name="voc_submission_old"),)

    def __str__(self) -> str:
        return f"{self.action} × {self.count}"
