"""Tickets over the API."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from crm.kernel import clock
from crm.kernel.api.pagination import CursorPagination
from crm.kernel.api.views import IDEMPOTENCY_HEADER, ServiceViewSet
from crm.kernel.errors import Invalid
from crm.selectors import profiles as profile_reads
from voc.api import serializers
from voc.api.filters import TicketFilter
from voc.api.views import base
from voc.models import Ticket, TicketEvent, TicketFollower
from voc.selectors import tickets as ticket_reads
from voc.services import feedback, ticket_merges, tickets

ORDERINGS = {"-id": ("-id",), "due_at": ("due_at", "id")}
ORDERING = OpenApiParameter(
    "ordering", str, enum=list(ORDERINGS), description="Newest first (default), or by promised date."
)


class TicketPagination(CursorPagination):
    """Newest first, or by promised date."""

    def get_ordering(self, request: Request, queryset: Any, view: Any) -> tuple[str, ...]:
        """The ordering asked for. Raises Invalid for another one."""
        wanted = request.query_params.get("ordering", "-id")
        if wanted not in ORDERINGS:
            raise Invalid(
                _("Allowed: %(allowed)s.") % {"allowed": ", ".join(ORDERINGS)},
                code="invalid_ordering",
                field="ordering",
                allowed=list(ORDERINGS),
            )
        return ORDERINGS[wanted]


@extend_schema(tags=["tickets"])
@extend_schema_view(list=extend_schema(summary="List tickets", parameters=[ORDERING]))
class TicketViewSet(ServiceViewSet):
    """What people asked of us, by when we owe it, and who is to be told."""

    scope = "voc.ticket"
    action_permissions = {"merge": "voc.merge_ticket", "unmerge": "voc.merge_ticket"}
    queryset = Ticket.objects.none()
    serializer_class = serializers.TicketOutput
    filterset_class = TicketFilter
    pagination_class = TicketPagination
    extra_query_params = ("ordering",)
    lookup_value_regex = "[0-9]{1,18}"

    def get_queryset(self) -> Any:
        """Rows the caller may see."""
        return Ticket.objects.visible_to(self.request.user)

    def _answer(self, ticket_id: int, status: int = 200) -> Response:
        ticket = ticket_reads.with_counts(Ticket.objects.filter(pk=ticket_id)).get()
        return Response(
            serializers.TicketOutput(ticket, context=self.get_serializer_context()).data, status=status
        )

    def _visible(self, pk: str) -> Ticket:
        return get_object_or_404(self.get_queryset(), pk=pk)

    def list(self, request: Request) -> Response:
        """One page of tickets."""
        page = self.paginate_queryset(ticket_reads.with_counts(self.filter_queryset(self.get_queryset())))
        return self.get_paginated_response(
            serializers.TicketOutput(page, many=True, context=self.get_serializer_context()).data
        )

    @extend_schema(summary="Read one ticket")
    def retrieve(self, request: Request, pk: str) -> Response:
        """One ticket."""
        return self._answer(self._visible(pk).pk)

    @extend_schema(
        summary="Open a ticket",
        request=serializers.TicketInput,
        responses={201: serializers.TicketOutput},
        parameters=[IDEMPOTENCY_HEADER],
    )
    def create(self, request: Request) -> Response:
        """Open a ticket; its clock starts now."""
        data = base.read(serializers.TicketInput, request)
        if "assignee" in data:
            data["assignee_id"] = data.pop("assignee")
        ticket = tickets.open(actor=self.actor, now=clock.now(), **data)
        return self._answer(ticket.pk, status=201)

    @extend_schema(
        summary="Change a ticket", request=serializers.TicketChange, responses=serializers.TicketOutput
    )
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change title, description, kind, severity, theme or assignee."""
        data = base.read(serializers.TicketChange, request)
        if "assignee" in data:
            data["assignee_id"] = data.pop("assignee")
        ticket = self._visible(pk)
        tickets.edit(ticket.pk, actor=self.actor, now=clock.now(), **data)
        return self._answer(ticket.pk)

    @extend_schema(
        summary="Move a ticket to another status",
        request=serializers.MoveInput,
        responses=serializers.TicketOutput,
        parameters=[IDEMPOTENCY_HEADER],
    )
    @action(detail=True, methods=["post"])
    def move(self, request: Request, pk: str) -> Response:
        """Resolving is done by shipping a release, merging by `merge`."""
        data = base.read(serializers.MoveInput, request)
        ticket = self._visible(pk)
        tickets.move(ticket.pk, to=data["to"], note=data["note"], actor=self.actor, now=clock.now())
        return self._answer(ticket.pk)

    @extend_schema(
        summary="Merge a ticket into another",
        request=serializers.TicketMergeInput,
        responses=serializers.TicketOutput,
        parameters=[IDEMPOTENCY_HEADER],
    )
    @action(detail=True, methods=["post"])
    def merge(self, request: Request, pk: str) -> Response:
        """Followers follow. The answer is the ticket that stays."""
        data = base.read(serializers.TicketMergeInput, request)
        ticket = self._visible(pk)
        into = base.visible_ticket(request, data["into"], field="into")
        winner = ticket_merges.merge(
            ticket.pk, into=into.pk, note=data["note"], actor=self.actor, now=clock.now()
        )
        return self._answer(winner.pk)

    @extend_schema(
        summary="Undo a merge",
        request=None,
        responses=serializers.TicketOutput,
        parameters=[IDEMPOTENCY_HEADER],
    )
    @action(detail=True, methods=["post"])
    def unmerge(self, request: Request, pk: str) -> Response:
        """The ticket gets back its status and what was merged into it."""
        ticket = self._visible(pk)
        ticket_merges.unmerge(ticket.pk, actor=self.actor, now=clock.now())
        return self._answer(ticket.pk)

    @extend_schema(
        summary="Follow a ticket for somebody",
        request=serializers.FollowInput,
        responses={201: serializers.FollowerOutput},
        parameters=[IDEMPOTENCY_HEADER],
    )
    @action(detail=True, methods=["post"])
    def follow(self, request: Request, pk: str) -> Response:
        """They are told when it ships; at once when it has."""
        data = base.read(serializers.FollowInput, request)
        ticket = self._visible(pk)
        now = clock.now()
        if data.get("profile"):
            profile_id = base.profile_of(data["profile"], request=request)
        else:
            person = base.person_of(data.get("person"))
            if person is None:
                raise Invalid(_("Say who: profile or person."), code="required", field="person")
            profile_id = feedback.person(person, actor=self.actor, now=now)
        row = tickets.follow(
            ticket.pk,
            profile_id=profile_id,
            role=data["role"],
            may_name=data["may_name"],
            credit_name=data["credit_name"],
            actor=self.actor,
            now=now,
        )
        context = {**self.get_serializer_context(), "cards": profile_reads.cards([row.profile_id])}
        return Response(serializers.FollowerOutput(row, context=context).data, status=201)

    @extend_schema(summary="List the followers of a ticket", responses=serializers.FollowerOutput(many=True))
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=CursorPagination)
    def followers(self, request: Request, pk: str) -> Response:
        """Followers of the ticket and everything merged into it, newest first."""
        family = ticket_reads.family(self._visible(pk))
        page = self.paginate_queryset(TicketFollower.objects.filter(ticket_id__in=family))
        context = {**self.get_serializer_context(), "cards": base.cards_for(page)}
        return self.get_paginated_response(serializers.FollowerOutput(page, many=True, context=context).data)

    @extend_schema(summary="Read the history of a ticket", responses=serializers.TicketEventOutput(many=True))
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=CursorPagination)
    def history(self, request: Request, pk: str) -> Response:
        """What happened to it, newest first; never changed."""
        page = self.paginate_queryset(TicketEvent.objects.filter(ticket=self._visible(pk)))
        return self.get_paginated_response(serializers.TicketEventOutput(page, many=True).data)
