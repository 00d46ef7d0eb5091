"""The WSGI application that gunicorn serves. It must stay light: heavy libraries are imported
inside the functions that need them, and tests/test_architecture.py checks that."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

_django = get_wsgi_application()

from config import collector  # noqa: E402
from crm.ingest import road  # noqa: E402 (it needs the apps, which Django has loaded by now)

application = road.before(_django, more_headers=road.secure_headers())
collector.settle()
