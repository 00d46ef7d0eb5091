"""Feedback: one voice, as it was said, with the channel it came through and what was decided about it."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.utils.translation import gettext_lazy as _

from voc.states import FeedbackChannel, FeedbackStatus


class FeedbackQuerySet(models.QuerySet["Feedback"]):
    """The vocabulary of reading voices."""

    def undecided(self) -> FeedbackQuerySet:
        """Voices that nobody has decided about."""
        return self.filter(status=FeedbackStatus.NEW)

    def visible_to(self, user: Any) -> FeedbackQuerySet:
        """Rows this caller may see: staff with the view permission, or an API key let in by its scope."""
        if user is None or not getattr(user, "is_authenticated", False):
            return self.none()
        if hasattr(user, "has_scope"):
            return (
                self
                if any(user.has_scope(f"voc.feedback:{verb}") for verb in ("read", "write"))
                else self.none()
            )
        return self if user.has_perm("voc.view_feedback") else self.none()


class Feedback(models.Model):
    """What somebody told us. The text is never changed; the decision about it is."""

    token = models.CharField(_("public token"), max_length=32, unique=True, editable=False)
    channel = models.CharField(_("channel"), max_length=12, choices=FeedbackChannel.choices)
    text = models.TextField(_("text"))
    profile = models.ForeignKey(
        "crm.Profile", models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("person")
    )
    credit_name = models.CharField(
        _("name to credit"), max_length=40, blank=True, default="", help_text=_("As the person wrote it.")
    )
    may_name = models.BooleanField(_("may be credited"), default=False)
    reference = models.CharField(
        _("reference"),
        max_length=200,
        blank=True,
        default="",
        help_text=_("Where it can be read: a call, a post."),
    )
    status = models.CharField(
        _("status"), max_length=12, choices=FeedbackStatus.choices, default=FeedbackStatus.NEW
    )
    ticket = models.ForeignKey(
        "voc.Ticket",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="feedbacks",
        verbose_name=_("ticket"),
    )
    reason = models.CharField(_("reason"), max_length=200, blank=True, default="")
    tokens = ArrayField(models.TextField(), verbose_name=_("tokens"), default=list, blank=True)
    created_by = models.CharField(_("entered by"), max_length=80)
    created_at = models.DateTimeField(_("received"))
    decided_by = models.CharField(_("decided by"), max_length=80, blank=True, default="")
    decided_at = models.DateTimeField(_("decided"), null=True, blank=True)

    objects = FeedbackQuerySet.as_manager()

    class Meta:
        verbose_name = _("feedback")
        verbose_name_plural = _("feedback")
        ordering = ("-id",)
        indexes = (
            # Read by the inbox: undecided voices, newest first.
            models.Index(fields=("status", "-id"), name="voc_feedback_inbox"),
            # Read by similarity.find through the ticket a voice is on.
            GinIndex(fields=("tokens",), name="voc_feedback_tokens"),
        )
        constraints = (
            models.CheckConstraint(
                condition=models.Q(status=FeedbackStatus.ATTACHED, ticket__isnull=False)
                | (~models.Q(status=FeedbackStatus.ATTACHED) & models.Q(ticket__isnull=True)),
                name="voc_feedback_attached_has_ticket",
            ),
            models.CheckConstraint(
                condition=models.Q(status=FeedbackStatus.NEW) | models.Q(decided_at__isnull=False),
                name="voc_feedback_decided_has_time",
            ),
        )

    def __str__(self) -> str:
        return self.text if len(self.text) <= 60 else f"{self.text[:59]}…"
