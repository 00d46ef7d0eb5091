"""REST: segments, the people in them, what a rule would do, and their files."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

import django_filters
from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils.encoding import force_str
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from crm import facts
from crm.api import segment_serializers as shapes
from crm.conditions import definition, sentences
from crm.kernel import clock
from crm.kernel.api.filters import StrictFilterSet
from crm.kernel.api.pagination import CursorPagination
from crm.kernel.api.views import IDEMPOTENCY_HEADER, ServiceViewSet
from crm.kernel.errors import Invalid, NotFound
from crm.models import Export, Profile, Segment
from crm.selectors import profiles
from crm.selectors import segments as reads
from crm.services import exports, segment_exports, segment_passes, segments
from crm.states import SegmentKind, SegmentStatus

EXPORT = segment_exports.PERMISSION


class SegmentFilter(StrictFilterSet):
    """Segments by kind, state and name."""

    kind = django_filters.ChoiceFilter(choices=SegmentKind.choices)
    status = django_filters.ChoiceFilter(choices=SegmentStatus.choices)
    name = django_filters.CharFilter(lookup_expr="icontains", label=_("Part of the name"))

    class Meta:
        model = Segment
        fields = ()


class MemberPagination(CursorPagination):
    """People by their number, the newest first."""

    ordering = "-profile_id"


class SegmentViewSet(mixins.ListModelMixin, ServiceViewSet):
    """Segments, by their key."""

    scope = "crm.segment"
    action_permissions: ClassVar[dict[str, str]] = {
        "preview": "crm.view_segment",
        "activate": "crm.activate_segment",
        "pause": "crm.activate_segment",
        "archive": "crm.activate_segment",
        "check": "crm.activate_segment",
        "cancel_check": "crm.activate_segment",
        "duplicate": "crm.add_segment",
        "snapshot": "crm.add_segment",
    }
    queryset = Segment.objects.none()
    serializer_class = shapes.SegmentSerializer
    filterset_class = SegmentFilter
    lookup_field = "key"
    lookup_value_converter = "slug"

    def get_queryset(self) -> QuerySet[Segment]:
        """The segments this caller may see."""
        if getattr(self, "swagger_fake_view", False):
            return Segment.objects.none()
        return Segment.objects.all().visible_to(self.request.auth or self.request.user)

    def segment(self, key: str) -> Segment:
        """The segment of a key. Raises NotFound."""
        row = self.get_queryset().filter(key=key).first()
        if row is None:
            raise NotFound(_("There is no such segment."))
        return row

    @extend_schema(responses=shapes.SegmentDetailSerializer)
    def retrieve(self, request: Request, key: str) -> Response:
        """One segment, its rule also in words."""
        return Response(shapes.SegmentDetailSerializer(self.segment(key)).data)

    @extend_schema(
        request=shapes.SegmentInputSerializer,
        responses={201: shapes.SegmentDetailSerializer},
        parameters=[IDEMPOTENCY_HEADER],
    )
    def create(self, request: Request) -> Response:
        """Make a draft with a rule, or a static list without one."""
        values = _validated(shapes.SegmentInputSerializer, request)
        row = segments.create(values.pop("name"), **values, actor=self.actor, now=clock.now())
        return Response(shapes.SegmentDetailSerializer(row).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=shapes.SegmentChangeSerializer, responses=shapes.SegmentDetailSerializer)
    def partial_update(self, request: Request, key: str) -> Response:
        """Change a segment. A new rule of an active one is put into force by a pass over everybody."""
        row = self.segment(key)
        values = _validated(shapes.SegmentChangeSerializer, request)
        row = segments.edit(row.pk, **values, actor=self.actor, now=clock.now())
        return Response(shapes.SegmentDetailSerializer(row).data)

    @extend_schema(
        request=shapes.SegmentActivateSerializer,
        responses=shapes.SegmentDetailSerializer,
        parameters=[IDEMPOTENCY_HEADER],
    )
    @action(detail=True, methods=["post"])
    def activate(self, request: Request, key: str) -> Response:
        """Follow events from now on; a pass fills the segment within moments."""
        values = _validated(shapes.SegmentActivateSerializer, request)
        return self._done(
            segments.activate(self.segment(key).pk, **values, actor=self.actor, now=clock.now())
        )

    @extend_schema(request=None, responses=shapes.SegmentDetailSerializer, parameters=[IDEMPOTENCY_HEADER])
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, key: str) -> Response:
        """Keep the people as they are."""
        return self._done(segments.pause(self.segment(key).pk, actor=self.actor, now=clock.now()))

    @extend_schema(request=None, responses=shapes.SegmentDetailSerializer, parameters=[IDEMPOTENCY_HEADER])
    @action(detail=True, methods=["post"])
    def archive(self, request: Request, key: str) -> Response:
        """Out of use for good."""
        return self._done(segments.archive(self.segment(key).pk, actor=self.actor, now=clock.now()))

    @extend_schema(
        request=None, responses={202: shapes.SegmentRunSerializer}, parameters=[IDEMPOTENCY_HEADER]
    )
    @action(detail=True, methods=["post"])
    def check(self, request: Request, key: str) -> Response:
        """Set the segment against its rule now."""
        run = segment_passes.ask(self.segment(key).pk, actor=self.actor, now=clock.now())
        return Response(shapes.SegmentRunSerializer(run).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(request=None, responses=shapes.SegmentDetailSerializer, parameters=[IDEMPOTENCY_HEADER])
    @action(detail=True, methods=["post"], url_path="cancel-check")
    def cancel_check(self, request: Request, key: str) -> Response:
        """Stop the pass that is open; what it did stays."""
        row = self.segment(key)
        segment_passes.cancel(row.pk, actor=self.actor, now=clock.now())
        return self._done(row)

    @extend_schema(
        request=shapes.SegmentCopySerializer,
        responses={201: shapes.SegmentDetailSerializer},
        parameters=[IDEMPOTENCY_HEADER],
    )
    @action(detail=True, methods=["post"])
    def duplicate(self, request: Request, key: str) -> Response:
        """A draft with the same rule, or a list with the same people."""
        values = _validated(shapes.SegmentCopySerializer, request)
        row = segments.duplicate(self.segment(key).pk, **values, actor=self.actor, now=clock.now())
        return Response(shapes.SegmentDetailSerializer(row).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        request=shapes.SegmentCopySerializer,
        responses={201: shapes.SegmentDetailSerializer},
        parameters=[IDEMPOTENCY_HEADER],
    )
    @action(detail=True, methods=["post"])
    def snapshot(self, request: Request, key: str) -> Response:
        """A static list of the people who are in now."""
        values = _validated(shapes.SegmentCopySerializer, request)
        row = segments.snapshot(self.segment(key).pk, **values, actor=self.actor, now=clock.now())
        return Response(shapes.SegmentDetailSerializer(row).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        request=shapes.SegmentPreviewInputSerializer, responses=shapes.SegmentPreviewSerializer, filters=False
    )
    @action(detail=False, methods=["post"], pagination_class=None)
    def preview(self, request: Request) -> Response:
        """How many a rule would let in, and some of them. Changes nothing."""
        values = _validated(shapes.SegmentPreviewInputSerializer, request)
        found = reads.preview(values["rule"], now=clock.now(), sample=values["sample"])
        node = definition.parse(values["rule"])
        words = sentences.sentence(node, names=reads.namer(definition.segments(node)))
        return Response(
            shapes.SegmentPreviewSerializer(
                {
                    "count": found.count,
                    "is_estimate": found.is_estimate,
                    "asked": found.asked,
                    "sentence": words,
                    "sample": found.sample,
                }
            ).data
        )

    @extend_schema(responses=shapes.SegmentFactSerializer(many=True), filters=False)
    @action(detail=False, methods=["get"], pagination_class=None)
    def facts(self, request: Request) -> Response:
        """The facts that conditions may ask about, and their operators."""
        rows = [
            {
                "key": fact.key,
                "label": force_str(fact.label),
                "group": force_str(facts.group_label(fact)),
                "help": force_str(fact.help),
                "type": fact.type,
                "unit": force_str(fact.unit),
                "operators": fact.allowed_operators(),
            }
            for fact in facts.all_facts()
        ]
        return Response(shapes.SegmentFactSerializer(rows, many=True).data)

    @extend_schema(responses=shapes.SegmentMemberSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], pagination_class=MemberPagination, filterset_class=None)
    def members(self, request: Request, key: str) -> Response:
        """The people in a segment."""
        page = self.paginate_queryset(reads.members(self.segment(key).pk)) or []
        cards = profiles.cards([row.profile_id for row in page])
        rows = [
            {
                "id": cards[row.profile_id].public_id,
                "name": cards[row.profile_id].name,
                "entered_at": row.entered_at,
                "is_initial": row.is_initial,
            }
            for row in page
            if row.profile_id in cards
        ]
        return self.get_paginated_response(shapes.SegmentMemberSerializer(rows, many=True).data)

    @extend_schema(
        request=shapes.MembersInputSerializer,
        responses=shapes.ListedSerializer,
        parameters=[IDEMPOTENCY_HEADER],
        filters=False,
    )
    @action(detail=True, methods=["post"], url_path="add-members", pagination_class=None)
    def add_members(self, request: Request, key: str) -> Response:
        """Put people onto a static list."""
        return self._listed(request, key, segments.add_members)

    @extend_schema(
        request=shapes.MembersInputSerializer,
        responses=shapes.ListedSerializer,
        parameters=[IDEMPOTENCY_HEADER],
        filters=False,
    )
    @action(detail=True, methods=["post"], url_path="remove-members", pagination_class=None)
    def remove_members(self, request: Request, key: str) -> Response:
        """Take people off a static list."""
        return self._listed(request, key, segments.remove_members)

    @extend_schema(responses=shapes.SegmentSizeSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], pagination_class=None)
    def sizes(self, request: Request, key: str) -> Response:
        """The sizes of the last 90 days; a day without changes has no line."""
        rows = reads.history(self.segment(key).pk, now=clock.now())
        return Response(shapes.SegmentSizeSerializer(rows, many=True).data)

    @extend_schema(responses=shapes.SegmentEventSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], pagination_class=None)
    def history(self, request: Request, key: str) -> Response:
        """What was done to a segment, newest first (at most 200)."""
        rows = reads.events(self.segment(key).pk)[:200]
        return Response(shapes.SegmentEventSerializer(rows, many=True).data)

    def _done(self, row: Segment) -> Response:
        return Response(shapes.SegmentDetailSerializer(row).data)

    def _listed(self, request: Request, key: str, service: Any) -> Response:
        """By public ids and by identifiers; what is nobody's comes back as it was sent."""
        row = self.segment(key)
        values = _validated(shapes.MembersInputSerializer, request)
        public, texts = values.get("profiles", []), values.get("identifiers", [])
        if not public and not texts:
            raise Invalid(
                _("Give profiles or identifiers."), code="no_identifier", allowed=["profiles", "identifiers"]
            )
        found = dict(Profile.objects.filter(public_id__in=public).values_list("public_id", "pk"))
        owners = segments.match(texts)
        ids = sorted({*found.values(), *owners.values()})
        done = service(
            row.pk, profile_ids=ids, actor=self.actor, now=clock.now(), announce=values["announce"]
        )
        unmatched = [str(one) for one in public if one not in found]
        unmatched += [text for text in texts if text not in owners] + done.unmatched
        return Response(
            shapes.ListedSerializer(
                {"changed": done.changed, "unchanged": done.unchanged, "unmatched": unmatched}
            ).data
        )


class SegmentExportViewSet(ServiceViewSet):
    """Files with the people of a segment: bound to who asked, gone after a day."""

    scope = "crm.segmentexport"
    action_permissions: ClassVar[dict[str, str]] = dict.fromkeys(("create", "retrieve", "file"), EXPORT)
    queryset = Export.objects.none()
    serializer_class = shapes.SegmentExportSerializer
    lookup_field = "public_id"
    lookup_url_kwarg = "id"
    lookup_value_converter = "uuid"

    @extend_schema(
        request=shapes.SegmentExportInputSerializer,
        responses={202: shapes.SegmentExportSerializer},
        parameters=[IDEMPOTENCY_HEADER],
    )
    def create(self, request: Request) -> Response:
        """Ask for a file; a worker writes it."""
        values = _validated(shapes.SegmentExportInputSerializer, request)
        row = Segment.objects.filter(key=values["segment"]).first()
        if row is None:
            raise NotFound(_("There is no such segment."))
        made = segment_exports.request(
            row,
            columns=values.get("columns", []),
            language=get_language() or "en",
            actor=self.actor,
            now=clock.now(),
        )
        return Response(shapes.SegmentExportSerializer(made).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(responses=shapes.SegmentExportSerializer)
    def retrieve(self, request: Request, id: UUID) -> Response:
        """How far the file is."""
        return Response(
            shapes.SegmentExportSerializer(exports.find(id, actor=self.actor, now=clock.now())).data
        )

    @extend_schema(
        responses={(200, "text/csv"): OpenApiResponse(OpenApiTypes.BINARY, description="The file as CSV.")}
    )
    @action(detail=True, methods=["get"])
    def file(self, request: Request, id: UUID) -> StreamingHttpResponse:
        """The file, for who asked for it."""
        return csv_response(*exports.download(id, actor=self.actor, now=clock.now()))


def csv_response(row: Export, parts: Any) -> StreamingHttpResponse:
    """A file as it goes out: always an attachment, never guessed at."""
    response = StreamingHttpResponse(parts, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="segment-{row.public_id}.csv"'
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "no-store"
    return response


def _validated(serializer_class: type[Any], request: Request) -> dict[str, Any]:
    serializer = serializer_class(data=request.data)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)
