"""Ticket, its followers and its append-only history.

A merge of tickets moves a pointer: followers, feedback and notices stay where they were written and are read
over the set of a root and everything merged into it, so undo is exact. `merged_into` always names the root.
`round` counts how often the same thing had to be fixed: a reopened ticket is a new round, and each round may
tell its followers once.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.utils.translation import gettext_lazy as _

from voc.models.tokens import public_token
from voc.states import OPEN_STATUSES, FollowerRole, Severity, TicketEventKind, TicketKind, TicketStatus


class TicketQuerySet(models.QuerySet["Ticket"]):
    """The vocabulary of reading tickets."""

    def open(self) -> TicketQuerySet:
        """Tickets whose promise clock runs."""
        return self.filter(status__in=OPEN_STATUSES)

    def overdue(self, now: datetime) -> TicketQuerySet:
        """Open tickets past their promised date."""
        return self.open().filter(due_at__lt=now)

    def roots(self) -> TicketQuerySet:
        """Tickets that were not merged into another one."""
        return self.filter(merged_into=None)

    def visible_to(self, user: Any) -> TicketQuerySet:
        """Rows this caller may see: staff with the view permission, or an API key let in by its scope."""
        if user is None or not getattr(user, "is_authenticated", False):
            return self.none()
        if hasattr(user, "has_scope"):
            return (
                self
                if any(user.has_scope(f"voc.ticket:{verb}") for verb in ("read", "write"))
                else self.none()
            )
        return self if user.has_perm("voc.view_ticket") else self.none()


class Ticket(models.Model):
    """One thing that people asked of us, with the date we owe it by. Its number is its key."""

    token = models.CharField(
        _("public token"), max_length=32, unique=True, editable=False, default=public_token
    )
    title = models.CharField(_("title"), max_length=200)
    description = models.TextField(_("description"), blank=True, default="")
    kind = models.CharField(_("kind"), max_length=12, choices=TicketKind.choices, default=TicketKind.REQUEST)
    severity = models.CharField(
        _("severity"), max_length=12, choices=Severity.choices, default=Severity.NORMAL
    )
    theme = models.CharField(_("theme"), max_length=80, blank=True, default="")
    status = models.CharField(
        _("status"), max_length=12, choices=TicketStatus.choices, default=TicketStatus.OPEN
    )
    assignee = models.ForeignKey(
        "crm.StaffUser", models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("assignee")
    )
    merged_into = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("merged into")
    )
    round = models.PositiveIntegerField(_("round"), default=1)
    first_voice_at = models.DateTimeField(_("first voice"))
    due_at = models.DateTimeField(_("promised by"))
    status_changed_at = models.DateTimeField(_("in this status since"))
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)
    tokens = ArrayField(models.TextField(), verbose_name=_("tokens"), default=list, blank=True)
    created_by = models.CharField(_("opened by"), max_length=80)
    created_at = models.DateTimeField(_("opened"))

    objects = TicketQuerySet.as_manager()

    class Meta:
        verbose_name = _("ticket")
        verbose_name_plural = _("tickets")
        ordering = ("-id",)
        permissions = (("merge_ticket", _("Can merge tickets and undo merges")),)
        indexes = (
            # Read by the ticket list and the home page: what is open, by promised date.
            models.Index(
                fields=("due_at", "id"), name="voc_ticket_clock", condition=models.Q(status__in=OPEN_STATUSES)
            ),
            # Read by similarity.find.
            GinIndex(fields=("tokens",), name="voc_ticket_tokens"),
        )
        constraints = (
            models.CheckConstraint(
                condition=models.Q(status=TicketStatus.DUPLICATE, merged_into__isnull=False)
                | (~models.Q(status=TicketStatus.DUPLICATE) & models.Q(merged_into__isnull=True)),
                name="voc_ticket_duplicate_has_root",
            ),
            models.CheckConstraint(
                condition=~models.Q(merged_into=models.F("id")), name="voc_ticket_not_own_root"
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=OPEN_STATUSES, closed_at__isnull=True)
                | (~models.Q(status__in=OPEN_STATUSES) & models.Q(closed_at__isnull=False)),
                name="voc_ticket_closed_has_time",
            ),
        )

    def __str__(self) -> str:
        return f"#{self.pk} {self.title}"

    @property
    def number(self) -> int:
        """What people call it."""
        return self.pk

    @property
    def is_open(self) -> bool:
        """Whether the promise clock runs."""
        return self.status in OPEN_STATUSES


class TicketFollower(models.Model):
    """Somebody who is to be told. Leaving keeps the row, so that what happened stays readable."""

    ticket = models.ForeignKey(
        "voc.Ticket", models.PROTECT, related_name="followers", db_index=False, verbose_name=_("ticket")
    )
    profile = models.ForeignKey("crm.Profile", models.PROTECT, related_name="+", verbose_name=_("person"))
    role = models.CharField(_("role"), max_length=12, choices=FollowerRole.choices)
    may_name = models.BooleanField(_("may be credited"), default=False)
    credit_name = models.CharField(_("name to credit"), max_length=40, blank=True, default="")
    created_at = models.DateTimeField(_("since"))
    left_at = models.DateTimeField(_("left"), null=True, blank=True)

    class Meta:
        verbose_name = _("follower")
        verbose_name_plural = _("followers")
        constraints = (
            # Also read by telling and by the ticket page (leading column).
            models.UniqueConstraint(fields=("ticket", "profile"), name="voc_follower_once"),
        )

    def __str__(self) -> str:
        return f"{self.role} #{self.pk}"


class TicketEvent(models.Model):
    """One thing that happened to a ticket. The database refuses to change or delete it."""

    ticket = models.ForeignKey(
        "voc.Ticket", models.PROTECT, related_name="events", db_index=False, verbose_name=_("ticket")
    )
    kind = models.CharField(_("kind"), max_length=16, choices=TicketEventKind.choices)
    from_status = models.CharField(
        _("from"), max_length=12, choices=TicketStatus.choices, blank=True, default=""
    )
    to_status = models.CharField(_("to"), max_length=12, choices=TicketStatus.choices, blank=True, default="")
    note = models.CharField(_("note"), max_length=500, blank=True, default="")
    data = models.JSONField(_("data"), default=dict, blank=True)
    actor = models.CharField(_("by"), max_length=80)
    at = models.DateTimeField(_("at"))

    class Meta:
        verbose_name = _("ticket event")
        verbose_name_plural = _("ticket events")
        ordering = ("-id",)
        # Read by the history on the ticket page and in the API.
        indexes = (models.Index(fields=("ticket", "-id"), name="voc_ticketevent_history"),)

    def __str__(self) -> str:
        return f"{self.kind} #{self.ticket_id}"
