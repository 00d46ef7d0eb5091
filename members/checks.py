"""System checks of members."""

from typing import Any

from django.core.checks import Error, register

from crm.kernel import reactions


@register()
def merges_are_heard(**kwargs: Any) -> list[Error]:
    """Points follow people only while the receivers of merges are subscribed."""
    missing = [
        kind
        for kind in ("crm.profile.merged", "crm.profile.unmerged", "voc.fix.told")
        if not any(r.name.startswith("members.") for r in reactions.subscribers_of(kind))
    ]
    if not missing:
        return []
    return [
        Error(
            f"No receiver of members listens to {', '.join(missing)}.",
            hint="Import members.receivers in MembersConfig.ready().",
            id="members.E001",
        )
    ]
