"""Source and ApiKey: the two kinds of key by which other systems reach us.

A source's write key opens the ingest door only and may be read again by staff who may see it (a browser
key is public anyway). An API key opens /api/v1/ within its scopes and is kept as a hash alone.
"""

import pghistory
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from crm.states import Trust


@pghistory.track(exclude=["write_key"])
class Source(models.Model):
    """A system that sends events: its write key, and how far its claims about people are believed."""

    name = models.CharField(_("name"), max_length=120, unique=True)
    trust = models.CharField(_("trust"), max_length=12, choices=Trust.choices, default=Trust.SERVER)
    # Unique index read by the door for every request whose key is not in the process cache.
    write_key = models.CharField(_("write key"), max_length=80, unique=True)
    is_active = models.BooleanField(_("active"), default=True)
    # What this source may send; empty means the knobs crm.source_rate and crm.source_burst.
    rate_limit = models.PositiveIntegerField(_("events per second"), null=True, blank=True)
    burst_limit = models.PositiveIntegerField(_("burst, events"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"), db_default=Now())

    class Meta:
        verbose_name = _("source")
        verbose_name_plural = _("sources")
        ordering = ("name",)
        permissions = (("view_write_key", _("Can read write keys")),)
        constraints = (
            models.CheckConstraint(condition=models.Q(trust__in=Trust.values), name="crm_source_trust"),
        )

    def __str__(self) -> str:
        return self.name


class RetiredKey(models.Model):
    """A write key that was replaced. It opens the door until `works_until`, or until somebody revokes it."""

    source = models.ForeignKey(Source, models.PROTECT, related_name="retired_keys", verbose_name=_("source"))
    # Unique index read by the door for keys that are no source's present key.
    write_key = models.CharField(_("write key"), max_length=80, unique=True)
    retired_at = models.DateTimeField(_("replaced"))
    works_until = models.DateTimeField(_("works until"))
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)
    # Moved at most every few minutes, when a process looks the key up anew.
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)

    class Meta:
        verbose_name = _("replaced write key")
        verbose_name_plural = _("replaced write keys")
        ordering = ("-retired_at", "-id")

    def __str__(self) -> str:
        return f"{self.write_key[:6]}…{self.write_key[-2:]}"


class ApiKey(models.Model):
    """A client of /api/v1/: `prefix` finds the row, `secret_hash` proves the key, `scopes` limit it."""

    name = models.CharField(_("name"), max_length=120)
    prefix = models.CharField(_("prefix"), max_length=16, unique=True)
    secret_hash = models.CharField(_("secret hash"), max_length=64)
    scopes = ArrayField(models.CharField(max_length=80), verbose_name=_("scopes"), default=list, blank=True)
    created_at = models.DateTimeField(_("created"), db_default=Now())
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    # What REST framework's permission checks ask of request.user.
    is_authenticated = True
    is_anonymous = False
    is_active = True
    is_staff = False
    is_superuser = False

    def has_scope(self, scope: str) -> bool:
        """True when the key carries this scope; `write` does not include `read`."""
        return scope in self.scopes
