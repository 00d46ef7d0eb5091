"""REST: sources with their keys and limits, the warnings of the door, and the catalogue of kinds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from crm.api import door_serializers as serializers
from crm.api import filters
from crm.kernel import clock
from crm.kernel.api.views import IDEMPOTENCY_HEADER, ServiceViewSet
from crm.models import EventKind, IngestionWarning, RetiredKey, Source
from crm.selectors import catalogue as catalogue_reads
from crm.selectors import sources as source_reads
from crm.selectors import warnings as warning_reads
from crm.services import catalogue, sources, warning_decisions
from crm.services.catalogue import PropertyRule

DAYS = 30


class SourceViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, ServiceViewSet):
    """Systems that send events. Their keys are shown to those who may see them."""

    scope = "crm.source"
    action_permissions: ClassVar[dict[str, str]] = {
        "rotate": "crm.change_source",
        "limits": "crm.change_source",
        "revoke_key": "crm.change_source",
        "live": "crm.view_touchpoint",
    }
    queryset = Source.objects.order_by("-id")
    serializer_class = serializers.SourceSerializer
    filterset_class = filters.SourceFilter
    lookup_value_converter = "int"

    def get_serializer_context(self) -> dict[str, Any]:
        """Whether this caller may read write keys."""
        return {**super().get_serializer_context(), "shows_keys": self._shows_keys()}

    def _shows_keys(self) -> bool:
        if getattr(self, "swagger_fake_view", False):
            return False
        scopes = getattr(self.request.auth, "scopes", None)
        if scopes is not None:
            return "crm.source:write" in scopes
        return self.request.user.has_perm("crm.view_write_key")

    def _answer(self, source: Source, code: int = status.HTTP_200_OK) -> Response:
        return Response(self.get_serializer(source).data, status=code)

    @extend_schema(
        request=serializers.SourceInputSerializer,
        responses={201: serializers.SourceSerializer},
        parameters=[IDEMPOTENCY_HEADER],
    )
    def create(self, request: Request) -> Response:
        """A new source with a fresh write key."""
        serializer = serializers.SourceInputSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        source = sources.create(**serializer.validated_data, actor=self.actor, now=clock.now())
        return self._answer(source, status.HTTP_201_CREATED)

    @extend_schema(request=serializers.SourceChangeSerializer, responses=serializers.SourceSerializer)
    def partial_update(self, request: Request, pk: int) -> Response:
        """Switch a source on or off."""
        row = self.get_object()
        serializer = serializers.SourceChangeSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        active = serializer.validated_data["is_active"]
        return self._answer(sources.set_active(row.pk, active=active, actor=self.actor, now=clock.now()))

    @extend_schema(
        request=serializers.RotateSerializer,
        responses=serializers.SourceSerializer,
        parameters=[IDEMPOTENCY_HEADER],
    )
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, pk: int) -> Response:
        """Issue a new write key. The old one works until `works_until`; without it, it stops within seconds."""
        row = self.get_object()
        # A body is not needed, and null is none.
        serializer = serializers.RotateSerializer(data={} if request.data is None else request.data)
        serializer.is_valid(raise_exception=True)
        until = serializer.validated_data["works_until"]
        return self._answer(sources.rotate(row.pk, works_until=until, actor=self.actor, now=clock.now()))

    @extend_schema(responses=serializers.RetiredKeySerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[])
    def keys(self, request: Request, pk: int) -> Response:
        """Replaced write keys and how they are, newest first."""
        rows = source_reads.retired_keys(self.get_object().pk, now=clock.now())
        context = {"shows_keys": self._shows_keys()}
        return Response(serializers.RetiredKeySerializer(rows, many=True, context=context).data)

    @extend_schema(
        request=serializers.RevokeKeySerializer,
        responses=serializers.RetiredKeySerializer(many=True),
        parameters=[IDEMPOTENCY_HEADER],
    )
    @action(detail=True, methods=["post"], url_path="revoke-key")
    def revoke_key(self, request: Request, pk: int) -> Response:
        """Close the door to a replaced key before its time."""
        row = self.get_object()
        serializer = serializers.RevokeKeySerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        key = RetiredKey.objects.filter(source=row, pk=serializer.validated_data["key"]).first()
        sources.revoke_retired_key(key.pk if key else 0, actor=self.actor, now=clock.now())
        return self.keys(request, pk=pk)

    @extend_schema(
        request=serializers.LimitsSerializer,
        responses=serializers.SourceSerializer,
        parameters=[IDEMPOTENCY_HEADER],
    )
    @action(detail=True, methods=["post"])
    def limits(self, request: Request, pk: int) -> Response:
        """Events per second and burst of this source; null means the knobs."""
        row = self.get_object()
        serializer = serializers.LimitsSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return self._answer(
            sources.set_limits(row.pk, **serializer.validated_data, actor=self.actor, now=clock.now())
        )

    @extend_schema(responses=serializers.SourceActivitySerializer, filters=False)
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[])
    def activity(self, request: Request, pk: int) -> Response:
        """How much arrived: per minute of the last hour, per day of the last thirty, and how the source is."""
        row, now = self.get_object(), clock.now()
        health = source_reads.health([row], now=now)[row.pk]
        found = {
            "last_minute": health.last_minute,
            "limited_at": health.limited_at,
            "minutes": source_reads.per_minute(row.pk, now=now).bars,
            "days": source_reads.per_day(row.pk, today=now.date()).bars,
        }
        return Response(serializers.SourceActivitySerializer(found).data)

    @extend_schema(responses=serializers.LiveEventSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[])
    def live(self, request: Request, pk: int) -> Response:
        """The last fifty touchpoints of the source."""
        found = source_reads.live(self.get_object().pk, now=clock.now())
        return Response(serializers.LiveEventSerializer(found, many=True).data)


class IngestionWarningViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, ServiceViewSet):
    """What sources sent that was refused or changed: one row per source, code, subject and day."""

    scope = "crm.ingestionwarning"
    action_permissions: ClassVar[dict[str, str]] = {
        "resolve": "crm.change_ingestionwarning",
        "mute": "crm.change_ingestionwarning",
        "reopen": "crm.change_ingestionwarning",
    }
    queryset = IngestionWarning.objects.all()
    serializer_class = serializers.IngestionWarningSerializer
    filterset_class = filters.IngestionWarningFilter
    lookup_value_converter = "int"

    @extend_schema(
        responses=serializers.TopicSerializer(many=True),
        filters=False,
        parameters=[
            OpenApiParameter("days", int, description="1 to 90; 30 when left out"),
            OpenApiParameter("source", int),
            OpenApiParameter("code", str),
            OpenApiParameter("state", str, enum=["open", "resolved", "muted"]),
        ],
    )
    @action(detail=False, methods=["get"], pagination_class=None, filter_backends=[])
    def topics(self, request: Request) -> Response:
        """The same per source, code and subject, in words, with what staff decided."""
        serializer = serializers.TopicQuerySerializer(data=request.query_params)
        serializer.is_valid(raise_exception=True)
        asked, today = serializer.validated_data, clock.now().date()
        found = warning_reads.topics(
            since=today - timedelta(days=asked["days"] - 1), until=today, source_id=asked.get("source"),
            code=asked.get("code", ""), state=asked.get("state", ""),
        )  # fmt: skip
        return Response(serializers.TopicSerializer(found, many=True).data)

    @extend_schema(
        request=serializers.ResolveSerializer,
        responses=serializers.DecisionSerializer,
        parameters=[IDEMPOTENCY_HEADER],
    )
    @action(detail=True, methods=["post"])
    def resolve(self, request: Request, pk: int) -> Response:
        """The cause is mended: quiet until it happens again. Counts for the topic of this row."""
        row = self.get_object()
        serializer = serializers.ResolveSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        done = warning_decisions.resolve(
            row.pk, **serializer.validated_data, actor=self.actor, now=clock.now()
        )
        return Response(serializers.DecisionSerializer(done).data)

    @extend_schema(
        request=serializers.MuteSerializer,
        responses=serializers.DecisionSerializer,
        parameters=[IDEMPOTENCY_HEADER],
    )
    @action(detail=True, methods=["post"])
    def mute(self, request: Request, pk: int) -> Response:
        """Quiet for some days, whatever happens; what happens after that opens it again."""
        row = self.get_object()
        serializer = serializers.MuteSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        done = warning_decisions.mute(row.pk, **serializer.validated_data, actor=self.actor, now=clock.now())
        return Response(serializers.DecisionSerializer(done).data)

    @extend_schema(
        request=None, responses=serializers.IngestionWarningSerializer, parameters=[IDEMPOTENCY_HEADER]
    )
    @action(detail=True, methods=["post"])
    def reopen(self, request: Request, pk: int) -> Response:
        """Forget what was decided about the topic of this row."""
        row = self.get_object()
        warning_decisions.reopen(row.pk, actor=self.actor, now=clock.now())
        return Response(serializers.IngestionWarningSerializer(row).data)


class EventKindViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, ServiceViewSet):
    """Kinds of events: what arrives, and what staff decided about it."""

    scope = "crm.eventkind"
    action_permissions: ClassVar[dict[str, str]] = {"properties": "crm.change_eventkind"}
    queryset = EventKind.objects.prefetch_related("properties", "observed")
    serializer_class = serializers.EventKindSerializer
    filterset_class = filters.EventKindFilter
    lookup_value_converter = "int"

    def _answer(self, kind: EventKind, code: int = status.HTTP_200_OK) -> Response:
        fresh: QuerySet[EventKind] = EventKind.objects.prefetch_related("properties", "observed")
        return Response(self.get_serializer(fresh.get(pk=kind.pk)).data, status=code)

    def get_serializer_context(self) -> dict[str, Any]:
        """The numbers of the last days, read once."""
        context = super().get_serializer_context()
        if not getattr(self, "swagger_fake_view", False):
            context["numbers"] = catalogue_reads.numbers(today=clock.now().date())
        return context

    @extend_schema(
        request=serializers.AnnounceSerializer,
        responses={201: serializers.EventKindSerializer},
        parameters=[IDEMPOTENCY_HEADER],
    )
    def create(self, request: Request) -> Response:
        """Enter a kind before its first event."""
        serializer = serializers.AnnounceSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        kind = catalogue.announce(serializer.validated_data["name"], actor=self.actor, now=clock.now())
        return self._answer(kind, status.HTTP_201_CREATED)

    @extend_schema(request=serializers.EventKindChangeSerializer, responses=serializers.EventKindSerializer)
    def partial_update(self, request: Request, pk: int) -> Response:
        """Decide about a kind: description, owner, purpose, retention, stage, blocking, what a violation does."""
        row = self.get_object()
        serializer = serializers.EventKindChangeSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        kind = catalogue.change(row.pk, values=serializer.validated_data, actor=self.actor, now=clock.now())
        return self._answer(kind)

    @extend_schema(
        request=serializers.PropertiesSerializer,
        responses=serializers.EventKindSerializer,
        parameters=[IDEMPOTENCY_HEADER],
    )
    @action(detail=True, methods=["post"])
    def properties(self, request: Request, pk: int) -> Response:
        """Replace the schema of a kind by these lines."""
        row = self.get_object()
        serializer = serializers.PropertiesSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        rules = [PropertyRule(**line) for line in serializer.validated_data["properties"]]
        return self._answer(catalogue.set_schema(row.pk, rules=rules, actor=self.actor, now=clock.now()))

    @extend_schema(responses=serializers.PropertyRuleSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], pagination_class=None, filter_backends=[])
    def suggestion(self, request: Request, pk: int) -> Response:
        """A schema as it could be read off what arrived. Nothing is saved."""
        found = catalogue.suggest(self.get_object().pk)
        return Response(serializers.PropertyRuleSerializer(found, many=True).data)

    @extend_schema(responses={200: serializers.JsonSchemaSerializer}, filters=False)
    @action(detail=True, methods=["get"], url_path="json-schema", pagination_class=None, filter_backends=[])
    def json_schema(self, request: Request, pk: int) -> Response:
        """The schema as JSON Schema 2020-12."""
        return Response(catalogue_reads.json_schema(self.get_object()))
