"""What the views of voc share: people in and out."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework.request import Request

from crm.kernel.errors import NotFound
from crm.selectors import profiles as profile_reads
from voc.models import Ticket
from voc.services import feedback

IDENTIFIERS = ("user_id", "email", "phone", "anonymous_id")


def person_of(data: dict[str, Any] | None) -> feedback.Person | None:
    """The person of an input, or None when nothing identifies them."""
    if not data:
        return None
    identifiers = tuple((kind, data[kind]) for kind in IDENTIFIERS if kind != "email" and data.get(kind))
    if not identifiers and not data.get("email"):
        return None
    return feedback.Person(identifiers=identifiers, email=data.get("email", ""), name=data.get("name", ""))


def profile_of(public_id: Any, *, request: Request) -> int:
    """The profile of a public id that the caller may see. Raises NotFound."""
    profile = profile_reads.by_public_id(public_id)
    user = request.user
    allowed = (
        user.has_scope("crm.profile:read")
        if hasattr(user, "has_scope")
        else user.has_perm("crm.view_profile")
    )
    if profile is None or not allowed:
        raise NotFound(_("There is no such person."), code="no_such_profile", field="profile")
    return profile.pk


def cards_for(rows: list[Any]) -> dict[int, Any]:
    """Cards of the people on a page of rows."""
    return profile_reads.cards({row.profile_id for row in rows if row.profile_id is not None})


def read(serializer_class: Any, request: Request, *, partial: bool = False) -> dict[str, Any]:
    """The validated input."""
    serializer = serializer_class(data=request.data, partial=partial)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def visible_ticket(request: Request, ticket_id: Any, *, field: str = "ticket") -> Ticket:
    """A ticket named in a body that the caller may see. Raises NotFound."""
    ticket = Ticket.objects.visible_to(request.user).filter(pk=ticket_id).first()
    if ticket is None:
        raise NotFound(_("There is no such ticket."), code="no_such_ticket", field=field)
    return ticket
