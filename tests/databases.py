"""The database of the tests: migrated once, and copied for every process that runs tests.

The template is named by what it is made of, the migrations, the models and the pinned packages, so one that is
found can be used: with TEST_DATA_DIR the next run starts at once. After a test that commits, the rows it left are
deleted (most tables have none, and a TRUNCATE of all of them takes longer than the test), and those that a new
installation has are put back: every test finds the same database, in whatever order they run.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.test import TransactionTestCase
from psycopg import conninfo, sql

BASE_DIR = Path(__file__).resolve().parent.parent
# What `migrate` itself writes, and every other command may rely on.
KEPT = ("django_migrations", "django_content_type", "auth_permission")
FIRST_ROWS = "first_rows"
LOCK = 7_265_001


def template_name() -> str:
    """The name of the database that these migrations and models make."""
    digest = hashlib.sha256((BASE_DIR / "requirements.txt").read_bytes())
    for app in ("config", "crm", "lifecycle", "members", "voc"):
        for path in sorted((BASE_DIR / app).rglob("*.py")):
            if {"migrations", "models", "models.py"} & set(path.parts):
                digest.update(str(path.relative_to(BASE_DIR)).encode() + path.read_bytes())
    return f"template_{digest.hexdigest()[:16]}"


def start_template() -> subprocess.Popen[bytes]:
    """Make the template in a process of its own, while others are still collecting their tests."""
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import django; django.setup(); from tests import databases; databases.make_template()",
        ],
        cwd=BASE_DIR,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # whoever needs the template meets the same error, and shows it
    )


@contextlib.contextmanager
def _server() -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A connection that may make databases; one process at a time holds it."""
    address = conninfo.make_conninfo(os.environ["DATABASE_URL"], dbname="postgres")
    with psycopg.connect(address, autocommit=True) as server:
        server.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        yield server


def make_template() -> str:
    """Migrate an empty database, unless that was done. Returns its name."""
    name = template_name()
    draft = f"{name}_draft"  # renamed when whole
    with _server() as server:
        if server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            return name
        _create(server, draft)
        _use(draft)
        call_command("migrate", verbosity=0, interactive=False)
        _keep_first_rows()
        connection.close()
        server.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(*map(sql.Identifier, (draft, name))))
    return name


def use_copy(suffix: str) -> None:
    """From now on this process has a fresh database of its own."""
    template = make_template()
    name = f"test_renxin_{suffix}" if suffix else "test_renxin"
    with _server() as server:
        _create(server, name, template)
    _use(name)


def _create(server: psycopg.Connection[tuple[object, ...]], name: str, template: str = "template1") -> None:
    server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
    server.execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
            *map(sql.Identifier, (name, template))
        )
    )


def _use(name: str) -> None:
    connection.close()
    settings.DATABASES["default"]["NAME"] = name
    connection.settings_dict["NAME"] = name


def _keep_first_rows() -> None:
    """A copy of what the migrations have written, in a schema that nobody else looks into."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {FIRST_ROWS}")
        for table in _filled(cursor):
            cursor.execute(f"CREATE TABLE {FIRST_ROWS}.{table} AS TABLE public.{table}")


def as_installed(_test: TransactionTestCase) -> None:
    """Delete every row but those of a new installation. Triggers and foreign keys are silent meanwhile."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [FIRST_ROWS])
        first = [table for (table,) in cursor.fetchall()]
        steps = [f"DELETE FROM public.{table}" for table in {*_filled(cursor), *first}]
        steps += [f"INSERT INTO public.{table} TABLE {FIRST_ROWS}.{table}" for table in first]
        cursor.execute(f"BEGIN; SET LOCAL session_replication_role = replica; {'; '.join(steps)}; COMMIT")


def _filled(cursor: CursorWrapper) -> list[str]:
    """The tables that have rows."""
    cursor.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname = 'public' AND c.relname <> ALL(%s)",
        [list(KEPT)],
    )
    tables = [name for (name,) in cursor.fetchall()]
    cursor.execute("SELECT " + ", ".join(f"EXISTS (SELECT FROM public.{table})" for table in tables))
    return [table for table, has_rows in zip(tables, cursor.fetchone(), strict=True) if has_rows]
