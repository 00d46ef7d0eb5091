"""An empty Django view, as fast as Django can be: no middleware, no session, no database. The limit of bench.ingest."""

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    LOGGING_CONFIG=None,
    MIDDLEWARE=[],
    ROOT_URLCONF="bench.empty",
    SECRET_KEY="an empty view signs nothing",
)


def empty(request: HttpRequest) -> HttpResponse:
    """Read the body, as any server must, and say yes."""
    _body = request.body
    answer = b'{"success":true}'
    return HttpResponse(
        answer, headers={"Content-Type": "application/json", "Content-Length": str(len(answer))}
    )


urlpatterns = [path("v1/track", empty)]
application = get_wsgi_application()
