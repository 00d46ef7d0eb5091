"""What members writes on timelines."""

from django.utils.translation import gettext_lazy as _

from crm.services import touchpoints

touchpoints.register_kind(
    "members.points.earned", label=_("Points earned"), payload={"amount": int, "cause": str, "entry_id": int}
)
touchpoints.register_kind(
    "members.points.spent", label=_("Points spent"), payload={"amount": int, "cause": str, "entry_id": int}
)
