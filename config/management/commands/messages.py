"""`manage.py messages`: bring the catalogues up to the code; with --check, only say what lacks."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config import catalogues


class Command(BaseCommand):
    help = "Extract the marked strings into locale/*/LC_MESSAGES/django.po and compile them."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="only say what is missing")

    def handle(self, *args: Any, **options: Any) -> None:
        locale_dir = settings.LOCALE_PATHS[0]
        if options["check"]:
            self.check_complete()
            return
        for language, missing in catalogues.update(settings.BASE_DIR, locale_dir).items():
            self.stdout.write(f"{language}: {missing} strings without a translation")
        catalogues.compile_all(settings.LOCALE_PATHS)

    def check_complete(self) -> None:
        problems = catalogues.problems(settings.BASE_DIR, settings.LOCALE_PATHS[0])
        for problem in problems:
            self.stderr.write(problem)
        if problems:
            raise CommandError(
                f"{len(problems)} problems in the catalogues: run `make messages`, then translate"
            )
        self.stdout.write("every string has its translation")
