"""Fixtures for every test: cheap passwords, no lockouts by accident, quiet logs."""

import gc
import os
from collections.abc import Iterator

import hypothesis
import pytest
from django.conf import settings
from django.db import connections
from django.test import TransactionTestCase
from django.utils import translation

from config import catalogues
from tests import bounded_reads, databases, servers

# The gate draws the same examples for everybody, so a commit is judged by what it changes;
# HYPOTHESIS_PROFILE=explore draws new ones each time.
hypothesis.settings.register_profile("gate", derandomize=True)
hypothesis.settings.register_profile("explore", derandomize=False, print_blob=True)


def pytest_configure() -> None:
    gc.set_threshold(50_000, 20, 50)  # most objects of a test process live as long as it does
    hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "gate"))
    bounded_reads.watch()
    TransactionTestCase._fixture_teardown = databases.as_installed
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.AXES_ENABLED = False  # the test of the lockout turns it on
    settings.SECURE_SSL_REDIRECT = False
    catalogues.compile_all(settings.LOCALE_PATHS)  # a fresh clone has only the words, not their compiled form


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, so that no process is left alone with one at the end. (pytest-django would have those
    that commit last; here every test finds the database as installed.)"""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_collection_finish() -> None:
    gc.freeze()


@pytest.fixture(scope="session")
def django_db_setup(django_test_environment, django_db_blocker) -> Iterator[None]:
    """pytest-django's: here every process gets a copy of one migrated database."""
    with django_db_blocker.unblock():
        databases.use_copy(os.environ.get("PYTEST_XDIST_WORKER", ""))
        yield
        connections.close_all()


@pytest.fixture(autouse=True)
def own_language() -> Iterator[None]:
    """No test inherits the language that the last one left behind."""
    with translation.override(settings.LANGUAGE_CODE):
        yield


@pytest.fixture
def durable_stack() -> Iterator[servers.Stack]:
    """`manage.py up --no-demo` with durable servers on its own folder and port."""
    with servers.durable_stack() as stack:
        yield stack
