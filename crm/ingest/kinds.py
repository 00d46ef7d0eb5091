"""What the catalogue of kinds has to say about an event at the door: names of the product's own are not taken from
outside, blocked kinds are refused, and a schema is obeyed as its kind asks for. No rule, no work."""

from __future__ import annotations

from functools import cache

from crm import registry
from crm.ingest.wire import Refused
from crm.selectors import catalogue
from crm.services.touchpoints import Event


@cache
def reserved() -> frozenset[str]:
    """Kinds with a typed payload: receivers rely on what they read there, so only the product records them."""
    return frozenset(kind for kind, found in registry.kinds().items() if found.payload)


def check(event: Event, warnings: list[tuple[str, str]]) -> None:
    """Obey the catalogue. Raises Refused; what is stored although it breaks the schema is appended to `warnings`."""
    kind = event.kind
    if kind in reserved():
        raise Refused("reserved_kind", "this name belongs to the product and is not taken from outside")
    rule = catalogue.rule_for(kind)
    if rule is None:
        return
    if rule.is_blocked:
        raise Refused("kind_blocked", "this kind of event is blocked")
    if rule.stage:
        event.stage = rule.stage
    fault = rule.fault_in(event.properties)
    if fault and rule.refuses:
        raise Refused("schema_violation", fault)
    if fault:
        warnings.append(("schema_violation", fault))
