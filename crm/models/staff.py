"""StaffUser: a person who works here and signs in to the admin. Customers are profiles, never users."""

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from crm.states import Language


class StaffUser(AbstractUser):
    """The AUTH_USER_MODEL: Django's user with the reader's language, time zone and team."""

    language = models.CharField(
        _("language"), max_length=12, choices=Language.choices, blank=True, default=""
    )
    time_zone = models.CharField(_("time zone"), max_length=64, blank=True, default="")
    team = models.CharField(_("team"), max_length=80, blank=True, default="")

    class Meta(AbstractUser.Meta):
        verbose_name = _("staff user")
        verbose_name_plural = _("staff users")
