"""Pages for machines."""

import pytest
from django.core.management import call_command
from django.test import Client

from config import health


@pytest.fixture(autouse=True)
def _anew() -> None:
    health.forget()


def test_healthz_asks_nobody(client: Client) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert client.post("/healthz").status_code == 405


@pytest.mark.django_db
def test_readyz_asks_database_broker_and_migrations(client: Client) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "checks": {"database": "ok", "broker": "ok", "migrations": "ok"},
    }


@pytest.mark.django_db
def test_readyz_names_what_is_missing(client: Client, settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer["Retry-After"] == "2"
    assert answer.json()["checks"] == {
        "database": "ok",
        "broker": "failed: ConnectionError",
        "migrations": "ok",
    }


@pytest.mark.django_db
def test_readyz_counts_migrations_that_are_missing(client: Client, monkeypatch) -> None:
    monkeypatch.setattr(health.MigrationExecutor, "migration_plan", lambda *_: [1, 2])
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["migrations"]) == (503, "failed: 2 not applied")


@pytest.mark.django_db
def test_readyz_is_asked_once_a_second(client: Client, django_assert_num_queries) -> None:
    client.get("/readyz")
    with django_assert_num_queries(0):
        client.get("/readyz")


@pytest.mark.django_db
def test_metrics_are_not_for_everybody(client: Client, settings, admin_user) -> None:
    assert client.get("/metrics").status_code == 200  # this machine
    assert client.get("/metrics", REMOTE_ADDR="203.0.113.9").status_code == 403
    assert client.get("/metrics", HTTP_X_FORWARDED_FOR="203.0.113.9").status_code == 403
    settings.METRICS_TOKEN = "a-token-for-prometheus"
    with_token = {"REMOTE_ADDR": "203.0.113.9", "HTTP_AUTHORIZATION": "Bearer a-token-for-prometheus"}
    assert client.get("/metrics", **with_token).status_code == 200
    with_token["HTTP_AUTHORIZATION"] = "Bearer a-token-for-somebody"
    assert client.get("/metrics", **with_token).status_code == 403
    client.force_login(admin_user)
    assert client.get("/metrics", REMOTE_ADDR="203.0.113.9").status_code == 200


@pytest.mark.django_db
def test_public_pages_answer_without_login(client: Client) -> None:
    for path in ("/", "/admin/login/", "/api/schema/", "/api/docs/", "/healthz"):
        assert client.get(path).status_code == 200, path


@pytest.mark.django_db
def test_https_follows_base_url_but_never_for_sdks_and_probes(client: Client, settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    for path in ("/v1/batch", "/v1/batch/", "/v1/track", "/healthz", "/readyz"):
        assert client.post(path).status_code // 100 != 3, path
    answer = client.get("/admin/login/")
    assert (answer.status_code, answer["Location"]) == (301, "https://testserver/admin/login/")


@pytest.mark.django_db
def test_the_policy_is_strict_and_relaxed_for_staff_pages_only(client: Client) -> None:
    portal = client.get("/")["Content-Security-Policy"]
    assert "unsafe" not in portal
    assert "script-src 'self'" in portal
    staff = client.get("/admin/login/")["Content-Security-Policy"]
    assert "'unsafe-eval'" in staff
    assert "script-src 'self' 'unsafe-inline'" not in staff
    assert "frame-ancestors 'none'" in portal and "frame-ancestors 'none'" in staff


@pytest.mark.django_db
def test_ten_wrong_passwords_lock_the_pair(client: Client, settings, admin_user) -> None:
    settings.AXES_ENABLED = True
    form = {"username": admin_user.username, "password": "wrong"}
    answers = [client.post("/admin/login/", form).status_code for _ in range(11)]
    assert answers[:9] == [200] * 9
    assert answers[-1] == 429
    elsewhere = client.post("/admin/login/", form | {"password": "password"}, REMOTE_ADDR="203.0.113.9")
    assert elsewhere.status_code == 302


@pytest.mark.django_db
def test_no_migration_is_missing() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
