"""Accounts: the companies and teams that people belong to, as group calls and staff tell it.

A membership stays with the profile it was written with, like identities and events; who belongs to an account now
is read over the ids of each person, so a merge and its undo need no work here. The roll-up is kept, never counted
while a page is read.
"""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from crm.models.functions import UUIDv7
from crm.states import Trust


class AccountQuerySet(models.QuerySet["Account"]):
    """The vocabulary of reading accounts."""

    def visible_to(self, user: object) -> "AccountQuerySet":
        """Rows this caller may see: staff with the view permission, or a key with the read scope."""
        if user is None or not getattr(user, "is_authenticated", False):
            return self.none()
        has_scope = getattr(user, "has_scope", None)
        if has_scope is not None:
            return self if has_scope("crm.account:read") or has_scope("crm.account:write") else self.none()
        return self if user.has_perm("crm.view_account") else self.none()  # type: ignore[attr-defined]


class Account(models.Model):
    """A company or team: its key (the `groupId` of group calls), what is known of it, and its roll-up."""

    public_id = models.UUIDField(_("public ID"), unique=True, editable=False, db_default=UUIDv7())
    group_id = models.CharField(_("group ID"), max_length=255, unique=True)
    name = models.CharField(_("name"), max_length=200, blank=True, db_default="", default="")
    domain = models.CharField(
        _("e-mail domain"), max_length=253, blank=True, db_default="", default="", help_text=_("Without @.")
    )
    traits = models.JSONField(_("traits"), default=dict, db_default={}, blank=True)
    value_sources = models.JSONField(_("value sources"), default=dict, db_default={}, blank=True)
    search_tokens = ArrayField(
        models.TextField(), verbose_name=_("search tokens"), default=list, db_default=[], blank=True
    )
    people = models.PositiveIntegerField(_("people"), default=0, db_default=0)
    touchpoints_lately = models.PositiveBigIntegerField(_("touchpoints in 30 days"), default=0, db_default=0)
    last_seen_at = models.DateTimeField(_("last seen"), null=True, blank=True)
    orders = models.JSONField(
        _("orders"),
        default=dict,
        db_default={},
        blank=True,
        help_text=_("Per currency: the number of orders and their sum in minor units."),
    )
    figures = models.JSONField(_("figures of other apps"), default=dict, db_default={}, blank=True)
    rolled_up_at = models.DateTimeField(_("rolled up"), null=True, blank=True)
    stale_at = models.DateTimeField(_("to be rolled up since"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"), db_default=Now())

    objects = AccountQuerySet.as_manager()

    class Meta:
        verbose_name = _("account")
        verbose_name_plural = _("accounts")
        ordering = ("-id",)
        indexes = (
            # Read by the search of the account list.
            GinIndex(fields=("search_tokens",), name="crm_account_search"),
            # Read by services.accounts.roll_up_stale.
            models.Index(
                fields=("stale_at",), name="crm_account_stale", condition=models.Q(stale_at__isnull=False)
            ),
        )

    def __str__(self) -> str:
        return self.name or self.group_id


class AccountMembership(models.Model):
    """That a person belongs to an account, in which role, since when; ended ones stay."""

    account = models.ForeignKey(
        "crm.Account", models.PROTECT, related_name="+", db_index=False, verbose_name=_("account")
    )
    profile = models.ForeignKey("crm.Profile", models.PROTECT, related_name="+", verbose_name=_("profile"))
    role = models.CharField(_("role"), max_length=80, blank=True, db_default="", default="")
    trust = models.CharField(
        _("trust"),
        max_length=12,
        choices=[*Trust.choices, ("staff", _("Staff"))],
        help_text=_("What a public browser key says is a claim, shown as such."),
    )
    since = models.DateTimeField(_("since"))
    until = models.DateTimeField(_("until"), null=True, blank=True)

    class Meta:
        verbose_name = _("account membership")
        verbose_name_plural = _("account memberships")
        constraints = (
            # Also read by the account page and the roll-up (leading column).
            models.UniqueConstraint(fields=("account", "profile"), name="crm_membership_unique"),
            models.CheckConstraint(
                condition=models.Q(until__isnull=True) | models.Q(until__gte=models.F("since")),
                name="crm_membership_span",
            ),
        )

    def __str__(self) -> str:
        return f"#{self.profile_id} @ #{self.account_id}"
