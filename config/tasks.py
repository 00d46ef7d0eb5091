"""The canary: proof that a worker not only lives but consumes.

A worker can hold its connection and take nothing (Celery issues 8030 and 8091); the time of the
last heartbeat that really ran is what to alarm on.
"""

import structlog
from celery import shared_task

log = structlog.get_logger(__name__)


@shared_task(name="config.heartbeat")
def heartbeat() -> None:
    import time

    import redis
    from django.conf import settings

    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2)
    try:
        client.set("renxin:heartbeat:celery", int(time.time()), ex=3600)
    finally:
        client.close()
    log.debug("heartbeat")
