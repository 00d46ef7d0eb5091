"""App configuration of lifecycle: registers knobs, roles, kinds, receivers, surfaces and checks."""

from importlib import import_module

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class LifecycleConfig(AppConfig):
    """Messages and journeys."""

    name = "lifecycle"
    label = "lifecycle"
    verbose_name = _("Messages and journeys")

    def ready(self) -> None:
        """Bring everything that has a registry into it."""
        for module in (
            "knobs",
            "roles",
            "kinds",
            "property_names",
            "receivers",
            "checks",
            "surfaces",
            "facts",
            "services.person_data",
            "processing_tags",
        ):
            import_module(f"lifecycle.{module}")
