"""The pinned npm packages of tests/sdk/node, installed once per machine by npm itself; without npm the tests skip."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from crm.ingest import admission, keys
from crm.kernel import actors, clock, knobs
from crm.models import Source
from crm.selectors import catalogue, rules
from crm.services import partitions, sources

# The page objects of Playwright's own loop and Django's test database live in one thread.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
HERE = Path(__file__).parent / "node"
HOW = "install Node.js 18 or newer with npm, or point RENXIN_NODE_MODULES to a folder that has the packages"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(autouse=True)
def forgetful_caches() -> Iterator[None]:
    """A row that a test rolled back must not live on in a cache of the process."""
    yield
    for module in (keys, admission, catalogue, rules, knobs, partitions):
        module.forget()


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """A node_modules folder with exactly what the lock file names."""
    given = os.environ.get("RENXIN_NODE_MODULES")
    if given:
        return Path(given)
    if not shutil.which("npm") or not shutil.which("node"):
        pytest.skip(f"no node or npm on this machine: {HOW}")
    lock = (HERE / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    if not os.access(cache if cache.is_dir() else cache.parent, os.W_OK):
        cache = Path(tempfile.gettempdir())
    kept = cache / "renxin-sdk-tests" / hashlib.sha256(lock).hexdigest()[:16]
    if not (kept / "complete").is_file():
        _install(kept)
    return kept / "node_modules"


def _install(target: Path) -> None:
    """`npm ci` beside the target, and then into its place: two runs at once do each other no harm."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        work = Path(name) / "work"
        shutil.copytree(HERE, work)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            pytest.skip(f"npm could not fetch the SDKs: {done.stderr.strip()[-300:]} ({HOW})")
        (work / "complete").touch()
        shutil.rmtree(target, ignore_errors=True)
        try:
            work.rename(target)
        except OSError:
            if not (target / "complete").is_file():
                raise


@pytest.fixture
def version(capsys: pytest.CaptureFixture[str]) -> Callable[[str, str], None]:
    """Print the name and version of an SDK into the output of the run."""

    def show(name: str, number: str) -> None:
        with capsys.disabled():
            print(f"\nSDK {name} {number}")

    return show


@pytest.fixture
def npm_version(node_modules: Path, version: Callable[[str, str], None]) -> Callable[[str], Path]:
    """The folder of an npm package, its version printed; skips when it is not there."""

    def find(name: str) -> Path:
        folder = node_modules / name
        if not (folder / "package.json").is_file():
            pytest.skip(f"{name} is not in {node_modules}")
        version(name, json.loads((folder / "package.json").read_text())["version"])
        return folder

    return find


@pytest.fixture
def server_source(transactional_db: None) -> Source:
    return sources.create("Shop", trust="server", actor=actors.system("test"), now=clock.now())


@pytest.fixture
def browser_source(transactional_db: None) -> Source:
    return sources.create("Shop site", trust="browser", actor=actors.system("test"), now=clock.now())


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """For pytest-playwright: the installed browser, headless."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    arguments = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
    ]
    return {"executable_path": path, "args": arguments, "headless": True}
