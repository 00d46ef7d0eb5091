"""The authorization matrix: every route of the URL table, every method it answers, every kind of caller.

The expectations are a table written by hand; the routes come from the resolver, and one that the table does
not know fails the test. Path ids are ones that nobody has, so what a caller is allowed to do ends in 404, and
what is not allowed ends in 401 or 403 before anything is looked up. Nothing may answer with a 5xx.
"""

from __future__ import annotations

import base64
import json
import re

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.template.response import SimpleTemplateResponse
from django.test import Client
from django.urls import reverse

from crm.kernel import actors, clock, roles
from crm.kernel.models import ActionLog
from crm.services import sources
from crm.states import Trust
from tests.api import expectations as expected
from tests.api.routes import routes
from tests.api.seeds import seed

STAFF = ("nobody", "agent", "lead", "analyst", "admin")
FOUND_NOTHING = {400, 404, 409, 410, 415, 422}
DENIED = {401, 403}
ARGUMENT = re.compile(r"<(?:\w+:)?(\w+)>|\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)")

pytestmark = pytest.mark.django_db


def template(path: str) -> str:
    """`tickets/<int:pk>/` and `tickets/(?P<pk>[0-9]+)/` alike as `tickets/{pk}/`."""
    return ARGUMENT.sub(lambda match: "{" + (match[1] or match[2]) + "}", path).replace("/?", "/")


def api_routes():
    return [(template(route.path.removeprefix("api/v1/")), route) for route in routes("api/v1/")]


def staff_routes():
    return [route for route in routes("admin/") if route.name not in ("admin:", "")]


@pytest.fixture
def staff():
    """One signed-in client per role; `nobody` is staff without a group."""
    roles.sync()
    clients = {}
    for role in STAFF:
        user = get_user_model().objects.create_user(f"{role}-1", is_staff=True)
        if role != "nobody":
            user.groups.add(Group.objects.get(name=role))
        clients[role] = Client(raise_request_exception=False)
        clients[role].force_login(user)
    return clients


@pytest.fixture
def api_key():
    """Make a client that holds an API key with the scopes."""

    def make(*scopes):
        _row, text = sources.create_api_key(
            "matrix", scopes=scopes, actor=actors.system("test"), now=clock.now()
        )
        return bearer(text)

    return make


@pytest.fixture
def write_keys():
    """The write keys of a server source and of a browser source."""
    return {
        trust: sources.create(
            f"{trust} source", trust=trust, actor=actors.system("test"), now=clock.now()
        ).write_key
        for trust in (Trust.SERVER.value, Trust.BROWSER.value)
    }


def anonymous():
    return Client(raise_request_exception=False)


def bearer(text):
    return Client(raise_request_exception=False, headers={"Authorization": f"Bearer {text}"})


def ask(client, method, path):
    return client.generic(method, path, "" if method == "GET" else "{}", content_type="application/json")


def test_every_route_of_the_api_is_in_the_table():
    found = {(path, method) for path, route in api_routes() for method in route.methods}
    listed = {(path, method) for path, methods in expected.API.items() for method in methods}
    assert sorted(found - listed) == [], "decide who may call these, and write it into expectations.API"
    assert sorted(listed - found) == [], "these are gone"


@pytest.mark.long
def test_the_api_answers_each_kind_of_caller_as_the_table_says(staff, api_key, write_keys):
    noise, outsider, browser = api_key("crm.nothing:read"), anonymous(), bearer(write_keys["browser"])
    by_scope = {}
    wrong, cells = [], 0
    for path, route in api_routes():
        for method in route.methods:
            scope, allowed_roles = expected.API.get(path, {}).get(method, ("", ""))
            public = scope == "public"
            verb = scope.rpartition(":")[2]
            other = scope.replace(f":{verb}", ":read" if verb == "write" else ":write")
            for needed in () if public else (scope, other):
                if needed and needed not in by_scope:
                    by_scope[needed] = api_key(needed)
            callers = {
                "anonymous": (outsider, public),
                "key without the scope": (noise, public),
                "browser write key": (browser, public),
                **{role: (staff[role], public or role in allowed_roles.split()) for role in STAFF},
            }
            if scope and not public:
                callers[f"key with {scope}"] = (by_scope[scope], True)
                if verb == "write":
                    callers[f"key with {other}"] = (by_scope[other], False)
            for caller, (client, allowed) in callers.items():
                answer = ask(client, method, route.address())
                cells += 1
                verdict = _verdict(answer.status_code, method, route.address(), allowed)
                # A bearer that is no API key is refused even where nobody needs one.
                if public and caller == "browser write key" and answer.status_code == 401:
                    continue
                if verdict:
                    wrong.append(f"{method} {path} as {caller}: {answer.status_code}, {verdict}")
                elif answer.status_code >= 400 and "json" not in answer["Content-Type"]:
                    wrong.append(f"{method} {path} as {caller}: {answer['Content-Type']}")
    assert not wrong, "\n".join(wrong)
    assert cells > 8 * len(expected.API)
    assert not outsider.cookies and not browser.cookies  # nobody was let in by what an earlier answer gave


def _verdict(status, method, path, allowed):
    if status >= 500:
        return "broken"
    if not allowed:
        return "" if status in DENIED else "should be refused"
    if status in DENIED:
        return "should be allowed"
    has_argument = "nobody" in path or "98765" in path or "0199aaaa" in path
    if has_argument and method == "GET" and status != 404:
        return "should not be found"
    if has_argument and status not in FOUND_NOTHING:
        return "should not be found"
    return ""


def test_a_revoked_or_invented_key_opens_nothing(api_key):
    key, text = sources.create_api_key(
        "gone", scopes=["voc.ticket:read"], actor=actors.system("test"), now=clock.now()
    )
    assert bearer(text).get("/api/v1/tickets/").status_code == 200
    sources.revoke_api_key(key.pk, actor=actors.system("test"), now=clock.now())
    assert bearer(text).get("/api/v1/tickets/").status_code == 401
    for invented in ("rx_0_0", "rx__", "x", "rx_" + "a" * 5000, "rx_é_ü"):
        header = {"HTTP_AUTHORIZATION": f"Bearer {invented}"}
        assert Client(raise_request_exception=False).get("/api/v1/tickets/", **header).status_code == 401


def test_unknown_ids_in_bodies_are_not_found_and_nothing_is_written(staff):
    rows = seed()
    logged = ActionLog.objects.count()
    wrong = []
    for method, path, body in expected.FOREIGN_BODIES:
        address = "/api/v1/" + path.format(**{name: getattr(rows, name) for name in rows.__slots__})
        answer = staff["admin"].generic(method, address, json.dumps(body), content_type="application/json")
        if answer.status_code != 404:
            wrong.append(f"{method} {path}: {answer.status_code} {answer.content[:200]!r}")
    assert not wrong, "\n".join(wrong)
    assert ActionLog.objects.count() == logged


def test_a_session_without_the_csrf_token_writes_nothing(staff):
    from voc.models import Ticket

    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.cookies = staff["admin"].cookies
    answer = ask(client, "POST", "/api/v1/tickets/")
    assert answer.status_code == 403
    assert not Ticket.objects.exists()


def test_the_door_takes_write_keys_and_nothing_else(staff, api_key, write_keys):
    listed = {f"v1/{call}{slash}" for call in expected.DOOR for slash in ("", "/")}
    found = {route.path for route in routes("v1/") if route.name != "ingest-settings"}
    assert found == listed
    callers = {
        "anonymous": (anonymous(), "anyone"),
        "API key": (api_key("crm.profile:write"), "anyone"),
        **{role: (staff[role], "anyone") for role in STAFF},
        "server write key": (_basic(write_keys["server"]), "server_write_key"),
        "browser write key": (_basic(write_keys["browser"]), "browser_write_key"),
    }
    wrong = []
    for call, answers in expected.DOOR.items():
        body = json.dumps({"batch": []} if call in ("batch", "b", "import") else {})
        for slash in ("", "/"):
            for caller, (client, kind) in callers.items():
                answer = client.post(f"/v1/{call}{slash}", body, content_type="application/json")
                if answer.status_code != answers[kind]:
                    wrong.append(f"{call}{slash} as {caller}: {answer.status_code}, not {answers[kind]}")
                refused = client.get(f"/v1/{call}{slash}")
                if refused.status_code != 405:
                    wrong.append(f"GET {call}{slash} as {caller}: {refused.status_code}")
    assert not wrong, "\n".join(wrong)


def _basic(key):
    text = base64.b64encode(f"{key}:".encode()).decode()
    return Client(raise_request_exception=False, headers={"Authorization": f"Basic {text}"})


def test_every_staff_page_is_in_the_table():
    models = {model._meta.label_lower for model in admin.site._registry}
    custom_models = {name.split(":")[1].removesuffix("_changelist") for name in expected.CUSTOM}
    assert {m for m in models if m.replace(".", "_") not in custom_models} - set(expected.MODELS) == set()
    assert set(expected.MODELS) - models == set()
    unlisted = [
        f"{route.name} ({route.path})"
        for route in staff_routes()
        if route.name not in expected.STAFF_PAGES
        and route.name not in expected.CUSTOM
        and _model_page(route.name) is None
    ]
    assert unlisted == [], "decide who may open these, and write it into expectations.CUSTOM"
    buttons = {
        (model._meta.label_lower, action)
        for model, page in admin.site._registry.items()
        for action in getattr(page, "page_actions", ())
    }
    assert buttons == set(expected.BUTTONS), "decide who may press these: expectations.BUTTONS"


def _model_page(name):
    """(model, page) of the pages that Django gives every model."""
    inner = name.removeprefix("admin:")
    for page in ("changelist", "add", "history", "delete", "change"):
        stem = inner.removesuffix(f"_{page}")
        if stem != inner:
            model = stem.replace("_", ".", 1)
            if model in expected.MODELS:
                return model, page
    return None


def _staff_rules(name):
    """Method -> roles that may, for one staff page."""
    if name in expected.CUSTOM:
        return expected.CUSTOM[name]
    if name in expected.STAFF_PAGES:
        return expected.STAFF_PAGES[name]
    model, page = _model_page(name) or ("", "")
    see, change, add, delete = expected.MODELS.get(model, ("-", "-", "-", "-"))
    return {
        "changelist": {"GET": see, "POST": see},
        "add": {"GET": add, "POST": add},
        "change": {"GET": see, "POST": change},
        "delete": {"GET": delete, "POST": delete},
        "history": {"GET": "missing"},
    }.get(page, {})


@pytest.mark.long
def test_staff_pages_open_to_those_the_table_names(staff, api_key, monkeypatch):
    outsiders = {"anonymous": anonymous(), "API key": api_key("crm.profile:write")}
    wrong, cells = [], 0
    drawn = SimpleTemplateResponse.rendered_content

    def content(response):
        """Pages are drawn for the role that sees most; for the others only the answer counts."""
        user = getattr(getattr(response, "_request", None), "user", None)
        return drawn.fget(response) if user and user.username == "admin-1" else ""

    monkeypatch.setattr(SimpleTemplateResponse, "rendered_content", property(content))
    for route in staff_routes():
        path = route.address().replace("auth|", "")
        for method, allowed in _staff_rules(route.name).items():
            if route.name == "admin:logout":
                continue  # it would end the sessions of this test
            for caller, client in outsiders.items():
                status = ask_page(client, method, path).status_code
                cells += 1
                fine = status < 400 if allowed == "public" else status in (302, 401, 403, 404)
                if not fine or status >= 500:
                    wrong.append(f"{method} {route.name} as {caller}: {status}")
            for role in STAFF:
                answer = ask_page(staff[role], method, path)
                cells += 1
                may = allowed in ("everyone", "public") or role in allowed.split()
                verdict = _page_verdict(answer, may=may, missing=allowed == "missing")
                if verdict:
                    wrong.append(f"{method} {route.name} as {role}: {answer.status_code}, {verdict}")
    assert not wrong, "\n".join(wrong)
    assert cells > 100


def test_buttons_obey_those_the_table_names(staff):
    rows = seed()
    wrong = []
    for (model, action), allowed in expected.BUTTONS.items():
        row = getattr(rows, model.split(".")[1])
        url = reverse(f"admin:{model.replace('.', '_')}_change", args=[row])
        for role in STAFF:
            status = staff[role].post(url, {"action": action}).status_code
            may = role in allowed.split()
            if status >= 500 or (status in DENIED) == may:
                wrong.append(f"{model} {action} as {role}: {status}")
    assert not wrong, "\n".join(wrong)


def ask_page(client, method, path):
    return client.post(path, {}) if method == "POST" else client.get(path)


def _page_verdict(answer, *, may, missing):
    status = answer.status_code
    if status >= 500:
        return "broken"
    if missing:
        return "" if status in (302, 403, 404) else "should not be found"
    to_login = status == 302 and "/login/" in answer["Location"]
    if may:
        return "" if status not in DENIED and not to_login else "should be allowed"
    return "" if status in (403, 404) or to_login else "should be refused"


def test_pages_without_sign_in_answer_everybody_alike(staff):
    mine = [route for route in routes() if not route.path.startswith(("admin/", "api/v1/", "v1/"))]
    unlisted = sorted({route.name for route in mine} - set(expected.OPEN))
    assert unlisted == [], "decide what these answer, and write it into expectations.OPEN"
    wrong, outsider = [], anonymous()
    for route in mine:
        for method, status in expected.OPEN[route.name].items():
            for caller, client in {"anonymous": outsider, "admin": staff["admin"]}.items():
                outsider.cookies.clear()
                answer = ask_page(client, method, route.address())
                if answer.status_code != status:
                    wrong.append(f"{method} {route.name} as {caller}: {answer.status_code}, not {status}")
    assert not wrong, "\n".join(wrong)
