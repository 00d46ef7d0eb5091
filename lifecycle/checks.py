"""System checks of lifecycle: built-in texts and shipped journeys hold what staff's own must hold."""

from typing import Any

from django.core.checks import Error, register

from crm.kernel.errors import Invalid


@register()
def built_in_texts_are_valid(**kwargs: Any) -> list[Error]:
    """Every registered kind renders with its own samples and uses no variable it does not declare."""
    from lifecycle import registry
    from lifecycle.services import templates

    return [
        Error(
            fault, hint="Mend the template, or declare the variable in its MessageKind.", id="lifecycle.E001"
        )
        for fault in templates.built_in_faults(registry.all_kinds())
    ]


@register()
def shipped_journeys_are_valid(**kwargs: Any) -> list[Error]:
    """A journey template can be created as it is."""
    from lifecycle import definition, shipped

    faults = []
    for name, template in shipped.TEMPLATES.items():
        try:
            definition.parse(template.definition)
        except Invalid as error:
            faults.append(Error(f"{name}: {error}", hint="Mend lifecycle/shipped.py.", id="lifecycle.E002"))
    return faults
