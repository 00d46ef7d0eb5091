"""Points over the API."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from crm.kernel import clock
from crm.kernel.api.views import IDEMPOTENCY_HEADER, ServiceViewSet
from crm.kernel.errors import NotFound
from crm.selectors import profiles as profile_reads
from members.api import serializers
from members.api.filters import AccountFilter, EntryFilter
from members.models import PointsAccount, PointsEntry
from members.services import points


@extend_schema(tags=["points"])
@extend_schema_view(list=extend_schema(summary="List points accounts"))
class AccountViewSet(ServiceViewSet):
    """What people hold, and moving it."""

    scope = "members.points"
    action_permissions = {
        "list": "members.view_pointsaccount",
        "retrieve": "members.view_pointsaccount",
        "credit": "members.add_pointsentry",
        "debit": "members.add_pointsentry",
    }
    queryset = PointsAccount.objects.none()
    serializer_class = serializers.AccountOutput
    filterset_class = AccountFilter
    lookup_value_regex = "[0-9]{1,18}"

    def get_queryset(self) -> Any:
        """Rows the caller may see."""
        return PointsAccount.objects.visible_to(self.request.user).select_related("profile")

    def list(self, request: Request) -> Response:
        """One page of accounts."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(serializers.AccountOutput(page, many=True).data)

    @extend_schema(summary="Read one account")
    def retrieve(self, request: Request, pk: str) -> Response:
        """One account."""
        return Response(serializers.AccountOutput(get_object_or_404(self.get_queryset(), pk=pk)).data)

    @extend_schema(
        summary="Book points for a person",
        request=serializers.CreditInput,
        responses={201: serializers.EntryOutput},
        parameters=[IDEMPOTENCY_HEADER],
    )
    @action(detail=False, methods=["post"])
    def credit(self, request: Request) -> Response:
        """One movement per `key`: a repetition answers with the entry that is there."""
        return self._book(request, serializers.CreditInput, points.credit)

    @extend_schema(
        summary="Take points from a person",
        request=serializers.DebitInput,
        responses={201: serializers.EntryOutput},
        parameters=[IDEMPOTENCY_HEADER],
    )
    @action(detail=False, methods=["post"])
    def debit(self, request: Request) -> Response:
        """409 `insufficient_points` when the balance does not suffice; nothing is taken then."""
        return self._book(request, serializers.DebitInput, points.debit)

    def _book(self, request: Request, input_class: Any, service: Any) -> Response:
        serializer = input_class(data=request.data)
        serializer.is_valid(raise_exception=True)
        data = dict(serializer.validated_data)
        profile = profile_reads.by_public_id(data.pop("profile"))
        if profile is None:
            raise NotFound(_("There is no such person."), code="no_such_profile", field="profile")
        key = f"api:{data.pop('key')}"
        entry = service(profile.pk, key=key, actor=self.actor, now=clock.now(), **data)
        row = PointsEntry.objects.select_related("account__profile").get(pk=entry.pk)
        return Response(serializers.EntryOutput(row).data, status=201)


@extend_schema(tags=["points"])
@extend_schema_view(list=extend_schema(summary="List movements of points, newest first"))
class EntryViewSet(ServiceViewSet):
    """The ledger; never changed."""

    scope = "members.points"
    action_permissions = {"list": "members.view_pointsentry"}
    queryset = PointsEntry.objects.none()
    serializer_class = serializers.EntryOutput
    filterset_class = EntryFilter

    def get_queryset(self) -> Any:
        """Rows the caller may see."""
        return PointsEntry.objects.visible_to(self.request.user).select_related("account__profile")

    def list(self, request: Request) -> Response:
        """One page of movements."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(serializers.EntryOutput(page, many=True).data)
