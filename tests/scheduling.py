"""Which tests of a run with several processes stay together, and so share what is dear to start.

By their files: pytest 9 no longer lets pytest-xdist write a group into the name of a test, and the mark xdist_group
does nothing there. A group is handed out whole, the largest first; all other tests go one by one to whoever is free.
"""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER = {
    "tests/faults/test_broker.py": "house",
    "tests/faults/test_database.py": "house",
    "tests/faults/test_stopping.py": "house",
    "tests/faults/test_workers.py": "house",
    "tests/faults/test_imports.py": "imports",
    "tests/sdk/test_browser.py": "sdk",
    "tests/sdk/test_servers.py": "sdk",
    "tests/config/test_demo.py": "demo",
}


class Groups(LoadScopeScheduling):
    """xdist's scheduling by scope, where the scope of a test is its group, or the test itself."""

    def _split_scope(self, nodeid: str) -> str:
        return TOGETHER.get(nodeid.split("::", 1)[0], nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Groups:
    """Called once, in the process that hands the tests out."""
    return Groups(config, log)
