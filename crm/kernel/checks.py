"""System checks of the kernel."""

from typing import Any

from django.conf import settings
from django.core.checks import Error, register


@register()
def broker_is_set(**kwargs: Any) -> list[Error]:
    """Wake-ups need a broker URL."""
    if getattr(settings, "REDIS_URL", ""):
        return []
    return [
        Error(
            "REDIS_URL is not set.", hint="Set REDIS_URL, or DATA_DIR of a running system.", id="kernel.E001"
        )
    ]
