"""One row per run of a scheduled job, so that two schedulers do the work once."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class JobSlot(models.Model):
    """The job ran, or runs, for the slot that starts at `slot_start`."""

    job = models.CharField(_("job"), max_length=120)
    slot_start = models.DateTimeField(_("slot start"))
    claimed_at = models.DateTimeField(_("claimed at"))

    class Meta:
        verbose_name = _("job slot")
        verbose_name_plural = _("job slots")
        constraints = [models.UniqueConstraint("job", "slot_start", name="jobslot_once")]

    def __str__(self) -> str:
        return f"{self.job} {self.slot_start:%Y-%m-%d %H:%M:%S}"
