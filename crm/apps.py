"""App configuration of crm: registers knobs, roles, touchpoint kinds, receivers and checks."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CrmConfig(AppConfig):
    """The ground every other app stands on: people and touchpoints."""

    name = "crm"
    label = "crm"
    verbose_name = _("People")

    def ready(self) -> None:
        from importlib import import_module

        for module in (
            "knobs",
            "roles",
            "kinds",
            "property_names",
            "receivers",
            "checks",
            "surfaces",
            "conditions.people",
            "services.segment_exports",
            "computed_facts",
            "account_facts",
            "services.erasers",
            "services.person_files",
            "processing_tags",
            "api.authentication",
        ):
            import_module(f"crm.{module}")
