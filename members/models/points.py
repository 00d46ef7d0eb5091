"""The points ledger: accounts, append-only entries, and which credit each debit spent.

`PointsEntry.amount` is positive for a credit and negative for a debit; the balance of an account is the sum of
its entries and the database refuses one below zero. A credit is a lot: `LotSpend` rows say how much of it
is gone, and each debit is paired with the lots it spent, the first to expire first.
"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from members.states import EntryKind


class PointsQuerySet(models.QuerySet[Any]):
    """The vocabulary of reading accounts and entries."""

    def visible_to(self, user: Any) -> PointsQuerySet:
        """Rows this caller may see: staff with the view permission, or an API key let in by its scope."""
        if user is None or not getattr(user, "is_authenticated", False):
            return self.none()
        if hasattr(user, "has_scope"):
            return (
                self
                if any(user.has_scope(f"members.points:{verb}") for verb in ("read", "write"))
                else self.none()
            )
        return self if user.has_perm("members.view_pointsaccount") else self.none()


class PointsAccount(models.Model):
    """What one profile holds. Created with the first entry. Here and in entries no foreign keys: decision 0054."""

    profile = models.OneToOneField(
        "crm.Profile", models.PROTECT, related_name="+", db_constraint=False, verbose_name=_("person")
    )
    balance = models.BigIntegerField(_("balance"), default=0)
    created_at = models.DateTimeField(_("created"))

    objects = PointsQuerySet.as_manager()

    class Meta:
        verbose_name = _("points account")
        verbose_name_plural = _("points accounts")
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(condition=models.Q(balance__gte=0), name="members_account_not_negative"),
        )

    def __str__(self) -> str:
        return f"#{self.pk}"


class PointsEntry(models.Model):
    """One movement of points. The database refuses to change or delete it; a correction is another entry."""

    account = models.ForeignKey(
        PointsAccount,
        models.PROTECT,
        related_name="entries",
        db_index=False,
        db_constraint=False,
        verbose_name=_("account"),
    )
    kind = models.CharField(_("kind"), max_length=12, choices=EntryKind.choices)
    amount = models.BigIntegerField(_("points"))
    idempotency_key = models.CharField(_("key"), max_length=200, unique=True)
    request_hash = models.CharField(_("request hash"), max_length=64, blank=True, default="")
    note = models.CharField(_("note"), max_length=200, blank=True, default="")
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    missing = models.BigIntegerField(
        _("missing"), default=0, help_text=_("What could not be moved back when a merge was undone.")
    )
    balance_after = models.BigIntegerField(_("balance after"))
    actor = models.CharField(_("by"), max_length=80)
    created_at = models.DateTimeField(_("booked"))

    objects = PointsQuerySet.as_manager()

    class Meta:
        verbose_name = _("points entry")
        verbose_name_plural = _("points entries")
        ordering = ("-id",)
        # Read by the ledger of one account, newest first, and by the sum that verify_ledgers takes.
        indexes = (models.Index(fields=("account", "-id"), name="members_entry_ledger"),)
        constraints = (
            models.CheckConstraint(
                condition=~models.Q(amount=0) | models.Q(kind=EntryKind.SHORTFALL),
                name="members_entry_not_zero",
            ),
            models.CheckConstraint(
                condition=models.Q(balance_after__gte=0), name="members_entry_balance_not_negative"
            ),
        )

    def __str__(self) -> str:
        return f"{self.amount:+d} #{self.pk}"


class LotSpend(models.Model):
    """How much of a credit a debit took. Append-only, like the entries."""

    credit = models.ForeignKey(PointsEntry, models.PROTECT, related_name="spends", verbose_name=_("credit"))
    debit = models.ForeignKey(PointsEntry, models.PROTECT, related_name="lots", verbose_name=_("debit"))
    amount = models.BigIntegerField(_("points"))

    class Meta:
        verbose_name = _("spent lot")
        verbose_name_plural = _("spent lots")
        constraints = (
            models.UniqueConstraint(fields=("debit", "credit"), name="members_lotspend_once"),
            models.CheckConstraint(condition=models.Q(amount__gt=0), name="members_lotspend_positive"),
        )

    def __str__(self) -> str:
        return f"{self.amount} #{self.pk}"
