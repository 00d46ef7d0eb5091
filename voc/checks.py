"""System checks of voc."""

from typing import Any

from django.core.checks import Error, register

from lifecycle import registry
from voc.kinds import FIX_TOLD
from voc.states import TICKET_TRANSITIONS, TicketStatus


@register()
def every_status_has_a_row(**kwargs: Any) -> list[Error]:
    """The transition table knows every status, as a start and as an end."""
    known = set(TICKET_TRANSITIONS) | {
        status for targets in TICKET_TRANSITIONS.values() for status in targets
    }
    missing = sorted(set(TicketStatus.values) - {str(status) for status in known})
    if not missing:
        return []
    return [
        Error(
            f"Ticket statuses without a row in TICKET_TRANSITIONS: {', '.join(missing)}.",
            hint="Add them to voc/states.py.",
            id="voc.E001",
        )
    ]


@register()
def the_message_is_registered(**kwargs: Any) -> list[Error]:
    """Telling needs its message kind, in both languages."""
    kind = registry.find(FIX_TOLD)
    if kind is not None and {"en", "zh-hans"} <= set(kind.templates):
        return []
    return [
        Error(
            f"The message kind {FIX_TOLD} is missing or lacks a language.",
            hint="Register it in voc/kinds.py with templates for en and zh-hans.",
            id="voc.E002",
        )
    ]
