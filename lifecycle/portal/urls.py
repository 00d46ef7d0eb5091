"""The public addresses of lifecycle."""

from django.urls import path

from lifecycle.portal import privacy, views

urlpatterns = [
    path("me/<str:token>/", views.inbox, name="portal-inbox"),
    path("me/<str:token>/read/<int:item_id>/", views.mark_read, name="portal-inbox-read"),
    path("me/<str:token>/preferences/", privacy.preferences, name="portal-my-preferences"),
    path("me/<str:token>/preferences/consents/", privacy.save_consents, name="portal-my-consents"),
    path("me/<str:token>/preferences/nothing/", privacy.unsubscribe_all, name="portal-my-nothing"),
    path("me/<str:token>/preferences/pause/", privacy.pause, name="portal-my-pause"),
    path("me/<str:token>/preferences/settings/", privacy.save_settings, name="portal-my-settings"),
    path("me/<str:token>/preferences/address/<int:contact_id>/", privacy.address, name="portal-my-address"),
    path("me/<str:token>/data/", privacy.data, name="portal-my-data"),
    path("me/<str:token>/data/correct/", privacy.correct, name="portal-my-correction"),
    path("me/<str:token>/data/file/", privacy.ask_for_file, name="portal-my-file"),
    path("me/<str:token>/data/erase/", privacy.erase, name="portal-my-erasure"),
    path("erasure/<str:token>/", privacy.erasure, name="portal-erasure"),
    path("file/<str:token>/", privacy.file, name="portal-file"),
    path("subscribe/", privacy.subscribe, name="portal-subscribe"),
    path("subscribe/<str:token>/", privacy.confirm_subscription, name="portal-subscription"),
    path("u/<str:token>/page/", views.send_page, name="portal-send-page"),
    path("u/<str:token>/", views.unsubscribe, name="portal-unsubscribe"),
    path("u/<str:token>/preferences/", views.preferences_post, name="portal-preferences"),
    path("confirm/<str:token>/", views.confirm, name="portal-confirm"),
]
