"""Routes of the door. Each answers with and without a trailing slash, so that no SDK ever meets a redirect."""

from django.urls import re_path

from crm.ingest import views

urlpatterns = [
    re_path(rf"^(?P<call>{'|'.join(views.CALLS)})/?$", views.receive, name="ingest"),
    re_path(r"^projects/(?P<key>[^/]{1,80})/settings/?$", views.project_settings, name="ingest-settings"),
]
