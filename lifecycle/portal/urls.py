"""The public addresses of lifecycle."""

from django.urls import path

from lifecycle.portal import views

urlpatterns = [
    path("me/<str:token>/", views.inbox, name="portal-inbox"),
    path("me/<str:token>/read/<int:item_id>/", views.mark_read, name="portal-inbox-read"),
    path("u/<str:token>/", views.unsubscribe, name="portal-unsubscribe"),
    path("u/<str:token>/preferences/", views.preferences_post, name="portal-preferences"),
    path("confirm/<str:token>/", views.confirm, name="portal-confirm"),
]
