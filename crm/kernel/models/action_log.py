"""The log of actions: who did what to which row, without personal values."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class ActionLog(models.Model):
    """One action. Inserted only; a sealer chains the rows later, and a trigger refuses any other change."""

    actor = models.CharField(_("actor"), max_length=80)
    action = models.CharField(_("action"), max_length=120)
    object_kind = models.CharField(_("object"), max_length=80)
    object_id = models.CharField(_("object id"), max_length=64)
    fields = models.JSONField(_("changed fields"), default=list)
    at = models.DateTimeField(_("at"))
    position = models.BigIntegerField(_("position"), null=True, unique=True)
    seal = models.CharField(_("seal"), max_length=64, blank=True)

    class Meta:
        verbose_name = _("action")
        verbose_name_plural = _("action log")
        ordering = ["-id"]
        indexes = [
            # reader: the history of one object
            models.Index(fields=["object_kind", "object_id", "-id"], name="actionlog_object"),
            # reader: the sealer
            models.Index("id", name="actionlog_unsealed", condition=models.Q(position=None)),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.object_kind}:{self.object_id}"
