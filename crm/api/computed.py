"""REST: computed traits, and the report of purchases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import django_filters
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from crm import computed as definitions
from crm.kernel import clock
from crm.kernel.api.filters import StrictFilterSet
from crm.kernel.api.serializers import LineField, StrictSerializer
from crm.kernel.api.views import IDEMPOTENCY_HEADER, ServiceViewSet
from crm.kernel.errors import NotFound
from crm.models import ComputedRun, ComputedTrait, PurchaseReport
from crm.selectors import computed as reads
from crm.services import computed
from crm.states import ComputedStatus


class ComputedRunSerializer(serializers.ModelSerializer):
    """A pass over everybody."""

    percent = serializers.IntegerField(read_only=True)

    class Meta:
        model = ComputedRun
        fields = (
            "id",
            "status",
            "purpose",
            "percent",
            "values_written",
            "created_at",
            "started_at",
            "finished_at",
        )


class ComputedTraitSerializer(serializers.ModelSerializer):
    """A computed trait with its definition, in JSON and in words, and its newest pass."""

    definition = serializers.SerializerMethodField()
    sentence = serializers.SerializerMethodField()
    run = serializers.SerializerMethodField()

    class Meta:
        model = ComputedTrait
        fields = (
            "id", "key", "name", "description", "status", "version", "definition", "sentence", "run", "activated_at",
            "created_at",
        )  # fmt: skip

    @extend_schema_field(serializers.DictField())
    def get_definition(self, row: ComputedTrait) -> dict[str, Any]:
        """As it was given, in its normal form."""
        return self.context["definitions"][row.pk]

    def get_sentence(self, row: ComputedTrait) -> str:
        """In the reader's language."""
        return reads.describe(definitions.parse(self.context["definitions"][row.pk]))

    @extend_schema_field(ComputedRunSerializer(allow_null=True))
    def get_run(self, row: ComputedTrait) -> dict[str, Any] | None:
        """The newest pass."""
        run = self.context["runs"].get(row.pk)
        return ComputedRunSerializer(run).data if run else None


class ComputedTraitInputSerializer(StrictSerializer):
    """A new computed trait."""

    key = LineField(max_length=60)
    name = LineField(max_length=120)
    description = LineField(max_length=300, required=False, allow_blank=True)
    definition = serializers.DictField()


class ComputedTraitChangeSerializer(StrictSerializer):
    """What may be changed of one."""

    name = LineField(max_length=120, required=False)
    description = LineField(max_length=300, required=False, allow_blank=True)
    definition = serializers.DictField(required=False)


class ComputedTraitFilter(StrictFilterSet):
    """Filters of the list."""

    status = django_filters.ChoiceFilter(choices=ComputedStatus.choices)
    key = django_filters.CharFilter()

    class Meta:
        model = ComputedTrait
        fields = ("status", "key")


class ComputedTraitViewSet(mixins.ListModelMixin, ServiceViewSet):
    """Values computed for each person from touchpoints. They start as drafts and are filled when activated."""

    scope = "crm.computedtrait"
    action_permissions: ClassVar[dict[str, str]] = dict.fromkeys(
        ("activate", "pause", "archive", "recompute", "cancel"), "crm.activate_computedtrait"
    )
    queryset = ComputedTrait.objects.none()
    serializer_class = ComputedTraitSerializer
    filterset_class = ComputedTraitFilter
    lookup_value_converter = "int"

    def get_queryset(self) -> QuerySet[ComputedTrait]:
        """What the caller may see."""
        if getattr(self, "swagger_fake_view", False):
            return ComputedTrait.objects.none()
        return ComputedTrait.objects.all().visible_to(self.request.auth or self.request.user).order_by("-pk")

    def _row(self, pk: int) -> ComputedTrait:
        row = self.get_queryset().filter(pk=pk).first()
        if row is None:
            raise NotFound(_("There is no such computed trait."))
        return row

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Computed traits, newest first."""
        rows = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        return self.get_paginated_response(self._shown(rows))

    def _shown(self, rows: Sequence[ComputedTrait]) -> Any:
        """Definitions and passes are read for all rows at once."""
        known = {
            "definitions": reads.definitions_of(rows),
            "runs": reads.latest_runs([row.pk for row in rows]),
        }
        return ComputedTraitSerializer(
            rows, many=True, context={**self.get_serializer_context(), **known}
        ).data

    def _answer(self, row: ComputedTrait, code: int = status.HTTP_200_OK) -> Response:
        return Response(self._shown([row])[0], status=code)

    def _call(self, service: Any, pk: int, **values: Any) -> Response:
        self._row(pk)
        service(pk, actor=self.actor, now=clock.now(), **values)
        return self._answer(self._row(pk))

    @extend_schema(responses=ComputedTraitSerializer)
    def retrieve(self, request: Request, pk: int) -> Response:
        """One computed trait."""
        return self._answer(self._row(pk))

    @extend_schema(
        request=ComputedTraitInputSerializer,
        responses={201: ComputedTraitSerializer},
        parameters=[IDEMPOTENCY_HEADER],
    )
    def create(self, request: Request) -> Response:
        """A draft. A wrong definition is answered with the place that is wrong."""
        serializer = ComputedTraitInputSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        row = computed.create(**serializer.validated_data, actor=self.actor, now=clock.now())
        return self._answer(row, status.HTTP_201_CREATED)

    @extend_schema(request=ComputedTraitChangeSerializer, responses=ComputedTraitSerializer)
    def partial_update(self, request: Request, pk: int) -> Response:
        """Change it; another definition is a new version, and is computed for everybody when it is active."""
        serializer = ComputedTraitChangeSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return self._call(computed.revise, pk, **serializer.validated_data)

    @extend_schema(request=None, responses=ComputedTraitSerializer, parameters=[IDEMPOTENCY_HEADER])
    @action(detail=True, methods=["post"])
    def activate(self, request: Request, pk: int) -> Response:
        """Compute it for everybody, and follow events."""
        return self._call(computed.activate, pk)

    @extend_schema(request=None, responses=ComputedTraitSerializer, parameters=[IDEMPOTENCY_HEADER])
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: int) -> Response:
        """Follow no events for now."""
        return self._call(computed.pause, pk)

    @extend_schema(request=None, responses=ComputedTraitSerializer, parameters=[IDEMPOTENCY_HEADER])
    @action(detail=True, methods=["post"])
    def archive(self, request: Request, pk: int) -> Response:
        """End it; its values are removed."""
        return self._call(computed.archive, pk)

    @extend_schema(request=None, responses=ComputedTraitSerializer, parameters=[IDEMPOTENCY_HEADER])
    @action(detail=True, methods=["post"])
    def recompute(self, request: Request, pk: int) -> Response:
        """Compute it for everybody again."""
        return self._call(computed.recompute, pk)

    @extend_schema(request=None, responses=ComputedTraitSerializer, parameters=[IDEMPOTENCY_HEADER])
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: int) -> Response:
        """Stop the pass under way; the trait is paused."""
        return self._call(computed.cancel, pk)


class PurchaseReportSerializer(serializers.ModelSerializer):
    """Cut points, the RFM grid and cohorts. Amounts are minor units."""

    class Meta:
        model = PurchaseReport
        fields = ("id", "computed_at", "kind", "currency", "people", "cuts", "cells", "cohorts")


class PurchaseReportFilter(StrictFilterSet):
    """Filters of the reports."""

    class Meta:
        model = PurchaseReport
        fields = ("currency",)


class PurchaseReportViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, ServiceViewSet):
    """Reports of RFM and repurchase, one a night."""

    scope = "crm.purchasereport"
    queryset = PurchaseReport.objects.order_by("-id")
    serializer_class = PurchaseReportSerializer
    filterset_class = PurchaseReportFilter
    lookup_value_converter = "int"
