"""Identity and its rules, merges and merge suggestions: how events find their person.

An identifier belongs to one profile. A merge is one active MergeRecord (an edge from loser to winner) and
a pointer on the losing profiles; identities and events stay where they were written, so undo is exact in
any order.
"""

import pghistory
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from crm.states import IdentifierKind, MergeCause, SuggestionStatus


class Identity(models.Model):
    """One normalised identifier and the profile it was given to. Matching only; we send to contact points."""

    kind = models.CharField(_("kind"), max_length=60)
    value = models.CharField(_("value"), max_length=255)
    profile = models.ForeignKey("crm.Profile", models.PROTECT, related_name="+", verbose_name=_("profile"))
    source = models.ForeignKey(
        "crm.Source",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        verbose_name=_("source"),
    )
    verified_at = models.DateTimeField(_("verified"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"), db_default=Now())

    class Meta:
        verbose_name = _("identity")
        verbose_name_plural = _("identities")
        constraints = (
            # Also the index of every identity look-up by the door.
            models.UniqueConstraint(fields=("kind", "value"), name="crm_identity_kind_value"),
        )

    def __str__(self) -> str:
        return f"{self.kind} #{self.pk}"

    @property
    def kind_label(self) -> str:
        """What staff read for its kind; an external kind is its own label."""
        return str(IdentifierKind(self.kind).label) if self.kind in IdentifierKind.values else self.kind


@pghistory.track()
class IdentityRule(models.Model):
    """What one kind of identifier may do: values nobody owns, how many a person may have, and its weight."""

    kind = models.CharField(_("kind"), max_length=60, unique=True)
    priority = models.PositiveSmallIntegerField(
        _("priority"),
        help_text=_("1 is the strongest. When a limit would break, the weakest identifier is left out."),
    )
    limit = models.PositiveSmallIntegerField(
        _("limit"), help_text=_("How many identifiers of this kind one person may have.")
    )
    blocked_values = ArrayField(
        models.CharField(max_length=255),
        verbose_name=_("blocked values"),
        default=list,
        blank=True,
        help_text=_("Compared without regard to case."),
    )
    blocked_patterns = ArrayField(
        models.CharField(max_length=255),
        verbose_name=_("blocked patterns"),
        default=list,
        blank=True,
        help_text=_("Regular expressions that must match the whole value."),
    )
    origins = models.JSONField(
        _("where blocked values came from"),
        default=dict,
        db_default={},
        blank=True,
        help_text=_("Per value that staff added: who, when and why. The others are shipped."),
    )
    names_person = models.BooleanField(
        _("names a person"),
        default=True,
        help_text=_("Off for identifiers of a device: a profile with only such identifiers is anonymous."),
    )

    class Meta:
        verbose_name = _("identity rule")
        verbose_name_plural = _("identity rules")
        ordering = ("priority", "kind")
        constraints = (
            models.CheckConstraint(condition=models.Q(limit__gte=1), name="crm_identityrule_limit"),
        )

    def __str__(self) -> str:
        return self.kind


class MergeRecord(models.Model):
    """One merge: an edge from loser to winner. Undone records stay, with who undid them and when."""

    winner = models.ForeignKey(
        "crm.Profile", models.PROTECT, related_name="+", verbose_name=_("kept profile")
    )
    loser = models.ForeignKey(
        "crm.Profile", models.PROTECT, related_name="+", verbose_name=_("merged profile")
    )
    cause = models.CharField(_("cause"), max_length=12, choices=MergeCause.choices)
    changes = models.JSONField(
        _("changes"),
        default=dict,
        blank=True,
        help_text=_("Values the kept profile took over, with what they replaced."),
    )
    actor = models.CharField(_("actor"), max_length=80)
    created_at = models.DateTimeField(_("created"), db_default=Now())
    undone_at = models.DateTimeField(_("undone"), null=True, blank=True)
    undone_by = models.CharField(_("undone by"), max_length=80, blank=True, default="")

    class Meta:
        verbose_name = _("merge")
        verbose_name_plural = _("merges")
        ordering = ("-id",)
        constraints = (
            # A profile loses at most once at a time: active records form a forest.
            models.UniqueConstraint(
                fields=("loser",),
                condition=models.Q(undone_at__isnull=True),
                name="crm_mergerecord_active_loser",
            ),
            models.CheckConstraint(
                condition=~models.Q(winner=models.F("loser")), name="crm_mergerecord_not_self"
            ),
        )

    def __str__(self) -> str:
        return f"#{self.loser_id} → #{self.winner_id}"


class MergeSuggestion(models.Model):
    """Two people who may be one, seen by a source that may not decide it. Staff merge or dismiss."""

    first = models.ForeignKey(
        "crm.Profile", models.PROTECT, related_name="+", verbose_name=_("first profile")
    )
    second = models.ForeignKey(
        "crm.Profile", models.PROTECT, related_name="+", verbose_name=_("second profile")
    )
    reason = models.CharField(_("reason"), max_length=80, blank=True, default="")
    score = models.PositiveSmallIntegerField(_("score"), default=40, db_default=40)
    evidence = models.JSONField(
        _("evidence"),
        default=list,
        db_default=[],
        blank=True,
        help_text=_("What speaks for it: a code each, and a hash of the value that both have."),
    )
    status = models.CharField(
        _("status"), max_length=12, choices=SuggestionStatus.choices, default=SuggestionStatus.OPEN
    )
    source = models.ForeignKey(
        "crm.Source", models.PROTECT, null=True, related_name="+", verbose_name=_("source")
    )
    created_at = models.DateTimeField(_("created"), db_default=Now())
    decided_at = models.DateTimeField(_("decided"), null=True, blank=True)
    decided_by = models.CharField(_("decided by"), max_length=80, blank=True, db_default="", default="")

    class Meta:
        verbose_name = _("merge suggestion")
        verbose_name_plural = _("merge suggestions")
        ordering = ("-id",)
        indexes = (
            # Read by the list of open suggestions, the likeliest first.
            models.Index(
                fields=("-score", "-id"), name="crm_suggestion_open", condition=models.Q(status="open")
            ),
        )
        constraints = (
            models.UniqueConstraint(fields=("first", "second"), name="crm_mergesuggestion_pair"),
            models.CheckConstraint(
                condition=models.Q(first__lt=models.F("second")), name="crm_mergesuggestion_ordered"
            ),
            models.CheckConstraint(
                condition=models.Q(status="open", decided_at__isnull=True)
                | (~models.Q(status="open") & models.Q(decided_at__isnull=False)),
                name="crm_mergesuggestion_decided",
            ),
        )

    def __str__(self) -> str:
        return f"#{self.first_id} ~ #{self.second_id}"
