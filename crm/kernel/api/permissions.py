"""Who may call what: scopes for API keys, Django permissions for staff sessions."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

VERBS = {"POST": "add", "PUT": "change", "PATCH": "change", "DELETE": "delete"}


class ScopedPermission(BasePermission):
    """A view names its noun in `scope`, as `voc.ticket`.

    An API key needs `voc.ticket:read` or `voc.ticket:write`. A member of staff needs the model permission
    (view, add, change, delete), or the one that `action_permissions` names for an action.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether the caller may use this method of this view."""
        reading = request.method in SAFE_METHODS
        scopes = getattr(request.auth, "scopes", None)
        if scopes is not None:
            return f"{view.scope}:{'read' if reading else 'write'}" in scopes
        user = request.user
        if not (user and user.is_authenticated and user.is_active and user.is_staff):
            return False
        app, _, noun = view.scope.partition(".")
        named = getattr(view, "action_permissions", {}).get(getattr(view, "action", None))
        if named is not None:
            return user.has_perm(named)
        verb = "view" if reading else VERBS.get(request.method or "", "change")
        if verb == "add" and getattr(view, "detail", False):
            verb = "change"  # an action on an existing row
        return user.has_perm(f"{app}.{verb}_{noun}")
