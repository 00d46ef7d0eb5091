"""A headless Chromium for the browser tests; without one they skip and say how to get it."""

import os
import shutil
from pathlib import Path

import pytest

from tests.browser.pages import Watched

# The page objects of Playwright's own loop and Django's test database live in one thread.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def chromium():
    """The path of an installed Chromium."""
    for name in NAMES:
        path = shutil.which(name)
        if path:
            return Path(path)
    pytest.skip("no Chromium on this machine: apt-get install chromium")


@pytest.fixture(scope="session")
def browser_type_launch_args(chromium):
    """For pytest-playwright: the installed browser, headless, talking to nobody but us."""
    return {"executable_path": str(chromium), "args": ARGUMENTS, "headless": True}


@pytest.fixture
def open_page(browser, live_server):
    """Make pages of a size and language; each remembers errors of the console and of scripts."""
    contexts = []

    def make(*, width=1280, height=900, language="en", cookies=()):
        context = browser.new_context(
            base_url=live_server.url,
            viewport={"width": width, "height": height},
            locale="zh-CN" if language == "zh-hans" else "en-GB",
            reduced_motion="reduce",
        )
        context.add_cookies(
            [{"name": "django_language", "value": language, "url": live_server.url}, *cookies]
        )
        contexts.append(context)
        return Watched(context.new_page())

    yield make
    for context in contexts:
        context.close()
