"""Roles of staff as Django groups: agent, lead, analyst, admin.

Each app says in its `roles.py` what a role may do; `sync()` writes the groups. Permissions that staff added
to a group by hand stay; those granted here always come back, so an upgrade never leaves a role half able.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from django.contrib.auth.models import Group, Permission
from django.db.models import Q

ROLES: Final = ("agent", "lead", "analyst", "admin")
_grants: dict[str, set[str]] = defaultdict(set)


def grant(role: str, *permissions: str) -> None:
    """Give `role` the permissions, each written `app.codename`. A lead can all an agent can, an admin all."""
    if role not in ROLES:
        raise ValueError(f"role {role!r} is none of {', '.join(ROLES)}")
    _grants[role].update(permissions)


def permissions_of(role: str) -> frozenset[str]:
    """Everything `role` may do, with what it inherits: agent -> lead -> admin; analyst -> admin."""
    names = set(_grants[role])
    if role in ("lead", "admin"):
        names |= _grants["agent"]
    if role == "admin":
        names |= _grants["lead"] | _grants["analyst"]
    return frozenset(names)


def sync() -> dict[str, int]:
    """Write the groups. Returns permissions per role; raises LookupError for an unknown name."""
    written = {}
    for role in ROLES:
        wanted = permissions_of(role)
        condition = Q(pk__in=[])
        for name in wanted:
            app, _, codename = name.partition(".")
            condition |= Q(content_type__app_label=app, codename=codename)
        found = list(Permission.objects.filter(condition).select_related("content_type"))
        missing = wanted - {f"{p.content_type.app_label}.{p.codename}" for p in found}
        if missing:
            raise LookupError(f"role {role}: no such permission: {', '.join(sorted(missing))}")
        group, _created = Group.objects.get_or_create(name=role)
        group.permissions.add(*found)
        written[role] = len(found)
    return written
