"""Staff pages that belong to no single app; Django's autodiscovery reads this module."""

from django.contrib import admin
from django_otp.plugins.otp_totp.models import TOTPDevice

from config import knobs_admin  # noqa: F401
from crm.kernel import log_admin  # noqa: F401

# Its page would show the secrets of everybody's second factor.
if admin.site.is_registered(TOTPDevice):
    admin.site.unregister(TOTPDevice)
