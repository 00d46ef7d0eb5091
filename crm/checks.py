"""System checks of crm: what would only show at night."""

from __future__ import annotations

import re
from typing import Any

from django.core.checks import Error, register

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
