"""Profile: one person as we know them.

Rows are never hard-deleted: erasure leaves a tombstone (`erased_at`). `merged_into` always points at the
live root, so `COALESCE(merged_into_id, id)` resolves any profile in one step.
"""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from crm.models.functions import UUIDv7
from crm.states import Language


class ProfileQuerySet(models.QuerySet["Profile"]):
    """The vocabulary of reading people."""

    def roots(self) -> "ProfileQuerySet":
        """People themselves: not merged into somebody else, not erased."""
        return self.filter(merged_into__isnull=True, erased_at__isnull=True)

    def visible_to(self, user: object) -> "ProfileQuerySet":
        """Rows this caller may see: staff with the view permission, or a key with the read scope."""
        if user is None or not getattr(user, "is_authenticated", False):
            return self.none()
        has_scope = getattr(user, "has_scope", None)
        if has_scope is not None:
            return self if has_scope("crm.profile:read") or has_scope("crm.profile:write") else self.none()
        return self if user.has_perm("crm.view_profile") else self.none()  # type: ignore[attr-defined]


class Profile(models.Model):
    """A person: typed columns each with its source, free traits, and when they were first and last seen."""

    public_id = models.UUIDField(_("public ID"), unique=True, editable=False, db_default=UUIDv7())
    merged_into = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        verbose_name=_("merged into"),
    )
    display_name = models.CharField(
        pgettext_lazy("person", "name"), max_length=200, blank=True, db_default="", default=""
    )
    family_name = models.CharField(_("family name"), max_length=100, blank=True, db_default="", default="")
    given_name = models.CharField(_("given name"), max_length=100, blank=True, db_default="", default="")
    name_sort = models.CharField(
        _("sort key"),
        max_length=200,
        blank=True,
        db_default="",
        default="",
        help_text=_("Names sort by this key: pinyin for Chinese names."),
    )
    search_tokens = ArrayField(
        models.TextField(), verbose_name=_("search tokens"), default=list, db_default=[], blank=True
    )
    language = models.CharField(
        _("language"), max_length=12, choices=Language.choices, blank=True, db_default="", default=""
    )
    time_zone = models.CharField(_("time zone"), max_length=64, blank=True, db_default="", default="")
    birthday = models.DateField(_("birthday"), null=True, blank=True)
    birthday_is_lunar = models.BooleanField(_("lunar birthday"), db_default=False, default=False)
    country = models.CharField(_("country"), max_length=2, blank=True, db_default="", default="")
    region = models.CharField(_("region"), max_length=80, blank=True, db_default="", default="")
    traits = models.JSONField(_("traits"), default=dict, db_default={}, blank=True)
    value_sources = models.JSONField(
        _("value sources"),
        default=dict,
        db_default={},
        blank=True,
        help_text=_("For each value: which source gave it, and when."),
    )
    first_seen_at = models.DateTimeField(_("first seen"), null=True, blank=True)
    last_seen_at = models.DateTimeField(_("last seen"), null=True, blank=True)
    erased_at = models.DateTimeField(_("erased"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"), db_default=Now())

    objects = ProfileQuerySet.as_manager()

    class Meta:
        verbose_name = _("profile")
        verbose_name_plural = _("profiles")
        ordering = ("-id",)
        permissions = (
            ("merge_profile", _("Can merge profiles and undo merges")),
            ("erase_profile", _("Can erase a person's data")),
        )
        indexes = (
            # Read by selectors.profiles.id_sets: everybody merged into a root.
            models.Index(
                fields=("merged_into",),
                name="crm_profile_merged",
                condition=models.Q(merged_into__isnull=False),
            ),
            # Read by the people search of the admin and the API.
            GinIndex(fields=("search_tokens",), name="crm_profile_search"),
        )
        constraints = (
            models.CheckConstraint(
                condition=models.Q(merged_into__isnull=True) | ~models.Q(merged_into=models.F("id")),
                name="crm_profile_not_own_root",
            ),
        )

    def __str__(self) -> str:
        return self.display_name or f"#{self.pk}"
