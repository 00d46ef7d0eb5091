"""REST: lists of people and events come in, in the same steps as on the staff pages."""

from __future__ import annotations

from typing import Any, ClassVar

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from crm import rejects
from crm.imports import columns, reasons
from crm.kernel import clock
from crm.kernel.api.filters import StrictFilterSet
from crm.kernel.api.parsers import StrictJSONParser
from crm.kernel.api.serializers import LineField, StrictSerializer
from crm.kernel.api.views import IDEMPOTENCY_HEADER, ServiceViewSet
from crm.models import ImportReject, ImportRun
from crm.selectors import imports as reads
from crm.services import import_undo, imports
from crm.states import Channel, ImportKind, Purpose, TieStrength


class ImportSerializer(serializers.ModelSerializer):
    """An import: what it is about, where it stands, and its figures."""

    source = serializers.CharField(source="source.name", default=None, allow_null=True)
    headers = serializers.SerializerMethodField()
    format = serializers.CharField(source="shape.format")
    encoding = serializers.CharField(source="shape.encoding")
    progress = serializers.SerializerMethodField()

    class Meta:
        model = ImportRun
        fields = (
            "id", "kind", "status", "file_name", "file_size", "sha256", "format", "encoding", "headers", "mapping",
            "source", "tie_strength", "consent", "options", "rows_total", "report", "counters", "progress", "error",
            "is_forced", "undo", "created_at", "checked_at", "started_at", "finished_at", "file_removed_at",
        )  # fmt: skip
        read_only_fields = fields

    def get_headers(self, run: ImportRun) -> list[str]:
        """The columns of the file."""
        return list(run.shape.get("headers", []))

    def get_progress(self, run: ImportRun) -> dict[str, Any]:
        """Rows done, share of the whole, speed, and seconds left."""
        found = reads.progress(run)
        return {
            "rows": found.rows, "share": round(found.share, 4), "rows_per_second": round(found.rows_per_second, 1),
            "seconds_left": None if found.seconds_left is None else round(found.seconds_left, 1),
        }  # fmt: skip


class ImportUploadSerializer(StrictSerializer):
    """A list to upload."""

    file = serializers.FileField(allow_empty_file=True, help_text="A .csv or .xlsx file.")
    kind = serializers.ChoiceField(choices=ImportKind.choices, default=ImportKind.CONTACTS)
    encoding = LineField(max_length=40, required=False, default="", allow_blank=True)
    delimiter = serializers.ChoiceField(choices=[",", ";", "\t", "|"], required=False)
    sheet = LineField(max_length=100, required=False, default="", allow_blank=True)
    has_header = serializers.BooleanField(required=False, allow_null=True, default=None)


class ImportColumnSerializer(StrictSerializer):
    """What one column means."""

    index = serializers.IntegerField(min_value=0, max_value=499)
    header = serializers.CharField(required=False, allow_blank=True, max_length=300)
    target = serializers.CharField(
        max_length=120, help_text=", ".join(columns.targets(ImportKind.CONTACTS)[:9])
    )
    type = serializers.ChoiceField(choices=columns.TYPES, default="text")
    order = serializers.ChoiceField(choices=["", "dmy", "mdy"], default="")
    guessed = serializers.BooleanField(required=False, default=False)


class ImportMappingSerializer(StrictSerializer):
    """What the columns mean; columns that are not named are left out."""

    mapping = ImportColumnSerializer(many=True, allow_empty=False, max_length=500)


class ImportConsentSerializer(StrictSerializer):
    """What the people of the list agreed to."""

    given = serializers.BooleanField()
    evidence = serializers.CharField(required=False, default="", allow_blank=True, max_length=2000)
    text_version = LineField(required=False, default="", allow_blank=True, max_length=80)
    agreed_on = serializers.DateField(required=False, allow_null=True, default=None)
    claims = serializers.ListField(
        child=serializers.RegexField(
            f"^({'|'.join(Purpose.values)}):({'|'.join(Channel.values)})$", help_text="As `marketing:email`."
        ),
        required=False, default=list, max_length=32,
    )  # fmt: skip


class ImportSourceSerializer(StrictSerializer):
    """Where the list comes from, how well its people know you, what they agreed to, and choices."""

    source = LineField(max_length=120)
    tie_strength = serializers.ChoiceField(
        choices=TieStrength.choices, required=False, default="", allow_blank=True
    )
    consent = ImportConsentSerializer(required=False)
    existing = serializers.ChoiceField(choices=["fill", "replace"], default="fill")
    region = serializers.RegexField("^[A-Z]{2}$", required=False, default="", allow_blank=True)
    static_list = LineField(max_length=120, required=False, default="", allow_blank=True)
    trigger = serializers.BooleanField(default=False)


class ImportUndoSerializer(StrictSerializer):
    """The number of the import, as a sign that it is meant."""

    confirm = LineField(max_length=20)


class ImportOutlookSerializer(serializers.Serializer):
    """What taking an import back would do. Of a long list the figures are estimates from the first `asked` people."""

    people = serializers.IntegerField()
    asked = serializers.IntegerField()
    is_estimate = serializers.BooleanField()
    figures = serializers.DictField(
        child=serializers.IntegerField(),
        help_text="`gone`, `kept`, `values`, `contacts`, `identities`, `identities_kept`, `consents`, `erased`.",
    )


class WarmUpSerializer(serializers.Serializer):
    """The list that was made."""

    id = serializers.IntegerField()
    key = serializers.CharField()
    name = serializers.CharField()
    size = serializers.IntegerField()


class ImportStartSerializer(StrictSerializer):
    """Whether a file that came in before is imported again."""

    force = serializers.BooleanField(default=False)


class ImportRejectSerializer(serializers.ModelSerializer):
    """A row or a value that was left out."""

    reason = serializers.SerializerMethodField()

    class Meta:
        model = ImportReject
        fields = ("id", "row", "column", "code", "reason", "excerpt", "whole_row")
        read_only_fields = fields

    def get_reason(self, row: ImportReject) -> str:
        """The reason in the reader's language."""
        return reasons.text(row.code)


class ImportFilter(StrictFilterSet):
    """Imports by kind and status."""

    class Meta:
        model = ImportRun
        fields = ("kind", "status")


class ImportViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, ServiceViewSet):
    """Imports, newest first: upload, mapping, source, dry run, start, and what was left out."""

    scope = "crm.importrun"
    action_permissions: ClassVar[dict[str, str]] = dict.fromkeys(
        (
            "create",
            "mapping",
            "source",
            "dry_run",
            "start",
            "pause",
            "resume",
            "cancel",
            "rejects",
            "reject_file",
        ),
        "crm.import_profile",
    ) | {"begin_undo": "crm.undo_importrun", "warm_up": "crm.add_segment"}
    queryset = ImportRun.objects.select_related("source").order_by("-id")
    serializer_class = ImportSerializer
    filterset_class = ImportFilter
    lookup_value_converter = "int"

    def get_parsers(self) -> list[Any]:
        """A list is uploaded as a form, everything else is JSON."""
        return [MultiPartParser()] if getattr(self, "action", None) == "create" else [StrictJSONParser()]

    def initialize_request(self, request: Any, *args: Any, **kwargs: Any) -> Request:
        """The action decides on the parser, so it must be known before."""
        self.action = self.action_map.get(request.method.lower())
        return super().initialize_request(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """An upload is not read twice for an Idempotency-Key: the same file gives the same draft anyway."""
        if self.action == "create":
            super(ServiceViewSet, self).initial(request, *args, **kwargs)
        else:
            super().initial(request, *args, **kwargs)

    def _answer(self, run: ImportRun, code: int = status.HTTP_200_OK) -> Response:
        return Response(
            ImportSerializer(ImportRun.objects.select_related("source").get(pk=run.pk)).data, status=code
        )

    @extend_schema(
        request={"multipart/form-data": ImportUploadSerializer}, responses={201: ImportSerializer},
        parameters=[IDEMPOTENCY_HEADER],
    )  # fmt: skip
    def create(self, request: Request) -> Response:
        """Upload a list. The same file again gives the same draft."""
        serializer = ImportUploadSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        given = serializer.validated_data
        reading = {
            name: given[name]
            for name in ("encoding", "delimiter", "sheet", "has_header")
            if given.get(name) not in (None, "")
        }  # fmt: skip
        run = imports.upload(
            given["file"].name or "list", given["file"].chunks(1024 * 1024), kind=given["kind"], actor=self.actor,
            now=clock.now(), **reading,
        )  # fmt: skip
        return self._answer(run, status.HTTP_201_CREATED)

    @extend_schema(
        request=ImportMappingSerializer, responses=ImportSerializer, parameters=[IDEMPOTENCY_HEADER]
    )
    @action(detail=True, methods=["post"])
    def mapping(self, request: Request, pk: int) -> Response:
        """Say what the columns mean."""
        row = self.get_object()
        serializer = ImportMappingSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        mapping = [dict(entry) for entry in serializer.validated_data["mapping"]]
        return self._answer(imports.set_mapping(row.pk, mapping=mapping, actor=self.actor, now=clock.now()))

    @extend_schema(
        request=ImportSourceSerializer, responses=ImportSerializer, parameters=[IDEMPOTENCY_HEADER]
    )
    @action(detail=True, methods=["post"])
    def source(self, request: Request, pk: int) -> Response:
        """State source, tie strength and consent."""
        row = self.get_object()
        serializer = ImportSourceSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        given = dict(serializer.validated_data)
        consent = dict(given.get("consent") or {})
        consent["claims"] = [claim.split(":") for claim in consent.get("claims", ())]
        consent["agreed_on"] = str(consent.get("agreed_on") or "")
        run = imports.describe(
            row.pk, source=given["source"], tie_strength=given["tie_strength"], consent=consent,
            options={name: given[name] for name in ("existing", "region", "static_list", "trigger")},
            actor=self.actor, now=clock.now(),
        )  # fmt: skip
        return self._answer(run)

    @extend_schema(request=None, responses={202: ImportSerializer}, parameters=[IDEMPOTENCY_HEADER])
    @action(detail=True, methods=["post"], url_path="dry-run")
    def dry_run(self, request: Request, pk: int) -> Response:
        """Begin the dry run; `report` has its figures once the status is `checked`."""
        run = imports.check(self.get_object().pk, actor=self.actor, now=clock.now())
        return self._answer(run, status.HTTP_202_ACCEPTED)

    @extend_schema(
        request=ImportStartSerializer, responses={202: ImportSerializer}, parameters=[IDEMPOTENCY_HEADER]
    )
    @action(detail=True, methods=["post"])
    def start(self, request: Request, pk: int) -> Response:
        """Let a checked list in."""
        row = self.get_object()
        serializer = ImportStartSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        force = serializer.validated_data["force"]
        run = imports.start(row.pk, force=force, actor=self.actor, now=clock.now())
        return self._answer(run, status.HTTP_202_ACCEPTED)

    @extend_schema(request=None, responses=ImportSerializer, parameters=[IDEMPOTENCY_HEADER])
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: int) -> Response:
        """Stop after what is committed."""
        return self._answer(imports.pause(self.get_object().pk, actor=self.actor, now=clock.now()))

    @extend_schema(request=None, responses=ImportSerializer, parameters=[IDEMPOTENCY_HEADER])
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: int) -> Response:
        """Go on."""
        return self._answer(imports.resume(self.get_object().pk, actor=self.actor, now=clock.now()))

    @extend_schema(request=None, responses=ImportSerializer, parameters=[IDEMPOTENCY_HEADER])
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: int) -> Response:
        """End it for good; who came in stays."""
        return self._answer(imports.cancel(self.get_object().pk, actor=self.actor, now=clock.now()))

    @extend_schema(responses=ImportOutlookSerializer, filters=False)
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def undo(self, request: Request, pk: int) -> Response:
        """The report before: what taking it back would do. Changes nothing."""
        outlook = import_undo.outlook(self.get_object(), now=clock.now())
        return Response(ImportOutlookSerializer(outlook).data)

    @extend_schema(
        request=ImportUndoSerializer, responses={202: ImportSerializer}, parameters=[IDEMPOTENCY_HEADER]
    )
    @undo.mapping.post
    def begin_undo(self, request: Request, pk: int) -> Response:
        """Take it back: who came with it and did nothing since, what it said of the others, what it claimed they agreed
        to. `undo` has the place and the figures."""
        row = self.get_object()
        serializer = ImportUndoSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        run = import_undo.start(row.pk, **serializer.validated_data, actor=self.actor, now=clock.now())
        return self._answer(run, status.HTTP_202_ACCEPTED)

    @extend_schema(request=None, responses={201: WarmUpSerializer}, parameters=[IDEMPOTENCY_HEADER])
    @action(detail=True, methods=["post"], url_path="warm-up")
    def warm_up(self, request: Request, pk: int) -> Response:
        """A static list of those who said yes to marketing and have an address for it, as of now."""
        made = imports.make_warm_up_list(self.get_object().pk, actor=self.actor, now=clock.now())
        return Response(WarmUpSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses=ImportRejectSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], filterset_class=None)
    def rejects(self, request: Request, pk: int) -> Response:
        """What was left out, in the order of the list, by pages."""
        row = self.get_object()
        assert self.paginator is not None
        self.paginator.ordering = "id"
        page = self.paginate_queryset(reads.rejects(row))
        return self.get_paginated_response(ImportRejectSerializer(page, many=True).data)

    @extend_schema(
        responses={(200, "text/csv"): OpenApiResponse(OpenApiTypes.STR, description="UTF-8 with BOM")},
        filters=False,
    )
    @action(detail=True, methods=["get"], url_path="reject-file", filterset_class=None)
    def reject_file(self, request: Request, pk: int) -> StreamingHttpResponse:
        """The same as a CSV in the reader's language, safe to open in a spreadsheet."""
        return rejects.answer(self.get_object())
