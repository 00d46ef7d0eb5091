"""Feedback over the API."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from crm.kernel import clock
from crm.kernel.api.views import IDEMPOTENCY_HEADER, ServiceViewSet
from voc.api import serializers
from voc.api.filters import FeedbackFilter
from voc.api.views import base
from voc.models import Feedback
from voc.services import feedback, similarity

TAGS = ["feedback"]
TEXT = OpenApiParameter(
    "text", str, required=True, description="The words to compare, in Chinese or English."
)


@extend_schema(tags=TAGS)
@extend_schema_view(list=extend_schema(summary="List feedback, newest first"))
class FeedbackViewSet(ServiceViewSet):
    """What people told us, and what was decided about it."""

    scope = "voc.feedback"
    queryset = Feedback.objects.none()
    serializer_class = serializers.FeedbackOutput
    filterset_class = FeedbackFilter
    lookup_value_regex = "[0-9]{1,18}"

    def get_queryset(self) -> Any:
        """Rows the caller may see."""
        return Feedback.objects.visible_to(self.request.user)

    def _answer(self, row: Feedback, status: int = 200) -> Response:
        context = {**self.get_serializer_context(), "cards": base.cards_for([row])}
        return Response(serializers.FeedbackOutput(row, context=context).data, status=status)

    def list(self, request: Request) -> Response:
        """One page of voices."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        context = {**self.get_serializer_context(), "cards": base.cards_for(page)}
        return self.get_paginated_response(serializers.FeedbackOutput(page, many=True, context=context).data)

    @extend_schema(summary="Read one voice")
    def retrieve(self, request: Request, pk: str) -> Response:
        """One voice."""
        return self._answer(self._visible(pk))

    @extend_schema(
        summary="Store a voice",
        request=serializers.FeedbackInput,
        responses={201: serializers.FeedbackOutput},
        parameters=[IDEMPOTENCY_HEADER],
    )
    def create(self, request: Request) -> Response:
        """Store what somebody said; identifiers find or make the person."""
        data = base.read(serializers.FeedbackInput, request)
        row = feedback.give(
            text=data["text"],
            channel=data["channel"],
            person=base.person_of(data.get("person")),
            may_name=data["may_name"],
            credit_name=data["credit_name"],
            reference=data["reference"],
            actor=self.actor,
            now=clock.now(),
        )
        return self._answer(row, status=201)

    @extend_schema(
        summary="Attach to a ticket",
        request=serializers.AttachInput,
        responses=serializers.FeedbackOutput,
        parameters=[IDEMPOTENCY_HEADER],
    )
    @action(detail=True, methods=["post"])
    def attach(self, request: Request, pk: str) -> Response:
        """Put the voice on a ticket; its person becomes a follower who reported."""
        data = base.read(serializers.AttachInput, request)
        row = self._visible(pk)
        ticket = base.visible_ticket(request, data["ticket"])
        return self._answer(feedback.attach(row.pk, ticket_id=ticket.pk, actor=self.actor, now=clock.now()))

    @extend_schema(
        summary="Open a ticket from a voice",
        request=serializers.OpenFromFeedbackInput,
        responses={201: serializers.TicketOutput},
        parameters=[IDEMPOTENCY_HEADER],
    )
    @action(detail=True, methods=["post"], url_path="open-ticket", url_name="open-ticket")
    def open_ticket(self, request: Request, pk: str) -> Response:
        """Open a ticket and attach the voice to it."""
        data = dict(base.read(serializers.OpenFromFeedbackInput, request))
        if "assignee" in data:
            data["assignee_id"] = data.pop("assignee")
        row = self._visible(pk)
        ticket = feedback.open_ticket(row.pk, actor=self.actor, now=clock.now(), **data)
        return Response(
            serializers.TicketOutput(ticket, context=self.get_serializer_context()).data, status=201
        )

    @extend_schema(
        summary="Dismiss a voice",
        request=serializers.DismissInput,
        responses=serializers.FeedbackOutput,
        parameters=[IDEMPOTENCY_HEADER],
    )
    @action(detail=True, methods=["post"])
    def dismiss(self, request: Request, pk: str) -> Response:
        """Decide that nothing is to be done."""
        data = base.read(serializers.DismissInput, request)
        row = self._visible(pk)
        return self._answer(
            feedback.dismiss(row.pk, reason=data["reason"], actor=self.actor, now=clock.now())
        )

    @extend_schema(
        summary="Similar open tickets of a voice",
        responses=serializers.MatchOutput(many=True),
        filters=False,
    )
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[])
    def similar(self, request: Request, pk: str) -> Response:
        """The open tickets this voice is likely about, best first."""
        return Response(_matches(self._visible(pk).text, self.get_serializer_context()))

    @extend_schema(
        operation_id="feedback_similar_to_text",
        summary="Similar open tickets of a text",
        responses=serializers.MatchOutput(many=True),
        parameters=[TEXT],
        filters=False,
    )
    @action(
        detail=False, methods=["get"], url_path="similar", url_name="similar-text", pagination_class=None,
        filter_backends=[],
    )  # fmt: skip
    def similar_text(self, request: Request) -> Response:
        """The open tickets a text is likely about, best first."""
        text = feedback.read_text(request.query_params.get("text", ""))
        return Response(_matches(text, self.get_serializer_context()))

    def _visible(self, pk: str) -> Feedback:
        return get_object_or_404(self.get_queryset(), pk=pk)


def _matches(text: str, context: dict[str, Any]) -> Any:
    return serializers.MatchOutput(similarity.find(text), many=True, context=context).data
