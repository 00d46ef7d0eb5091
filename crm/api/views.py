"""REST: merges, suggestions and knobs."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from crm.api import filters, serializers
from crm.kernel import clock, knobs
from crm.kernel.api.views import IDEMPOTENCY_HEADER, ServiceViewSet
from crm.kernel.errors import Refused
from crm.models import MergeRecord, MergeSuggestion
from crm.services import merges


class MergeViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, ServiceViewSet):
    """Merges, newest first."""

    scope = "crm.mergerecord"
    action_permissions: ClassVar[dict[str, str]] = {"undo": "crm.merge_profile"}
    queryset = MergeRecord.objects.select_related("winner", "loser")
    serializer_class = serializers.MergeSerializer
    filterset_class = filters.MergeFilter
    lookup_value_converter = "int"

    @extend_schema(request=None, responses=serializers.MergeSerializer, parameters=[IDEMPOTENCY_HEADER])
    @action(detail=True, methods=["post"])
    def undo(self, request: Request, pk: int) -> Response:
        """Take a merge apart, exactly."""
        row = self.get_object()
        record = merges.undo(row.pk, actor=self.actor, now=clock.now())
        return Response(serializers.MergeSerializer(record).data)


class MergeSuggestionViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, ServiceViewSet):
    """Pairs of people who may be one, seen by sources that may not decide it."""

    scope = "crm.mergesuggestion"
    action_permissions: ClassVar[dict[str, str]] = {
        "accept": "crm.merge_profile",
        "dismiss": "crm.change_mergesuggestion",
    }
    queryset = MergeSuggestion.objects.select_related("first", "second")
    serializer_class = serializers.MergeSuggestionSerializer
    filterset_class = filters.MergeSuggestionFilter
    lookup_value_converter = "int"

    @extend_schema(
        request=serializers.SuggestionAcceptSerializer, responses=serializers.MergeSuggestionSerializer,
        parameters=[IDEMPOTENCY_HEADER],
    )  # fmt: skip
    @action(detail=True, methods=["post"])
    def accept(self, request: Request, pk: int) -> Response:
        """Merge the second person into the first, or with `swap` the first into the second."""
        serializer = serializers.SuggestionAcceptSerializer(data=request.data or {})
        serializer.is_valid(raise_exception=True)
        return self._decide(accept=True, **serializer.validated_data)

    @extend_schema(
        request=None, responses=serializers.MergeSuggestionSerializer, parameters=[IDEMPOTENCY_HEADER]
    )
    @action(detail=True, methods=["post"])
    def dismiss(self, request: Request, pk: int) -> Response:
        """They are two people."""
        return self._decide(accept=False)

    def _decide(self, *, accept: bool, **how: Any) -> Response:
        row = merges.decide_suggestion(
            self.get_object().pk, accept=accept, actor=self.actor, now=clock.now(), **how
        )
        return Response(serializers.MergeSuggestionSerializer(row).data)


class KnobViewSet(ServiceViewSet):
    """The numbers of the product that staff may turn."""

    scope = "kernel.knob"
    queryset: QuerySet[Any] | None = None
    serializer_class = serializers.KnobSerializer
    filter_backends: ClassVar[list[Any]] = []
    pagination_class = None
    lookup_field = "name"
    lookup_value_converter = "str"

    @extend_schema(responses=serializers.KnobSerializer(many=True))
    def list(self, request: Request) -> Response:
        """All knobs by name."""
        return Response([_knob(knob) for knob in knobs.all_knobs()])

    @extend_schema(responses=serializers.KnobSerializer)
    def retrieve(self, request: Request, name: str) -> Response:
        """One knob."""
        return Response(_knob(knobs.describe(name)))

    @extend_schema(request=serializers.KnobInputSerializer, responses=serializers.KnobSerializer)
    def partial_update(self, request: Request, name: str) -> Response:
        """Turn a knob. Staff need the permission the knob names."""
        knob = knobs.describe(name)
        if self.actor.kind == "staff" and not request.user.has_perm(knob.permission):
            raise Refused(_("You may not turn this knob."), code="permission_denied")
        serializer = serializers.KnobInputSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        knobs.set(name, serializer.validated_data["value"], actor=self.actor, now=clock.now())
        return Response(_knob(knob))


def _knob(knob: knobs.Knob) -> dict[str, Any]:
    return serializers.KnobSerializer(
        {
            "name": knob.name,
            "type": knob.type.__name__,
            "value": _plain(knobs.get(knob.name)),
            "default": _plain(knob.default),
            "minimum": _plain(knob.minimum),
            "maximum": _plain(knob.maximum),
            "unit": str(knob.unit),
            "label": str(knob.label),
            "help": str(knob.help),
        }
    ).data


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
