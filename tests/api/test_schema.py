"""The description of the API is valid, complete, and free of guesses."""

import io
import json

import pytest
from django.core.management import call_command
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from tests.api.routes import routes
from tests.api.test_matrix import template


@pytest.fixture(scope="module")
def schema():
    """The description as it is served, and the generator's complaints."""
    GENERATOR_STATS.reset()
    with GENERATOR_STATS.silence():
        made = SchemaGenerator().get_schema(request=None, public=True)
    complaints = [
        f"{where}: {text}"
        for cache in (GENERATOR_STATS._error_cache, GENERATOR_STATS._warn_cache)
        for text, count in cache.items()
        for where in [f"{count}x"]
    ]
    return json.loads(json.dumps(made, default=str)), complaints


def operations(schema):
    return [
        (path, method, operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
        if method in ("get", "post", "put", "patch", "delete")
    ]


def test_the_description_is_valid_openapi(schema):
    made, _complaints = schema
    assert made["openapi"].startswith("3.0")
    validate_schema(made)


def test_nothing_in_it_was_guessed(schema):
    _made, complaints = schema
    assert not complaints, "\n".join(complaints)


def test_the_command_finds_no_fault_either(db):
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=io.StringIO())


def test_every_route_of_the_api_is_described(schema):
    made, _complaints = schema
    described = {
        (path.removeprefix("/api/v1/"), method.upper()) for path, method, _operation in operations(made)
    }
    routed = {
        (template(route.path.removeprefix("api/v1/")), method)
        for route in routes("api/v1/")
        for method in route.methods
    }
    unnamed = {(_nameless(path), method) for path, method in described}
    assert {(path, method) for path, method in routed if (_nameless(path), method) not in unnamed} == set()


def _nameless(path):
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))


def test_every_operation_has_its_own_name_a_tag_and_its_refusals(schema):
    made, _complaints = schema
    seen, wrong = set(), []
    for path, _method, operation in operations(made):
        name = operation["operationId"]
        if name in seen:
            wrong.append(f"{name} twice")
        seen.add(name)
        if not operation.get("tags"):
            wrong.append(f"{name} has no tag")
        refusal = operation["responses"].get("400", {}).get("content", {})
        if path != "/api/v1/" and "application/problem+json" not in refusal:
            wrong.append(f"{name} does not describe its refusals")
    assert not wrong, "\n".join(wrong)


# POST only because the choice is a body; nothing is written.
READS = {"profiles_preview_merge_create", "segments_preview_create"}


def test_posts_offer_an_idempotency_key(schema):
    made, _complaints = schema
    missing = [
        operation["operationId"]
        for _path, method, operation in operations(made)
        if method == "post"
        and operation["operationId"] not in READS
        and "Idempotency-Key" not in {parameter["name"] for parameter in operation.get("parameters", [])}
    ]
    assert not missing, "\n".join(missing)


def test_the_description_and_its_pages_need_no_sign_in_and_nothing_from_outside(client, db):
    served = client.get("/api/schema/", headers={"Accept": "application/json"})
    assert served.status_code == 200
    assert served.json()["info"]["title"] == "Renxin"
    page = client.get("/api/docs/")
    assert page.status_code == 200
    assert "https://" not in page.content.decode()
    assert "'unsafe-inline'" not in page["Content-Security-Policy"].split("style-src")[0]


def test_the_root_lists_the_ways_in(client, db):
    ways = client.get("/api/v1/").json()
    assert ways["tickets"] == "http://testserver/api/v1/tickets/"
    assert {"profiles", "feedback", "releases", "changelog", "schema", "docs"} <= set(ways)
    for address in ways.values():
        assert client.get(address).status_code in (200, 401, 403)
