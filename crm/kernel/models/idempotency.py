"""What an API client was answered, so that its retry gets the same answer and no second effect."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class IdempotencyKey(models.Model):
    """One successful POST under a client's key; kept for a day."""

    key = models.CharField(_("key"), max_length=255)
    route = models.CharField(_("route"), max_length=255)
    actor = models.CharField(_("actor"), max_length=80)
    body_hash = models.CharField(_("body hash"), max_length=64)
    status = models.PositiveSmallIntegerField(_("status"))
    body = models.JSONField(_("body"), null=True)
    created_at = models.DateTimeField(_("created at"))

    class Meta:
        verbose_name = _("idempotency key")
        verbose_name_plural = _("idempotency keys")
        constraints = [models.UniqueConstraint("actor", "route", "key", name="idempotency_once")]
        # reader: the daily clean-up
        indexes = [models.Index("created_at", name="idempotency_age")]

    def __str__(self) -> str:
        return f"{self.route} {self.created_at:%Y-%m-%d %H:%M}"
