"""The language switch of the staff pages: this browser now, and this member of staff everywhere."""

from django.conf import settings
from django.contrib.admin.views.decorators import staff_member_required
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_POST
from django.views.i18n import set_language


@require_POST
@staff_member_required(login_url="admin:login")
def switch(request: HttpRequest) -> HttpResponseBase:
    """Remember the choice with the user, then do what Django's own switch does (a cookie, and back)."""
    code = request.POST.get("language", "")
    if code in dict(settings.LANGUAGES):
        request.user.language = code  # type: ignore[union-attr]
        request.user.save(update_fields=["language"])  # type: ignore[call-arg]
    return set_language(request)
