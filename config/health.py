"""Pages for machines: is the process alive, is the whole ready, what are the numbers.

/healthz asks nothing of anybody. /readyz asks the database, the broker and the migrations, at
most once a second per process, so that a load balancer cannot become the load. /metrics is
answered to this machine, to signed-in staff, or to a bearer of METRICS_TOKEN.
"""

import threading
import time
from collections.abc import Callable
from secrets import compare_digest

import redis
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection, connections
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

CACHE_SECONDS = 1.0
_lock = threading.Lock()
_last: tuple[float, dict[str, str]] | None = None
_migrations_applied = False


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    checks = _checked()
    ready = all(answer == "ok" for answer in checks.values())
    response = JsonResponse(
        {"status": "ok" if ready else "not_ready", "checks": checks}, status=200 if ready else 503
    )
    if not ready:
        response["Retry-After"] = "2"
    return response


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    if not _may_read_metrics(request):
        return JsonResponse(
            {
                "status": 403,
                "code": "forbidden",
                "detail": "Metrics are for this machine, signed-in staff, or a bearer of METRICS_TOKEN.",
            },
            status=403,
            content_type="application/problem+json",
        )
    from django_prometheus.exports import ExportToDjangoView

    return ExportToDjangoView(request)


def _may_read_metrics(request: HttpRequest) -> bool:
    token = settings.METRICS_TOKEN
    given = request.headers.get("Authorization", "")
    if token and compare_digest(given.encode(), f"Bearer {token}".encode()):
        return True
    # A reverse proxy on this machine makes everybody look local; it gives itself away by its header.
    forwarded = "X-Forwarded-For" in request.headers or "Forwarded" in request.headers
    if request.META.get("REMOTE_ADDR") in {"127.0.0.1", "::1", ""} and not forwarded:
        return True
    user = getattr(request, "user", None)
    return bool(user and user.is_active and user.is_staff)


def _checked() -> dict[str, str]:
    global _last
    with _lock:
        if _last and time.monotonic() - _last[0] < CACHE_SECONDS:
            return _last[1]
        answers = {
            "database": _ask(_database),
            "broker": _ask(_broker),
            "migrations": _ask(_migrations),
        }
        _last = (time.monotonic(), answers)
        return answers


def _ask(question: Callable[[], str]) -> str:
    try:
        return question()
    except (DatabaseError, redis.RedisError, OSError) as problem:
        return f"failed: {type(problem).__name__}"


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()
    return "ok"


def _broker() -> str:
    client = redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=2, socket_timeout=2)
    try:
        client.ping()
    finally:
        client.close()
    return "ok"


def _migrations() -> str:
    """Once applied, they stay applied for the life of this process."""
    global _migrations_applied
    if not _migrations_applied:
        executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if pending:
            return f"failed: {len(pending)} not applied"
        _migrations_applied = True
    return "ok"


def forget() -> None:
    """Ask everything anew at the next request (tests)."""
    global _last, _migrations_applied
    with _lock:
        _last, _migrations_applied = None, False
