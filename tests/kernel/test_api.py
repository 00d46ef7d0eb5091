"""The API's base: strict JSON, one form of error, scopes, cursors, one effect per key."""

import json
from types import SimpleNamespace

import pytest
from django.urls import path
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory, force_authenticate

from crm.kernel.api import parsers
from crm.kernel.api.serializers import LineField, StrictSerializer
from crm.kernel.api.views import ServiceViewSet
from crm.kernel.errors import Conflict, Invalid
from crm.kernel.models import IdempotencyKey, Knob

FACTORY = APIRequestFactory()


class NoteSerializer(StrictSerializer):
    name = LineField()


class NoteView(ServiceViewSet):
    scope = "kernel.knob"
    serializer_class = NoteSerializer
    authentication_classes: list = []

    def create(self, request):
        data = self.get_serializer(data=request.data)
        data.is_valid(raise_exception=True)
        if data.validated_data["name"] == "taken":
            raise Conflict("Taken.", code="taken", field="name", allowed=["free"])
        count = Knob.objects.count()
        Knob.objects.create(name=f"n{count}", value=1, changed_at="2026-01-01T00:00:00Z", changed_by="t")
        return Response({"made": count}, status=201)


urlpatterns = [path("notes/", NoteView.as_view({"post": "create"}))]


def post(body, *, scopes=("kernel.knob:write",), **headers):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = FACTORY.post("/notes/", data, content_type="application/json", headers=headers)
    force_authenticate(request, user=None, token=SimpleNamespace(scopes=scopes, pk=1))
    response = NoteView.as_view({"post": "create"})(request)
    response.render()
    return response


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b'{"name": "\xff"}', "invalid_json"),
        (b'{"name": NaN}', "number_out_of_range"),
        (b'{"name": Infinity}', "number_out_of_range"),
        (b'{"name": 1e400}', "number_out_of_range"),
        (b'{"name": ' + b"9" * 5000 + b"}", "number_out_of_range"),
        (b"[" * 100_000, "too_deep"),
        (b"[" * 60 + b"]" * 60, "too_deep"),
        (b'{"name": "a\\u0000b"}', "invalid_character"),
        (b'{"name": "\\ud800"}', "invalid_character"),
        (b'{"name": "a\\r\\nb"}', "invalid_character"),
        (b'{"name": "a", "is_staff": true}', "unknown_field"),
        (b"[]", "invalid"),
    ],
)
@pytest.mark.django_db
def test_bad_input_gets_a_clear_answer_and_writes_nothing(body, code):
    response = post(body)
    assert response.status_code == 400
    assert response["Content-Type"].startswith("application/problem+json")
    assert response.data["code"] == code
    assert response.data["status"] == 400
    assert not Knob.objects.exists()


@pytest.mark.django_db
def test_a_body_above_the_cap_is_413_with_the_limit():
    response = post(b'{"name": "' + b"a" * parsers.MAX_BYTES + b'"}')
    assert response.status_code == 413
    assert response.data["errors"][0]["allowed"] == parsers.MAX_BYTES


@pytest.mark.django_db
def test_a_domain_error_keeps_its_code_field_and_what_is_allowed():
    response = post({"name": "taken"})
    assert response.status_code == 409
    assert response.data["errors"] == [
        {"code": "taken", "detail": "Taken.", "attr": "name", "allowed": ["free"]}
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("scopes", [(), ("kernel.knob:read",), ("voc.ticket:write",)])
def test_a_key_without_the_scope_is_refused(scopes):
    assert post({"name": "a"}, scopes=scopes).status_code in (401, 403)
    assert not Knob.objects.exists()


@pytest.mark.django_db
def test_a_retry_under_the_same_key_has_one_effect():
    first = post({"name": "a"}, **{"Idempotency-Key": "k1"})
    again = post({"name": "a"}, **{"Idempotency-Key": "k1"})
    assert first.data == again.data == {"made": 0}
    assert again.status_code == 201
    assert again["Idempotent-Replayed"] == "true"
    assert Knob.objects.count() == 1


@pytest.mark.django_db
def test_another_body_under_the_same_key_is_422():
    post({"name": "a"}, **{"Idempotency-Key": "k1"})
    assert post({"name": "b"}, **{"Idempotency-Key": "k1"}).status_code == 422
    assert Knob.objects.count() == 1


@pytest.mark.django_db
def test_a_refused_request_is_not_remembered():
    assert post({"name": "taken"}, **{"Idempotency-Key": "k1"}).status_code == 409
    assert not IdempotencyKey.objects.exists()
    assert post({"name": "a"}, **{"Idempotency-Key": "k1"}).status_code == 201


def test_text_checks_name_the_character():
    with pytest.raises(Invalid) as refusal:
        parsers.check_text("\x00")
    assert refusal.value.code == "invalid_character"
