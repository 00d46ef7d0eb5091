"""App configuration of members: registers knobs, roles, touchpoint kinds, receivers, surfaces and checks."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MembersConfig(AppConfig):
    """Points, for now."""

    name = "members"
    label = "members"
    verbose_name = _("Members")

    def ready(self) -> None:
        """Bring this app's entries into the registries of the apps below."""
        from importlib import import_module

        for module in (
            "knobs",
            "roles",
            "kinds",
            "receivers",
            "checks",
            "surfaces",
            "facts",
            "services.person_data",
            "processing_tags",
        ):
            import_module(f"members.{module}")
