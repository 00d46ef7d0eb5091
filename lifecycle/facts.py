"""What lifecycle knows of people, for the conditions of segments."""

from __future__ import annotations

from datetime import datetime

from django.utils.translation import gettext_lazy as _

from crm.conditions import verbs
from crm.registry import facts
from lifecycle.models import Journey
from lifecycle.states import EnrolmentStatus


def _on_the_way(now: datetime) -> facts.Rows:
    return (
        "SELECT profile_id, journey_id::text AS value FROM lifecycle_enrolment WHERE status = %s",
        [EnrolmentStatus.WAITING.value],
    )


def _journeys() -> list[tuple[str, str]]:
    return [(str(pk), name) for pk, name in Journey.objects.order_by("name").values_list("pk", "name")[:200]]


facts.register(
    "lifecycle.journey", label=_("journey they are on"), type=facts.CHOICE, group=_("Journeys and messages"),
    rows=_on_the_way, choices=_journeys, changed_by=("lifecycle.journey.entered", "lifecycle.journey.converted"),
    phrases={
        "eq": _("is on the journey %(value)s"), "not eq": _("is not on the journey %(value)s"),
        "is_set": _("is on a journey"), "not is_set": _("is on no journey"),
    },
)  # fmt: skip

verbs.register("lifecycle.message.sent", did=_("got a message"), did_not=_("has got no message"))
verbs.register("lifecycle.message.read", did=_("read a message"), did_not=_("has read no message"))
