"""The catalogue of kinds: what arrives, what it holds, and what staff decided about it.

`EventKind` is made by learning or by staff; its decisions (owner, purpose, retention, stage, blocking, schema) are
configuration and keep a history, what was learned is a sample and does not.
"""

import pghistory
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from crm.states import PropertyType, Stage, ViolationAnswer

LONGEST_RETENTION = 36_500
DECISIONS = (
    "description_en", "description_zh", "owner", "purpose", "retention_days", "stage", "is_blocked", "on_violation",
)  # fmt: skip


@pghistory.track(fields=["name", *DECISIONS], model_name="EventKindEvent")
class EventKind(models.Model):
    """A kind of touchpoint that arrived or was announced. `name` is the kind as it is stored on touchpoints."""

    name = models.CharField(_("kind"), max_length=200, unique=True)
    description_en = models.CharField(_("description in English"), max_length=500, blank=True)
    description_zh = models.CharField(_("description in Chinese"), max_length=500, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("owner"),
    )
    purpose = models.CharField(_("purpose"), max_length=300, blank=True)
    retention_days = models.PositiveIntegerField(
        _("kept for, days"), null=True, blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_RETENTION)],
    )  # fmt: skip
    stage = models.CharField(
        _("stage"), max_length=16, choices=Stage.choices, blank=True, default=Stage.UNKNOWN
    )
    is_blocked = models.BooleanField(_("blocked"), default=False)
    on_violation = models.CharField(
        _("when an event breaks the schema"), max_length=8, choices=ViolationAnswer.choices,
        default=ViolationAnswer.NOTHING,
    )  # fmt: skip
    first_seen_on = models.DateField(_("first seen"), null=True, blank=True)
    last_seen_on = models.DateField(_("last seen"), null=True, blank=True)
    # How many events the learned properties were counted over; halved now and then so that old ones fade.
    sampled = models.PositiveIntegerField(_("events looked at"), default=0)
    learned_at = models.DateTimeField(_("looked at"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"), db_default=Now())

    class Meta:
        verbose_name = _("kind of event")
        verbose_name_plural = _("kinds of events")
        ordering = ("name",)
        constraints = (
            models.CheckConstraint(
                condition=models.Q(on_violation__in=ViolationAnswer.values), name="crm_eventkind_on_violation"
            ),
            models.CheckConstraint(
                condition=models.Q(retention_days=None)
                | models.Q(retention_days__gte=1, retention_days__lte=LONGEST_RETENTION),
                name="crm_eventkind_retention",
            ),
        )

    def __str__(self) -> str:
        return self.name


@pghistory.track(pghistory.InsertEvent(), pghistory.UpdateEvent(), pghistory.DeleteEvent())
class KindProperty(models.Model):
    """One line of a kind's schema: a property, its type, whether it must be there, which values it may take."""

    kind = models.ForeignKey(EventKind, models.CASCADE, related_name="properties", verbose_name=_("kind"))
    name = models.CharField(_("property"), max_length=200)
    type = models.CharField(_("type"), max_length=10, choices=PropertyType.choices, default=PropertyType.ANY)
    is_required = models.BooleanField(_("required"), default=False)
    allowed_values = ArrayField(
        models.CharField(max_length=200), verbose_name=_("allowed values"), default=list, blank=True
    )
    description = models.CharField(_("description"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("property of a kind")
        verbose_name_plural = _("properties of kinds")
        ordering = ("name",)
        constraints = (models.UniqueConstraint(fields=("kind", "name"), name="crm_kindproperty_unique"),)

    def __str__(self) -> str:
        return self.name


class ObservedProperty(models.Model):
    """A property seen in a sample of a kind: in how many events, with which types, and a few harmless values."""

    kind = models.ForeignKey(EventKind, models.CASCADE, related_name="observed", verbose_name=_("kind"))
    name = models.CharField(_("property"), max_length=200)
    filled = models.PositiveIntegerField(_("events with a value"), default=0)
    types = models.JSONField(_("types"), default=dict)
    samples = ArrayField(models.CharField(max_length=80), verbose_name=_("sample values"), default=list)
    first_seen_at = models.DateTimeField(_("first seen"))
    last_seen_at = models.DateTimeField(_("last seen"))

    class Meta:
        verbose_name = _("observed property")
        verbose_name_plural = _("observed properties")
        ordering = ("-filled", "name")
        constraints = (models.UniqueConstraint(fields=("kind", "name"), name="crm_observedproperty_unique"),)

    def __str__(self) -> str:
        return self.name
