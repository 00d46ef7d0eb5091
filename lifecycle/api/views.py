"""REST views of lifecycle: authorise, read input, call a service, write output."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from crm.kernel import clock
from crm.kernel.api.views import IDEMPOTENCY_HEADER, ServiceViewSet
from lifecycle import registry
from lifecycle.api import filters, serializers
from lifecycle.models import Enrolment, Journey, MessageTemplate, OutboundMessage
from lifecycle.selectors import journeys as journey_reads
from lifecycle.services import journeys, messages, templates


class MessageViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, ServiceViewSet):
    """Decision records, newest first: what was sent to whom, and why not."""

    scope = "lifecycle.message"
    action_permissions: ClassVar[dict[str, str]] = {
        "list": "lifecycle.view_outboundmessage",
        "retrieve": "lifecycle.view_outboundmessage",
        "retry": "lifecycle.retry_outboundmessage",
        "cancel": "lifecycle.retry_outboundmessage",
    }
    queryset = OutboundMessage.objects.select_related("profile")
    serializer_class = serializers.MessageSerializer
    filterset_class = filters.MessageFilter
    lookup_value_converter = "int"

    def get_serializer_class(self) -> Any:
        """One message comes with its deliveries."""
        return serializers.MessageSerializer if self.action == "list" else serializers.MessageDetailSerializer

    def get_queryset(self) -> QuerySet[OutboundMessage]:
        """Rows with what their serializer reads."""
        rows = super().get_queryset()
        return rows if self.action == "list" else rows.prefetch_related("deliveries")

    @extend_schema(
        request=None, responses=serializers.MessageDetailSerializer, parameters=[IDEMPOTENCY_HEADER]
    )
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: int) -> Response:
        """Give a failed or held message another try."""
        messages.retry(self.get_object().pk, actor=self.actor, now=clock.now())
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(
        request=None, responses=serializers.MessageDetailSerializer, parameters=[IDEMPOTENCY_HEADER]
    )
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: int) -> Response:
        """Drop a message that is not decided yet."""
        messages.withdraw(self.get_object().pk, actor=self.actor, now=clock.now())
        return Response(self.get_serializer(self.get_object()).data)


class JourneyViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, ServiceViewSet):
    """Journeys: drafts, active ones, and those that are over."""

    scope = "lifecycle.journey"
    action_permissions: ClassVar[dict[str, str]] = {
        "activate": "lifecycle.activate_journey",
        "pause": "lifecycle.activate_journey",
        "archive": "lifecycle.activate_journey",
        "validate": "lifecycle.view_journey",
    }
    queryset = Journey.objects.order_by("-id")
    serializer_class = serializers.JourneySerializer
    filterset_class = filters.JourneyFilter
    lookup_value_converter = "int"

    def get_serializer_class(self) -> Any:
        """One journey comes with its definition."""
        return serializers.JourneySerializer if self.action == "list" else serializers.JourneyDetailSerializer

    @extend_schema(
        request=serializers.JourneyCreateSerializer,
        responses={201: serializers.JourneyDetailSerializer},
        parameters=[IDEMPOTENCY_HEADER],
    )
    def create(self, request: Request) -> Response:
        """A draft, from a definition or from a template."""
        data = self._read(serializers.JourneyCreateSerializer, request)
        if "template" in data:
            journey = journeys.create_from_template(
                data["template"], name=data.get("name", ""), actor=self.actor, now=clock.now()
            )
        else:
            journey = journeys.create(
                name=data["name"], definition_data=data["definition"], actor=self.actor, now=clock.now()
            )
        return self._answer(journey, status.HTTP_201_CREATED)

    @extend_schema(request=serializers.JourneyChangeSerializer, responses=serializers.JourneyDetailSerializer)
    def partial_update(self, request: Request, pk: int) -> Response:
        """Change the name, or what it does for those who enter from now on."""
        row = self.get_object()
        data = self._read(serializers.JourneyChangeSerializer, request)
        journey = journeys.revise(
            row.pk,
            name=data.get("name"),
            definition_data=data.get("definition"),
            actor=self.actor,
            now=clock.now(),
        )
        return self._answer(journey)

    @extend_schema(
        request=None, responses=serializers.JourneyDetailSerializer, parameters=[IDEMPOTENCY_HEADER]
    )
    @action(detail=True, methods=["post"])
    def activate(self, request: Request, pk: int) -> Response:
        """Take people in."""
        return self._answer(journeys.activate(self.get_object().pk, actor=self.actor, now=clock.now()))

    @extend_schema(
        request=None, responses=serializers.JourneyDetailSerializer, parameters=[IDEMPOTENCY_HEADER]
    )
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: int) -> Response:
        """Stand still."""
        return self._answer(journeys.pause(self.get_object().pk, actor=self.actor, now=clock.now()))

    @extend_schema(
        request=None, responses=serializers.JourneyDetailSerializer, parameters=[IDEMPOTENCY_HEADER]
    )
    @action(detail=True, methods=["post"])
    def archive(self, request: Request, pk: int) -> Response:
        """End it for good."""
        return self._answer(journeys.archive(self.get_object().pk, actor=self.actor, now=clock.now()))

    @extend_schema(responses=serializers.FunnelSerializer)
    @action(detail=True, methods=["get"])
    def funnel(self, request: Request, pk: int) -> Response:
        """How many entered, wait, met the goal, were written to, and were not."""
        numbers = journey_reads.funnel(self.get_object().pk, now=clock.now())
        return Response(serializers.FunnelSerializer(numbers).data)

    @extend_schema(
        request=serializers.DefinitionSerializer,
        responses=serializers.DescriptionSerializer,
        parameters=[IDEMPOTENCY_HEADER],
    )
    @action(detail=False, methods=["post"])
    def validate(self, request: Request) -> Response:
        """Check a definition and read it back in sentences; nothing is kept."""
        data = self._read(serializers.DefinitionSerializer, request)
        return Response({"description": journey_reads.describe(data["definition"])})

    def _read(self, serializer_class: Any, request: Request) -> dict[str, Any]:
        serializer = serializer_class(data=request.data)
        serializer.is_valid(raise_exception=True)
        return serializer.validated_data

    def _answer(self, journey: Journey, code: int = status.HTTP_200_OK) -> Response:
        return Response(serializers.JourneyDetailSerializer(journey).data, status=code)


class EnrolmentViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, ServiceViewSet):
    """People on their way through journeys, newest first."""

    scope = "lifecycle.enrolment"
    queryset = Enrolment.objects.select_related("profile", "version")
    serializer_class = serializers.EnrolmentSerializer
    filterset_class = filters.EnrolmentFilter
    lookup_value_converter = "int"

    def get_serializer_class(self) -> Any:
        """One enrolment comes with its log."""
        return (
            serializers.EnrolmentSerializer
            if self.action == "list"
            else serializers.EnrolmentDetailSerializer
        )

    def get_queryset(self) -> QuerySet[Enrolment]:
        """Rows with what their serializer reads."""
        rows = super().get_queryset()
        return rows if self.action == "list" else rows.prefetch_related("events")


class KindViewSet(ServiceViewSet):
    """What can be sent, with the texts in force."""

    scope = "lifecycle.messagetemplate"
    serializer_class = serializers.KindSerializer
    queryset = MessageTemplate.objects.none()
    pagination_class = None
    filter_backends: ClassVar[list[Any]] = []
    lookup_field = "code"
    lookup_value_converter = "str"

    @extend_schema(responses=serializers.KindSerializer(many=True))
    def list(self, request: Request) -> Response:
        """All kinds, by code."""
        return Response([_kind(kind) for kind in registry.all_kinds()])

    @extend_schema(responses=serializers.KindSerializer)
    def retrieve(self, request: Request, code: str) -> Response:
        """One kind."""
        return Response(_kind(registry.get(code)))


class TemplateViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, ServiceViewSet):
    """Texts of staff's own; without one the built-in text is in force."""

    scope = "lifecycle.messagetemplate"
    action_permissions: ClassVar[dict[str, str]] = {
        "create": "lifecycle.change_messagetemplate",
        "preview": "lifecycle.view_messagetemplate",
    }
    queryset = MessageTemplate.objects.order_by("-id")
    serializer_class = serializers.TemplateSerializer
    filterset_class = filters.TemplateFilter
    lookup_value_converter = "int"

    @extend_schema(
        request=serializers.TemplateInputSerializer,
        responses={201: serializers.TemplateSerializer},
        parameters=[IDEMPOTENCY_HEADER],
    )
    def create(self, request: Request) -> Response:
        """Put a text in place of the built-in one, or of the own one there is."""
        row = templates.save(**self._read(request), actor=self.actor, now=clock.now())
        return Response(serializers.TemplateSerializer(row).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """Back to the built-in text."""
        row = self.get_object()
        templates.reset(row.kind, language=row.language, actor=self.actor, now=clock.now())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        request=serializers.TemplateInputSerializer,
        responses=serializers.PreviewSerializer,
        parameters=[IDEMPOTENCY_HEADER],
    )
    @action(detail=False, methods=["post"])
    def preview(self, request: Request) -> Response:
        """Check a text and see it with sample values; nothing is kept."""
        data = self._read(request)
        shown = templates.check(registry.get(data.pop("kind")), **data)
        return Response({"subject": shown.subject, "body": shown.body, "advice": list(shown.advice)})

    def _read(self, request: Request) -> dict[str, Any]:
        serializer = serializers.TemplateInputSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)


def _kind(kind: registry.MessageKind) -> dict[str, Any]:
    texts = []
    for language in templates.LANGUAGES:
        template, is_own = templates.template_of(kind, language)
        if template is not None:
            texts.append(
                {"language": language, "subject": template.subject, "body": template.body, "is_own": is_own}
            )
    return {
        "code": kind.code,
        "label": str(kind.label or kind.code),
        "message_class": str(kind.message_class),
        "channels": [str(channel) for channel in kind.channels],
        "variables": templates.variable_names(kind),
        "texts": texts,
    }
