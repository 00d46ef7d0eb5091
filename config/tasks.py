"""The canary: proof that a worker not only lives but consumes.

A worker can hold its connection and take nothing (Celery issues 8030 and 8091); the time of the
last heartbeat that really ran is what to alarm on.
"""

import structlog
from celery import shared_task

log = structlog.get_logger(__name__)


@shared_task(name="config.heartbeat")
def heartbeat() -> None:
    """Of the workers of the quick queue."""
    _note("celery")


@shared_task(name="config.heartbeat_long")
def heartbeat_long() -> None:
    """Of the workers of the queue for what takes long."""
    _note("long")


def _note(queue: str) -> None:
    import time

    import redis
    from django.conf import settings

    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2)
    try:
        client.set(f"renxin:heartbeat:{queue}", int(time.time()), ex=3600)
    finally:
        client.close()
    log.debug("heartbeat", queue=queue)
