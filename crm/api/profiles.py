"""REST: people, their timeline, consent, and joining two who are one."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from crm.api import derived, filters, serializers, timeline_query
from crm.kernel import clock
from crm.kernel.api.views import IDEMPOTENCY_HEADER, ServiceViewSet
from crm.kernel.errors import NotFound
from crm.models import Profile
from crm.selectors import consents as consent_selectors
from crm.selectors import contacts, timeline
from crm.selectors import profiles as profile_selectors
from crm.selectors import search as people_search
from crm.services import consents, erasure, merges
from crm.services import profiles as profile_services


class ProfileViewSet(mixins.ListModelMixin, ServiceViewSet):
    """People. A merged id answers with the person it belongs to now."""

    scope = "crm.profile"
    action_permissions: ClassVar[dict[str, str]] = {
        "consents": "crm.view_consentrecord",
        "record_consent": "crm.add_consentrecord",
        "merge": "crm.merge_profile",
        "preview_merge": "crm.merge_profile",
        "erase": "crm.erase_profile",
    }
    queryset = Profile.objects.none()
    serializer_class = serializers.ProfileSerializer
    filterset_class = filters.ProfileFilter
    lookup_field = "public_id"
    lookup_url_kwarg = "id"
    lookup_value_converter = "uuid"

    def get_queryset(self) -> QuerySet[Profile]:
        """Live people the caller may see."""
        if getattr(self, "swagger_fake_view", False):
            return Profile.objects.none()
        return Profile.objects.all().visible_to(self.request.auth or self.request.user).roots()

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """People, newest first; with `search` the best found (at most 200) on one page, best first, with the reason.

        Several words narrow it down. Names are found in Chinese, by pinyin and by initials; e-mail, phone and any
        identifier as a whole, e-mail also by its parts, phone also by its last four digits or more.
        """
        text = request.query_params.get("search", "").strip()
        if not text:
            return super().list(request, *args, **kwargs)
        hits = {hit.profile_id: hit for hit in people_search.people(text, limit=profile_selectors.MOST_FOUND)}
        found = self.filter_queryset(self.get_queryset())
        rows = list(profile_selectors.ranked(found, list(hits))[: self._most(request)])
        data = self.get_serializer(
            rows, many=True, context={**self.get_serializer_context(), "hits": hits}
        ).data
        return Response({"next": None, "previous": None, "results": data})

    def _most(self, request: Request) -> int:
        paginator = self.paginator
        return paginator.get_page_size(request) if paginator is not None else 50

    def person(self, public_id: Any) -> Profile:
        """The live root of a public id. Raises NotFound, also for erased people."""
        rows = Profile.objects.all().visible_to(self.request.auth or self.request.user)
        found = rows.filter(public_id=public_id).select_related("merged_into").first()
        root = found and (found.merged_into or found)
        if root is None or root.erased_at is not None:
            raise NotFound(_("There is no such person."))
        return root

    def _detail(self, root: Profile) -> dict[str, Any]:
        """The output of a person with identities and addresses."""
        ids = profile_selectors.id_sets([root.pk])[root.pk]
        root.ids = ids  # type: ignore[attr-defined]
        root.identities = profile_selectors.identities(ids)  # type: ignore[attr-defined]
        root.contact_points = contacts.of(ids)  # type: ignore[attr-defined]
        context = derived.context(self.request, now=clock.now())
        return serializers.ProfileDetailSerializer(root, context=context).data

    @extend_schema(responses=serializers.ProfileDetailSerializer)
    def retrieve(self, request: Request, id: UUID) -> Response:
        """One person."""
        return Response(self._detail(self.person(id)))

    @extend_schema(request=serializers.ProfileChangeSerializer, responses=serializers.ProfileDetailSerializer)
    def partial_update(self, request: Request, id: UUID) -> Response:
        """Set values of a person."""
        root = self.person(id)
        values = _validated(serializers.ProfileChangeSerializer, request)
        if "birthday" in values:
            values["birthday"] = values["birthday"].isoformat()
        trust = "server" if self.actor.kind == "api_key" else "staff"
        profile_services.update(root.pk, values=values, actor=self.actor, now=clock.now(), trust=trust)
        return Response(self._detail(self.person(id)))

    @extend_schema(
        parameters=timeline_query.PARAMETERS, responses=serializers.TimelinePageSerializer, filters=False
    )
    @action(detail=True, methods=["get"], pagination_class=None)
    def timeline(self, request: Request, id: UUID) -> Response:
        """Touchpoints of a person, newest first, filtered as on the customer page."""
        root = self.person(id)
        wanted = timeline_query.read(request)
        ids = profile_selectors.id_sets([root.pk])[root.pk]
        items = timeline.page(ids, **wanted)
        last = items[-1] if len(items) == wanted["limit"] else None
        following = timeline_query.encode_cursor(last.occurred_at, last.id) if last else None
        return Response(serializers.TimelinePageSerializer({"next": following, "results": items}).data)

    @extend_schema(responses=serializers.ConsentSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], pagination_class=None)
    def consents(self, request: Request, id: UUID) -> Response:
        """All consent decisions of a person, newest first (at most 200)."""
        root = self.person(id)
        rows = consent_selectors.history(profile_selectors.id_sets([root.pk])[root.pk])[:200]
        return Response(serializers.ConsentSerializer(rows, many=True).data)

    @extend_schema(
        request=serializers.ConsentInputSerializer,
        responses={201: serializers.ConsentSerializer},
        parameters=[IDEMPOTENCY_HEADER],
    )
    @consents.mapping.post
    def record_consent(self, request: Request, id: UUID) -> Response:
        """Write down a decision of a person."""
        root = self.person(id)
        values = _validated(serializers.ConsentInputSerializer, request)
        row = consents.record(root.pk, **values, actor=self.actor, now=clock.now())
        return Response(serializers.ConsentSerializer(row).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        request=serializers.MergeInputSerializer,
        responses=serializers.FieldPreviewSerializer(many=True),
        filters=False,
    )
    @action(detail=True, methods=["post"], url_path="preview-merge", pagination_class=None)
    def preview_merge(self, request: Request, id: UUID) -> Response:
        """What a merge would keep, field by field. Changes nothing."""
        root, other, _choices = self._pair(request, id)
        rows = merges.preview(root.pk, other.pk)
        return Response(serializers.FieldPreviewSerializer(rows, many=True).data)

    @extend_schema(
        request=serializers.MergeInputSerializer,
        responses={201: serializers.MergeSerializer},
        parameters=[IDEMPOTENCY_HEADER],
    )
    @action(detail=True, methods=["post"])
    def merge(self, request: Request, id: UUID) -> Response:
        """Merge another person into this one. It can be undone."""
        root, other, choices = self._pair(request, id)
        cause = "api" if self.actor.kind == "api_key" else "staff"
        record = merges.merge(
            root.pk, other.pk, actor=self.actor, now=clock.now(), cause=cause, choices=choices
        )
        return Response(serializers.MergeSerializer(record).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=None, responses={204: None}, parameters=[IDEMPOTENCY_HEADER])
    @action(detail=True, methods=["post"])
    def erase(self, request: Request, id: UUID) -> Response:
        """Erase a person's data for good. A tombstone stays; addresses are suppressed by hash."""
        root = self.person(id)
        erasure.start(root.pk, actor=self.actor, now=clock.now())
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _pair(self, request: Request, id: UUID) -> tuple[Profile, Profile, dict[str, str]]:
        root = self.person(id)
        values = _validated(serializers.MergeInputSerializer, request)
        return root, self.person(values["other"]), values["choices"]


def _validated(serializer_class: type[Any], request: Request) -> dict[str, Any]:
    serializer = serializer_class(data=request.data)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)
