"""System checks of crm: what would only show at night."""

from __future__ import annotations

import re
from typing import Any

from django.core.checks import Error, Warning, register

from crm import rules


@register
def identity_rules_compile(app_configs: Any, **kwargs: Any) -> list[Error]:
    """The shipped identity rules have patterns that compile and priorities that differ."""
    found = []
    for rule in rules.DEFAULTS:
        for pattern in rule.blocked_patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                found.append(
                    Error(f"pattern of {rule.kind}: {error}", hint="Mend crm/rules.py.", id="crm.E001")
                )
    if len({rule.priority for rule in rules.DEFAULTS}) != len(rules.DEFAULTS):
        found.append(Error("two identity rules share a priority", hint="Mend crm/rules.py.", id="crm.E002"))
    return found


@register
def personal_fields_are_tagged(app_configs: Any, **kwargs: Any) -> list[Warning]:
    """Somebody has looked at every field that can hold personal data, and said why it is there or that it has none."""
    from crm.selectors import processing

    where = "Enter it in processing_tags.py of its app: tag() when it holds personal data, else nothing_personal()."
    return [
        *(
            Warning(f"{name} is in no register of processing", hint=where, id="crm.W010")
            for name in processing.untagged()
        ),
        *(
            Warning(f"{name} is tagged, but is no field", hint=where, id="crm.W011")
            for name in processing.misplaced()
        ),
    ]
