"""Releases and the public changelog over the API."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from crm.kernel import clock
from crm.kernel.api.pagination import CursorPagination
from crm.kernel.api.views import IDEMPOTENCY_HEADER, ServiceViewSet
from crm.kernel.errors import Invalid
from crm.selectors import profiles as profile_reads
from voc.api import serializers
from voc.api.filters import ReleaseFilter
from voc.api.views import base
from voc.models import Release
from voc.selectors import changelog, progress
from voc.services import releases

UNTOLD_PAGE = 100
AFTER = OpenApiParameter("after", int, description="`next_after` of the page before.")


@extend_schema(tags=["releases"])
@extend_schema_view(list=extend_schema(summary="List releases, newest first"))
class ReleaseViewSet(ServiceViewSet):
    """Fixes that reach people together, and the telling of everyone who asked."""

    scope = "voc.release"
    action_permissions = {"ship": "voc.ship_release", "withdraw": "voc.withdraw_release"}
    queryset = Release.objects.none()
    serializer_class = serializers.ReleaseOutput
    filterset_class = ReleaseFilter
    lookup_value_regex = "[0-9]{1,18}"

    def get_queryset(self) -> Any:
        """Rows the caller may see."""
        return Release.objects.visible_to(self.request.user).prefetch_related("items__ticket")

    def _answer(self, release_id: int, status: int = 200) -> Response:
        row = Release.objects.prefetch_related("items__ticket").get(pk=release_id)
        return Response(
            serializers.ReleaseOutput(row, context=self.get_serializer_context()).data, status=status
        )

    def _visible(self, pk: str) -> Release:
        return get_object_or_404(Release.objects.visible_to(self.request.user), pk=pk)

    def list(self, request: Request) -> Response:
        """One page of releases."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(serializers.ReleaseOutput(page, many=True).data)

    @extend_schema(summary="Read one release")
    def retrieve(self, request: Request, pk: str) -> Response:
        """One release with its items."""
        return self._answer(self._visible(pk).pk)

    @extend_schema(
        summary="Start a draft",
        request=serializers.ReleaseInput,
        responses={201: serializers.ReleaseOutput},
        parameters=[IDEMPOTENCY_HEADER],
    )
    def create(self, request: Request) -> Response:
        """Start a draft."""
        data = base.read(serializers.ReleaseInput, request)
        return self._answer(releases.create(actor=self.actor, now=clock.now(), **data).pk, status=201)

    @extend_schema(
        summary="Change the words of a release",
        request=serializers.ReleaseChange,
        responses=serializers.ReleaseOutput,
    )
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change title or notes."""
        data = base.read(serializers.ReleaseChange, request)
        release = self._visible(pk)
        releases.edit(release.pk, actor=self.actor, now=clock.now(), **data)
        return self._answer(release.pk)

    @extend_schema(
        summary="Add tickets to a draft",
        request=serializers.ItemsInput,
        responses=serializers.ReleaseOutput,
        parameters=[IDEMPOTENCY_HEADER],
    )
    @action(detail=True, methods=["post"])
    def items(self, request: Request, pk: str) -> Response:
        """Name tickets that this release fixes."""
        data = base.read(serializers.ItemsInput, request)
        release = self._visible(pk)
        ids = [base.visible_ticket(request, ident, field="tickets").pk for ident in data["tickets"]]
        releases.add_items(release.pk, ticket_ids=ids, note=data["note"], actor=self.actor, now=clock.now())
        return self._answer(release.pk)

    @extend_schema(
        summary="Take a ticket out of a draft",
        request=serializers.RemoveItemInput,
        responses=serializers.ReleaseOutput,
        parameters=[IDEMPOTENCY_HEADER],
    )
    @action(detail=True, methods=["post"], url_path="remove-item", url_name="remove-item")
    def remove_item(self, request: Request, pk: str) -> Response:
        """Take a ticket out again."""
        data = base.read(serializers.RemoveItemInput, request)
        release = self._visible(pk)
        releases.remove_item(release.pk, ticket_id=data["ticket"], actor=self.actor, now=clock.now())
        return self._answer(release.pk)

    @extend_schema(
        summary="Ship a release",
        request=None,
        responses=serializers.ReleaseOutput,
        parameters=[IDEMPOTENCY_HEADER],
    )
    @action(detail=True, methods=["post"])
    def ship(self, request: Request, pk: str) -> Response:
        """Resolve its tickets and have everyone who asked told."""
        release = self._visible(pk)
        releases.ship(release.pk, actor=self.actor, now=clock.now())
        return self._answer(release.pk)

    @extend_schema(
        summary="Withdraw a release",
        request=serializers.WithdrawInput,
        responses=serializers.ReleaseOutput,
        parameters=[IDEMPOTENCY_HEADER],
    )
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, pk: str) -> Response:
        """Stop telling and reopen what only this release fixed."""
        data = base.read(serializers.WithdrawInput, request)
        release = self._visible(pk)
        releases.withdraw(release.pk, reason=data["reason"], actor=self.actor, now=clock.now())
        return self._answer(release.pk)

    @extend_schema(summary="How many were told", responses=serializers.ProgressOutput, filters=False)
    @action(detail=True, methods=["get"], filter_backends=[], pagination_class=None)
    def progress(self, request: Request, pk: str) -> Response:
        """Told, waiting and not told, with the reasons."""
        found = progress.of_release(self._visible(pk).pk)
        reasons = [
            {"reason": code, "label": label, "people": number} for code, label, number in found.reasons
        ]
        return Response(
            serializers.ProgressOutput(
                {
                    "people": found.people,
                    "told": found.told,
                    "waiting": found.waiting,
                    "not_told": found.not_told,
                    "reasons": reasons,
                }
            ).data
        )

    @extend_schema(
        summary="Who was not told, and why",
        responses=serializers.UntoldPageOutput,
        parameters=[AFTER],
        filters=False,
    )
    @action(detail=True, methods=["get"], filter_backends=[], pagination_class=None)
    def untold(self, request: Request, pk: str) -> Response:
        """People whose message was not sent (yet), a hundred at a time."""
        release = self._visible(pk)
        text = request.query_params.get("after", "0")
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise Invalid(_("`after` is a whole number."), code="invalid", field="after")
        rows = progress.untold(release.pk, after=int(text), limit=UNTOLD_PAGE)
        cards = profile_reads.cards(row.profile_id for row in rows)
        results = [
            {
                "person": {"id": cards[row.profile_id].public_id, "name": cards[row.profile_id].name},
                "decision": row.decision,
                "reason": row.reason,
                "reason_label": row.reason_label,
                "decided_at": row.decided_at,
            }
            for row in rows
        ]
        after = rows[-1].profile_id if len(rows) == UNTOLD_PAGE else None
        return Response(serializers.UntoldPageOutput({"results": results, "next_after": after}).data)


class ChangelogPagination(CursorPagination):
    """Newest release first."""

    ordering = ("-shipped_at", "-id")


@extend_schema(tags=["changelog"], auth=[])
@extend_schema_view(list=extend_schema(summary="The public changelog", responses=serializers.ChangelogOutput))
class ChangelogViewSet(GenericViewSet):
    """What shipped, and who asked for it and agreed to be named. Open to everybody."""

    authentication_classes: list[Any] = []
    permission_classes = [AllowAny]
    queryset = Release.objects.none()
    serializer_class = serializers.ChangelogOutput
    pagination_class = ChangelogPagination

    def get_queryset(self) -> Any:
        """Shipped releases."""
        return changelog.releases()

    def list(self, request: Request) -> Response:
        """One page of the changelog."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(
            serializers.ChangelogOutput(changelog.entries(page), many=True).data
        )
