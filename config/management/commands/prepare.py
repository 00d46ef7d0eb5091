"""`manage.py prepare`: bring database, catalogues and static files up to date.

Run by `up` when something changed, and by a deployment before its processes start. Every step may
be repeated; nothing is done twice that shows.
"""

from argparse import ArgumentParser
from io import StringIO
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command, get_commands
from django.core.management.base import BaseCommand
from django.db import connection

from config import catalogues, environment, static

ADVISORY_LOCK = 0x52454E58  # two machines that start together prepare one after the other


class Command(BaseCommand):
    help = "Migrate, compile the catalogues, collect static files, sync roles, make the first staff user."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--no-demo", action="store_true", help="do not load the demo company")

    def handle(self, *args: Any, **options: Any) -> None:
        compiled = catalogues.compile_all(settings.LOCALE_PATHS, fallback=settings.COMPILED_LOCALE_DIR)
        if compiled:
            self.say(f"catalogues compiled: {', '.join(compiled)}")
        call_command(
            "collectstatic",
            interactive=False,
            verbosity=0,
            ignore_patterns=static.NOT_COLLECTED,
        )
        self.say("static files collected")
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [ADVISORY_LOCK])
            try:
                self.fill_database(demo=not options["no_demo"])
            finally:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [ADVISORY_LOCK])

    def fill_database(self, *, demo: bool) -> None:
        from crm.kernel import roles

        call_command("migrate", interactive=False, verbosity=0)
        self.say("database migrated")
        roles.sync()
        self.make_first_user()
        if demo and "load_demo" in get_commands():
            self.say("loading the demo company")
            answer = StringIO()
            call_command("load_demo", stdout=answer)
            lines = answer.getvalue().split()
            if lines:
                self.keep_write_key(lines[-1])

    def make_first_user(self) -> None:
        User = get_user_model()
        if User.objects.filter(username="admin").exists():
            return
        User.objects.create_superuser(
            username="admin",
            email="",
            password=environment.admin_password(settings.ENVIRONMENT),
            language=settings.LANGUAGE_CODE,
        )
        self.say("staff user admin made")

    def keep_write_key(self, key: str) -> None:
        path = settings.DATA_DIR / "demo_write_key"
        path.touch(mode=0o600)
        path.write_text(key + "\n", encoding="utf-8")

    def say(self, text: str) -> None:
        self.stderr.write(text, style_func=str)
