"""App configuration of the kernel."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class KernelConfig(AppConfig):
    """The kernel is an app of its own: its tables belong to nobody else."""

    name = "crm.kernel"
    label = "kernel"
    verbose_name = _("System")

    def ready(self) -> None:
        """Bring the checks and the kernel's own knobs and roles into their registries."""
        from crm.kernel import lookups

        lookups.register()
        from crm.kernel import checks, role_grants  # noqa: F401
