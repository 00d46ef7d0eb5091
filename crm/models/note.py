"""What staff write down about a person for each other, and who they know belongs together.

Both stay with the profile they were written on and are read over all ids of the person. Erasure deletes them.
"""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from crm.states import LinkKind, NoteCategory


class ProfileNote(models.Model):
    """One note: a preference, an accessibility need, a taste, or what the next colleague must know."""

    profile = models.ForeignKey("crm.Profile", models.PROTECT, related_name="+", verbose_name=_("profile"))
    category = models.CharField(_("category"), max_length=16, choices=NoteCategory.choices)
    text = models.TextField(_("text"), max_length=2000)
    is_pinned = models.BooleanField(_("pinned"), default=False)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
        verbose_name=_("author"),
        help_text=_("Empty when a program wrote it."),
    )
    actor = models.CharField(_("actor"), max_length=80)
    created_at = models.DateTimeField(_("created"), db_default=Now())
    changed_at = models.DateTimeField(_("changed"), null=True, blank=True)

    class Meta:
        verbose_name = _("note about a person")
        verbose_name_plural = _("notes about people")
        ordering = ("-is_pinned", "-id")

    def __str__(self) -> str:
        return f"{self.category} #{self.pk}"


class ProfileLink(models.Model):
    """Two people who belong together and are not the same: a household, a family, colleagues."""

    first = models.ForeignKey(
        "crm.Profile", models.PROTECT, related_name="+", db_index=False, verbose_name=_("first profile")
    )
    second = models.ForeignKey(
        "crm.Profile", models.PROTECT, related_name="+", verbose_name=_("second profile")
    )
    kind = models.CharField(_("kind"), max_length=16, choices=LinkKind.choices)
    actor = models.CharField(_("actor"), max_length=80)
    created_at = models.DateTimeField(_("created"), db_default=Now())

    class Meta:
        verbose_name = _("link between people")
        verbose_name_plural = _("links between people")
        constraints = (
            models.UniqueConstraint(fields=("first", "second"), name="crm_profilelink_pair"),
            models.CheckConstraint(
                condition=models.Q(first__lt=models.F("second")), name="crm_profilelink_ordered"
            ),
        )

    def __str__(self) -> str:
        return f"#{self.first_id} – #{self.second_id}"


class ScanPosition(models.Model):
    """How far a pass over all profiles has come, so that it goes on where it was stopped."""

    job = models.CharField(_("job"), max_length=80, primary_key=True)
    position = models.BigIntegerField(_("position"), default=0)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    class Meta:
        verbose_name = _("position of a pass")
        verbose_name_plural = _("positions of passes")

    def __str__(self) -> str:
        return self.job
