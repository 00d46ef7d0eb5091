"""REST: accounts, notes and links between people, and identity rules."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

import django_filters
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from crm.kernel import clock
from crm.kernel.api.filters import StrictFilterSet
from crm.kernel.api.serializers import LineField, StrictSerializer
from crm.kernel.api.views import IDEMPOTENCY_HEADER, ServiceViewSet
from crm.kernel.errors import NotFound
from crm.models import Account, IdentityRule, Profile, ProfileLink, ProfileNote
from crm.selectors import accounts as account_reads
from crm.selectors import identity_rules as rule_reads
from crm.selectors import profiles as profile_reads
from crm.services import accounts, identity_rules, notes
from crm.states import LinkKind, NoteCategory


class AccountSerializer(serializers.ModelSerializer):
    """An account with its roll-up."""

    id = serializers.UUIDField(source="public_id", read_only=True)

    class Meta:
        model = Account
        fields = (
            "id", "group_id", "name", "domain", "traits", "people", "touchpoints_lately", "last_seen_at", "orders",
            "figures", "rolled_up_at", "created_at",
        )  # fmt: skip
        read_only_fields = fields


class AccountInputSerializer(StrictSerializer):
    """An account to make, or values to set."""

    group_id = LineField(max_length=255)
    name = LineField(max_length=200, required=False)
    domain = LineField(max_length=253, required=False)


class AccountChangeSerializer(StrictSerializer):
    """Values to set. What is left out stays."""

    name = LineField(max_length=200, required=False)
    domain = LineField(max_length=253, required=False)


class MemberSerializer(serializers.Serializer):
    """A person of an account."""

    profile = serializers.UUIDField(source="card.public_id")
    name = serializers.CharField(source="card.name")
    role = serializers.CharField()
    trust = serializers.CharField()
    since = serializers.DateTimeField()


class MemberInputSerializer(StrictSerializer):
    """Who belongs to it, in which role."""

    profile = serializers.UUIDField()
    role = LineField(max_length=80, required=False, default="", allow_blank=True)


class MemberRemovalSerializer(StrictSerializer):
    """Who leaves it."""

    profile = serializers.UUIDField()


class NoteSerializer(serializers.ModelSerializer):
    """A note about a person."""

    profile = serializers.UUIDField(source="profile.public_id", read_only=True)

    class Meta:
        model = ProfileNote
        fields = ("id", "profile", "category", "text", "is_pinned", "actor", "created_at", "changed_at")
        read_only_fields = fields


class NoteInputSerializer(StrictSerializer):
    """A note to write."""

    profile = serializers.UUIDField()
    category = serializers.ChoiceField(choices=NoteCategory.choices)
    text = serializers.CharField(max_length=2_000)
    is_pinned = serializers.BooleanField(required=False, default=False)


class NoteChangeSerializer(StrictSerializer):
    """What to change."""

    category = serializers.ChoiceField(choices=NoteCategory.choices, required=False)
    text = serializers.CharField(max_length=2_000, required=False)
    is_pinned = serializers.BooleanField(required=False)


class LinkSerializer(serializers.ModelSerializer):
    """Two people who belong together."""

    first = serializers.UUIDField(source="first.public_id", read_only=True)
    second = serializers.UUIDField(source="second.public_id", read_only=True)

    class Meta:
        model = ProfileLink
        fields = ("id", "first", "second", "kind", "created_at")
        read_only_fields = fields


class LinkInputSerializer(StrictSerializer):
    """Two people to link."""

    one = serializers.UUIDField()
    other = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=LinkKind.choices)


class RuleSerializer(serializers.ModelSerializer):
    """What one kind of identifier may do; `refused_lately` counts thirty days."""

    explanation = serializers.SerializerMethodField()
    refused_lately = serializers.SerializerMethodField()

    class Meta:
        model = IdentityRule
        fields = (
            "kind", "priority", "limit", "names_person", "blocked_values", "blocked_patterns", "origins",
            "explanation", "refused_lately",
        )  # fmt: skip
        read_only_fields = fields

    def get_explanation(self, row: IdentityRule) -> str:
        """The rule in a sentence, in the reader's language."""
        return rule_reads.explain(row)

    def get_refused_lately(self, row: IdentityRule) -> int:
        """Refusals of the last thirty days."""
        return int(self.context.get("refused", {}).get(row.kind, 0))


class RuleInputSerializer(StrictSerializer):
    """The whole rule."""

    priority = serializers.IntegerField(min_value=1, max_value=1_000)
    limit = serializers.IntegerField(min_value=1, max_value=10_000)
    names_person = serializers.BooleanField(required=False, default=True)
    blocked_values = serializers.ListField(child=LineField(max_length=255), max_length=1_000, required=False)
    blocked_patterns = serializers.ListField(child=LineField(max_length=255), max_length=50, required=False)
    why = LineField(max_length=200, required=False, default="", allow_blank=True)


class AccountFilter(StrictFilterSet):
    """Accounts by name, or by their key."""

    search = django_filters.CharFilter(method="by_text")
    group_id = django_filters.CharFilter()

    class Meta:
        model = Account
        fields = ()

    def by_text(self, queryset: QuerySet[Account], name: str, value: str) -> QuerySet[Account]:
        """Every word must be found."""
        return account_reads.search(value, within=queryset)


class ByProfileFilter(StrictFilterSet):
    """Rows about one person, over all ids that person ever had."""

    profile = django_filters.UUIDFilter(method="by_profile")

    class Meta:
        model = ProfileNote
        fields = ()

    def by_profile(self, queryset: QuerySet[Any], name: str, value: UUID) -> QuerySet[Any]:
        """All ids of the person."""
        row = profile_reads.by_public_id(value)
        ids = profile_reads.ids_of(row.pk) if row is not None else []
        return queryset.filter(self.about(ids))

    def about(self, ids: list[int]) -> Q:
        """The condition for rows of these profiles."""
        return Q(profile_id__in=ids)


class LinkFilter(ByProfileFilter):
    """Links on either side of one person."""

    class Meta:
        model = ProfileLink
        fields = ()

    def about(self, ids: list[int]) -> Q:
        """On either side."""
        return Q(first_id__in=ids) | Q(second_id__in=ids)


class PeopleViewSet(ServiceViewSet):
    """What these views share: people by public id, seen by the caller, and strict input."""

    def profile_id(self, public_id: UUID) -> int:
        """The live root of a public id. Raises NotFound, also for those the caller may not see."""
        rows = Profile.objects.all().visible_to(self.seer)
        found = rows.filter(public_id=public_id).select_related("merged_into").first()
        root = found and (found.merged_into or found)
        if root is None or root.erased_at is not None:
            raise NotFound(_("There is no such person."))
        return root.pk

    @property
    def seer(self) -> Any:
        """Whose eyes decide what is seen: a key that keeps accounts or notes names people by id."""
        if self.request.auth is not None and hasattr(self.request.auth, "scopes"):
            return _AnyPerson()
        return self.request.user

    def given(self, serializer_class: type[serializers.Serializer]) -> dict[str, Any]:
        """The checked body."""
        serializer = serializer_class(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)


class _AnyPerson:
    """A key with the scope of this very route may name any person."""

    is_authenticated = True

    def has_scope(self, scope: str) -> bool:
        """All scopes that are asked for."""
        return True


class AccountViewSet(mixins.ListModelMixin, PeopleViewSet):
    """Companies and teams, with their roll-up."""

    scope = "crm.account"
    action_permissions: ClassVar[dict[str, str]] = {
        "members": "crm.view_account",
        "add_member": "crm.change_account",
        "remove_member": "crm.change_account",
    }
    queryset = Account.objects.none()
    serializer_class = AccountSerializer
    filterset_class = AccountFilter
    lookup_field = "public_id"
    lookup_url_kwarg = "id"
    lookup_value_converter = "uuid"

    def get_queryset(self) -> QuerySet[Account]:
        """Accounts this caller may see."""
        if getattr(self, "swagger_fake_view", False):
            return Account.objects.none()
        return Account.objects.all().visible_to(self.request.auth or self.request.user)

    @extend_schema(responses=AccountSerializer)
    def retrieve(self, request: Request, id: UUID) -> Response:
        """One account."""
        return Response(AccountSerializer(self.get_object()).data)

    @extend_schema(
        request=AccountInputSerializer, responses={201: AccountSerializer}, parameters=[IDEMPOTENCY_HEADER]
    )
    def create(self, request: Request) -> Response:
        """Make an account, or set values of the one with this group ID."""
        values = self.given(AccountInputSerializer)
        row = accounts.save(values.pop("group_id"), values=values, actor=self.actor, now=clock.now())
        return Response(AccountSerializer(row).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=AccountChangeSerializer, responses=AccountSerializer)
    def partial_update(self, request: Request, id: UUID) -> Response:
        """Set values of an account."""
        values = self.given(AccountChangeSerializer)
        row = accounts.save(self.get_object().group_id, values=values, actor=self.actor, now=clock.now())
        return Response(AccountSerializer(row).data)

    @extend_schema(responses=MemberSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], pagination_class=None)
    def members(self, request: Request, id: UUID) -> Response:
        """The people of an account, the newest first (at most 200)."""
        return Response(MemberSerializer(account_reads.members(self.get_object().pk), many=True).data)

    @extend_schema(
        request=MemberInputSerializer,
        responses={201: MemberSerializer(many=True)},
        parameters=[IDEMPOTENCY_HEADER],
    )
    @members.mapping.post
    def add_member(self, request: Request, id: UUID) -> Response:
        """Add a person, or change their role."""
        row, values = self.get_object(), self.given(MemberInputSerializer)
        accounts.add_person(
            row.pk, profile_id=self.profile_id(values["profile"]), role=values["role"], actor=self.actor,
            now=clock.now(),
        )  # fmt: skip
        data = MemberSerializer(account_reads.members(row.pk), many=True).data
        return Response(data, status=status.HTTP_201_CREATED)

    @extend_schema(request=MemberRemovalSerializer, responses={204: None}, parameters=[IDEMPOTENCY_HEADER])
    @action(detail=True, methods=["post"], url_path="remove-member")
    def remove_member(self, request: Request, id: UUID) -> Response:
        """End the membership of a person."""
        row, values = self.get_object(), self.given(MemberRemovalSerializer)
        profile_id = self.profile_id(values["profile"])
        accounts.remove_person(row.pk, profile_id=profile_id, actor=self.actor, now=clock.now())
        return Response(status=status.HTTP_204_NO_CONTENT)


class NoteViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, PeopleViewSet):
    """Notes about people, newest first; `profile` narrows the list to one person."""

    scope = "crm.profilenote"
    # Whose note it is decides the service.
    action_permissions: ClassVar[dict[str, str]] = {"destroy": "crm.change_profilenote"}
    queryset = ProfileNote.objects.select_related("profile").filter(profile__erased_at=None)
    serializer_class = NoteSerializer
    filterset_class = ByProfileFilter
    lookup_value_converter = "int"

    @extend_schema(
        request=NoteInputSerializer, responses={201: NoteSerializer}, parameters=[IDEMPOTENCY_HEADER]
    )
    def create(self, request: Request) -> Response:
        """Write a note."""
        values = self.given(NoteInputSerializer)
        profile_id = self.profile_id(values.pop("profile"))
        row = notes.add(profile_id, **values, actor=self.actor, now=clock.now())
        return Response(NoteSerializer(row).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=NoteChangeSerializer, responses=NoteSerializer)
    def partial_update(self, request: Request, pk: int) -> Response:
        """Change an own note, or pin anybody's."""
        values = self.given(NoteChangeSerializer)
        row = notes.change(self.get_object().pk, **values, actor=self.actor, now=clock.now())
        return Response(NoteSerializer(row).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """Delete a note: an own one, or with the right to it another's."""
        anybodys = self.actor.kind == "staff" and request.user.has_perm("crm.delete_profilenote")
        notes.delete(self.get_object().pk, actor=self.actor, now=clock.now(), anybodys=anybodys)
        return Response(status=status.HTTP_204_NO_CONTENT)


class LinkViewSet(mixins.ListModelMixin, PeopleViewSet):
    """Links between people; `profile` narrows the list to one person."""

    scope = "crm.profilelink"
    action_permissions: ClassVar[dict[str, str]] = {"destroy": "crm.add_profilelink"}
    queryset = ProfileLink.objects.select_related("first", "second")
    serializer_class = LinkSerializer
    filterset_class = LinkFilter
    lookup_value_converter = "int"

    @extend_schema(
        request=LinkInputSerializer, responses={201: LinkSerializer}, parameters=[IDEMPOTENCY_HEADER]
    )
    def create(self, request: Request) -> Response:
        """Link two people, or change the kind of their link."""
        values = self.given(LinkInputSerializer)
        one, other = self.profile_id(values["one"]), self.profile_id(values["other"])
        row = notes.link(one, other, kind=values["kind"], actor=self.actor, now=clock.now())
        return Response(LinkSerializer(row).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """Take a link away."""
        notes.unlink(self.get_object().pk, actor=self.actor, now=clock.now())
        return Response(status=status.HTTP_204_NO_CONTENT)


class IdentityRuleViewSet(PeopleViewSet):
    """What each kind of identifier may do."""

    scope = "crm.identityrule"
    queryset = IdentityRule.objects.all()
    serializer_class = RuleSerializer
    filter_backends: ClassVar[list[Any]] = []
    pagination_class = None
    lookup_field = "kind"
    lookup_value_converter = "str"

    def get_serializer_context(self) -> dict[str, Any]:
        """Refusals of all kinds, in one read."""
        return {**super().get_serializer_context(), "refused": rule_reads.refused_counts(now=clock.now())}

    @extend_schema(responses=RuleSerializer(many=True))
    def list(self, request: Request) -> Response:
        """All rules, the strongest first."""
        return Response(self.get_serializer(self.get_queryset(), many=True).data)

    @extend_schema(responses=RuleSerializer)
    def retrieve(self, request: Request, kind: str) -> Response:
        """One rule."""
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(request=RuleInputSerializer, responses=RuleSerializer)
    def update(self, request: Request, kind: str) -> Response:
        """Change a rule as a whole; lists that are left out stay."""
        row, values = self.get_object(), self.given(RuleInputSerializer)
        values.setdefault("blocked_values", row.blocked_values)
        values.setdefault("blocked_patterns", row.blocked_patterns)
        saved = identity_rules.save(row.kind, **values, actor=self.actor, now=clock.now())
        return Response(self.get_serializer(saved).data)
