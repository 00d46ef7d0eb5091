"""Numbers that staff may turn: only values that differ from their default are rows."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Knob(models.Model):
    """The value of one registered knob; crm.kernel.knobs knows its type, bounds and help."""

    name = models.CharField(_("name"), max_length=120, unique=True)
    value = models.JSONField(_("value"))
    changed_at = models.DateTimeField(_("changed at"))
    changed_by = models.CharField(_("changed by"), max_length=80)

    class Meta:
        verbose_name = _("knob")
        verbose_name_plural = _("knobs")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
