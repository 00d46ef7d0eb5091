"""Routes of the door. Each answers with and without a trailing slash, so that no SDK ever meets a redirect."""

from django.urls import URLPattern, path

from crm.ingest import door, views

urlpatterns: list[URLPattern] = [
    path(f"{call}{slash}", views.receive, {"call": call}, name=f"ingest-{call}")
    for call in door.CALLS
    for slash in ("", "/")
] + [
    path(f"projects/<str:key>/settings{slash}", views.project_settings, name="ingest-settings")
    for slash in ("", "/")
]
