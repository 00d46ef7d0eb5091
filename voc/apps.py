"""The app voc."""

from django.apps import AppConfig


class VocConfig(AppConfig):
    name = "voc"
    label = "voc"
