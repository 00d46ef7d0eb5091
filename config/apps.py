"""The app that carries the commands of the platform: `up` and what it is made of."""

from django.apps import AppConfig


class ConfigConfig(AppConfig):
    name = "config"
    label = "config"
    verbose_name = "Renxin"

    def ready(self) -> None:
        from config import navigation

        navigation.name_pages()
