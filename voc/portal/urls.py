"""The public addresses of voc."""

from django.urls import path

from voc.portal import views

urlpatterns = [
    path("", views.home, name="portal-home"),
    path("feedback/", views.give_feedback, name="portal-feedback"),
    path("feedback/<str:token>/", views.thank_you, name="portal-thanks"),
    path("t/<str:token>/", views.ticket, name="portal-ticket"),
    path("changelog/", views.changelog_page, name="portal-changelog"),
]
