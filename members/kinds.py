"""What members writes on timelines."""

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from crm.registry import register_properties
from crm.services import touchpoints

touchpoints.register_kind(
    "members.points.earned", label=_("Points earned"), payload={"amount": int, "cause": str, "entry_id": int}
)
touchpoints.register_kind(
    "members.points.spent", label=_("Points spent"), payload={"amount": int, "cause": str, "entry_id": int}
)

register_properties(
    {
        "amount": pgettext_lazy("property", "points"),
        "cause": pgettext_lazy("property", "cause"),
        "entry_id": pgettext_lazy("property", "entry"),
    }
)
