"""Texts that staff put in place of a built-in one, per message kind and language."""

import pghistory
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from crm.states import Language


@pghistory.track()
class MessageTemplate(models.Model):
    """An override; deleting it brings the built-in text back. Checked by services.templates when saved."""

    kind = models.CharField(_("message kind"), max_length=80)
    language = models.CharField(_("language"), max_length=12, choices=[c for c in Language.choices if c[0]])
    subject = models.CharField(_("subject"), max_length=200)
    body = models.TextField(_("text"))
    updated_at = models.DateTimeField(_("updated"), db_default=Now())
    updated_by = models.CharField(_("updated by"), max_length=80, blank=True)

    class Meta:
        verbose_name = _("message template")
        verbose_name_plural = _("message templates")
        ordering = ["kind", "language"]
        constraints = [models.UniqueConstraint(fields=["kind", "language"], name="lifecycle_template_once")]

    def __str__(self) -> str:
        return f"{self.kind} ({self.language})"
