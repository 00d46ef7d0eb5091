"""config: the one place that knows how the parts are put together.

Settings from the environment, the embedded servers, the supervisor behind `manage.py up`, the
URL table, Celery and the health pages. It may import every app; no app imports it.
"""

from config.celery import app as celery_app

__all__ = ["celery_app"]
