"""REST of privacy: consent, pressure to reserve, corrections, exports, erasures, retention, the register."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from django.http import FileResponse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from crm.api import privacy_serializers as forms
from crm.api.profiles import ProfileViewSet
from crm.kernel import clock
from crm.kernel.api.views import IDEMPOTENCY_HEADER, ServiceViewSet
from crm.kernel.errors import NotFound
from crm.models import ConsentText, Erasure, PersonExport, PressureReservation, Profile
from crm.selectors import consents, pressure, processing, retention
from crm.selectors import privacy as reads
from crm.selectors import profiles as people
from crm.services import (
    consent_texts,
    contacts,
    corrections,
    erasure,
    opt_ins,
    person_exports,
    reservations,
)


def _read(serializer_class: type[Any], request: Request) -> dict[str, Any]:
    serializer = serializer_class(data=request.data)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def _person(request: Request, public_id: Any) -> Profile:
    """The live root of a public id that this caller may see. Raises NotFound."""
    found = Profile.objects.filter(public_id=public_id).select_related("merged_into").first()
    root = found and (found.merged_into or found)
    if root is None or root.erased_at is not None:
        raise NotFound(_("There is no such person."))
    return root


class ConsentTextViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, ServiceViewSet):
    """The words people agree to, every version."""

    scope = "crm.consenttext"
    queryset = ConsentText.objects.all()
    serializer_class = forms.ConsentTextSerializer
    lookup_value_converter = "int"

    @extend_schema(
        request=forms.ConsentTextInputSerializer,
        responses={201: forms.ConsentTextSerializer},
        parameters=[IDEMPOTENCY_HEADER],
    )
    def create(self, request: Request) -> Response:
        """Write the next version of a purpose's text."""
        values = _read(forms.ConsentTextInputSerializer, request)
        row = consent_texts.write(values.pop("purpose"), **values, actor=self.actor, now=clock.now())
        return Response(forms.ConsentTextSerializer(row).data, status=status.HTTP_201_CREATED)


class ProfilePrivacyViewSet(ServiceViewSet):
    """Consent, pressure, and putting things right, of one person."""

    scope = "crm.profile"
    action_permissions: ClassVar[dict[str, str]] = {
        "consent_state": "crm.view_consentrecord",
        "consent_requests": "crm.add_consentrecord",
        "pressure": "crm.view_profile",
        "corrections": "crm.change_profile",
        "erasure_preview": "crm.view_erasure",
    }
    queryset = Profile.objects.none()
    lookup_field = "id"
    lookup_value_converter = "uuid"
    person = ProfileViewSet.person

    def _ids(self, id: UUID) -> list[int]:
        root = self.person(id)
        return [root.pk, *(one for one in people.id_sets([root.pk])[root.pk] if one != root.pk)]

    @extend_schema(responses=forms.ConsentCellSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], url_path="consent-state", pagination_class=None)
    def consent_state(self, request: Request, id: UUID) -> Response:
        """Every purpose on every channel: what is in force, since when, and how we know."""
        cells = consents.grid(self._ids(id)).values()
        return Response(forms.ConsentCellSerializer(cells, many=True).data)

    @extend_schema(
        request=forms.ConsentRequestInputSerializer,
        responses={202: forms.ConsentRequestAnswerSerializer},
        parameters=[IDEMPOTENCY_HEADER],
    )
    @action(detail=True, methods=["post"], url_path="consent-requests")
    def consent_requests(self, request: Request, id: UUID) -> Response:
        """Double opt-in: ask the owner of an address to confirm a yes. Nothing else is sent to it before."""
        root = self.person(id)
        values = _read(forms.ConsentRequestInputSerializer, request)
        now = clock.now()
        contact = contacts.add(
            root.pk, channel="email", value=values["email"], origin="form", actor=self.actor, now=now
        )
        row = opt_ins.request(
            root.pk, contact_id=contact.pk, purposes=values["purposes"], way=values["way"],
            language=values["language"], actor=self.actor, now=now,
        )  # fmt: skip
        return Response({"is_asked": row is not None}, status=status.HTTP_202_ACCEPTED)

    @extend_schema(responses=forms.StandingSerializer, filters=False)
    @action(detail=True, methods=["get"], pagination_class=None)
    def pressure(self, request: Request, id: UUID) -> Response:
        """What touched this person lately, and how much of the budget is left."""
        return Response(forms.StandingSerializer(pressure.standing(self._ids(id), now=clock.now())).data)

    @extend_schema(
        request=forms.CorrectionSerializer,
        responses=forms.CorrectionAnswerSerializer,
        parameters=[IDEMPOTENCY_HEADER],
    )
    @action(detail=True, methods=["post"])
    def corrections(self, request: Request, id: UUID) -> Response:
        """Put values right, with the reason. The log keeps which, not what."""
        root = self.person(id)
        values = _read(forms.CorrectionSerializer, request)
        reason = values.pop("reason")
        if values.get("birthday"):
            values["birthday"] = values["birthday"].isoformat()
        changed = corrections.correct(
            root.pk, values=values, reason=reason, actor=self.actor, now=clock.now()
        )
        return Response({"changed": sorted(changed)})

    @extend_schema(responses=forms.PreviewLineSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], url_path="erasure-preview", pagination_class=None)
    def erasure_preview(self, request: Request, id: UUID) -> Response:
        """How many rows of what an erasure would take. Changes nothing."""
        return Response(forms.PreviewLineSerializer(reads.preview(self._ids(id)), many=True).data)


class PressureReservationViewSet(ServiceViewSet):
    """May I show this now? One budget over messages, surveys and pop-ups, whoever sends them."""

    scope = "crm.pressurereservation"
    action_permissions: ClassVar[dict[str, str]] = {
        "create": "crm.change_profile",
        "retrieve": "crm.view_profile",
        "settle": "crm.change_profile",
        "release": "crm.change_profile",
    }
    queryset = PressureReservation.objects.none()
    lookup_field = "id"
    lookup_value_converter = "uuid"

    @extend_schema(
        request=forms.ReservationInputSerializer,
        responses={200: forms.ReservationAnswerSerializer, 201: forms.ReservationAnswerSerializer},
        parameters=[IDEMPOTENCY_HEADER],
    )
    def create(self, request: Request) -> Response:
        """Reserve one disturbance: 201 when granted, 200 with the reason and the next time when not."""
        values = _read(forms.ReservationInputSerializer, request)
        root = _person(request, values.pop("profile"))
        answer = reservations.ask(root.pk, **values, actor=self.actor, now=clock.now())
        code = status.HTTP_201_CREATED if answer.granted else status.HTTP_200_OK
        return Response(forms.ReservationAnswerSerializer(answer).data, status=code)

    @extend_schema(responses=forms.ReservationSerializer)
    def retrieve(self, request: Request, id: UUID) -> Response:
        """A reservation of this caller."""
        row = pressure.reservation(id, actor=str(self.actor))
        if row is None:
            raise NotFound(_("There is no such reservation."))
        return Response(forms.ReservationSerializer(row).data)

    @extend_schema(request=None, responses=forms.ReservationSerializer, parameters=[IDEMPOTENCY_HEADER])
    @action(detail=True, methods=["post"])
    def settle(self, request: Request, id: UUID) -> Response:
        """It was shown."""
        row = reservations.settle(id, actor=self.actor, now=clock.now())
        return Response(forms.ReservationSerializer(row).data)

    @extend_schema(request=None, responses=forms.ReservationSerializer, parameters=[IDEMPOTENCY_HEADER])
    @action(detail=True, methods=["post"])
    def release(self, request: Request, id: UUID) -> Response:
        """It was not shown: its points are free again."""
        row = reservations.release(id, actor=self.actor, now=clock.now())
        return Response(forms.ReservationSerializer(row).data)


class PersonExportViewSet(mixins.ListModelMixin, ServiceViewSet):
    """Files with everything about one person; each caller sees their own."""

    scope = "crm.personexport"
    action_permissions: ClassVar[dict[str, str]] = {
        "create": "crm.export_person",
        "download": "crm.export_person",
    }
    serializer_class = forms.PersonExportSerializer
    lookup_field = "id"
    lookup_value_converter = "uuid"

    def get_queryset(self) -> QuerySet[PersonExport]:
        """What this caller asked for."""
        if getattr(self, "swagger_fake_view", False):
            return PersonExport.objects.none()
        return PersonExport.objects.filter(requested_by=str(self.actor))

    @extend_schema(
        request=forms.PersonExportInputSerializer,
        responses={202: forms.PersonExportSerializer},
        parameters=[IDEMPOTENCY_HEADER],
    )
    def create(self, request: Request) -> Response:
        """Ask for the file; it is built in the background."""
        values = _read(forms.PersonExportInputSerializer, request)
        root = _person(request, values["profile"])
        row = person_exports.request(root.pk, language=values["language"], actor=self.actor, now=clock.now())
        return Response(forms.PersonExportSerializer(row).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(responses=forms.PersonExportSerializer)
    def retrieve(self, request: Request, id: UUID) -> Response:
        """How far it is."""
        return Response(forms.PersonExportSerializer(person_exports.find(id, actor=self.actor)).data)

    @extend_schema(responses={(200, "application/zip"): OpenApiTypes.BINARY}, filters=False)
    @action(detail=True, methods=["get"], pagination_class=None)
    def download(self, request: Request, id: UUID) -> FileResponse:
        """The file, for whoever asked for it; 409 while it is being built, 410 after its day."""
        row, opened = person_exports.download(id, actor=self.actor, now=clock.now())
        answer = FileResponse(
            opened, as_attachment=True, filename=f"person-{row.pk}.zip", content_type="application/zip"
        )
        answer["Cache-Control"] = "no-store"
        return answer


class ErasureViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, ServiceViewSet):
    """Erasures and their certificates."""

    scope = "crm.erasure"
    action_permissions: ClassVar[dict[str, str]] = {
        "approve": "crm.approve_erasure",
        "cancel": "crm.approve_erasure",
    }
    queryset = Erasure.objects.all()
    serializer_class = forms.ErasureSerializer
    lookup_value_converter = "int"

    @extend_schema(
        request=forms.ErasureInputSerializer,
        responses={202: forms.ErasureSerializer},
        parameters=[IDEMPOTENCY_HEADER],
    )
    def create(self, request: Request) -> Response:
        """Ask for an erasure; somebody else has to approve it."""
        root = _person(request, _read(forms.ErasureInputSerializer, request)["profile"])
        row = erasure.request(root.pk, actor=self.actor, needs_approval=True, now=clock.now())
        return Response(forms.ErasureSerializer(row).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(request=None, responses=forms.ErasureSerializer, parameters=[IDEMPOTENCY_HEADER])
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: int) -> Response:
        """The second pair of eyes: 403 for whoever asked."""
        row = erasure.approve(self.get_object().pk, actor=self.actor, now=clock.now())
        return Response(forms.ErasureSerializer(row).data)

    @extend_schema(request=None, responses=forms.ErasureSerializer, parameters=[IDEMPOTENCY_HEADER])
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: int) -> Response:
        """Stop it; 409 when it has begun."""
        row = erasure.cancel(self.get_object().pk, actor=self.actor, now=clock.now())
        return Response(forms.ErasureSerializer(row).data)


class ProcessingViewSet(ServiceViewSet):
    """The register of processing (GDPR Art. 30, PIPL Art. 55-56)."""

    scope = "crm.processing"
    action_permissions: ClassVar[dict[str, str]] = {"list": "crm.view_consenttext"}
    queryset = ConsentText.objects.none()
    pagination_class = None
    filter_backends = ()

    @extend_schema(responses=forms.ProcessingEntrySerializer(many=True))
    def list(self, request: Request) -> Response:
        """Every personal field, generated from the models, in the language of the request."""
        return Response(forms.ProcessingEntrySerializer(processing.entries(), many=True).data)


class RetentionViewSet(ServiceViewSet):
    """What is past its retention."""

    scope = "crm.retention"
    action_permissions: ClassVar[dict[str, str]] = {"list": "crm.view_retentionrun"}
    queryset = ConsentText.objects.none()
    pagination_class = None
    filter_backends = ()

    @extend_schema(responses=forms.RetentionPlanSerializer(many=True))
    def list(self, request: Request) -> Response:
        """What a run at this moment would do, month by month. Changes nothing."""
        return Response(forms.RetentionPlanSerializer(retention.plan(now=clock.now()), many=True).data)
