"""Fixtures for every test: cheap passwords, no lockouts by accident, quiet logs."""

import os
from collections.abc import Iterator

import hypothesis
import pytest
from django.conf import settings
from django.utils import translation

from config import catalogues
from tests import bounded_reads, servers

# The gate draws the same examples for everybody, so a commit is judged by what it changes;
# HYPOTHESIS_PROFILE=explore draws new ones each time.
hypothesis.settings.register_profile("gate", derandomize=True)
hypothesis.settings.register_profile("explore", derandomize=False, print_blob=True)


def pytest_configure() -> None:
    hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "gate"))
    bounded_reads.watch()
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.AXES_ENABLED = False  # the test of the lockout turns it on
    settings.SECURE_SSL_REDIRECT = False
    catalogues.compile_all(settings.LOCALE_PATHS)  # a fresh clone has only the words, not their compiled form


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
