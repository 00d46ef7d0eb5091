"""App configuration of voc: registers knobs, roles, touchpoint and message kinds, surfaces and checks."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class VocConfig(AppConfig):
    """Voice of the customer."""

    name = "voc"
    label = "voc"
    verbose_name = _("Voice of the customer")

    def ready(self) -> None:
        """Bring this app's entries into the registries of the apps below."""
        from importlib import import_module

        for module in (
            "knobs",
            "roles",
            "kinds",
            "property_names",
            "checks",
            "surfaces",
            "facts",
            "services.person_data",
            "processing_tags",
        ):
            import_module(f"voc.{module}")
