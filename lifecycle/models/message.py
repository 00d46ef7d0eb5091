"""The outbox: one decision record per (kind, person, subject key), and what each channel did with it.

A run (SendRun) holds the lease over a batch of deliveries and points at those that are being handed over right
now, one per connection. Moving that pointer is the only write meanwhile, so a crash leaves at most one delivery in
doubt per connection.
"""

from __future__ import annotations

import uuid
from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from crm.states import Channel
from lifecycle.states import OPEN_DECISIONS, Decision, DeliveryStatus, Reason


class OutboundMessageQuerySet(models.QuerySet["OutboundMessage"]):
    """Messages by what is to be done with them."""

    def open(self) -> OutboundMessageQuerySet:
        """Not decided for good yet."""
        return self.filter(decision__in=OPEN_DECISIONS)

    def due(self, now: datetime) -> OutboundMessageQuerySet:
        """Open and due, whoever holds the lease."""
        return self.open().filter(run_at__lte=now)

    def visible_to(self, user: object) -> OutboundMessageQuerySet:
        """Rows this caller may see: staff with the view permission, or a key with the read scope."""
        if user is None or not getattr(user, "is_authenticated", False):
            return self.none()
        has_scope = getattr(user, "has_scope", None)
        if has_scope is not None:
            return self if has_scope("lifecycle.message:read") else self.none()
        return self if user.has_perm("lifecycle.view_outboundmessage") else self.none()  # type: ignore[attr-defined]


class OutboundMessage(models.Model):
    """The decision record of one message to one person.

    Here, in deliveries and in the inbox the database has no foreign keys (decision 0054): persons and messages are
    never deleted, and a check per row would cost as much as writing it. `verify_invariants` asks instead.
    """

    kind = models.CharField(_("message kind"), max_length=80)
    profile = models.ForeignKey(
        "crm.Profile",
        models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
        verbose_name=_("person"),
    )
    subject_key = models.CharField(
        _("subject key"), max_length=200, help_text=_("What it is about; a message goes once per key.")
    )
    context = models.JSONField(_("values"), default=dict, blank=True)
    language = models.CharField(_("language"), max_length=12, blank=True, default="")
    decision = models.CharField(
        _("decision"), max_length=8, choices=Decision.choices, default=Decision.QUEUED
    )
    reason = models.CharField(_("reason"), max_length=20, choices=Reason.choices, blank=True, default="")
    run_at = models.DateTimeField(_("due"))
    expires_at = models.DateTimeField(_("useful until"), null=True, blank=True)
    claims = models.PositiveSmallIntegerField(_("claims"), default=0)
    created_at = models.DateTimeField(_("created"), db_default=Now())
    decided_at = models.DateTimeField(_("decided"), null=True, blank=True)

    objects = OutboundMessageQuerySet.as_manager()

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        ordering = ["-id"]
        permissions = [("retry_outboundmessage", _("Can retry or cancel messages"))]
        constraints = [
            # also read by the decisions of one person (leading column)
            models.UniqueConstraint(fields=["profile", "kind", "subject_key"], name="lifecycle_message_once"),
            models.CheckConstraint(
                condition=models.Q(decision__in=OPEN_DECISIONS) | models.Q(decided_at__isnull=False),
                name="lifecycle_message_decided",
            ),
            models.CheckConstraint(
                condition=~models.Q(decision__in=(Decision.HELD, Decision.DROPPED, Decision.FAILED))
                | ~models.Q(reason=""),
                name="lifecycle_message_reason",
            ),
        ]
        indexes = [
            # reader: messages.claim, oldest first; small, whatever the history
            models.Index(
                fields=["run_at", "id"],
                name="lifecycle_message_due",
                condition=models.Q(decision__in=OPEN_DECISIONS),
            ),
            # reader: decisions of one cause over many people (a release, a journey)
            models.Index(fields=["subject_key", "kind"], name="lifecycle_message_subject"),
            # reader: the counts of a day on the home page; by blocks, because messages are decided about in the
            # order they were made, and a tree would cost each decision an entry
            BrinIndex(fields=["decided_at"], name="lifecycle_message_decided_on", pages_per_range=32),
        ]

    def __str__(self) -> str:
        return f"{self.kind} #{self.pk}"


class SendRun(models.Model):
    """One task that decides a batch of messages and hands over their deliveries in the order of their position.

    `undecided` are the messages it is about to decide; empty once it has. Positions below `position` are done; with
    `in_flight`, the `abreast` deliveries from `position` on were being handed over when this row was last written,
    each over a connection of its own; those above were not touched. Deleted when the run has settled all of them.
    """

    token = models.UUIDField(_("token"), primary_key=True, default=uuid.uuid4)
    undecided = ArrayField(models.BigIntegerField(), verbose_name=_("undecided"), default=list, blank=True)
    position = models.IntegerField(_("position"), default=0)
    in_flight = models.BooleanField(_("in flight"), default=False)
    abreast = models.PositiveSmallIntegerField(_("side by side"), default=1, db_default=1)
    lease_until = models.DateTimeField(_("leased until"))
    started_at = models.DateTimeField(_("started"), db_default=Now())

    class Meta:
        verbose_name = _("send run")
        verbose_name_plural = _("send runs")

    def __str__(self) -> str:
        return str(self.token)


class Delivery(models.Model):
    """One channel of one message: where it went, what the other side said, and whether its fate was ever unknown."""

    message = models.ForeignKey(
        OutboundMessage,
        models.CASCADE,
        related_name="deliveries",
        db_index=False,
        db_constraint=False,
        verbose_name=_("message"),
    )
    channel = models.CharField(_("channel"), max_length=12, choices=Channel.choices)
    contact_id = models.BigIntegerField(_("contact point"), null=True, blank=True)
    address_hash = models.CharField(_("address hash"), max_length=64, blank=True, default="")
    status = models.CharField(_("status"), max_length=8, choices=DeliveryStatus.choices)
    # The run that decided or sent it. No foreign key: the run is a lease, deleted when it is settled.
    run = models.UUIDField(_("run"), null=True, blank=True)
    position = models.IntegerField(_("position"), default=0)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next try"), null=True, blank=True)
    provider_ref = models.CharField(_("provider reference"), max_length=200, blank=True, default="")
    error = models.CharField(_("answer"), max_length=200, blank=True, default="")
    gaps = models.PositiveSmallIntegerField(
        _("gaps"),
        default=0,
        help_text=_("How often a crash left it unknown whether it had been handed over."),
    )
    gap_at = models.DateTimeField(_("last gap"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"), db_default=Now())
    # When consent, quiet hours and address were last checked; what verify_invariants judges a send by.
    claimed_at = models.DateTimeField(_("checked"), null=True, blank=True)
    settled_at = models.DateTimeField(_("settled"), null=True, blank=True)

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["message", "channel"], name="lifecycle_delivery_once"),
            models.CheckConstraint(
                condition=models.Q(status__in=(DeliveryStatus.QUEUED, DeliveryStatus.CLAIMED))
                | models.Q(settled_at__isnull=False),
                name="lifecycle_delivery_settled",
            ),
        ]
        indexes = [
            # No index here knows the status: settling a delivery then writes no index at all.
            # reader: sending.claim_retries
            models.Index(
                fields=["next_attempt_at"],
                name="lifecycle_delivery_next",
                condition=models.Q(next_attempt_at__isnull=False),
            ),
            # reader: sending settles or recovers a run
            models.Index(fields=["run"], name="lifecycle_delivery_of_run"),
            # reader: the list of gaps
            models.Index(fields=["gap_at"], name="lifecycle_delivery_gap", condition=models.Q(gaps__gt=0)),
        ]

    def __str__(self) -> str:
        return f"{self.channel} #{self.pk}"


class InboxItem(models.Model):
    """What a person finds in their own inbox, as it was rendered for them."""

    message = models.OneToOneField(
        OutboundMessage,
        models.CASCADE,
        related_name="inbox_item",
        db_constraint=False,
        verbose_name=_("message"),
    )
    profile = models.ForeignKey(
        "crm.Profile",
        models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
        verbose_name=_("person"),
    )
    subject = models.CharField(_("subject"), max_length=300)
    body = models.TextField(_("text"))
    created_at = models.DateTimeField(_("created"))
    read_at = models.DateTimeField(_("read"), null=True, blank=True)

    class Meta:
        verbose_name = _("inbox item")
        verbose_name_plural = _("inbox items")
        ordering = ["-id"]
        # reader: selectors.inbox.page, newest first
        indexes = [models.Index(fields=["profile", "-id"], name="lifecycle_inbox_person")]

    def __str__(self) -> str:
        return f"#{self.pk}"
